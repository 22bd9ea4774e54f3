"""Models that save themselves (``save_pretrained``): what their class would not build again is never lost silently.

Nothing is imported from ``transformers`` or ``huggingface_hub``: such a model is known by its ``save_pretrained``,
whatever its configuration is, if it has one.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from autoact.core.errors import AutoactError
from autoact.sites.replacement.assignment_file import INSIDE, Saved
from autoact.sites.replacement.huggingface_config import activation_places, is_read, put, write_activations_
from autoact.sites.replacement.huggingface_config import get as at
from autoact.sites.replacement.state_dict_marker import assignment_in, is_marker
from autoact.sites.rewriting.method_rewrite import plain_class

_IGNORED = "_keys_to_ignore_on_save"
_SAVE = "save_pretrained"
_Arguments = tuple[list[object], dict[str, object]]
UNKNOWN = "load with autoact.from_pretrained (assignment.json)"
"""Stands for an activation in a saved configuration whose class alone would build others: no model is built of it."""


def keep_config_true_(model: nn.Module) -> None:
    """Make what ``save_pretrained`` writes be the model as it now is, or load nowhere without its activations.

    Where the model that the changed configuration builds has the same function at every place, the configuration is
    changed (``config.hidden_act = "tanh"``), and the markers stay out of the saved weights: any program loads the
    model. Elsewhere ``save_pretrained`` is guarded, see ``GuardedSave``. Models that save themselves are found at any
    depth; nothing happens in others.
    """
    for part in model.modules():
        if callable(getattr(type(part), _SAVE, None)):
            _settle(part)


def _settle(part: nn.Module) -> None:
    """Write the configuration of a model, or guard its ``save_pretrained``."""
    markers = {key for key in part.state_dict() if is_marker(key)}
    if isinstance(vars(part).get(_SAVE), GuardedSave | RefusedSave):
        del vars(part)[_SAVE]
    ignored = {key for key in getattr(part, _IGNORED, None) or () if not is_marker(key)}
    config = _config(part)
    # Others may save a copy that was made before, or none.
    is_saved = hasattr(config, "to_dict") and hasattr(config, "model_type") and not hasattr(part, "_hub_mixin_config")
    written = bool(markers) and is_saved and _write_activations_(part, config)
    if written or getattr(part, _IGNORED, None):
        setattr(part, _IGNORED, ignored | markers if written else ignored)
    if markers and not written:
        vars(part)[_SAVE] = GuardedSave(part)


def _write_activations_(part: nn.Module, config: object) -> bool:
    """Let a configuration build the model as it is: one of its own, for others may be built of the one that it has."""
    own = copy.deepcopy(config)
    if not write_activations_(own, part):
        return False
    for module in part.modules():
        for name in [name for name, value in vars(module).items() if value is config]:
            vars(module)[name] = own
    return _config(part) is own


def _config(part: nn.Module) -> object:
    """A model's configuration, of whatever kind; None without one."""
    try:
        return getattr(part, "config", None)
    except Exception:  # a property that does not work yet
        return None


class GuardedSave:
    """Stands for ``save_pretrained`` of a model whose class alone builds other activations.

    It writes what the class writes, with the assignment beside the weights (``assignment.json``), in such a way that
    the class does not load it without an error, in programs without autoact too; ``autoact.from_pretrained`` does. A
    configuration of ``transformers`` gets a name that nobody knows for its activations, and all files stay in their
    places. Those of other models go into a folder inside of the one that was asked for.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.told = model, False

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Save the model; arguments are those of its class.

        Raises:
            AutoactError: ``push_to_hub=True``, or no folder is given.
        """
        kind = plain_class(type(self.model))
        if kwargs.get("push_to_hub"):
            raise AutoactError(
                f"{_SAVE}(push_to_hub=True) would leave out the activations of this {kind.__name__}: save first, then "
                "call push_to_hub(repo_id), which takes assignment.json along"
            )
        folder, moved = self._folder(args, kwargs)
        assignment = assignment_in(self.model.state_dict())
        if _says_unknown(self.model):
            with _unknown(_config(self.model)) as config:
                result = getattr(kind, _SAVE)(self.model, *args, **kwargs)
            saved = Saved(kind.__name__, assignment, ".", config)
        else:
            folder.joinpath(INSIDE).mkdir(parents=True, exist_ok=True)
            result = getattr(kind, _SAVE)(self.model, *moved[0], **moved[1])
            saved = Saved(kind.__name__, assignment, INSIDE, {})
        if kwargs.get("is_main_process", True):
            saved.write(folder)
            self._tell(kind.__name__, folder)
        return result

    def _folder(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[Path, _Arguments]:
        """Where to save, and the arguments that save into the folder inside.

        Raises:
            AutoactError: no folder is given.
        """
        name = next(iter(list(inspect.signature(getattr(type(self.model), _SAVE)).parameters)[1:]), "")
        given = args[0] if args else kwargs.get(name)
        try:
            folder = Path(given)  # type: ignore[arg-type]
        except TypeError:
            kind = plain_class(type(self.model)).__name__
            raise AutoactError(f"{_SAVE} of this {kind} needs a folder first, not {given!r}") from None
        inside = str(folder / INSIDE) if isinstance(given, str) else folder / INSIDE
        return folder, ([inside, *args[1:]], dict(kwargs)) if args else ([], {**kwargs, name: inside})

    def _tell(self, kind: str, folder: Path) -> None:
        if not self.told:
            self.told = True
            warnings.warn(
                f"{kind}.from_pretrained alone cannot build the activations of this model and will fail: load with "
                f"autoact.from_pretrained({kind}, {str(folder)!r})",
                UserWarning,
                stacklevel=3,
            )


def _says_unknown(model: nn.Module) -> bool:
    """Whether no model is built of a saved configuration with unknown activations, which ``from_pretrained`` mends."""
    return hasattr(getattr(type(model), "config_class", None), "get_config_dict") and is_read(
        _config(model), model, UNKNOWN
    )


@contextmanager
def _unknown(config: object) -> Iterator[dict[str, str]]:
    """A configuration with a name for its activations that nobody knows; what stood there, by place."""
    before = {place: at(config, place) for place in activation_places(config, derived=True)}
    try:
        for place in before:
            put(config, place, UNKNOWN)
        yield {".".join(place): value for place, value in before.items()}
    finally:
        for place, value in before.items():
            put(config, place, value)


class RefusedSave:
    """Stood for ``save_pretrained`` in models that were pickled whole before it could write the assignment."""

    model: str
    assignment: str

    def __call__(self, *args: object, **kwargs: object) -> None:
        """Refuse.

        Raises:
            AutoactError: always.
        """
        raise AutoactError(
            f"{_SAVE} would lose the activations of this {self.model} ({self.assignment}), pickled whole by an earlier "
            "version: build one from its class, load the state_dict() of this one with autoact.restore_, and save that"
        )
