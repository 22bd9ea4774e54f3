"""``autoact.suggest`` in an objective of the user's own."""

import subprocess
import sys
import warnings

import optuna
import pytest
import torch
from optuna.samplers import BruteForceSampler, GridSampler, NSGAIISampler, RandomSampler, TPESampler
from torch import nn

import autoact

CANDIDATES = ["gelu", "tanh", "leaky_relu(negative_slope=0.2)"]
X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def block(inputs):
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())


def net():
    return nn.Sequential(block(4), block(8), nn.Linear(8, 1))


def objective(trial):
    model = autoact.suggest(trial, net(), candidates=CANDIDATES, granularity="block")
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    value = float(str(model[0][1]).count("tanh")) + rate
    trial.report(value, 0)
    if trial.should_prune():
        raise optuna.TrialPruned
    return value


@pytest.fixture(autouse=True)
def quiet():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    optuna.logging.set_verbosity(level)


@pytest.mark.parametrize(
    "sampler",
    [
        lambda: RandomSampler(seed=0),
        lambda: TPESampler(seed=0, multivariate=True, n_startup_trials=4),
        lambda: NSGAIISampler(seed=0, population_size=4),
    ],
)
@pytest.mark.parametrize("pruner", [optuna.pruners.MedianPruner(n_startup_trials=2), optuna.pruners.NopPruner()])
def test_any_sampler_and_pruner(sampler, pruner):
    study = optuna.create_study(sampler=sampler(), pruner=pruner, direction="maximize")
    study.optimize(objective, n_trials=12)
    assert set(study.best_params) == {"autoact.0", "autoact.1", "rate"}
    found = autoact.assignment_from(study.best_trial)
    assert set(found) == {"0.1", "0.3", "1.1", "1.3"}
    assert str(found["0.1"]) == str(found["0.3"]) == study.best_params["autoact.0"]


def whole(trial):
    autoact.suggest(trial, net(), ["gelu", "tanh"])
    return 0.0


def test_samplers_that_go_through_all():
    study = optuna.create_study(sampler=BruteForceSampler(seed=0))
    study.optimize(whole, n_trials=30)
    assert len({autoact.assignment_from(trial) for trial in study.trials}) == len(study.trials) == 9
    grid = {"autoact.0": ["relu", "tanh"], "autoact.1": ["gelu"]}
    study = optuna.create_study(sampler=GridSampler(grid, seed=0))
    study.optimize(whole, n_trials=10)
    assert {autoact.assignment_from(t).summary() for t in study.trials} == {
        "relu | relu | gelu | gelu",
        "tanh | tanh | gelu | gelu",
    }


def test_enqueued_and_fixed_trials():
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.enqueue_trial({"autoact.0": "tanh", "autoact.1": "relu", "rate": 0.01})
    study.optimize(objective, n_trials=1)
    assert autoact.assignment_from(study.trials[0]).to_dict() == {
        "0.1": "tanh",
        "0.3": "tanh",
        "1.1": "relu",
        "1.3": "relu",
    }
    fixed = optuna.trial.FixedTrial(study.best_params)
    model = autoact.suggest(fixed, net(), CANDIDATES)
    assert autoact.assignment_in(model.state_dict()).to_dict() == {"0.1": "tanh", "0.3": "tanh"}
    assert autoact.assignment_from(fixed) == autoact.assignment_from(study.best_trial)


def test_several_objectives():
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=NSGAIISampler(seed=0))
    study.optimize(lambda trial: (objective_without_report(trial), 1.0), n_trials=3)
    assert all(len(autoact.assignment_from(trial)) == 4 for trial in study.best_trials)


def objective_without_report(trial):
    autoact.suggest(trial, net(), CANDIDATES)
    return 0.5


@pytest.mark.parametrize("granularity, names", [("site", 4), ("block", 2), ("model", 1)])
def test_granularity(granularity, names):
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    trial = study.ask()
    autoact.suggest(trial, net(), CANDIDATES, granularity=granularity)
    assert len(trial.params) == names and len(autoact.assignment_from(trial)) == 4


