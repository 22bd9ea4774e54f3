"""Which sites are searched, and which of them share one dimension."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from autoact.activations import function_key
from autoact.core.errors import AutoactError, unknown
from autoact.sites import Site, Sites
from autoact.sites.site import NORMALISES
from autoact.space.settings import SpaceSettings


def groups_of(sites: Sites, settings: SpaceSettings) -> dict[str, list[str]]:
    """The dimensions, each with the sites that share it.

    Raises:
        AutoactError: no site to search, or sites of one dimension that hold different activations today.
    """
    groups: dict[str, list[str]] = {}
    for name in _searched(sites, settings):
        groups.setdefault(_group_of(sites[name], settings.granularity), []).append(name)
    _check_alike(sites, groups, settings.granularity)
    for group, members in groups.items():  # copies of a part have the activations of what they are copied from
        groups[group] = [*members, *(site.name for site in sites.searchable if site.twin_of in members)]
    return groups


def _check_alike(sites: Sites, groups: Mapping[str, Sequence[str]], granularity: str) -> None:
    """Refuse dimensions whose sites hold different activations, or normalisations, today.

    Raises:
        AutoactError: names one, and all sites to leave out.
    """
    differing, others = "", list[str]()
    for group, members in groups.items():
        alike: dict[str, list[str]] = {}
        for name in members:
            alike.setdefault(function_key(sites[name].current), []).append(name)
        if len(alike) > 1:
            most = max(alike.values(), key=len)
            others += [name for names in alike.values() if names is not most for name in names]
            today = "; ".join(f"{sites[names[0]].current} at {', '.join(names)}" for names in alike.values())
            kind = "normalisations" if sites[members[0]].normalises else "activations"
            differing = differing or f"those of {group!r} hold different {kind} today ({today})"
    if differing:
        raise AutoactError(
            f"space.granularity={granularity} gives all sites of a dimension one choice, but {differing}: "
            f"space.granularity=site searches each by itself, space.exclude={listed(others)} leaves out those that "
            "differ"
        )


def listed(names: Sequence[str]) -> str:
    """Names as a setting takes them.

    Example:
        >>> listed(["net.1", "net.3"])
        "['net.1','net.3']"
    """
    return f"[{','.join(map(repr, names))}]"


def _searched(sites: Sites, settings: SpaceSettings) -> list[str]:
    own = [site for site in sites.searchable if not site.twin_of]
    names = [site.name for site in own if not site.normalises or settings.normalisations]
    if settings.normalisations and not any(site.normalises for site in own):
        raise AutoactError(f"{_given(settings)} has no effect on this model: {_no_normalisation(sites)}")
    if not names:
        reasons = [f"{item.name or 'the model'}: {item.reason}" for item in sites.unreplaceable]
        for site in [site for site in sites if site.kept]:
            name = site.name or "the model itself"
            reasons.append(
                f"{name} ({site.current}): kept, {site.kept}; space.include={listed([site.name])} searches it"
            )
        if not reasons:
            reasons = ["It calls none that autoact knows (python -m autoact activations lists them)"]
        raise AutoactError(f"no activation can be searched in this model. {'; '.join(reasons)}")
    for glob in [*settings.include, *settings.exclude]:
        if not any(fnmatch.fnmatchcase(name, glob) for name in names):
            raise unknown("site", glob, names)
    kept = [n for n in names if any(fnmatch.fnmatchcase(n, g) for g in settings.include)]
    kept = [n for n in kept if not any(fnmatch.fnmatchcase(n, g) for g in settings.exclude)]
    if not kept:
        raise AutoactError(
            f"space.include={settings.include} without space.exclude={settings.exclude} leaves no site. "
            f"Sites: {', '.join(names)}"
        )
    if settings.normalisations and not any(sites[name].normalises for name in kept):
        raise AutoactError(
            f"{_given(settings)} has no effect: space.include={settings.include} without "
            f"space.exclude={settings.exclude} leaves no normalisation"
        )
    return kept


def _no_normalisation(sites: Sites) -> str:
    """Why no normalisation of a model can be searched."""
    told = [f"{item.name or 'the model'}: {item.reason}" for item in sites.unreplaceable if item.kind == NORMALISES]
    for site in (site for site in sites if site.normalises and site.kept):
        told.append(f"{site.name}: kept, {site.kept}; space.include={listed(['*', site.name])} searches it")
    return "; ".join(told) or "it holds no nn.LayerNorm and no nn.RMSNorm"


def _given(settings: SpaceSettings) -> str:
    return f"space.normalisations=[{','.join(settings.normalisations)}]"


def _group_of(site: Site, granularity: str) -> str:
    """The dimension that a site belongs to: itself, its block (up to the first index in its name), or the model.

    Normalisations have dimensions of their own.
    """
    if granularity == "model":
        return "normalisation" if site.normalises else "activation"
    if granularity == "site":
        return site.name
    parts = site.name.split(".")
    ends = [position + 1 for position, part in enumerate(parts) if part.isdigit()] or [len(parts) - 1]
    block = ".".join(parts[: ends[0]]) or site.name
    return f"{block} normalisation" if site.normalises else block
