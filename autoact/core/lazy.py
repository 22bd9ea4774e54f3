"""Optional imports: asked for when they are used, with a sentence on how to get what is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from autoact.core.errors import AutoactError


def optional(module: str, *, wanted_for: str, install: str | None = None) -> ModuleType:
    """Import ``module`` now.

    Args:
        module: dotted name.
        wanted_for: what the user was doing, for the message.
        install: the requirement to install; the top package's name unless given.

    Raises:
        AutoactError: the package is not installed.

    Example:
        >>> optional("json", wanted_for="an example").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != top:
            raise
        raise AutoactError(f"{wanted_for} needs the package {top}: pip install {install or top}") from error
