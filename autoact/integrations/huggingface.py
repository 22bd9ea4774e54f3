"""``from_pretrained`` of any class, with the activations that the weights were trained with."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.imports import optional
from autoact.sites.replacement.assignment_file import FILE, Saved
from autoact.sites.replacement.huggingface_config import get, put
from autoact.sites.replacement.restore import put_carried_
from autoact.sites.replacement.save_pretrained import UNKNOWN
from autoact.sites.replacement.state_dict_marker import assignment_in
from autoact.sites.rewriting.method_rewrite import plain_class

Model = TypeVar("Model", bound=nn.Module)
_building = threading.RLock()


def from_pretrained(kind: type[Model], folder: str | Path, *, example_input: Any = None, **arguments: Any) -> Model:
    """``kind.from_pretrained`` for what a changed model's ``save_pretrained`` has written.

    The class alone would build other activations, so it fails on such a folder. Here the activations that
    ``assignment.json`` tells are put in right after the class has built its model, and before the weights are loaded. A
    folder without that file loads as ever.

    Args:
        kind: the model's class, such as ``BertForSequenceClassification``; no ``AutoModel``.
        folder: where it was saved, or the name of a repository of the Hugging Face hub.
        example_input: as in ``find_sites``; needed where an activation has weights per channel or is gated, or stands
            for a functional call.
        arguments: of ``kind.from_pretrained``.

    Raises:
        AutoactError: ``kind`` has no ``from_pretrained``, or does not build its model by itself; the folder holds two
            models, or an ``assignment.json`` that is not ours; sites that the model does not have.

    Example:
        >>> import tempfile, warnings
        >>> from autoact.sites import apply
        >>> class Net(nn.Sequential):
        ...     def __init__(self):
        ...         super().__init__(nn.Linear(2, 2), nn.ReLU())
        ...     def save_pretrained(self, folder):
        ...         torch.save(self.state_dict(), f"{folder}/weights.pt")
        ...     @classmethod
        ...     def from_pretrained(cls, folder):
        ...         model = cls()
        ...         _ = model.load_state_dict(torch.load(f"{folder}/weights.pt", weights_only=True))
        ...         return model
        >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     apply(Net(), {"1": "tanh"}).save_pretrained(folder)
        ...     from_pretrained(Net, folder)[1]
        ActivationModule(tanh)
    """
    _check_kind(kind)
    whole = _local(folder, arguments)
    local = whole / arguments.get("subfolder", "")
    saved = Saved.read(local)
    if saved is None:
        return cast(Model, kind.from_pretrained(folder, **arguments))  # type: ignore[attr-defined]
    if both := saved.replaced(local):
        raise _two_models(local, both[0].name)
    weights = local / saved.weights
    given = {name: value for name, value in arguments.items() if name != "subfolder"}
    try:
        with _true_config(kind, local, saved) as config, _activations_put_in(kind, saved.assignment, example_input):
            where = weights if isinstance(folder, Path) else str(weights)
            loaded = kind.from_pretrained(where, **{**config, **given})  # type: ignore[attr-defined]
    except AutoactError as error:
        if saved.model == kind.__name__:
            raise
        raise AutoactError(f"{local / FILE} is of a {saved.model}, give that class if you can: {error}") from error
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    if assignment_in(model.state_dict()) != saved.assignment:
        raise AutoactError(
            f"{kind.__name__}.from_pretrained does not build its model as {kind.__name__}(...): build one, read "
            f"the state_dict in {str(weights)!r}, and give both to autoact.restore_(model, state_dict)"
        )
    return cast(Model, loaded)


def _check_kind(kind: Any) -> None:
    """Whether it is the class of a model that can be loaded.

    Raises:
        AutoactError: it is not.
    """
    is_model = isinstance(kind, type) and issubclass(kind, nn.Module)
    if not (is_model and callable(getattr(kind, "from_pretrained", None))):
        name = getattr(kind, "__name__", repr(kind))
        raise AutoactError(f"from_pretrained takes the class of a model that has a from_pretrained first, not {name}")


def _local(folder: str | Path, arguments: Mapping[str, Any]) -> Path:
    """The folder on this machine, fetched from the hub if there is none of that name.

    Raises:
        AutoactError: there is none, and it is no name of the hub, or there is no ``huggingface_hub`` to ask.
    """
    if Path(folder).is_dir():
        return Path(folder)
    if isinstance(folder, Path) or folder.count("/") > 1 or folder.startswith((".", "/", "~")):
        raise AutoactError(f"there is no folder {str(folder)!r}")
    hub = optional("huggingface_hub", wanted_for=f"there is no folder {folder!r}, and its download", extra="hub")
    known = ("revision", "cache_dir", "token", "local_files_only", "force_download")
    return Path(hub.snapshot_download(folder, **{name: arguments[name] for name in known if name in arguments}))


def _two_models(folder: Path, name: str) -> AutoactError:
    """What is said where a model was saved over another one."""
    return AutoactError(
        f"{folder} holds two models: {name} was saved later than {FILE}. To load the later one, delete {FILE}; better "
        "save each into a folder of its own"
    )


@contextlib.contextmanager
def _true_config(kind: Any, folder: Path, saved: Saved) -> Iterator[dict[str, str]]:
    """The argument that tells the class the activations it has to be built with, where its saved configuration is not.

    Raises:
        AutoactError: the configuration was written over, or the class is one without.
    """
    if not saved.config:
        yield {}
        return
    if not hasattr(getattr(kind, "config_class", None), "get_config_dict"):
        raise AutoactError(f"{kind.__name__} has no configuration of transformers")
    data, _ = kind.config_class.get_config_dict(str(folder))
    for place, value in saved.config.items():
        path = tuple(place.split("."))
        try:
            overwritten = get(data, path) != UNKNOWN
        except LookupError:
            overwritten = True
        if overwritten:
            raise _two_models(folder, "config.json")
        put(data, path, value)
    # As a file: the class takes its other arguments into account as ever (`num_labels=3`).
    with tempfile.TemporaryDirectory() as other:
        Path(other, "config.json").write_text(json.dumps(data), encoding="utf-8")
        yield {"config": other}


@contextlib.contextmanager
def _activations_put_in(kind: type[nn.Module], assignment: Assignment, example_input: Any) -> Iterator[None]:
    """Let the class build its models with an assignment, while it lasts.

    The class itself is changed, not a subclass of it, for many look at their class. An example can only be run through
    a model that has values: what would be built on the meta device is built on the CPU then, and moved.
    """
    inner, own, depth = kind.__init__, "__init__" in vars(kind), 0

    @functools.wraps(inner)
    def changed_init(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal depth
        depth += 1  # what is built inside of it, and to compare with it, stays plain
        moved = depth == 1 and example_input is not None and torch.get_default_device().type == "meta"
        try:
            with torch.device("cpu") if moved else contextlib.nullcontext():
                inner(self, *args, **kwargs)
                if depth == 1 and plain_class(type(self)) is kind:
                    put_carried_(self, assignment, _like(example_input, self))
        finally:
            depth -= 1
        if moved:
            _to_meta_(self)

    with _building:
        kind.__init__ = changed_init  # type: ignore[method-assign]
        try:
            yield
        finally:
            if own:
                kind.__init__ = inner  # type: ignore[method-assign]
            else:
                del kind.__init__


def _to_meta_(model: nn.Module) -> None:
    """Let a model be as if it had been built on the meta device."""
    model.to("meta")
    for part in model.modules():
        # transformers marks what it has drawn, and does not compute the buffers of marked modules (rotary ones) again.
        vars(part).pop("_is_hf_initialized", None)


def _like(example: object, model: nn.Module) -> object:
    """The example where a model's weights are, and its floating-point numbers of their kind."""
    if isinstance(example, torch.Tensor):
        like = next((weight for weight in model.parameters() if weight.is_floating_point()), None)
        if like is None:
            return example
        return example.to(like.device, like.dtype if example.is_floating_point() else None)
    if isinstance(example, Mapping):
        return {key: _like(value, model) for key, value in example.items()}
    if isinstance(example, tuple | list) and not hasattr(example, "_fields"):
        return type(example)(_like(value, model) for value in example)
    return example