def test_advice_names_the_arguments_of_suggest():
    mixed = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    trial = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    with pytest.raises(autoact.AutoactError) as caught:
        autoact.suggest(trial, mixed, CANDIDATES, granularity="model")
    said = str(caught.value)
    assert said.startswith("granularity='model' gives") and "space." not in said
    assert "granularity='site' searches each by itself, exclude=['3'] leaves out" in said
    autoact.suggest(trial, mixed, CANDIDATES, granularity="site")


@pytest.mark.parametrize("url", ["sqlite:///{}/study.db", "journal"])
def test_a_trial_read_in_another_process(url, tmp_path):
    storage = url.format(tmp_path)
    if url == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
        opened = optuna.storages.JournalStorage(backend)
        again = (
            "optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend"
            f"({str(tmp_path / 'journal.log')!r}))"
        )
    else:
        opened, again = storage, repr(storage)
    study = optuna.create_study(storage=opened, study_name="s", sampler=RandomSampler(seed=0))
    study.optimize(objective, n_trials=2)
    script = (
        "import optuna, autoact; optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
        f"print(autoact.assignment_from(optuna.load_study(study_name='s', storage={again}).best_trial).to_dict())"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(autoact.assignment_from(study.best_trial).to_dict())


def test_two_models_in_one_objective():
    trial = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    autoact.suggest(trial, net(), ["tanh"], prefix="teacher.")
    autoact.suggest(trial, nn.Sequential(block(4), nn.Linear(8, 1)), ["gelu"], prefix="student.")
    assert set(trial.params) == {"teacher.0", "teacher.1", "student.0"}
    assert set(autoact.assignment_from(trial, prefix="student.")) == {"0.1", "0.3"}
    with pytest.raises(autoact.AutoactError, match=r"unknown prefix 'autoact.'.*teacher., student."):
        autoact.assignment_from(trial)


def test_the_model_given_stays_and_weights_stay():
    model = net()
    trial = optuna.trial.FixedTrial({"autoact.0": "tanh", "autoact.1": "gelu"})
    changed = autoact.suggest(trial, model, CANDIDATES)
    assert isinstance(model[0][1], nn.ReLU)
    assert torch.equal(changed[0][0].weight, model[0][0].weight)
    expected = autoact.apply(model, autoact.assignment_from(trial))
    assert torch.equal(changed(X), expected(X))


def test_learnable_and_gated_candidates():
    trial = optuna.trial.FixedTrial({"autoact.1": "prelu", "autoact.3": "swiglu"})
    plain = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    changed = autoact.suggest(trial, plain, ["prelu", "swiglu"], example_input=X, rescale=True)
    assert changed(X).shape == (8, 1) and "1.weight" in dict(changed.named_parameters())


def test_what_cannot_be_trained_is_pruned():
    study = optuna.create_study()
    study.enqueue_trial({"autoact.activation": "identity"})
    study.optimize(lambda t: len(autoact.suggest(t, net(), ["identity", "tanh"], granularity="model")), n_trials=1)
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED


def test_mistakes():
    trial = optuna.trial.FixedTrial({})
    for wrong, message in [
        (lambda: autoact.suggest(net(), trial, CANDIDATES), "the objective's trial first, not Sequential"),
        (lambda: autoact.suggest(trial, net(), ["geluu"]), "did you mean gelu"),
        (lambda: autoact.suggest(trial, net(), CANDIDATES, granularity="layer"), "unknown granularity"),
        (lambda: autoact.suggest(trial, net(), CANDIDATES, include=["x*"]), r"unknown site 'x\*'"),
        (lambda: autoact.suggest(trial, nn.Linear(2, 2), CANDIDATES), "no activation can be searched"),
        (lambda: autoact.assignment_from(trial), "holds no assignment"),
        (lambda: autoact.assignment_from(optuna.create_study()), "study.best_trial"),
    ]:
        with pytest.raises(autoact.AutoactError, match=message):
            wrong()


def test_what_is_not_on_offer_somewhere_is_told():
    model = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 28), nn.ReLU(), nn.Linear(28, 1), nn.ReLU())
    model.append(nn.Linear(1, 1))
    trial = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    arguments = {"granularity": "site", "example_input": torch.zeros(2, 16)}
    with pytest.warns(UserWarning, match="not tried everywhere: swiglu at 5: no hidden width"):
        autoact.suggest(trial, model, ["tanh", "swiglu"], **arguments)
    assert trial.distributions["autoact.5"].choices == ("relu", "tanh")


