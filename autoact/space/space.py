"""The search space: which activation at which site, with which training settings, as Optuna dimensions."""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from autoact.activations import canonical, fingerprint, get
from autoact.core.choice import Assignment, Choice
from autoact.core.errors import AutoactError, unknown
from autoact.sites import Sites
from autoact.space.settings import SpaceSettings

GRANULARITIES = ("model", "block", "site")
LEARNING_RATE, WEIGHT_DECAY = "learning_rate", "weight_decay"


@dataclass(frozen=True)
class SearchSpace:
    """Dimensions and what they mean.

    Attributes:
        groups: dimension name -> the sites that share its activation.
        candidates: the activations on offer, in canonical form.
        baseline: the model as it is.
        configured: training settings as configured.
        rate_range: lowest and highest learning rate; None: not searched.
        decays: weight decays on offer; empty: not searched.
    """

    groups: Mapping[str, tuple[str, ...]]
    candidates: tuple[Choice, ...]
    baseline: Assignment
    configured: Mapping[str, float]
    rate_range: tuple[float, float] | None
    decays: tuple[float, ...]

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
        for choice in (self.baseline[self.groups[group][0]], *self.candidates):
            offered.setdefault(fingerprint(choice), str(choice))
        return list(offered.values())

    def assignment(self, params: Mapping[str, Any]) -> Assignment:
        """The assignment that Optuna parameters stand for."""
        return Assignment({site: params[group] for group, sites in self.groups.items() for site in sites})

    def settings(self, params: Mapping[str, Any]) -> dict[str, float]:
        """The training settings that Optuna parameters stand for."""
        return {name: float(params[name]) for name in (LEARNING_RATE, WEIGHT_DECAY) if name in params}

    def params(self, assignment: Mapping[str, Choice], settings: Mapping[str, float]) -> dict[str, Any]:
        """Optuna parameters of an assignment with settings; what is not given stays as configured."""
        values = {group: self._offered(group, assignment[sites[0]]) for group, sites in self.groups.items()}
        merged = {**self.configured, **settings}
        return values | {name: merged[name] for name in self.distributions() if name not in values}

    def _offered(self, group: str, choice: str | Choice) -> str:
        """The name under which a function is on offer at a dimension."""
        wanted, offered = fingerprint(choice), self.choices_of(group)
        name = next((name for name in offered if fingerprint(name) == wanted), None)
        if name is None:
            raise unknown(f"activation at {group}", choice, offered)
        return name

    @property
    def has_settings(self) -> bool:
        """Whether training settings are searched too."""
        return self.rate_range is not None or bool(self.decays)

    def configured_settings(self) -> dict[str, float]:
        """The searched training settings as they are configured."""
        return {name: self.configured[name] for name in self.distributions() if name not in self.groups}

    def uniform(self) -> list[Assignment]:
        """The uniform assignments that change something, in the order of the candidates."""
        sites = [site for group in self.groups.values() for site in group]
        baseline = self.key(self.baseline)
        every = [Assignment(dict.fromkeys(sites, choice)) for choice in self.candidates]
        return [assignment for assignment in every if self.allowed(assignment) and self.key(assignment) != baseline]

    def allowed(self, assignment: Assignment) -> bool:
        """Whether the assignment may be tried: not the identity everywhere, which makes the network linear."""
        return not all(_is_identity(choice) for choice in assignment.values())

    def key(self, assignment: Mapping[str, Choice]) -> tuple[str, ...]:
        """Equal for assignments that compute the same functions, whatever their names."""
        return tuple(fingerprint(assignment[site]) for sites in self.groups.values() for site in sites)

    def size(self) -> int:
        """The number of assignments."""
        size = 1
        for group in self.groups:
            size *= len(self.choices_of(group))
        return size

    def drawn(self, draw: random.Random, most: int) -> Iterator[dict[str, Any]]:
        """Optuna parameters at random, ``most`` at most; where there are no more combinations, each of them once."""
        lists: dict[str, Sequence[Any]] = {group: self.choices_of(group) for group in self.groups}
        if self.decays:
            lists[WEIGHT_DECAY] = self.decays
        total = math.prod(len(choices) for choices in lists.values())
        small = total <= most
        for index in draw.sample(range(total), total) if small else (draw.randrange(total) for _ in range(most)):
            params = {}
            for name, choices in lists.items():
                index, place = divmod(index, len(choices))
                params[name] = choices[place]
            if self.rate_range:
                low, high = self.rate_range
                params[LEARNING_RATE] = min(high, low * (high / low) ** draw.random())
            yield params

    def describe(self) -> dict[str, Any]:
        """Plain data that identifies the space."""
        return {
            "groups": {group: list(sites) for group, sites in self.groups.items()},
            "choices": {group: self.choices_of(group) for group in self.groups},
            "learning_rate": list(self.rate_range or ()),
            "weight_decay": list(self.decays),
        }


