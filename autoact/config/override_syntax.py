"""What stands on a command line, put into the form that Hydra's grammar takes: text need not be quoted twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import get_args, get_origin

from autoact.core.errors import AutoactError, unknown
from autoact.core.override_text import quoted

# A comma that separates, outside of quotes and brackets: the other alternatives swallow what must stay together.
_TOKENS = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\([^()]*\)|\[[^\[\]]*\]|,|[^,'"(\[]+|.""", re.DOTALL)
_UNREADABLE = object()


def read_override(
    text: str, kinds: Mapping[str, object], free: Sequence[str], choices: Mapping[str, Callable[[], list[str]]]
) -> str:
    """One override as Hydra is to see it.

    ``kinds`` are the schema's leaf keys with their types, ``free`` the sub-trees that take any key, without a plus
    sign, and ``choices`` lists those of each group.

    Raises:
        AutoactError: a group's choice that does not exist, or a key that means nothing here.

    Example:
        >>> read_override("data.path=sales, 2024 (öst).csv", {"data.path": str}, (), {})
        "data.path='sales, 2024 (öst).csv'"
        >>> read_override("data.drop=id", {"data.drop": list[str]}, (), {})
        'data.drop=[id]'
        >>> read_override("trainer.max_epochs=3", {}, ("trainer",), {})
        '++trainer.max_epochs=3'
    """
    key, separator, value = text.partition("=")
    plain = key.lstrip("+~")
    if plain.partition(".")[0] == "hydra":
        raise AutoactError(f"{text}: autoact composes with Hydra but starts no Hydra job, so hydra.* has no effect")
    if separator and not plain:
        raise AutoactError(f"cannot read {text!r}: settings are given as key=value")
    if not separator or key.startswith("~"):
        return text
    if plain == "candidates" and value.lstrip().startswith("["):
        key = plain = "space.candidates"  # a list of activations, not of this group's choices
    if plain in choices:
        return text if _check_choice(plain, value, choices[plain]()) else f"{key}="
    if any(plain == tree or plain.startswith(f"{tree}.") for tree in free):
        bare = _parsed(value) is _UNREADABLE and value[:1] not in ("[", "{")
        return f"++{plain}={quoted(value) if bare else value}"
    kind = kinds.get(plain)
    if _is(kind, str):
        return f"{key}={_text(value)}"
    if _is(kind, list):
        return f"{key}={_list(value, kind)}"
    if _is(kind, bool) and isinstance(_parsed(value), int | float) and _parsed(value) not in (0, 1):
        raise AutoactError(f"{text} must be true or false")  # OmegaConf takes any number but 0 for true
    return f"{key}={value}"


_OWN = "your own: --config-dir"
_ADVICE = {
    "candidates": "activations by name: candidates=[gelu,tanh]",
    "task": f"python -m autoact tasks lists them; {_OWN}",
}


def _check_choice(group: str, value: str, known: list[str]) -> bool:
    """Refuse what Hydra would refuse in more lines, or pass over (the task is optional); False where none is chosen."""
    found = _parsed(value)
    if found in ("", None) and group == "task":
        return False
    if isinstance(found, dict):
        return True  # a sub-tree is given, not a choice
    for name in found if isinstance(found, list) else [found]:
        if not isinstance(name, str) or name.removesuffix(".yaml") not in known:
            wrong = value if name is _UNREADABLE or name is None else name
            raise unknown(group, wrong, known, advice=_ADVICE.get(group, _OWN))
    return True


def _text(value: str) -> str:
    """A value that is meant as text: quoted where Hydra would read something else, or nothing."""
    readable = value == "" or (value.strip() != "" and isinstance(_parsed(value), str | None))
    return value if readable else quoted(value)


def _list(value: str, kind: object) -> str:
    """A value that is meant as a list; brackets may be left out, and so may quotes around text."""
    found = _parsed(value)
    if isinstance(found, list) and (not _of_text(kind) or all(isinstance(item, str) for item in found)):
        return value
    if found is None or (isinstance(found, str) and "${" in found):
        return value
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not _of_text(kind):
        return f"[{inner}]"
    return f"[{','.join(map(_item, _split(inner)))}]"


def _item(value: str) -> str:
    return value if isinstance(_parsed(value), str) else quoted(value)


def _split(text: str) -> list[str]:
    """The parts between separating commas, trimmed.

    Example:
        >>> _split("gelu, leaky_relu(negative_slope=0.2), 'a, b'")
        ['gelu', 'leaky_relu(negative_slope=0.2)', "'a, b'"]
    """
    parts = [""]
    for token in _TOKENS.findall(text):
        if token == ",":
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts if part.strip()]


def _parsed(value: str) -> object:
    """What Hydra would read; sweeps (``a,b``) and what it cannot read give ``_UNREADABLE``."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(f"key={value}")
        return _UNREADABLE if override.is_sweep_override() else override.value()
    except HydraException:
        return _UNREADABLE


def read_value(value: str) -> object:
    """What stands behind an equals sign as Hydra would read it; None where it would read nothing.

    Example:
        >>> read_value("{a: 1}"), read_value("a, b (c).csv")
        ({'a': 1}, None)
    """
    found = _parsed(value)
    return None if found is _UNREADABLE else found


def _is(kind: object, wanted: type) -> bool:
    """Whether a schema type is ``wanted``, or optional and else that."""
    return any(part is wanted or get_origin(part) is wanted for part in (kind, *_alternatives(kind)))


def _of_text(kind: object) -> bool:
    return any(get_args(part) == (str,) for part in (kind, *_alternatives(kind)))


def _alternatives(kind: object) -> tuple[object, ...]:
    """The parts of ``Optional[...]`` and the like."""
    return () if get_origin(kind) is list else get_args(kind)
