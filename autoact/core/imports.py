"""Optional imports: asked for when they are used, with a sentence on how to get what is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from autoact.core.errors import AutoactError

# What pip calls this package. ``autoact`` is another project's name on the public index: no advice may install that.
DISTRIBUTION = "torch-autoact"


def with_extra(extra: str) -> str:
    """What to type to get the packages of an extra; the distribution is not published yet.

    Example:
        >>> with_extra("onnx")
        "pip install '.[onnx]' in a checkout of autoact"
    """
    return f"pip install '.[{extra}]' in a checkout of autoact"


def optional(module: str, *, wanted_for: str, install: str | None = None, extra: str | None = None) -> ModuleType:
    """Import ``module`` now.

    Args:
        module: dotted name.
        wanted_for: what the user was doing, for the message.
        install: the requirement to install; the top package's name unless given.
        extra: the extra of autoact's own that brings the package, instead.

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
        advice = with_extra(extra) if extra else f"pip install {install or top}"
        raise AutoactError(f"{wanted_for} needs the package {top}: {advice}") from error