def _two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


@pytest.mark.parametrize("enqueued", [True, False])
def test_a_given_value_that_is_not_on_offer_is_answered_with_the_nearest(enqueued: bool) -> None:
    study = optuna.create_study()
    study.enqueue_trial({"autoact.1": "GELU"})
    trial = study.ask() if enqueued else optuna.trial.FixedTrial({"autoact.1": "GELU"})
    with pytest.raises(autoact.AutoactError, match=r"parameter autoact.1 'GELU': did you mean gelu"):
        autoact.suggest(trial, _two_layers(), ["gelu"])


def test_other_candidates_in_a_study_that_is_opened_again_are_named_and_the_advice_works() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    autoact.suggest(study.ask(), _two_layers(), ["gelu"])
    with pytest.raises(
        autoact.AutoactError, match=r"chose autoact.1 from relu, gelu; now it is relu, gelu, tanh.*prefix="
    ):
        autoact.suggest(study.ask(), _two_layers(), ["gelu", "tanh"])
    autoact.suggest(study.ask(), _two_layers(), ["gelu", "tanh"], prefix="second.")


RANGED = ["tanh", "sine(omega=5..30)", "softplus(beta=0.3..10)"]


@pytest.mark.parametrize(
    "sampler", [lambda: autoact.ActivationSampler(seed=0), lambda: RandomSampler(seed=0), lambda: TPESampler(seed=0)]
)
def test_a_parameter_is_suggested_where_its_activation_is_chosen(sampler) -> None:
    study, models = optuna.create_study(sampler=sampler()), []

    def objective(trial: optuna.Trial) -> float:
        models.append(autoact.suggest(trial, _two_layers(), RANGED))
        return float(trial.number)

    study.optimize(objective, n_trials=8)
    names = {"sine(omega=5..30)": "autoact.1.sine.omega", "softplus": "autoact.1.softplus.beta"}
    for trial, model in zip(study.trials, models, strict=True):
        own = {names[trial.params["autoact.1"]]} if trial.params["autoact.1"] in names else set()
        assert set(trial.params) == {"autoact.1", *own}
        assert str(autoact.assignment_from(trial)["1"]) in str(model[1]) or trial.params["autoact.1"] == "relu"
    assert any(dict(autoact.assignment_from(trial)["1"].params) for trial in study.trials)


def test_a_given_parameter_is_taken_and_one_beyond_the_range_is_refused() -> None:
    given = {"autoact.1": "softplus", "autoact.1.softplus.beta": 2.3456}
    trial = optuna.trial.FixedTrial(given)
    autoact.suggest(trial, _two_layers(), RANGED)
    assert autoact.assignment_from(trial).to_dict() == {"1": "softplus(beta=2.35)"}
    with pytest.raises(autoact.AutoactError, match=r"autoact\.1\.softplus\.beta=20\.0 must be a number within 0.3..10"):
        autoact.suggest(optuna.trial.FixedTrial({**given, "autoact.1.softplus.beta": 20.0}), _two_layers(), RANGED)
    with pytest.raises(
        autoact.AutoactError, match=r"has no value of the parameter autoact\.1\.softplus\.beta: give it"
    ):
        autoact.suggest(optuna.trial.FixedTrial({"autoact.1": "softplus"}), _two_layers(), RANGED)


@pytest.mark.parametrize("candidates", [nn.GELU, [nn.GELU], [nn.GELU()]])
def test_a_class_among_the_candidates_is_answered_with_its_name(candidates) -> None:
    with pytest.raises(autoact.AutoactError, match="must be text, such as 'GELU'"):
        autoact.suggest(optuna.trial.FixedTrial({}), _two_layers(), candidates)
