"""Models of ``transformers`` are saved as a configuration with weights: what that cannot hold is never lost silently.

Nothing is imported from there: such a model is known by its ``config`` and ``save_pretrained``.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from autoact.activations.modules import ActivationModule
from autoact.core.errors import AutoactError
from autoact.sites.marker import assignment_in, is_marker
from autoact.sites.rewrite import plain_class

ATTRIBUTES = ("hidden_act", "activation_function", "hidden_activation", "activation", "act_fn", "mlp_hidden_act")
"""What configurations call the name of their activation."""
_IGNORED = "_keys_to_ignore_on_save"
_SAVE = "save_pretrained"

Place = tuple[Any, str]


class RefusedSave:
    """Stands for ``save_pretrained`` of a model whose configuration cannot say which activations it has."""

    def __init__(self, model: str, assignment: str) -> None:
        self.model, self.assignment = model, assignment

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Refuse.

        Raises:
            AutoactError: always.
        """
        raise AutoactError(
            f"{_SAVE} would lose the activations of this {self.model} ({self.assignment}): its config cannot hold "
            "them. Save its state_dict() with torch.save, and load with autoact.restore_ into the model built from "
            "its config"
        )


def keep_config_true_(model: nn.Module) -> None:
    """Make what ``save_pretrained`` writes be the model as it now is, or have it refuse.

    Where the model that the changed configuration builds has the same function at every place, the configuration is
    changed (``config.hidden_act = "tanh"``), and the markers stay out of the saved weights: any program loads the
    model. Elsewhere ``save_pretrained`` raises an ``AutoactError``. Nothing happens in other models.

    Args:
        model: one that ``apply_`` has changed; models of ``transformers`` are found at any depth.
    """
    done: set[int] = set()
    for module in model.modules():
        if id(module) in done or not _is_pretrained(module):
            continue
        parts = [part for part in module.modules() if _is_pretrained(part)]
        done.update(map(id, parts))
        if assignment_in(module.state_dict()):
            _settle(module, parts)


def _is_pretrained(module: nn.Module) -> bool:
    """Whether a module is saved with a configuration."""
    kind = type(module)
    return callable(getattr(kind, _SAVE, None)) and hasattr(kind, "from_pretrained") and hasattr(module, "config")


def _settle(module: nn.Module, parts: Iterable[nn.Module]) -> None:
    """Write the configuration of a model, or refuse to save it and its parts."""
    written = _write(module)
    for part in parts:
        held = {key for key in part.state_dict() if is_marker(key)}
        part.__dict__.pop(_SAVE, None)
        kept = {key for key in getattr(part, _IGNORED, None) or () if not is_marker(key)}
        if written:
            setattr(part, _IGNORED, kept | held)
        elif held:
            setattr(part, _IGNORED, kept)
            part.__dict__[_SAVE] = RefusedSave(plain_class(type(part)).__name__, assignment_in(held).summary())


def _write(module: Any) -> bool:
    """Change the configuration so that it builds this model; false where it cannot."""
    places = list(_places(module.config))
    values = _values(module)
    for value in values:
        for chosen in (*([index] for index in range(len(places))), list(range(len(places)))):
            config = copy.deepcopy(module.config)
            twins = list(_places(config))
            for index in chosen:
                setattr(*twins[index], value)
            if chosen and _builds(config, module):
                for index in chosen:
                    setattr(*places[index], value)
                return True
    return False


def _places(config: Any) -> Iterator[Place]:
    """Where a configuration, or one inside of it, names an activation."""
    for name in ATTRIBUTES:
        if isinstance(getattr(config, name, None), str):
            yield config, name
    for part in vars(config).values():
        if part is not config and hasattr(part, "to_dict") and hasattr(part, "model_type"):
            yield from _places(part)


def _values(module: nn.Module) -> list[str]:
    """The names under which ``transformers`` has the one activation that was put in; mostly one or none."""
    activations = sys.modules.get("transformers.activations")
    ours = [part for part in module.modules() if _is_marked(part)]
    if activations is None or not ours:
        return []
    # By name first: other names may compute the same ("swish", "gelu_python").
    names = sorted(activations.ACT2CLS, key=lambda name: (name not in {str(part.choice) for part in ours}, name))
    return [name for name in names if _same(_build(activations.ACT2FN, name), ours[0])][:1]


def _build(known: Any, name: str) -> Any:
    """The activation of a name; None where it cannot be built here."""
    try:
        return known[name]
    except Exception:  # some need a GPU or a further package
        return None


def _is_marked(module: nn.Module) -> bool:
    """Whether an activation was put in by ``apply_``."""
    return isinstance(module, ActivationModule) and any(is_marker(name) for name in module._buffers)


def _builds(config: Any, module: nn.Module) -> bool:
    """Whether a configuration builds a model with the functions of this one, at every place."""
    try:
        with torch.device("meta"):
            twin = plain_class(type(module))(config)
    except Exception:  # it does not take this configuration, or needs more than shapes
        return False
    return all(_agree(twin, name, part) for name, part in module.named_modules() if not any(part.children()))


def _agree(twin: nn.Module, name: str, part: nn.Module) -> bool:
    """Whether a model has at a place what another one has there."""
    owner, _, attribute = name.rpartition(".")
    try:
        other = getattr(twin.get_submodule(owner), attribute) if name else twin
    except AttributeError:
        return False
    if type(other) is type(part) and repr(other) == repr(part) and not _is_marked(part):
        return True
    return _same(other, part)


def _same(first: Any, second: Any) -> bool:
    """Whether two functions without weights have the same values, in training as in evaluation."""
    x = torch.linspace(-12.0, 12.0, 487)
    for training in (True, False):
        results = []
        for function in (first, second):
            if not callable(function):
                return False
            if isinstance(function, nn.Module):
                if any(True for _ in function.parameters()):
                    return False
                function = copy.deepcopy(function).train(training)
            try:
                with torch.no_grad(), torch.random.fork_rng(devices=[]):
                    results.append(function(x.clone()))
            except Exception:  # not made for a vector of numbers
                return False
        if not all(isinstance(y, torch.Tensor) and y.shape == x.shape for y in results):
            return False
        if not torch.allclose(results[0], results[1], rtol=1e-5, atol=1e-6):
            return False
    return True
