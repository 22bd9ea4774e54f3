"""The search space: which activation at which site, with which training settings, as Optuna dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from autoact.activations import canonical, function_key, get, pieces
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import unknown
from autoact.core.trial import Candidate
from autoact.sites import DoesNotFitError, Sites, plan_widths
from autoact.space.candidates import RangedChoice
from autoact.space.point import Condition, Parameter, Parameters, Point
from autoact.space.training_settings import DROPOUT, LEARNING_RATE, WEIGHT_DECAY


def _no_costs(_: Assignment) -> Mapping[str, float]:
    return {}


class _Assigned(NamedTuple):
    """What is asked of an assignment: its Optuna parameters, its functions and its costs."""

    names: Mapping[str, Parameter]
    functions: tuple[str, ...]
    costs: Mapping[str, float]


@dataclass(frozen=True)
class SearchSpace:
    """Dimensions and what they mean.

    Attributes:
        groups: dimension name -> the sites that share its activation.
        candidates: the activations on offer, in canonical form.
        normalisations: what is on offer where a normalisation stands, in canonical form.
        rate_range: lowest and highest learning rate; None: not searched.
        decays: weight decays on offer; empty: not searched.
        dropouts: values on offer of ``p`` of ``nn.Dropout``; empty: not searched.
        refused: dimension -> candidates that are not on offer there, each with the reason: layer-level choices where
            the layers cannot change their widths.
        merged: candidates that compute what another one computes -> that one, which is tried.
        ranged: candidates whose parameters are searched, by the text of the choice that stands for them among the
            candidates.
        sites: the model's sites, which tell whether layer-level choices fit together.
        costs: the objectives of an assignment that are predicted before training; see ``with_costs``.
    """

    groups: Mapping[str, tuple[str, ...]]
    candidates: tuple[Choice, ...]
    baseline: Assignment
    configured: Mapping[str, float]
    rate_range: tuple[float, float] | None
    decays: tuple[float, ...]
    dropouts: tuple[float, ...] = ()
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict, compare=False)
    ranged: Mapping[str, RangedChoice] = field(default_factory=dict)
    normalisations: tuple[Choice, ...] = ()
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
            group: CategoricalDistribution([self._label(choice) for choice in self.choices_of(group)])
            for group in self.groups
        }
        for name, condition in self.conditions.items():
            span = next(span for span in self.ranged.values() if span.label == condition.choice)
            dimensions[name] = next(one for one in span.ranges if one.name == condition.parameter).distribution
        if self.rate_range:
            dimensions[LEARNING_RATE] = FloatDistribution(*self.rate_range, log=True)
        return dimensions | {name: CategoricalDistribution(values) for name, values in self.listed_settings.items()}

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """The searched parameters of activations by the names of their dimensions, which only trials of these have."""
        return {
            f"{group}.{span.fixed.name}.{one.name}": Condition(group, span.label, one.name)
            for group in self.groups
            for choice in self.choices_of(group)
            if (span := self.ranged.get(choice)) is not None
            for one in span.ranges
        }

    def choices_of(self, group: str) -> list[str]:
        """The activations on offer at a dimension, each function once: the current one first.

        One whose parameters are searched stands there with the values that are tried first.
        """
        offered: dict[str, str] = {}
        refused = self.refused.get(group, {})
        own = self.baseline[self.groups[group][0]]
        current = self._holder(own)
        first = own if current is None or current in refused else Choice.parse(current)
        for choice in (first, *self._candidates_of(group)):
            text = str(choice)
            if text not in refused:
                offered.setdefault(f"{text}, searched" if text in self.ranged else function_key(choice), text)
        return list(offered.values())

    def _candidates_of(self, group: str) -> tuple[Choice, ...]:
        return self.normalisations if self._normalises(group) else self.candidates

    def _normalises(self, group: str) -> bool:
        """Whether normalisations stand at the sites of a dimension."""
        return get(self.baseline[self.groups[group][0]].name).normalisation

    @cached_property
    def _kinds(self) -> tuple[tuple[tuple[str, ...], tuple[Choice, ...]], ...]:
        """Dimensions of activations, and of normalisations, each with what is on offer there; those that there are."""
        kinds: dict[bool, list[str]] = {}
        for group in self.groups:
            kinds.setdefault(self._normalises(group), []).append(group)
        return tuple((tuple(mine), self._candidates_of(mine[0])) for mine in kinds.values())

    def _holder(self, choice: Choice) -> str | None:
        """The candidate whose ranges hold a choice, by the text that it has among the candidates."""
        return next((text for text, span in self.ranged.items() if span.values_of(choice) is not None), None)

    def _label(self, choice: str) -> str:
        """What an Optuna dimension calls an activation on offer."""
        return self.ranged[choice].label if choice in self.ranged else choice

    def timed(self, group: str, choice: Choice) -> str:
        """The choice whose latency is taken for that of ``choice``, since a latency belongs to a name.

        Of a searched parameter one value is measured that is not the default, which may be cheaper: sin(x) takes no
        product. Where the model's own value is such a one, it stands for the others.
        """
        holder = self._holder(choice)
        if holder is None or holder not in self.choices_of(group):
            return str(choice)
        own = self.baseline[self.groups[group][0]]
        if choice == own or (own.params and self._holder(own) == holder):
            return str(own)
        return str(self.ranged[holder].spread[0])

    def timed_at(self, group: str) -> list[str]:
        """The choices whose latency has to be measured at a dimension."""
        every = [self.ranged[one].spread[0] if one in self.ranged else one for one in self.choices_of(group)]
        own = self.baseline[self.groups[group][0]]
        return list(dict.fromkeys(self.timed(group, Choice.parse(one)) for one in (own, *every)))

    @property
    def candidate_texts(self) -> tuple[str, ...]:
        """The candidates as they were given, with their ranges."""
        return self._texts(self.candidates)

    @property
    def normalisation_texts(self) -> tuple[str, ...]:
        """What stands in the place of normalisations as it was given."""
        return self._texts(self.normalisations)

    def _texts(self, choices: Sequence[Choice]) -> tuple[str, ...]:
        return tuple(str(self.ranged.get(str(choice), choice)) for choice in choices)

    @property
    def tried(self) -> tuple[str, ...]:
        """The activations of the model and on offer; of one that is searched in a range, the values tried first."""
        spans = self.ranged.values()
        every = [*self.baseline.values(), *self.candidates, *(c for span in spans for c in (span.start, *span.spread))]
        return tuple(dict.fromkeys(map(str, every)))

    @property
    def learnable(self) -> tuple[str, ...]:
        """The candidates that bring weights along."""
        every = (*self.candidates, *self.normalisations)
        return tuple(str(choice) for choice in every if get(choice.name).learnable)

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
        spans = {str(span) for span in self.ranged.values()}
        same = [
            f"{name} is not tried beside {kept}: {'its range holds it' if kept in spans else 'both compute the same'}"
            for name, kept in self.merged.items()
        ]
        return (*(f"not tried everywhere: {why}" for why in said), *same)

    def point(self, params: Parameters) -> Point:
        """The point that Optuna parameters stand for."""
        chosen = tuple(params[group] for group in self.groups)
        if self.ranged:
            chosen += tuple(params.get(name) for name in self.conditions)
        if chosen not in self._chosen:
            self._chosen[chosen] = Assignment(
                {site: self._chosen_at(group, params) for group, sites in self.groups.items() for site in sites}
            )
        settings = {name: float(params[name] or 0.0) for name in self.setting_names if name in params}
        return self._point(self._chosen[chosen], settings, params if not self.ranged else None)

    def _chosen_at(self, group: str, params: Parameters) -> str | Choice:
        """The activation that parameters mean at a dimension, its own parameters rounded."""
        label = str(params[group])
        span = next((span for span in self.ranged.values() if span.label == label), None)
        if span is None:
            return label
        names = {one.name: f"{group}.{span.fixed.name}.{one.name}" for one in span.ranges}
        return span.choice({p: float(params[name] or 0.0) for p, name in names.items() if name in params})

    def point_of(self, candidate: Candidate) -> Point:
        """The point of a candidate; settings that it does not give are as configured.

        Raises:
            AutoactError: an activation that this space does not offer.
        """
        return self._point(candidate.assignment, {**self.configured_settings(), **candidate.settings}, None)

    def _point(self, assignment: Assignment, settings: Mapping[str, float], params: Parameters | None) -> Point:
        """A point; what is asked of its assignment is computed once for all points that share it."""
        if assignment not in self._assigned:
            found: dict[str, Parameter] = {}
            for group, sites in self.groups.items():
                found |= self._offered(group, assignment[sites[0]]) if params is None else {group: params[group]}
            self._assigned[assignment] = _Assigned(found, self.key(assignment), self.costs(assignment))
        names, functions, costs = self._assigned[assignment]
        if params is None:
            params = {**names, **{name: settings[name] for name in self.setting_names}}
        return Point((functions, tuple(sorted(settings.items()))), params, costs, assignment, settings, functions)

    def _offered(self, group: str, choice: Choice) -> dict[str, Parameter]:
        """The Optuna parameters of an activation at a dimension: its name, and those of its own that are searched."""
        offered = self.choices_of(group)
        name = self._holder(canonical(choice)) if self.ranged else None
        if name not in offered:
            wanted = function_key(choice)
            name = next((name for name in offered if function_key(name) == wanted), None)
        if name is None:
            raise unknown(f"activation at {group}", choice, [str(self.ranged.get(name, name)) for name in offered])
        if (span := self.ranged.get(name)) is None:
            return {group: name}
        values = span.values_of(canonical(choice)) or span.values_of(span.start) or {}
        return {group: span.label, **{f"{group}.{span.fixed.name}.{p}": value for p, value in values.items()}}

    @property
    def setting_names(self) -> tuple[str, ...]:
        """The training settings that are searched too."""
        return (LEARNING_RATE,) * (self.rate_range is not None) + tuple(self.listed_settings)

    @property
    def listed_settings(self) -> dict[str, tuple[float, ...]]:
        """The searched training settings that are one of several values, with these values."""
        return {name: each for name, each in ((WEIGHT_DECAY, self.decays), (DROPOUT, self.dropouts)) if each}

    def configured_settings(self) -> dict[str, float]:
        """The searched training settings as they are configured."""
        return {name: self.configured[name] for name in self.setting_names}

    def uniform(self) -> list[Assignment]:
        """The uniform assignments that change something and fit at every site, in the order of the candidates.

        One activation at every site of activations, with the normalisations as they are; in turn with these one choice
        in the place of every normalisation, with the activations as they are, so that a small budget holds both. Behind
        each of the two those of choices whose parameters are searched, with other values.
        """
        kinds = [
            [one for one in self._everywhere(*kind) if self.allowed(one) and not self.is_baseline(one)]
            for kind in self._kinds
        ]
        return [one for turn in itertools.zip_longest(*kinds) for one in turn if one is not None]

    def _everywhere(self, groups: Sequence[str], candidates: Sequence[Choice]) -> list[Assignment]:
        """Each candidate at all sites of some dimensions, the others as they are."""
        sites = [site for group in groups for site in self.groups[group]]
        fit = [c for c in candidates if not any(str(c) in self.refused.get(group, {}) for group in groups)]
        further = [one for c in fit if str(c) in self.ranged for one in self.ranged[str(c)].spread]
        return [Assignment({**self.baseline, **dict.fromkeys(sites, choice)}) for choice in (*fit, *further)]

    def allowed(self, assignment: Assignment) -> bool:
        """Whether the assignment may be tried.

        Not the identity everywhere, which makes the network linear; and no layer-level choices whose widths, planned
        together, would change the number of parameters.
        """
        acting = [choice for choice in assignment.values() if not get(choice.name).normalisation]
        return not (acting and all(map(is_identity, acting))) and self._fits(assignment)

    def _fits(self, assignment: Assignment) -> bool:
        """Whether the layers can change their widths as the assignment needs; remembered, as it is asked often."""
        needed = tuple(pieces(choice) for choice in assignment.values())
        if self.sites is None or needed == tuple(pieces(self.sites[site].current) for site in assignment):
            return True
        key = (*needed, *map(hash, assignment))
        if key not in self._fitting:
            self._fitting[key] = width_refusal(self.sites, assignment) == ""
        return self._fitting[key]

    def key(self, assignment: Mapping[str, Choice]) -> tuple[str, ...]:
        """Equal for assignments that compute the same functions, whatever their names."""
        return tuple(function_key(assignment[site]) for sites in self.groups.values() for site in sites)

    def is_baseline(self, assignment: Mapping[str, Choice]) -> bool:
        """Whether an assignment computes what the model computes as it is."""
        return self.key(assignment) == self.key(self.baseline)

    def is_uniform_alternative(self, assignment: Mapping[str, Choice]) -> bool:
        """Whether one activation, which differs from the baseline somewhere, stands at every site of activations.

        Or, with all activations as they are, one choice in the place of every normalisation.
        """
        changed = []
        for groups, _ in self._kinds:
            sites = [site for group in groups for site in self.groups[group]]
            key = [function_key(assignment[site]) for site in sites]
            if key != [function_key(self.baseline[site]) for site in sites]:
                changed.append(key)
        return len(changed) == 1 and len(set(changed[0])) == 1

    def size(self) -> int:
        """The number of assignments by name: each of the activations whose parameters are searched counts once."""
        return math.prod(len(self.choices_of(group)) for group in self.groups)

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the space."""
        searched = {
            name: [one.low, one.high, "log" if one.log else "linear"]
            for name, one in self.distributions().items()
            if name in self.conditions and isinstance(one, FloatDistribution)
        }
        return {
            "groups": {group: list(sites) for group, sites in self.groups.items()},
            "choices": {group: [self._label(choice) for choice in self.choices_of(group)] for group in self.groups},
            **({"parameters": searched} if searched else {}),
            "learning_rate": list(self.rate_range or ()),
            "weight_decay": list(self.decays),
            **({"dropout": list(self.dropouts)} if self.dropouts else {}),
        }


def width_refusal(sites: Sites, assignment: Mapping[str, Choice]) -> str:
    """Why layers cannot change their widths for an assignment, in one line; empty where they can, or need not."""
    try:
        plan_widths(sites, assignment)
    except DoesNotFitError as error:
        return str(error)
    return ""


def is_identity(choice: Choice) -> bool:
    """Whether a choice computes the identity."""
    return function_key(choice) == function_key("identity")
