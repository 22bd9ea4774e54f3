"""Imports by name: optional packages, and what a reference of the user's leads to."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from autoact.core.errors import AutoactError, nearest

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
    """Import ``module`` now; messages say what it is ``wanted_for``.

    They advise to ``install`` a requirement, the top package unless given, or the ``extra`` of autoact that brings it.

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


def load_module(name: str, reference: str, what: str) -> ModuleType:
    """Import a module that the user names: as ``reference``, in what ``what`` says.

    Raises:
        AutoactError: there is no such module. An error inside the module keeps its traceback.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        raise AutoactError(
            f"{what} {reference!r}: no module named {error.name!r} (run from the folder that holds it, or install it)"
        ) from error


def load_reference(reference: str, what: str) -> Any:
    """The object that ``package.module:name`` names.

    Raises:
        AutoactError: the form is wrong, the module cannot be imported, or it has no such name.
    """
    module_name, separator, name = reference.partition(":")
    if not separator or not module_name or not name:
        raise AutoactError(f"{what} {reference!r} must have the form package.module:name")
    module = load_module(module_name, reference, what)
    try:
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        close = nearest(name, [n for n in dir(module) if not n.startswith("_")])
        hint = f": did you mean {' or '.join(close)}?" if close else ""
        raise AutoactError(f"{what}: the module {module_name!r} has no {name!r}{hint}") from error
    return found


def private_name_gone(library: str, error: ImportError | AttributeError, *, needed_for: str) -> AutoactError:
    """What a user reads where a release of a library no longer has a private name.

    Example:
        >>> print(private_name_gone("json", ImportError("cannot import name '_x' from 'json'"), needed_for="reading"))
        json no longer has a name that autoact needs for reading (cannot import name '_x' from 'json'): install ...
    """
    try:
        release = f"{library} {version(library)}"
    except PackageNotFoundError:
        release = library
    return AutoactError(
        f"{release} no longer has a name that autoact needs for {needed_for} ({error}): install the release of "
        f"{library} that autoact is tested with, which its constraints.txt names"
    )
