"""What a schema cannot say of a recommendation: its parts belong together."""

from __future__ import annotations

import math

from autoact.core.errors import AutoactError, unknown
from autoact.core.value_holders import PlainData
from autoact.recommendation.safe_text import printable


def check_consistent(data: PlainData, source: str) -> None:
    """Refuse assignments to sites that the file does not have, and column profiles that cannot be compared with.

    Raises:
        AutoactError: the first contradiction, and where it stands.
    """
    sites = data["sites"]
    policies = {
        **{f"policies.{name}": policy for name, policy in data["policies"].items()},
        "baseline": data["baseline"],
    }
    for name, policy in policies.items():
        for site in policy["assignment"]:
            if site not in sites:
                raise unknown(f"site in {source}: {name}.assignment", site, sites)
    profile = data["about"].get("data", {}).get("profile")
    for entry in profile["columns"] if profile else ():
        problem = _problem(entry)
        if problem:
            raise AutoactError(f"{source}: about.data.profile: column {printable(entry['name'])!r}: {problem}")


def _problem(entry: PlainData) -> str:
    """What is wrong with one column's profile; empty where nothing is."""
    key = "edges" if entry["kind"] == "numeric" else "levels"
    marks, shares = entry.get(key), entry["shares"]
    if marks is None:
        return f"the field {key!r} is missing"
    if key == "edges" and not all(math.isfinite(edge) for edge in marks):
        return "its edges must be finite numbers"
    if len(set(marks)) < len(marks) or (key == "edges" and sorted(marks) != list(marks)):
        return f"its {key} must differ" + (" and ascend" if key == "edges" else "")
    if not all(math.isfinite(share) for share in shares):
        return "its shares must be finite numbers"
    if len(shares) != len(marks) + 2:
        return f"it has {len(shares)} shares for {len(marks)} {key}: it needs {len(marks) + 2}"
    return ""
