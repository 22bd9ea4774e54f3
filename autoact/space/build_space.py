"""From a model's sites and what the user says to the search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoact.activations import canonical
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError
from autoact.sites import Sites
from autoact.space.candidates import Candidates, read_candidates
from autoact.space.groups import groups_of, listed
from autoact.space.search_space import SearchSpace, is_identity, width_refusal
from autoact.space.settings import SpaceSettings
from autoact.space.training_settings import decays_offered, dropouts_offered, rates_offered

_NONE = Candidates((), {}, {})


def build_space(sites: Sites, settings: SpaceSettings, configured: Mapping[str, float]) -> SearchSpace:
    """The search space of a model, whose training settings as they are are ``configured``.

    Raises:
        AutoactError: no site to search, unknown names, or candidates or a dropout that cannot be searched.
    """
    groups = groups_of(sites, settings)
    acting = {group: members for group, members in groups.items() if not sites[members[0]].normalises}
    normalising = {group: members for group, members in groups.items() if group not in acting}
    read = read_candidates(settings.candidates, stated=settings.parameters) if acting else _NONE
    candidates = read.choices
    stand_ins = read_candidates(settings.normalisations, normalisations=True) if normalising else _NONE
    every = [name for members in groups.values() for name in members]
    baseline = Assignment({name: canonical(sites[name].current) for name in every})
    refused = {group: _refused(sites, members, candidates) for group, members in acting.items()}
    _check_offered(sites, candidates, acting, refused)
    space = SearchSpace(
        groups={group: tuple(members) for group, members in groups.items()},
        candidates=candidates,
        baseline=baseline,
        configured=dict(configured),
        rate_range=rates_offered(settings.learning_rate, configured),
        decays=decays_offered(settings.weight_decay, configured),
        dropouts=dropouts_offered(settings.dropout, configured),
        merged={**read.merged, **stand_ins.merged},
        ranged={**read.ranged, **stand_ins.ranged},
        refused={group: reasons for group, reasons in refused.items() if reasons},
        sites=sites,
        normalisations=stand_ins.choices,
    )
    if not normalising and not read.ranged and all(map(is_identity, candidates)):
        raise AutoactError("identity at every site makes a linear network: name other activations in space.candidates")
    return space


def _refused(sites: Sites, members: Sequence[str], candidates: Sequence[Choice]) -> dict[str, str]:
    every = {str(choice): width_refusal(sites, dict.fromkeys(members, choice)) for choice in candidates}
    return {name: reason for name, reason in every.items() if reason}


def _check_offered(
    sites: Sites,
    candidates: Sequence[Choice],
    groups: Mapping[str, Sequence[str]],
    refused: Mapping[str, Mapping[str, str]],
) -> None:
    """Refuse a candidate that is on offer nowhere.

    Raises:
        AutoactError: names it and says why, for each dimension, and which sites to leave out, where that helps.
    """
    for choice in candidates:
        name = str(choice)
        if not all(name in reasons for reasons in refused.values()):
            continue
        reasons = dict.fromkeys(reasons[name] for reasons in refused.values())
        advice = ""
        if len(groups) == 1:
            (members,) = groups.values()
            unfit = [member for member in members if width_refusal(sites, {member: choice})]
            if unfit and not width_refusal(sites, dict.fromkeys([m for m in members if m not in unfit], choice)):
                advice = f"; space.exclude={listed(unfit)} leaves out the sites that it does not fit"
            advice = advice if len(unfit) < len(members) else ""
        raise AutoactError(f"{name} can be tried nowhere in this model: {'; '.join(reasons)}{advice}")
