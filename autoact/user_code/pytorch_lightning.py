"""What is of ``pytorch_lightning``, which holds the classes of ``lightning`` a second time, as ``lightning``'s."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from typing import Any, TypeVar

import lightning

T = TypeVar("T")

_OTHER = "pytorch_lightning"


def adopted(made: T, kind: type) -> T:
    """The object itself, as one of ``lightning``'s where it is one of ``pytorch_lightning``'s; others as they are.

    Its class becomes a class of the same name that is derived from its own and, behind it, from ``kind``, whose methods
    stand where the user wrote none: ``lightning.Trainer`` takes it, and finds only the user's own hooks overridden.
    What is of ``pytorch_lightning`` itself, such as its ``EarlyStopping``, becomes ``lightning``'s of the same version.

    Example:
        >>> import pytorch_lightning
        >>> class Mine(pytorch_lightning.LightningModule): ...
        >>> made = adopted(Mine(), lightning.LightningModule)
        >>> isinstance(made, lightning.LightningModule), isinstance(made, Mine), type(made).__name__
        (True, True, 'Mine')
    """
    own: Any = type(made)
    if not issubclass(own, kind) and is_of(own, kind):
        made.__class__ = _twin(own) or _both(own, kind)
    return made


def is_of(own: type, kind: type) -> bool:
    """Whether a class is derived from ``kind``, or from what ``pytorch_lightning`` has in its place.

    Example:
        >>> import pytorch_lightning
        >>> is_of(pytorch_lightning.LightningModule, lightning.LightningModule), is_of(dict, lightning.LightningModule)
        (True, False)
    """
    return issubclass(own, kind) or _other(own, kind) is not None


def base_of(own: object, kind: type) -> type:
    """``kind``, or what ``pytorch_lightning`` has in its place, where a class is derived from that.

    Example:
        >>> import pytorch_lightning
        >>> base_of(pytorch_lightning.LightningModule, lightning.LightningModule).__module__
        'pytorch_lightning.core.module'
        >>> base_of(lightning.LightningModule, lightning.LightningModule).__module__
        'lightning.pytorch.core.module'
    """
    other = _other(own, kind) if isinstance(own, type) and not issubclass(own, kind) else None
    return other or kind


def _other(own: type, kind: type) -> type | None:
    """What ``pytorch_lightning`` has in the place of ``kind``, where a class is derived from it."""
    named = [base for base in own.__mro__ if base.__name__ == kind.__name__]
    return next((base for base in named if base.__module__.partition(".")[0] == _OTHER), None)


def _twin(own: type) -> type | None:
    """The same class of ``lightning``; None for one of the user's, and where the two are of different versions."""
    package, _, rest = own.__module__.partition(".")
    if package != _OTHER or sys.modules[_OTHER].__version__ != lightning.__version__:
        return None
    return getattr(importlib.import_module(f"lightning.pytorch.{rest}"), own.__name__, None)


@functools.cache
def _both(own: type, kind: type) -> type:
    """One class for each of the user's: modules of one class stay of one class."""
    members: dict[str, object] = {"__module__": own.__module__, "__qualname__": own.__qualname__}
    other = _other(own, kind)
    for base in reversed([base for base in kind.__mro__ if base.__module__.partition(".")[0] == "lightning"]):
        for name, member in vars(base).items():
            mine = inspect.getattr_static(own, name, None)
            if not name.startswith("__") and mine is inspect.getattr_static(other, name, None):
                members[name] = member
    return type(own.__name__, (own, kind), members)