def build_space(sites: Sites, settings: SpaceSettings, configured: Mapping[str, float]) -> SearchSpace:
    """The search space of a model.

    Args:
        sites: what ``find_sites`` found.
        settings: what may change.
        configured: learning rate and weight decay of the model as it is.

    Raises:
        AutoactError: no site to search, unknown names, or candidates that cannot be searched.
    """
    if settings.granularity not in GRANULARITIES:
        raise unknown("granularity", settings.granularity, GRANULARITIES)
    chosen = _searched(sites, settings)
    groups: dict[str, list[str]] = {}
    for name in chosen:
        groups.setdefault(_group_of(name, settings.granularity), []).append(name)
    for group, members in groups.items():
        if len({fingerprint(sites[name].current) for name in members}) > 1:
            raise AutoactError(
                f"granularity={settings.granularity} puts {', '.join(members)} into one dimension ({group}), but they "
                f"hold different activations today: use granularity=site"
            )
    candidates = _candidates(settings.candidates)
    baseline = Assignment({name: canonical(sites[name].current) for name in chosen})
    space = SearchSpace(
        groups={group: tuple(members) for group, members in groups.items()},
        candidates=candidates,
        baseline=baseline,
        configured=dict(configured),
        rate_range=_rate_range(settings.learning_rate, configured),
        decays=_decays(settings.weight_decay, configured),
    )
    if all(map(_is_identity, candidates)):
        raise AutoactError("identity at every site makes a linear network: name other activations in space.candidates")
    return space


def _is_identity(choice: Choice) -> bool:
    """Whether the activation changes nothing, whatever it is called."""
    return fingerprint(choice) == fingerprint("identity")


def _searched(sites: Sites, settings: SpaceSettings) -> list[str]:
    """Names of the sites to search."""
    names = [site.name for site in sites.searchable]
    if not names:
        reasons = [f"{item.name or 'the model'}: {item.reason}" for item in sites.unreplaceable]
        raise AutoactError(f"no activation can be searched in this model. {'; '.join(reasons)}".strip())
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


def _candidates(names: Sequence[str]) -> tuple[Choice, ...]:
    """Canonical candidates without functional duplicates; what cannot be searched is refused."""
    if not names:
        raise AutoactError("space.candidates is empty: name at least one activation, e.g. space.candidates=[gelu,tanh]")
    unique: dict[str, Choice] = {}
    for name in names:
        choice = canonical(name)
        entry = get(choice.name)
        if not entry.searchable:
            raise AutoactError(f"{choice} cannot be searched: {entry.reason_not_searchable}")
        unique.setdefault(fingerprint(choice), choice)
    return tuple(unique.values())


def _rate_range(factors: Sequence[float], configured: Mapping[str, float]) -> tuple[float, float] | None:
    """Lowest and highest learning rate around the configured one."""
    if not factors or LEARNING_RATE not in configured:
        return None
    if not configured[LEARNING_RATE] > 0:
        raise AutoactError(f"the configured learning rate is {configured[LEARNING_RATE]:g}: it must be above 0")
    if len(factors) != 2 or not 0 < factors[0] <= 1 <= factors[1]:
        raise AutoactError(
            f"space.learning_rate={list(factors)} must be [lowest, highest] multiples of the configured rate, "
            "the lowest at most 1 and the highest at least 1, e.g. [0.1, 10]"
        )
    return configured[LEARNING_RATE] * factors[0], configured[LEARNING_RATE] * factors[1]


def _decays(values: Sequence[float], configured: Mapping[str, float]) -> tuple[float, ...]:
    """Weight decays on offer, the configured one among them."""
    if not values or WEIGHT_DECAY not in configured:
        return ()
    if any(value < 0 for value in values):
        raise AutoactError(f"space.weight_decay={list(values)} holds a negative value")
    return tuple(sorted({*map(float, values), configured[WEIGHT_DECAY]}))
