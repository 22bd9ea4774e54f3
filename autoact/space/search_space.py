"""The search space: which activation at which site, with which training settings, as Optuna dimensions."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from autoact.activations import canonical, function_key, get, pieces
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError, unknown
from autoact.core.trial import Candidate
from autoact.sites import DoesNotFitError, Sites, plan_widths
from autoact.space.point import Parameter, Parameters, Point
from autoact.space.settings import SpaceSettings

LEARNING_RATE, WEIGHT_DECAY = "learning_rate", "weight_decay"


def _no_costs(_: Assignment) -> Mapping[str, float]:
    return {}


class _Assigned(NamedTuple):
    """What is asked of an assignment: its names on offer by dimension, its functions and its costs."""

    names: dict[str, str]
    functions: tuple[str, ...]
    costs: Mapping[str, float]


@dataclass(frozen=True)
class SearchSpace:
    """Dimensions and what they mean.

    Attributes:
        groups: dimension name -> the sites that share its activation.
        candidates: the activations on offer, in canonical form.
        rate_range: lowest and highest learning rate; None: not searched.
        decays: weight decays on offer; empty: not searched.
        refused: dimension -> candidates that are not on offer there, each with the reason: layer-level choices where
            the layers cannot change their widths.
        merged: candidates that compute what another one computes -> that one, which is tried.
        sites: the model's sites, which tell whether layer-level choices fit together.
        costs: the objectives of an assignment that are predicted before training; see ``with_costs``.
    """

    groups: Mapping[str, tuple[str, ...]]
    candidates: tuple[Choice, ...]
    baseline: Assignment
    configured: Mapping[str, float]
    rate_range: tuple[float, float] | None
    decays: tuple[float, ...]
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict, compare=False)
    sites: Sites | None = field(default=None, repr=False, compare=False)
    costs: Callable[[Assignment], Mapping[str, float]] = field(default=_no_costs, repr=False, compare=False)
    _fitting: dict[tuple[int, ...], bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    _assigned: dict[Assignment, _Assigned] = field(default_factory=dict, init=False, repr=False, compare=False)
    _chosen: dict[tuple[Parameter, ...], Assignment] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def with_costs(self, costs: Callable[[Assignment], Mapping[str, float]]) -> SearchSpace:
        """The same space, whose points carry the predicted costs of an assignment."""
        return replace(self, costs=costs)

    def distributions(self) -> dict[str, BaseDistribution]:
        """The Optuna dimensions by name."""
        dimensions: dict[str, BaseDistribution] = {
            group: CategoricalDistribution(self.choices_of(group)) for group in self.groups
        }
        if self.rate_range:
            dimensions[LEARNING_RATE] = FloatDistribution(*self.rate_range, log=True)
        if self.decays:
            dimensions[WEIGHT_DECAY] = CategoricalDistribution(self.decays)
        return dimensions

    def choices_of(self, group: str) -> list[str]:
        """The activations on offer at a dimension, each function once: the current one first."""
        offered: dict[str, str] = {}
        refused = self.refused.get(group, {})
        for choice in (self.baseline[self.groups[group][0]], *self.candidates):
            if str(choice) not in refused:
                offered.setdefault(function_key(choice), str(choice))
        return list(offered.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not on offer at some dimension, and why, a line each."""
        reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        for group, refused in self.refused.items():
            for choice, why in refused.items():
                choices, groups = reasons.setdefault(why, ({}, {}))
                choices[choice] = groups[group] = None
        said = [
            why if any(choice in why for choice in choices) else f"{', '.join(choices)} at {', '.join(groups)}: {why}"
            for why, (choices, groups) in reasons.items()
        ]
        same = [f"{name} is not tried beside {kept}: both compute the same" for name, kept in self.merged.items()]
        return (*(f"not tried everywhere: {why}" for why in said), *same)

    def point(self, params: Parameters) -> Point:
        """The point that Optuna parameters stand for."""
        chosen = tuple(params[group] for group in self.groups)
        if chosen not in self._chosen:
            self._chosen[chosen] = Assignment(
                {site: str(params[group]) for group, sites in self.groups.items() for site in sites}
            )
        settings = {name: float(params[name] or 0.0) for name in (LEARNING_RATE, WEIGHT_DECAY) if name in params}
        return self._point(self._chosen[chosen], settings, params)

    def point_of(self, candidate: Candidate) -> Point:
        """The point of a candidate; settings that it does not give are as configured.

        Raises:
            AutoactError: an activation that this space does not offer.
        """
        return self._point(candidate.assignment, {**self.configured_settings(), **candidate.settings}, None)

    def _point(self, assignment: Assignment, settings: Mapping[str, float], params: Parameters | None) -> Point:
        """A point; what is asked of its assignment is computed once for all points that share it."""
        if assignment not in self._assigned:
            names = {
                group: str(params[group]) if params is not None else self._offered(group, assignment[sites[0]])
                for group, sites in self.groups.items()
            }
            self._assigned[assignment] = _Assigned(names, self.key(assignment), self.costs(assignment))
        names, functions, costs = self._assigned[assignment]
        if params is None:
            params = {**names, **{name: settings[name] for name in self.setting_names}}
        return Point((functions, tuple(sorted(settings.items()))), params, costs, assignment, settings, functions)

    def _offered(self, group: str, choice: str | Choice) -> str:
        wanted, offered = function_key(choice), self.choices_of(group)
        name = next((name for name in offered if function_key(name) == wanted), None)
        if name is None:
            raise unknown(f"activation at {group}", choice, offered)
        return name

    @property
    def setting_names(self) -> tuple[str, ...]:
        """The training settings that are searched too."""
        return (LEARNING_RATE,) * (self.rate_range is not None) + (WEIGHT_DECAY,) * bool(self.decays)

    def configured_settings(self) -> dict[str, float]:
        """The searched training settings as they are configured."""
        return {name: self.configured[name] for name in self.setting_names}

    def uniform(self) -> list[Assignment]:
        """The uniform assignments that change something and fit at every site, in the order of the candidates."""
        sites = [site for group in self.groups.values() for site in group]
        everywhere = [c for c in self.candidates if not any(str(c) in refused for refused in self.refused.values())]
        every = [Assignment(dict.fromkeys(sites, choice)) for choice in everywhere]
        return [assignment for assignment in every if self.allowed(assignment) and not self.is_baseline(assignment)]

    def allowed(self, assignment: Assignment) -> bool:
        """Whether the assignment may be tried.

        Not the identity everywhere, which makes the network linear; and no layer-level choices whose widths, planned
        together, would change the number of parameters.
        """
        return not all(_is_identity(choice) for choice in assignment.values()) and self._fits(assignment)

    def _fits(self, assignment: Assignment) -> bool:
        """Whether the layers can change their widths as the assignment needs; remembered, as it is asked often."""
        needed = tuple(pieces(choice) for choice in assignment.values())
        if self.sites is None or needed == tuple(pieces(self.sites[site].current) for site in assignment):
            return True
        key = (*needed, *map(hash, assignment))
        if key not in self._fitting:
            self._fitting[key] = _refusal(self.sites, assignment) == ""
        return self._fitting[key]

    def key(self, assignment: Mapping[str, Choice]) -> tuple[str, ...]:
        """Equal for assignments that compute the same functions, whatever their names."""
        return tuple(function_key(assignment[site]) for sites in self.groups.values() for site in sites)

    def is_baseline(self, assignment: Mapping[str, Choice]) -> bool:
        """Whether an assignment computes what the model computes as it is."""
        return self.key(assignment) == self.key(self.baseline)

    def is_uniform_alternative(self, assignment: Mapping[str, Choice]) -> bool:
        """Whether one activation, which differs from the baseline somewhere, stands at every site."""
        return len(set(self.key(assignment))) == 1 and not self.is_baseline(assignment)

    def size(self) -> int:
        """The number of assignments."""
        return math.prod(len(self.choices_of(group)) for group in self.groups)

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the space."""
        return {
            "groups": {group: list(sites) for group, sites in self.groups.items()},
            "choices": {group: self.choices_of(group) for group in self.groups},
            "learning_rate": list(self.rate_range or ()),
            "weight_decay": list(self.decays),
        }


def build_space(sites: Sites, settings: SpaceSettings, configured: Mapping[str, float]) -> SearchSpace:
    """The search space of a model, whose learning rate and weight decay as they are are ``configured``.

    Raises:
        AutoactError: no site to search, unknown names, or candidates that cannot be searched.
    """
    chosen = _searched(sites, settings)
    groups: dict[str, list[str]] = {}
    for name in chosen:
        groups.setdefault(_group_of(name, settings.granularity), []).append(name)
    _check_alike(sites, groups, settings.granularity)
    for group, members in groups.items():  # copies of a part have the activations of what they are copied from
        groups[group] = [*members, *(site.name for site in sites.searchable if site.twin_of in members)]
    candidates, merged = _candidates(settings.candidates)
    every = [name for members in groups.values() for name in members]
    baseline = Assignment({name: canonical(sites[name].current) for name in every})
    refused = {group: _refused(sites, members, candidates) for group, members in groups.items()}
    _check_offered(sites, candidates, groups, refused)
    space = SearchSpace(
        groups={group: tuple(members) for group, members in groups.items()},
        candidates=candidates,
        baseline=baseline,
        configured=dict(configured),
        rate_range=_rate_range(settings.learning_rate, configured),
        decays=_decays(settings.weight_decay, configured),
        merged=merged,
        refused={group: reasons for group, reasons in refused.items() if reasons},
        sites=sites,
    )
    if all(map(_is_identity, candidates)):
        raise AutoactError("identity at every site makes a linear network: name other activations in space.candidates")
    return space


def _refusal(sites: Sites, assignment: Mapping[str, Choice]) -> str:
    """Why layers cannot change their widths for an assignment, in one line; empty where they can, or need not."""
    try:
        plan_widths(sites, assignment)
    except DoesNotFitError as error:
        return str(error)
    return ""


def _refused(sites: Sites, members: Sequence[str], candidates: Sequence[Choice]) -> dict[str, str]:
    every = {str(choice): _refusal(sites, dict.fromkeys(members, choice)) for choice in candidates}
    return {name: reason for name, reason in every.items() if reason}


def _check_alike(sites: Sites, groups: Mapping[str, Sequence[str]], granularity: str) -> None:
    """Refuse dimensions whose sites hold different activations today.

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
            differing = differing or f"those of {group!r} hold different activations today ({today})"
    if differing:
        raise AutoactError(
            f"space.granularity={granularity} gives all sites of a dimension one activation, but {differing}: "
            f"space.granularity=site searches each by itself, space.exclude={listed(others)} leaves out those that "
            "differ"
        )


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
            unfit = [member for member in members if _refusal(sites, {member: choice})]
            if unfit and not _refusal(sites, dict.fromkeys([m for m in members if m not in unfit], choice)):
                advice = f"; space.exclude={listed(unfit)} leaves out the sites that it does not fit"
            advice = advice if len(unfit) < len(members) else ""
        raise AutoactError(f"{name} can be tried nowhere in this model: {'; '.join(reasons)}{advice}")


