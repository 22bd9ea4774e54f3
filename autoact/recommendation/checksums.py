"""What a recommendation claims, as checksums: a file that was edited says where."""

from __future__ import annotations

import hashlib
import json

from autoact.core.errors import AutoactError
from autoact.core.value_holders import PlainData
from autoact.recommendation.safe_text import printable

# ``task`` is a label, free to be renamed; the others say what the file is.
_LEFT_OUT = ("kind", "format", "task", "digest")


def sha256_of(data: object) -> str:
    """The sha256 of plain data, whatever the order of its fields.

    Example:
        >>> sha256_of({"a": 1, "b": (2.0,)}) == sha256_of({"b": [2.0], "a": 1})
        True
    """
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digests(data: PlainData) -> dict[str, str]:
    """Part of a file -> the start of its sha256; every policy is a part of its own.

    Example:
        >>> sorted(digests({"task": "x", "verdict": "y", "policies": {"quality": {}}}))
        ['policies', 'policies.quality', 'verdict']
    """
    parts = {name: value for name, value in data.items() if name not in (*_LEFT_OUT, "policies")}
    policies: PlainData = data["policies"]
    parts |= {f"policies.{name}": policy for name, policy in policies.items()}
    parts["policies"] = sorted(policies)
    return {name: sha256_of(value)[:16] for name, value in parts.items()}


def check_digests(data: PlainData, source: str) -> None:
    """Refuse a file that was edited after it was written.

    Raises:
        AutoactError: names the parts that differ.
    """
    now, noted = digests(data), data["digest"]
    changed = [name for name in {**now, **noted} if now.get(name) != noted.get(name)]
    if changed:
        parts = printable(", ".join(changed))
        raise AutoactError(
            f"{source} was edited after it was written ({parts}): its evidence would no longer belong to it. Undo the "
            "edit (only task may be renamed); for activations of your own choice use autoact.apply, and "
            "python -m autoact confirm to learn whether they are better"
        )
