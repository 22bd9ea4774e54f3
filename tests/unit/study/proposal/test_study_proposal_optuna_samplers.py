"""``search.sampler``: names and references of Optuna samplers; what one cannot do is said before anything trains."""

from __future__ import annotations

import sys
import types
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from autoact.core.errors import AutoactError
from autoact.study.proposal.optuna_samplers import check_sampler, sampler_factory
from autoact.study.settings import SearchSettings

ACTIVATIONS: dict[str, BaseDistribution] = {
    f"s{i}": CategoricalDistribution(["relu", "tanh", "gelu"]) for i in range(3)
}
WITH_RATE = {**ACTIVATIONS, "learning_rate": FloatDistribution(1e-3, 1e-1, log=True)}
OPTUNA = "optuna.samplers."


@pytest.mark.parametrize("name", ["TPESampler", "NSGAIISampler", "GPSampler", "RandomSampler", "QMCSampler"])
@pytest.mark.parametrize("directions", [["max"], ["max", "min"]])
def test_samplers_that_can(name: str, directions: list[str]) -> None:
    check_sampler(OPTUNA + name, {}, WITH_RATE, directions)
    check_sampler(f"optuna.samplers:{name}", {}, ACTIVATIONS, directions)


def test_brute_force_searches_activations_alone() -> None:
    check_sampler(OPTUNA + "BruteForceSampler", {}, ACTIVATIONS, ["max", "min"])
    with pytest.raises(
        AutoactError, match=r"BruteForceSampler cannot propose in this search.*numbers: 1.*step must be"
    ):
        check_sampler(OPTUNA + "BruteForceSampler", {}, WITH_RATE, ["max"])


def test_cma_es_models_no_activations_and_one_objective() -> None:
    with pytest.raises(AutoactError, match=r"CmaEsSampler models numbers alone.*one of tpe"):
        check_sampler(OPTUNA + "CmaEsSampler", {}, ACTIVATIONS, ["max"])
    with pytest.raises(AutoactError, match=r"CmaEsSampler cannot propose in this search.*objectives: 2"):
        check_sampler(OPTUNA + "CmaEsSampler", {}, ACTIVATIONS, ["max", "min"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tpee", {}, "unknown search.sampler 'tpee': did you mean tpe"),
        ("math.pi", {}, "search.sampler=math.pi is no optuna.samplers.BaseSampler"),
        ("builtins:dict", {}, "search.sampler=builtins:dict is no optuna.samplers.BaseSampler"),
        ("builtins:callable", {}, "cannot be made"),
        ("platform:system", {}, "gives str, which is no optuna.samplers.BaseSampler"),
        ("optuna.samplers.TPESamplr", {}, "has no 'TPESamplr': did you mean TPESampler"),
        ("no_such_package.mod:X", {}, "no module named 'no_such_package'"),
        ("autoact.ActivationSampler", {}, "proposes activations as every search does already.*such as tpe"),
        ("autoact.ActivationSampler", {"refine": 0.5}, "proposes activations as every search does already"),
        ("optuna.samplers.GridSampler", {}, "cannot be made: .*search_space"),
        ("tpe", {"n_startup": 3}, r"unknown option of search.sampler=tpe 'n_startup': did you mean n_startup_trials"),
        ("tpe", {"seed": 3}, r"search\.seed is the sampler's seed"),
        ("optuna.samplers.TPESampler", {"n_startup_trials": "x"}, "cannot propose in this search"),
    ],
)
def test_what_is_no_sampler_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        check_sampler(name, options, ACTIVATIONS, ["max", "min"])


def test_what_is_said_to_be_allowed_is_allowed() -> None:
    with pytest.raises(AutoactError, match=r"option of search.sampler=random 'foo'") as told:
        sampler_factory("random", {"foo": 1})
    assert "seed" not in str(told.value)  # it is refused: search.seed is the sampler's seed
    with pytest.raises(AutoactError, match=r"unknown search.sampler 'QMCSampler'.*such as optuna.samplers.QMCSampler"):
        sampler_factory("QMCSampler")
    with pytest.raises(AutoactError, match=r"unknown search.sampler 'QMCSampler'.*such as optuna.samplers.QMCSampler"):
        SearchSettings(sampler="QMCSampler")


def test_options_reach_the_sampler() -> None:
    assert sampler_factory(OPTUNA + "NSGAIISampler", {"population_size": 7})(1).population_size == 7  # type: ignore[attr-defined]
    assert sampler_factory("nsga2", {"population_size": 7})(1).population_size == 7  # type: ignore[attr-defined]


@pytest.mark.usefixtures("timed_by_table")
@pytest.mark.parametrize("name", ["BruteForceSampler", "GPSampler", "mine:Mine"])
def test_a_search_asks_the_sampler_that_is_referenced(kit: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Mine(optuna.samplers.RandomSampler):
        def sample_independent(self, *arguments: Any) -> Any:
            asked.append(arguments[2])
            return super().sample_independent(*arguments)

    module = types.ModuleType("mine")
    module.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", module)
    settings = SearchSettings(trials=8, sampler=name if ":" in name else OPTUNA + name)
    space = kit.space(candidates=("relu", "gelu", "tanh"), learning_rate=[], weight_decay=[])
    bench = kit.Bench(settings=settings, space=space)
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.1})))
    assert len({record.candidate.assignment for record in result.records}) == 8
    assert bool(asked) == (name == "mine:Mine")
