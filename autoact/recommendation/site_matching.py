"""Which sites of a recommendation a model has, and what is said where they differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autoact.core.assignment import Choice
from autoact.core.errors import nearest
from autoact.core.value_holders import PlainData

if TYPE_CHECKING:  # torch is imported when a model is given
    from autoact.sites import Sites


@dataclass(frozen=True)
class Fit:
    """How a model and a recommendation fit.

    Attributes:
        fitting: recommended sites that stand in the model as the search saw them.
        problems: a line for every site that is missing, changed, or unknown to the recommendation.
    """

    fitting: tuple[str, ...]
    problems: tuple[str, ...]


def compare(searched: Mapping[str, PlainData], not_searched: Collection[str], found: Sites) -> Fit:
    """Compare the sites that a search saw, and those that it left alone, with those that were found in a model."""
    from autoact.activations import function_key

    present = [name for site in found for name in site.names]
    fitting, problems = [], []
    for name, site in searched.items():
        if name not in found:
            close = nearest(name, [other for other in present if other not in searched])
            problems.append(f"missing {name!r}" + (f" (nearest: {', '.join(close)})" if close else ""))
        elif function_key(found[name].current) != function_key(str(site["current"])):
            problems.append(f"changed {name!r}: it holds {found[name].current}, the search saw {site['current']}")
        else:
            fitting.append(name)
    for own in found.searchable:
        if not {*searched, *not_searched} & set(own.names):
            problems.append(f"extra {own.name!r} ({own.current}), which the search did not see")
    return Fit(tuple(fitting), tuple(problems))


def changed(searched: Mapping[str, PlainData], assignment: Mapping[str, Choice]) -> dict[str, Choice]:
    """What of an assignment puts another function at a site than the search saw there."""
    from autoact.activations import function_key

    return {
        site: choice
        for site, choice in assignment.items()
        if site in searched and function_key(choice) != function_key(str(searched[site]["current"]))
    }


def as_searched(searched: Mapping[str, PlainData], found: Sites) -> Sites:
    """The model's sites with the shapes that the search saw, which learnable activations need."""
    from autoact.sites import Sites

    rows = []
    for site in found:
        row = next((searched[name] for name in site.names if name in searched), None)
        if row is not None:
            # A file may write whole numbers with a point.
            shape = tuple(map(int, row["shape"])) if row["shape"] else None
            channels = None if row["channels"] is None else int(row["channels"])
            site = replace(site, shape=shape, channels=channels, channel_dim=int(row["channel_dim"]))
        rows.append(site)
    return Sites(rows, found.unreplaceable)
