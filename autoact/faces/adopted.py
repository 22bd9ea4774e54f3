"""Modules and datamodules of ``pytorch_lightning``, which holds the classes of ``lightning`` a second time."""

from __future__ import annotations

import functools
import inspect
from typing import Any

_OTHER = "pytorch_lightning"


def adopted(made: Any, kind: type) -> Any:
    """The object itself, as one of ``lightning``'s where it is one of ``pytorch_lightning``'s; others as they are.

    Its class becomes a class of the same name that is derived from its own and, behind it, from ``kind``, whose methods
    stand where the user wrote none: ``lightning.Trainer`` takes it, and finds only the user's own hooks overridden.

    Args:
        made: whatever the user's code returned.
        kind: ``lightning.LightningModule`` or ``lightning.LightningDataModule``.

    Example:
        >>> import lightning, pytorch_lightning
        >>> class Mine(pytorch_lightning.LightningModule): ...
        >>> made = adopted(Mine(), lightning.LightningModule)
        >>> isinstance(made, lightning.LightningModule), isinstance(made, Mine), type(made).__name__
        (True, True, 'Mine')
    """
    if not isinstance(made, kind) and _other(type(made), kind) is not None:
        own: Any = type(made)
        made.__class__ = _both(own, kind)
    return made


def _other(own: type, kind: type) -> type | None:
    """What ``pytorch_lightning`` has in the place of ``kind``, where a class is derived from it."""
    named = [base for base in own.__mro__ if base.__name__ == kind.__name__]
    return next((base for base in named if base.__module__.partition(".")[0] == _OTHER), None)


@functools.cache
def _both(own: Any, kind: Any) -> type:
    """One class for each of the user's: modules of one class stay of one class."""
    members: dict[str, Any] = {"__module__": own.__module__, "__qualname__": own.__qualname__}
    other = _other(own, kind)
    for base in reversed([base for base in kind.__mro__ if base.__module__.partition(".")[0] == "lightning"]):
        for name, member in vars(base).items():
            mine = inspect.getattr_static(own, name, None)
            if not name.startswith("__") and mine is inspect.getattr_static(other, name, None):
                members[name] = member
    return type(own.__name__, (own, kind), members)
