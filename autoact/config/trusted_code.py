"""Code that the user names by reference, ``package.module:name``: imported only from packages that they trust."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from autoact.core.errors import AutoactError
from autoact.core.imports import load_module, load_reference


def load_trusted(reference: str, key: str, trust: Sequence[str]) -> Any:
    """Import what ``reference`` names, if the user trusts it; see ``check_trusted``.

    Raises:
        AutoactError: the package is not trusted, or nothing is found there.
    """
    check_trusted(reference, key, trust)
    return load_reference(reference, key)


def check_trusted(reference: str, key: str, trust: Sequence[str]) -> None:
    """Refuse code of a package that is not trusted; of the others, those of the folder can be imported from now on.

    Args:
        reference: ``package.module:name``, or ``package.module.name``.
        key: the configuration key that holds it, for messages.
        trust: packages whose code may run; autoact's own recipes always may, and so may the script that runs.

    Raises:
        AutoactError: the package is not trusted.
    """
    module = reference.partition(":")[0]
    allowed = ["autoact", "__main__", *trust]
    if not any(module == name or module.startswith(f"{name}.") for name in allowed):
        top = module.partition(".")[0]
        raise AutoactError(f"{key}={reference} runs code from {top!r}: allow it with trust={top}")
    # As ``python -m`` does: the user's own code lies in the folder from which they run.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())


def import_plugins(modules: Sequence[str], trust: Sequence[str]) -> None:
    """Import the user's modules that register activations, metrics, kinds of task or engines.

    Raises:
        AutoactError: the package is not trusted, or there is no such module.
    """
    for module in modules:
        check_trusted(module, "plugins", trust)
        load_module(module, module, "plugins:")