def listed(names: Sequence[str]) -> str:
    """Names as a setting takes them.

    Example:
        >>> listed(["net.1", "net.3"])
        "['net.1','net.3']"
    """
    return f"[{','.join(map(repr, names))}]"


def _is_identity(choice: Choice) -> bool:
    return function_key(choice) == function_key("identity")


def _searched(sites: Sites, settings: SpaceSettings) -> list[str]:
    names = [site.name for site in sites.searchable if not site.twin_of]
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
    return kept


def _group_of(name: str, granularity: str) -> str:
    """The dimension that a site belongs to: itself, its block (up to the first index in its name), or the model."""
    if granularity == "model":
        return "activation"
    if granularity == "site":
        return name
    parts = name.split(".")
    for position, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: position + 1])
    return ".".join(parts[:-1]) or name


def _candidates(names: Sequence[str]) -> tuple[tuple[Choice, ...], dict[str, str]]:
    """Canonical candidates, and those that compute what an earlier one does; what cannot be searched is refused."""
    if not names:
        raise AutoactError("space.candidates is empty: name at least one activation, e.g. space.candidates=[gelu,tanh]")
    unique: dict[str, Choice] = {}
    merged: dict[str, str] = {}
    for name in names:
        choice = canonical(name)
        entry = get(choice.name)
        if not entry.searchable:
            raise AutoactError(f"{choice} cannot be searched: {entry.reason_not_searchable}")
        kept = unique.setdefault(function_key(choice), choice)
        if kept != choice:
            merged[str(choice)] = str(kept)
    return tuple(unique.values()), merged


def _rate_range(factors: Sequence[float], configured: Mapping[str, float]) -> tuple[float, float] | None:
    if not factors or LEARNING_RATE not in configured:
        return None
    if not configured[LEARNING_RATE] > 0:
        raise AutoactError(f"the configured learning rate is {configured[LEARNING_RATE]:g}: it must be above 0")
    return configured[LEARNING_RATE] * factors[0], configured[LEARNING_RATE] * factors[1]


def _decays(values: Sequence[float], configured: Mapping[str, float]) -> tuple[float, ...]:
    if not values or WEIGHT_DECAY not in configured:
        return ()
    return tuple(sorted({*map(float, values), configured[WEIGHT_DECAY]}))
