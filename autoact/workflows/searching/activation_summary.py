"""What a search says of a model's activations before it trains."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.sites import Sites
from autoact.space.search_space import SearchSpace, listed

# Sites that are named in one line.
MOST_NAMES = 8


def what_is_searched(sites: Sites, space: SearchSpace) -> list[str]:
    """What is searched, what is kept though it could be replaced, and what cannot be, with the reasons: a line each."""
    lines = [f"searched: {_first_of([name for group in space.groups.values() for name in group])}"]
    for reason in dict.fromkeys(site.kept for site in sites if site.kept):
        mine = [site for site in sites if site.kept == reason]
        shown = _first_of([f"{site.name or 'the model itself'} ({site.current})" for site in mine])
        lines.append(
            f"kept: {shown}: {reason}; space.include={listed(['*', mine[0].name])} searches {mine[0].name} too"
        )
    return [
        *lines,
        *(f"not searched: {item.name or 'the model itself'}: {item.reason}" for item in sites.unreplaceable),
    ]


def _first_of(names: Sequence[str]) -> str:
    """Names in one line; of many, the first ones and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
