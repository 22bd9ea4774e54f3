"""Parameters of activations as dimensions: what is proposed, remembered and predicted of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate, Role
from autoact.space.candidates import ranged
from autoact.space.point import Condition
from autoact.study.proposal.feature_encoding import Encoding
from autoact.study.proposal.local_search import swaps
from autoact.study.proposal.optuna_samplers import check_sampler, quiet, sampler_factory
from autoact.study.proposal.planner import Planner
from autoact.study.proposal.surrogate import fit
from autoact.study.settings import SearchSettings

SINE, SOFTPLUS = "sine(omega=0.3..10)", "softplus(beta=0.3..10)"
CANDIDATES = ("relu", "tanh", SINE, SOFTPLUS)


def quality_of(candidate: Candidate) -> float:
    """Best at a frequency of 4 at site a and a sharp softplus at site b."""
    found = 0.7
    for site, choice in candidate.assignment.items():
        value = dict(choice.params)
        if choice.name == "sine":
            found += (0.1 if site == "a" else 0.0) - 0.05 * abs(np.log(value.get("omega", 1.0) / 4.0))
        if choice.name == "softplus":
            found += (0.05 if site == "b" else 0.0) * np.log(value.get("beta", 1.0))
    return float(found)


def trials_of(kit: Any, sampler: str, trials: int = 48, **space: Any) -> tuple[Any, list[Candidate]]:
    """A whole search on invented qualities."""
    settings = SearchSettings(trials=trials, batch=8, seed=3, sampler=sampler, refine=0.5)
    bench = kit.Bench(space=kit.space(candidates=CANDIDATES, **space), settings=settings)
    ledger = bench.ledger()
    planner = Planner(bench.task, ledger.space, settings, ledger, bench.known.epsilons())
    found: list[Candidate] = []
    while len(found) < trials and (batch := planner.next(min(8, trials - len(found)), left=trials - ledger.spent)):
        for candidate in batch:
            values = bench.known.values(candidate.assignment)
            ledger.tell(kit.record(candidate, -1, quality_of(candidate), **values))
        found += batch
    return ledger, found


_KNOWN: list[tuple[Any, list[Candidate]]] = []


@pytest.fixture
def searched(kit: Any) -> tuple[Any, list[Candidate]]:
    if not _KNOWN:
        _KNOWN.append(trials_of(kit, "tpe"))
    return _KNOWN[0]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "gp", "random", "optuna.samplers.QMCSampler"])
def test_every_sampler_proposes_values_within_the_range_and_nothing_twice(kit: Any, sampler: str) -> None:
    ledger, found = trials_of(kit, sampler, trials=32)
    assert len(found) == 32
    keys = [(ledger.space.point_of(one), one.seed) for one in found]
    assert len(set(keys)) == len(keys)
    spans = [ranged(SINE), ranged(SOFTPLUS)]
    for choice in [choice for one in found for choice in one.assignment.values()]:
        assert choice.name in ("relu", "tanh") or any(span and span.values_of(choice) is not None for span in spans)
        assert all(float(f"{value:.3g}") == value for _, value in choice.params)


def test_the_defaults_come_first_everywhere_then_a_few_values(searched: Any) -> None:
    uniform = [one.assignment.summary() for one in searched[1] if one.role == Role.UNIFORM]
    assert uniform == [
        "tanh",
        "sine",
        "softplus",
        "sine(omega=0.538)",
        "sine(omega=5.57)",
        "softplus(beta=0.538)",
        "softplus(beta=5.57)",
    ]


def test_a_search_finds_the_value_that_serves_best(searched: Any) -> None:
    best = max(searched[1], key=quality_of)
    omega, beta = dict(best.assignment["a"].params)["omega"], dict(best.assignment["b"].params)["beta"]
    assert best.assignment["a"].name == "sine" and 2.5 < omega < 6.5
    assert best.assignment["b"].name == "softplus" and beta > 5


def test_the_same_search_proposes_the_same_again(kit: Any, searched: Any) -> None:
    assert trials_of(kit, "tpe")[1] == searched[1]


def test_optuna_holds_the_name_and_the_value_of_those_that_have_one(searched: Any) -> None:
    trials = searched[0].study.get_trials(deepcopy=False)
    for trial in trials:
        for site in ("a", "b"):
            own = {name for name in trial.params if name.startswith(f"{site}.")}
            name = trial.params[site]
            assert own == {"sine": {f"{site}.sine.omega"}, "softplus": {f"{site}.softplus.beta"}}.get(name, set())
    known = next(trial for trial in trials if "a.sine.omega" in trial.params)
    assert known.distributions["a.sine.omega"] == FloatDistribution(0.3, 10.0, log=True)
    assert known.distributions["a"] == CategoricalDistribution(["relu", "tanh", "sine", "softplus"])


def test_the_front_is_searched_by_factors(searched: Any) -> None:
    refined = [one.assignment for one in searched[1] if one.role == Role.REFINED]
    assert len({choice for one in refined for choice in one.values() if choice.name == "sine"}) > 3


@pytest.mark.parametrize("name", ["optuna.samplers.BruteForceSampler", "optuna.samplers.CmaEsSampler"])
def test_a_sampler_that_cannot_is_refused_in_one_line(kit: Any, name: str) -> None:
    space = kit.space(candidates=CANDIDATES)
    with pytest.raises(AutoactError, match=f"search.sampler={name}") as raised:
        check_sampler(name, {}, space.distributions(), ["max"], space.conditions)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "gp", "random"])
def test_samplers_by_name_are_tried_with_ranges(kit: Any, name: str) -> None:
    space = kit.space(candidates=CANDIDATES)
    check_sampler(name, {}, space.distributions(), ["max", "min"], space.conditions)


@pytest.mark.parametrize(
    ("options", "grouped"), [({}, True), ({"group": False}, False), ({"multivariate": False}, False)]
)
def test_tpe_models_groups_of_parameters_only_where_there_are_some(options: dict[str, object], grouped: bool) -> None:
    with quiet():
        assert not sampler_factory("tpe", options)(0)._group
        assert sampler_factory("tpe", options, conditional=True)(0)._group == grouped


def test_a_study_whose_range_changed_takes_over_the_trials_that_fit(kit: Any) -> None:
    bench = kit.Bench(space=kit.space(candidates=CANDIDATES))
    ledger = bench.ledger()
    for name in ("relu", "sine(omega=0.5)", "sine(omega=5)", "softplus(beta=9)"):
        candidate = Candidate(Assignment(dict.fromkeys("ab", name)), {"learning_rate": 0.01, "weight_decay": 0.0})
        ledger.tell(kit.record(candidate, -1, 0.8, **bench.known.values(candidate.assignment)))
    other = replace(bench, space=kit.space(candidates=("relu", "sine(omega=1..30)", SOFTPLUS))).ledger()
    assert other.new and other.study.study_name != ledger.study.study_name
    assert [str(r.candidate.assignment["a"]) for r in other.records()] == ["relu", "sine(omega=5)", "softplus(beta=9)"]
    same = replace(bench, space=kit.space(candidates=CANDIDATES)).ledger()
    assert not same.new


def test_a_latency_belongs_to_the_name(kit: Any) -> None:
    space = kit.space(candidates=("tanh", SINE))
    assert space.timed_at("a") == ["relu", "tanh", "sine(omega=0.538)"]  # the default is cheaper than the others
    known = kit.known(space, {"sine(omega=0.538)": 0.5})
    values = [known.values(Assignment({"a": name, "b": "relu"})) for name in ("sine", "sine(omega=7)", "tanh")]
    assert values[0] == values[1] != values[2]


def test_a_model_whose_activation_lies_in_the_range_starts_there(kit: Any) -> None:
    space = kit.space({"a": "sine(omega=3)", "b": "sine(omega=30)"}, ("relu", SINE))
    assert space.choices_of("a") == ["sine", "relu"]
    assert space.choices_of("b") == ["sine(omega=30)", "relu", "sine"]
    point = space.point_of(Candidate(space.baseline, space.configured_settings()))
    assert point.params["a"] == "sine" and point.params["a.sine.omega"] == 3.0
    assert point.params["b"] == "sine(omega=30)" and "b.sine.omega" not in point.params
    assert space.timed("a", Choice.parse("sine(omega=7)")) == "sine(omega=3)"
    assert space.timed_at("a") == ["sine(omega=3)", "relu"]
    assert space.timed_at("b") == ["sine(omega=30)", "relu", "sine(omega=0.538)"]
    plain = kit.space({"a": "sine"}, ("relu", SINE))
    assert plain.timed_at("a") == ["sine", "sine(omega=0.538)", "relu"]
    assert space.is_baseline(space.point(point.params).assignment)


def test_a_value_of_its_own_beside_a_range_that_does_not_hold_it(kit: Any) -> None:
    space = kit.space(candidates=("sine", "sine(omega=5..30)"))
    dimensions = space.distributions()
    assert dimensions["a"] == CategoricalDistribution(["relu", "sine", "sine(omega=5..30)"])
    params = {"a": "sine(omega=5..30)", "a.sine.omega": 7.4567, "b": "sine", "learning_rate": 0.01, "weight_decay": 0.0}
    point = space.point(params)
    assert point.assignment.to_dict() == {"a": "sine(omega=7.46)", "b": "sine"}
    assert point.params == {**params, "a.sine.omega": 7.46}
    assert space.point_of(Candidate(point.assignment, point.settings)).params == point.params
    with pytest.raises(AutoactError, match="unknown activation at a"):
        space.point_of(Candidate(Assignment({"a": "sine(omega=2)", "b": "relu"})))


def test_a_swap_brings_the_parameters_that_the_choice_has_elsewhere() -> None:
    dimensions = {
        "a": CategoricalDistribution(["relu", "sine"]),
        "b": CategoricalDistribution(["relu", "sine"]),
        "a.sine.omega": FloatDistribution(1.0, 100.0, log=True),
        "b.sine.omega": FloatDistribution(1.0, 100.0, log=True),
    }
    conditions = {f"{site}.sine.omega": Condition(site, "sine", "omega") for site in "ab"}
    params = {"a": "sine", "a.sine.omega": 10.0, "b": "relu"}
    found = list(swaps(params, dimensions, conditions))
    assert {**params, "b": "sine"} in found and {**params, "b": "sine", "b.sine.omega": 10.0} in found
    moved = sorted(point["a.sine.omega"] for point in found if point["a"] == "sine" and point["b"] == "relu")
    assert moved == pytest.approx([10 * 100**share for share in (-0.3, -0.12, -0.04, 0.04, 0.12, 0.3)])


def test_what_a_point_does_not_have_has_no_effect_and_lies_in_the_middle() -> None:
    dimensions = {
        "a": CategoricalDistribution(["relu", "sine"]),
        "a.sine.omega": FloatDistribution(1.0, 100.0, log=True),
    }
    points = [{"a": "relu"}, {"a": "sine", "a.sine.omega": 1.0}, {"a": "sine", "a.sine.omega": 100.0}]
    encoding = Encoding(dimensions)
    rows = encoding.encode(points)[:, 1]
    column = encoding.columns[1]
    effect = column.main_effect(rows, rows)
    assert effect[0].tolist() == [0.0, 0.0, 0.0]
    assert column.variance(rows).tolist() == pytest.approx(np.diag(effect).tolist())
    assert column.distance(rows, rows).tolist() == [[0.0, 0.5, 0.5], [0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]


def test_the_model_of_quality_learns_a_parameter_on_its_scale() -> None:
    dimensions = {
        "a": CategoricalDistribution(["relu", "sine"]),
        "a.sine.omega": FloatDistribution(0.1, 10.0, log=True),
    }
    omegas = np.geomspace(0.1, 10.0, 15)
    points: list[Any] = [({"a": "sine", "a.sine.omega": omega}, 1.0 + np.log10(omega) ** 2) for omega in omegas]
    model = fit([*points, *([({"a": "relu"}, 1.5)] * 5)], dimensions)
    low, middle, high = (model.predict({"a": "sine", "a.sine.omega": omega})[0] for omega in (0.15, 1.0, 7.0))
    assert model.r2 > 0.5 and middle < low and middle < high
    assert model.predict({"a": "relu"})[0] == pytest.approx(1.5, abs=0.1)
