"""``autoact.ActivationSampler`` in studies that users make themselves."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState
from torch import nn

import autoact
from autoact.core.errors import AutoactError

GAINS = {"relu": 0.0, "gelu": 0.2, "tanh": 0.5, "silu": 0.1, "sine": -0.3}
CANDIDATES = ["gelu", "tanh", "silu", "sine"]
BLOCKS = 4


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Optuna without its messages."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    optuna.logging.set_verbosity(level)


def net(blocks: int = BLOCKS) -> nn.Module:
    return nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(blocks)), nn.Linear(4, 1))


def value(trial: optuna.Trial) -> float:
    """Tanh is best, most so in the first block."""
    autoact.suggest(trial, net(), CANDIDATES)
    return sum(GAINS[trial.params[f"autoact.{block}"]] / (block + 1) for block in range(BLOCKS))


def with_others(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    found = value(trial) - abs(rate - 0.01)
    return found - 0.01 * trial.suggest_int("depth", 1, 3)


def activations(trial: optuna.trial.FrozenTrial, prefix: str = "autoact.") -> tuple[str, ...]:
    return tuple(str(trial.params[name]) for name in sorted(trial.params) if name.startswith(prefix))


def study_of(sampler: BaseSampler, **arguments: object) -> optuna.Study:
    return optuna.create_study(sampler=sampler, **{"direction": "maximize", **arguments})


def test_first_the_model_then_uniform_alternatives_then_what_is_new() -> None:
    study = study_of(autoact.ActivationSampler(seed=1, trials=30))
    study.optimize(value, n_trials=30)
    tried = [activations(trial) for trial in study.trials]
    assert tried[:5] == [(name,) * BLOCKS for name in ("relu", *CANDIDATES)]
    assert len(set(tried)) == 30, "none of the 625 assignments comes twice"


def test_late_trials_change_one_activation_around_the_best() -> None:
    study = study_of(autoact.ActivationSampler(seed=1, trials=40, refine=0.5))
    study.optimize(value, n_trials=40)
    for place in range(20, 28):  # the best one has 16 neighbours
        best = max(study.trials[:place], key=lambda trial: trial.value or 0.0)
        assert sum(a != b for a, b in zip(activations(study.trials[place]), activations(best), strict=True)) == 1
    drawn = study_of(RandomSampler(seed=1))
    drawn.optimize(value, n_trials=40)
    assert study.best_value > drawn.best_value


@pytest.mark.parametrize(
    "inner",
    [
        None,
        lambda: TPESampler(seed=0, multivariate=True, n_startup_trials=4),
        lambda: RandomSampler(seed=0),
        lambda: NSGAIISampler(seed=0, population_size=4),
        lambda: GPSampler(seed=0, n_startup_trials=4),
        lambda: QMCSampler(seed=0, warn_independent_sampling=False),
    ],
)
def test_other_parameters_go_to_the_inner_sampler(inner: Callable[[], BaseSampler] | None) -> None:
    study = study_of(autoact.ActivationSampler(inner() if inner else None, seed=0))
    study.optimize(with_others, n_trials=14)
    assert len({trial.params["rate"] for trial in study.trials}) > 3
    assert len({activations(trial) for trial in study.trials}) == 14
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_what_is_exhausted_is_left_to_the_inner_sampler() -> None:
    def small(trial: optuna.Trial) -> float:
        autoact.suggest(trial, net(1), ["tanh"])
        return trial.suggest_float("rate", 0.0, 1.0)

    study = study_of(autoact.ActivationSampler(seed=0))
    study.optimize(small, n_trials=6)
    assert [activations(trial) for trial in study.trials[:2]] == [("relu",), ("tanh",)]
    assert len(study.trials) == 6

    def alone(trial: optuna.Trial) -> float:
        autoact.suggest(trial, net(1), ["tanh"])
        return 0.0

    ended = study_of(autoact.ActivationSampler(BruteForceSampler(seed=0), seed=0))
    ended.optimize(alone, n_trials=6)
    assert len(ended.trials) == 2, "the inner sampler says that nothing is left"


def test_two_models_and_one_that_changes_its_depth() -> None:
    def objective(trial: optuna.Trial) -> float:
        depth = trial.suggest_int("depth", 1, 3)
        autoact.suggest(trial, net(depth), CANDIDATES, prefix="student.")
        autoact.suggest(trial, net(2), ["gelu", "tanh"], prefix="teacher.")
        return float(sum(GAINS[name] for name in activations(trial, "student.")))  # type: ignore[arg-type]

    study = study_of(autoact.ActivationSampler(seed=0))
    study.optimize(objective, n_trials=20)
    assert all(len(activations(trial, "student.")) == trial.params["depth"] for trial in study.trials)
    by_depth = [activations(trial, "student.") for trial in study.trials if trial.params["depth"] == 3]
    assert by_depth[0] == ("relu",) * 3 and len(set(by_depth)) == len(by_depth)
    assert len({activations(trial, "teacher.") for trial in study.trials[:9]}) == 9, "each of the 3 x 3 once"


def test_pruned_and_failed_trials_are_learnt_from() -> None:
    target = ("tanh", "silu", "tanh", "silu")

    def objective(trial: optuna.Trial) -> float:
        autoact.suggest(trial, net(), CANDIDATES)
        found = float(sum(map(str.__eq__, activations(trial), target)))  # type: ignore[arg-type]
        if "sine" in activations(trial):  # type: ignore[arg-type]
            raise ArithmeticError("diverged")
        trial.report(found, 0)
        if "gelu" in activations(trial):  # type: ignore[arg-type]
            raise optuna.TrialPruned
        return found

    study = study_of(autoact.ActivationSampler(seed=0, trials=40))
    study.optimize(objective, n_trials=40, catch=(ArithmeticError,))
    states = [trial.state for trial in study.trials]
    assert {TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE} == set(states)
    assert study.best_value == BLOCKS
    assert states[10:25].count(TrialState.FAIL) < 5, "15 at random would hold 9"
    assert len({activations(trial) for trial in study.trials}) == 40


def test_what_cannot_be_trained_is_pruned_once() -> None:
    def objective(trial: optuna.Trial) -> float:
        autoact.suggest(trial, net(2), ["identity", "tanh"])
        return 1.0

    study = study_of(autoact.ActivationSampler(seed=0))
    study.optimize(objective, n_trials=8)
    assert ("identity", "identity") not in {activations(trial) for trial in study.trials}
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_several_objectives() -> None:
    study = study_of(autoact.ActivationSampler(seed=0, trials=25), direction=None, directions=["maximize", "minimize"])
    study.optimize(lambda trial: (value(trial), float(activations(trial).count("tanh"))), n_trials=25)  # type: ignore[arg-type]
    assert len({activations(trial) for trial in study.trials}) == 25
    assert len(study.best_trials) > 2


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_study_in_a_file_that_is_opened_again(tmp_path: Path, jobs: int) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    for _ in range(2):
        sampler = autoact.ActivationSampler(seed=0, trials=16)
        study = study_of(sampler, storage=url, study_name="s", load_if_exists=True)
        study.optimize(with_others, n_trials=8, n_jobs=jobs)
    assert len({activations(trial) for trial in study.trials}) == len(study.trials) == 16


def test_ask_and_tell_in_batches() -> None:
    study = study_of(autoact.ActivationSampler(seed=0))
    for _ in range(4):
        batch = [study.ask() for _ in range(4)]
        for trial, found in [(trial, value(trial)) for trial in batch]:
            study.tell(trial, found)
    assert len({activations(trial) for trial in study.trials}) == 16


def test_enqueued_trials_stay_as_they_are() -> None:
    study = study_of(autoact.ActivationSampler(seed=0))
    study.enqueue_trial({f"autoact.{block}": "sine" for block in range(BLOCKS)})
    study.optimize(value, n_trials=6)
    tried = [activations(trial) for trial in study.trials]
    assert tried[0] == ("sine",) * BLOCKS and tried[1] == ("relu",) * BLOCKS and len(set(tried)) == 6


def test_equal_seeds_give_equal_studies() -> None:
    def tried(seed: int, *, interrupted: bool = False, reseeded: bool = False) -> list[dict[str, object]]:
        sampler = autoact.ActivationSampler(seed=seed, trials=20, refine=0.0)
        study = study_of(sampler)
        for count in (12, 8):
            study.optimize(value, n_trials=count)
            if interrupted:
                study.sampler = pickle.loads(pickle.dumps(sampler))
            if reseeded:
                study.sampler.reseed_rng()
        return [trial.params for trial in study.trials]

    assert tried(3) == tried(3) == tried(3, interrupted=True)
    assert tried(3) != tried(4)
    assert tried(3) != tried(3, reseeded=True)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(AutoactError, match=r"takes an Optuna sampler.*not 'tpe'"):
        autoact.ActivationSampler("tpe")  # type: ignore[arg-type]
    with pytest.raises(AutoactError, match="trials=0"):
        autoact.ActivationSampler(trials=0)
    with pytest.raises(AutoactError, match=r"refine=1\.5"):
        autoact.ActivationSampler(refine=1.5)


def test_activations_that_a_sampler_around_fixes_are_kept_and_the_others_vary() -> None:
    sampler = optuna.samplers.PartialFixedSampler({"autoact.0": "silu"}, autoact.ActivationSampler(seed=0))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(value, n_trials=12)
    found = [activations(trial) for trial in study.trials]
    assert {one[0] for one in found} == {"silu"} and len(set(found)) == 12


def test_the_rest_of_an_enqueued_assignment_is_proposed_to_go_with_it() -> None:
    study = optuna.create_study(direction="maximize", sampler=autoact.ActivationSampler(seed=0))
    for _ in range(3):
        study.enqueue_trial({"autoact.0": "silu"})
    study.optimize(value, n_trials=5)
    found = [activations(trial) for trial in study.trials]
    assert [one[0] for one in found[:3]] == ["silu"] * 3 and len(set(found)) == 5
    assert found[3] == ("relu",) * BLOCKS  # what only a part was given for takes nothing from the opening


def test_a_grid_of_the_other_parameters_goes_on_when_all_assignments_were_tried() -> None:
    def objective(trial: optuna.Trial) -> float:
        autoact.suggest(trial, net(1), ["tanh"])
        return trial.suggest_float("rate", 0.0, 1.0)

    inner = optuna.samplers.GridSampler({"rate": [0.1, 0.2, 0.3, 0.4, 0.5]}, seed=0)
    study = optuna.create_study(sampler=autoact.ActivationSampler(inner, seed=0))
    study.optimize(objective, n_trials=5)
    assert sorted(trial.params["rate"] for trial in study.trials) == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_one_sampler_in_two_studies_keeps_their_proposals_apart() -> None:
    sampler = autoact.ActivationSampler(seed=0)
    first, second = (optuna.create_study(sampler=sampler).ask() for _ in range(2))
    autoact.suggest(first, net(2), ["gelu"])
    autoact.suggest(second, nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Sigmoid()), nn.Linear(4, 1)), ["tanh"])
    assert second.params == {"autoact.0": "sigmoid"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": "a"}, "seed='a' must be a whole number within 0"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"seed": 1.5}, "seed=1.5 must be"),
        ({"trials": "5"}, "trials='5' is the number of trials"),
        ({"trials": 2.5}, "trials=2.5 is the number of trials"),
        ({"trials": True}, "trials=True is the number of trials"),
        ({"refine": "x"}, "refine='x' is a share"),
        ({"inner": autoact.ActivationSampler(seed=0)}, "takes an Optuna sampler for all other"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(AutoactError, match=said):
        autoact.ActivationSampler(**given)  # type: ignore[arg-type]
