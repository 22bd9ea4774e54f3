"""The published schema of the file, ``schema.json``, and the part of JSON Schema that it uses.

The file is checked in production training too, where no library for JSON Schema need be installed; a test holds that
both agree.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoact.core.errors import AutoactError, unknown
from autoact.core.value_holders import PlainData
from autoact.recommendation.safe_text import printable

KIND, FORMAT = "autoact-recommendation", 2

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "object": ((Mapping,), "a mapping"),
    "array": ((list, tuple), "a list"),
    "string": ((str,), "text"),
    "boolean": ((bool,), "true or false"),
    "null": ((type(None),), "null"),
    "number": ((int, float), "a number"),
    "integer": ((int, float), "a whole number"),
}
"""Name in JSON Schema -> the types of Python, and words for people."""


@functools.cache
def published() -> PlainData:
    """The schema, as plain data.

    Example:
        >>> published()["properties"]["format"]
        {'const': 2}
    """
    found: PlainData = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return found


def check(data: object, source: str) -> None:
    """Refuse what does not follow the schema.

    Raises:
        AutoactError: the first thing that is wrong, and where it stands.

    Example:
        >>> check({"kind": KIND, "format": 1}, "old.yaml")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: old.yaml has format 1, this version of autoact reads 2: run the command of \
the search again, which trains nothing that it has trained, and writes the file anew
    """
    if not isinstance(data, Mapping) or data.get("kind") != KIND:
        raise AutoactError(f"{source} is not a recommendation of autoact (kind: {KIND} is missing)")
    found = data.get("format")
    if isinstance(found, bool) or found != FORMAT:
        older = isinstance(found, int) and not isinstance(found, bool) and 0 < found < FORMAT
        search_anew = (
            "run the command of the search again, which trains nothing that it has trained, and writes the file anew"
        )
        advice = search_anew if older else "it was written by another version, or edited"
        raise AutoactError(f"{source} has format {found!r}, this version of autoact reads {FORMAT}: {advice}")
    try:
        _check(data, published(), source, "")
    except RecursionError as error:
        raise AutoactError(f"{source} is nested too deeply") from error


def _check(value: object, schema: PlainData, source: str, path: str) -> None:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return _check(value, published()["$defs"][name], source, path)
    _check_type(value, schema, source, path)
    if "const" in schema and value != schema["const"]:
        raise _wrong(source, path, value, f"it must be {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(source, path, value, f"it must be {' or '.join(map(str, schema['enum']))}")
    if isinstance(value, Mapping):
        _check_object(value, schema, source, path)
    elif isinstance(value, (list, tuple)):
        _check_array(value, schema, source, path)
    elif isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            form = schema.get("title") or f"look like {schema['pattern']}"
            raise _wrong(source, path, value, f"it must {'be ' * ('title' in schema)}{form}")
    elif isinstance(value, (int, float)):
        _check_number(value, schema, source, path)


def _check_number(value: float, schema: PlainData, source: str, path: str) -> None:
    if value < schema.get("minimum", -math.inf):
        raise _wrong(source, path, value, f"it must be {schema['minimum']} or more")
    if value > schema.get("maximum", math.inf):
        raise _wrong(source, path, value, f"it must be {schema['maximum']} or less")
    if value <= schema.get("exclusiveMinimum", -math.inf):
        raise _wrong(source, path, value, f"it must be more than {schema['exclusiveMinimum']}")


def _check_type(value: object, schema: PlainData, source: str, path: str) -> None:
    if "type" not in schema:
        return
    allowed = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    if not any(_is(value, name) for name in allowed):
        raise _wrong(source, path, value, f"it must be {' or '.join(_TYPES[n][1] for n in allowed)}")


def _is(value: object, name: str) -> bool:
    """Whether a value has a type of JSON; a whole number may be written with a point."""
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name][0])


def _check_object(value: Mapping[str, object], schema: PlainData, source: str, path: str) -> None:
    known: PlainData = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name in value:
        if not isinstance(name, str):
            where = printable(path) or "the file"
            raise AutoactError(f"{source}: the field {name!r} in {where} must be named by text")
        if "propertyNames" in schema:
            _check(name, schema["propertyNames"], source, f"{path}, a name in it")
        if name not in known and others is False:
            raise unknown(f"field in {f'{source}: {printable(path)}' if path else source}", name, known)
    for name in schema.get("required", ()):
        if name not in value:
            where = f"{source}: {printable(path)}" if path else source
            raise AutoactError(f"{where}: the field {name!r} is missing")
    if len(value) < schema.get("minProperties", 0):
        raise AutoactError(f"{source}: {printable(path)} is empty")
    for name, entry in value.items():
        own = known.get(name, others if isinstance(others, Mapping) else None)
        if own is not None:
            _check(entry, own, source, f"{path}.{name}" if path else name)


def _check_array(value: Sequence[object], schema: PlainData, source: str, path: str) -> None:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        raise _wrong(source, path, value, f"it must hold {schema.get('minItems', 0)} values")
    for index, item in enumerate(value):
        _check(item, schema.get("items", {}), source, f"{path}[{index}]")


def _wrong(source: str, path: str, value: object, reason: str) -> AutoactError:
    parent, _, name = path.rpartition(".")
    where = f"{source}: {printable(parent)}" if parent else source
    text = repr(value)
    return AutoactError(f"{where}: the field {name!r} holds {text if len(text) <= 80 else f'{text[:77]}...'}: {reason}")
