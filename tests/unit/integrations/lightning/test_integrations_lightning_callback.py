"""Activations in a user's own Lightning module: before the optimiser, once, resumed, and loaded back."""

import contextlib
import copy
import dataclasses

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

import autoact
from autoact.core.errors import AutoactError
from autoact.recommendation import Policy

WANTED = {"net.1": "tanh", "net.3": "prelu"}
X = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(dim=1, keepdim=True)


def layers():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


class Net(lightning.LightningModule):
    """Builds its layers in ``__init__``, ``setup`` or ``configure_model``."""

    def __init__(self, built_in="__init__", rate=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = layers() if built_in == "__init__" else None
        self.example_input_array = X[:2]
        self.learnt = []

    def setup(self, stage):
        if self.hparams.built_in == "setup" and self.net is None:
            self.net = layers()

    def configure_model(self):
        if self.hparams.built_in != "__init__" and self.net is None:
            self.net = layers()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, _):
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    test_step = validation_step

    def predict_step(self, batch, _):
        return self(batch[0])

    def configure_optimizers(self):
        self.learnt = [name for name, _ in self.named_parameters()]
        return torch.optim.Adam(self.parameters(), lr=self.hparams.rate)


class Plain(lightning.LightningModule):
    """Overrides no hook but the needed ones."""

    forward, training_step, configure_optimizers = Net.forward, Net.training_step, Net.configure_optimizers

    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"rate": 0.01})
        self.net = layers()


def loader():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=8)


def trainer(folder, *callbacks, epochs=1, **more):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        callbacks=list(callbacks),
        **{"enable_checkpointing": False} | quiet | more,
    )


def recommendation(**assignment):
    wanted = WANTED | assignment
    policy = Policy(True, autoact.Assignment(wanted), {"learning_rate": 0.01}, 2, "better")
    sites = {name: {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1} for name in WANTED}
    base = Policy(False, autoact.Assignment(dict.fromkeys(WANTED, "relu")), {}, 2, "as it is")
    return autoact.Recommendation("t", "2026-01-01T00:00:00Z", "v", {}, {"quality": policy}, base, sites)


@pytest.fixture(autouse=True)
def quiet(monkeypatch, recwarn):
    for name in ("lightning.pytorch", "lightning.fabric"):
        import logging

        monkeypatch.setattr(logging.getLogger(name), "level", logging.ERROR)
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(num_workers|does not have many workers|log_every_n).*")
        warnings.filterwarnings("ignore", message=".*(GPU available|validation_step|val_dataloader).*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        yield


def held(module):
    return autoact.assignment_in(module.state_dict()).to_dict()


@pytest.mark.parametrize("built_in", ["__init__", "setup", "configure_model"])
def test_before_the_optimiser_wherever_the_layers_are_built(built_in, tmp_path):
    module = Net(built_in)
    trainer(tmp_path, autoact.ApplyActivations(recommendation())).fit(module, loader())
    assert held(module) == WANTED
    assert "net.3.weight" in module.learnt, "the optimiser has the learnable activation's weights"
    assert not torch.equal(module.net[3].weight, torch.full((8,), 0.25)), "and they were trained"
    assert "configure_model" not in vars(module)


def test_a_module_without_configure_model(tmp_path):
    module = Plain()
    trainer(tmp_path, autoact.ApplyActivations(WANTED, example_input=X[:2])).fit(module, loader())
    assert held(module) == WANTED and "net.3.weight" in module.learnt
    assert "configure_model" not in vars(module)


@pytest.mark.parametrize("entry", ["validate", "test", "predict"])
def test_the_other_entry_points(entry, tmp_path):
    module = Net()
    expected = autoact.apply(copy.deepcopy(module), WANTED, example_input=X[:2]).eval()
    found = getattr(trainer(tmp_path, autoact.ApplyActivations(recommendation())), entry)(
        module, loader(), **({} if entry == "predict" else {"verbose": False})
    )
    assert held(module) == WANTED
    with torch.no_grad():
        if entry == "predict":
            assert torch.equal(torch.cat(found), expected(X))
        else:
            assert found[0]["val_loss"] == pytest.approx(float(nn.functional.mse_loss(expected(X), Y)))


def test_applied_once(tmp_path):
    module, run = Net(), trainer(tmp_path, autoact.ApplyActivations(recommendation(), rescale=True))
    run.fit(module, loader())
    activation, weights = module.net[3], copy.deepcopy(module.state_dict())
    run.test(module, loader(), verbose=False)
    trainer(tmp_path, autoact.ApplyActivations(recommendation())).validate(module, loader(), verbose=False)
    assert module.net[3] is activation
    assert all(torch.equal(value, weights[key]) for key, value in module.state_dict().items())


def test_a_module_that_was_changed_by_hand_is_left_alone(tmp_path):
    module = recommendation().apply(Net())
    activation = module.net[1]
    trainer(tmp_path, autoact.ApplyActivations(recommendation())).fit(module, loader())
    assert module.net[1] is activation


def test_another_assignment_in_the_module_is_refused(tmp_path):
    module = autoact.apply(Net(), {"net.1": "gelu"})
    with pytest.raises(
        autoact.AutoactError, match=r"carries another assignment.*net.1: it carries gelu, wanted .*tanh"
    ):
        trainer(tmp_path, autoact.ApplyActivations(recommendation())).fit(module, loader())
    assert "configure_model" not in vars(module)


def test_part_of_the_assignment_is_refused(tmp_path):
    module = autoact.apply(Net(), {"net.1": "tanh"})
    with pytest.raises(autoact.AutoactError, match=r"net.3: prelu is missing"):
        trainer(tmp_path, autoact.ApplyActivations(recommendation())).fit(module, loader())


def test_a_recommendation_that_does_not_fit_stops_before_training(tmp_path):
    module = Net()
    module.net[1] = nn.ELU()
    with pytest.raises(autoact.AutoactError, match=r"changed 'net.1'"):
        trainer(tmp_path, autoact.ApplyActivations(recommendation())).fit(module, loader())
    assert module.learnt == [] and "configure_model" not in vars(module)


def test_a_failing_setup_leaves_the_module_unwrapped(tmp_path):
    class Failing(Net):
        def setup(self, stage):
            raise ValueError("no data")

    module = Failing()
    with pytest.raises(ValueError, match="no data"):
        trainer(tmp_path, autoact.ApplyActivations(recommendation())).fit(module, loader())
    assert "configure_model" not in vars(module)


class Stop(Callback):
    """Keeps the weights and the optimiser's state after each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        (optimizer,) = trainer.optimizers
        self.seen.append((copy.deepcopy(pl_module.state_dict()), copy.deepcopy(optimizer.state_dict())))


@pytest.mark.parametrize("built_in", ["__init__", "configure_model"])
def test_resuming_equals_training_in_one_go(built_in, tmp_path):
    def fit(epochs, module, **more):
        watch = Stop()
        run = trainer(tmp_path, autoact.ApplyActivations(recommendation()), watch, epochs=epochs)
        run.fit(module, loader(), **more)
        return run, watch

    torch.manual_seed(1)
    start = Net(built_in)
    torch.manual_seed(2)
    _, whole = fit(4, copy.deepcopy(start))
    torch.manual_seed(2)
    first, _ = fit(2, copy.deepcopy(start))
    first.save_checkpoint(tmp_path / "half.ckpt")
    _, second = fit(4, Net(built_in), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    (weights, state), (expected, expected_state) = second.seen[-1], whole.seen[-1]
    assert weights.keys() == expected.keys() and "net.3.weight" in weights
    assert all(torch.equal(weights[key], expected[key]) for key in weights)
    assert len(state["state"]) == len(expected_state["state"]) == len(list(start.parameters())) + 1 or start.net is None


def checkpoint(folder, module=None, **more):
    run = trainer(folder, autoact.ApplyActivations(recommendation(), **more))
    module = module or Net(rate=0.02)
    run.fit(module, loader())
    run.save_checkpoint(folder / "net.ckpt")
    return module.eval(), folder / "net.ckpt"


def test_the_checkpoint_says_which_activations_it_has(tmp_path):
    _, path = checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    assert autoact.assignment_in(content["state_dict"]).to_dict() == WANTED
    state = content["callbacks"]["ApplyActivations"]
    assert (state["assignment"], state["policy"], state["task"]) == (WANTED, "quality", "t")
    assert state["digest"] == recommendation().digest


def test_resuming_with_other_activations_is_refused(tmp_path):
    _, path = checkpoint(tmp_path)
    other = autoact.ApplyActivations(recommendation(**{"net.1": "gelu"}))
    with pytest.raises(RuntimeError, match=r"net.1.autoact:tanh"):
        trainer(tmp_path, other, epochs=2).fit(Net(), loader(), ckpt_path=path, weights_only=True)
    with pytest.raises(autoact.AutoactError, match=r"trained with tanh \| prelu, this callback applies gelu \| prelu"):
        other.load_state_dict(torch.load(path, weights_only=True)["callbacks"]["ApplyActivations"])
    with pytest.raises(RuntimeError, match=r"net.1.autoact:tanh"):
        trainer(tmp_path, epochs=2).fit(Net(), loader(), ckpt_path=path, weights_only=True)


@pytest.mark.parametrize("built_in", ["__init__", "configure_model"])
def test_loading_back(built_in, tmp_path):
    module, path = checkpoint(tmp_path, Net(built_in, rate=0.02))
    with pytest.raises(RuntimeError, match=r"Unexpected key.*net.1.autoact:tanh"):
        Net.load_from_checkpoint(path, weights_only=True)
    found = autoact.load_from_checkpoint(Net, path, weights_only=True)
    assert type(found) is Net and found.hparams.rate == 0.02 and held(found) == WANTED
    with torch.no_grad():
        assert torch.equal(found.eval()(X), module(X))
    assert autoact.load_from_checkpoint(Net, path, rate=0.5, weights_only=True).hparams.rate == 0.5


def test_loading_a_checkpoint_without_an_assignment(tmp_path):
    run, module = trainer(tmp_path), Net()
    run.fit(module, loader())
    run.save_checkpoint(tmp_path / "plain.ckpt")
    found = autoact.load_from_checkpoint(Net, tmp_path / "plain.ckpt", weights_only=True)
    with torch.no_grad():
        assert held(found) == {} and torch.equal(found.eval()(X), module.eval()(X))


def test_loading_needs_a_class():
    with pytest.raises(autoact.AutoactError, match="class of a LightningModule"):
        autoact.load_from_checkpoint(Net(), "x.ckpt")


def test_rescale_in_fit_alone(tmp_path):
    class Watching(Net):
        def on_fit_start(self):
            self.first = self.net[2].weight.detach().clone()

    torch.manual_seed(0)
    module = Watching()
    before = module.net[2].weight.detach().clone()
    expected = autoact.apply(module, WANTED, example_input=X[:2], rescale=True).net[2].weight
    assert not torch.equal(expected, before)
    tried, fitted = copy.deepcopy(module), copy.deepcopy(module)
    trainer(tmp_path, autoact.ApplyActivations(recommendation(), rescale=True)).test(tried, loader(), verbose=False)
    trainer(tmp_path, autoact.ApplyActivations(recommendation(), rescale=True)).fit(fitted, loader())
    assert torch.equal(tried.net[2].weight, before) and torch.equal(fitted.first, expected)


def test_from_a_file_and_a_policy(tmp_path):
    path = recommendation().save(tmp_path / "recommended.yaml")
    assert autoact.ApplyActivations(path).assignment.to_dict() == WANTED
    module = Net()
    trainer(tmp_path, autoact.ApplyActivations(str(path), "baseline")).fit(module, loader())
    assert held(module) == {}
    with pytest.raises(autoact.AutoactError, match="unknown policy 'fast'"):
        autoact.ApplyActivations(path, "fast")
    with pytest.raises(autoact.AutoactError, match="an assignment has no policies"):
        autoact.ApplyActivations(WANTED, "quality")
    with pytest.raises(autoact.AutoactError, match="not int"):
        autoact.ApplyActivations(3)


class Functional(lightning.LightningModule):
    """Calls its activation in its own ``forward``; changes itself where it is told to."""

    def __init__(self, assignment=None):
        super().__init__()
        self.save_hyperparameters()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 1)
        self.example_input_array = X[:2]
        if assignment:
            autoact.apply_(self, assignment, example_input=X[:2])

    def forward(self, x):
        return self.second(nn.functional.relu(self.first(x)))


def saved(module, path):
    """A checkpoint of a module that no Trainer has seen."""
    about = {"pytorch-lightning_version": lightning.__version__, "hyper_parameters": dict(module.hparams)}
    torch.save({"state_dict": module.state_dict(), **about}, path)
    return path


def functional_site(module):
    return autoact.find_sites(module, X[:2]).searchable[0].name


@pytest.mark.parametrize("in_init", [False, True], ids=["loaded", "changed in its own __init__"])
def test_loading_back_what_a_module_calls_in_its_own_forward(in_init, tmp_path):
    site = functional_site(Functional())
    changed = (
        Functional({site: "tanh"}) if in_init else autoact.apply(Functional(), {site: "tanh"}, example_input=X[:2])
    )
    path = saved(changed, tmp_path / "net.ckpt")
    found = autoact.load_from_checkpoint(Functional, path, weights_only=True)
    assert torch.equal(found(X), changed(X))
    assert type(found) is type(changed), "one with the same calls exchanged"


def test_loading_back_what_two_names_share(tmp_path):
    class Shared(Functional):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.same = self.act

        def forward(self, x):
            return self.second(self.same(self.act(self.first(x))))

    changed = autoact.apply(Shared(), {"act": "tanh"}, example_input=X[:2])
    found = autoact.load_from_checkpoint(Shared, saved(changed, tmp_path / "net.ckpt"), weights_only=True)
    assert torch.equal(found(X), changed(X))


@pytest.mark.parametrize("by", ["argument", "attribute"])
@pytest.mark.filterwarnings("ignore:Found keys that are not in the model")
def test_a_lenient_load_into_the_plain_class_says_what_to_do(by, tmp_path):
    changed = autoact.apply(Net(), {"net.1": "tanh"})
    path = saved(changed, tmp_path / "net.ckpt")

    class Lenient(Net):
        @property
        def strict_loading(self):
            return False

    kind, arguments = (Net, {"strict": False}) if by == "argument" else (Lenient, {})
    with pytest.warns(UserWarning, match=r"'net.1' was trained with tanh.*autoact.load_from_checkpoint"):
        kind.load_from_checkpoint(path, weights_only=True, **arguments)
    found = autoact.load_from_checkpoint(kind, path, weights_only=True, **arguments)
    assert torch.equal(found(X), changed(X))


class Groups(Callback):
    """Learning rate, weight decay and names of each group at the first step."""

    def on_train_batch_start(self, trainer, module, batch, index):
        names = {id(weight): name for name, weight in module.named_parameters()}
        self.seen = [
            (group["lr"], group["weight_decay"], [names[id(weight)] for weight in group["params"]])
            for group in trainer.optimizers[0].param_groups
        ]


def groups_under(tmp_path, callback, **more):
    seen = Groups()
    trainer(tmp_path, callback, seen).fit(Net(), loader(), **more)
    return seen.seen


def test_weights_of_activations_train_as_the_recommendation_says(tmp_path):
    found = groups_under(tmp_path, autoact.ApplyActivations(dataclasses.replace(recommendation(), activation_rate=0.1)))
    assert [group[:2] for group in found] == [(0.01, 0), (pytest.approx(0.001), 0.0)]
    assert found[1][2] == ["net.3.weight"]
    assert len(groups_under(tmp_path, autoact.ApplyActivations(recommendation()))) == 1  # of an earlier release
    assert len(groups_under(tmp_path, autoact.ApplyActivations(WANTED, activation_rate=0.5))) == 2
    assert len(groups_under(tmp_path, autoact.ApplyActivations({"net.1": "tanh"}, activation_rate=0.5))) == 1
    with pytest.raises(AutoactError, match="activation_rate=0 must be a factor above 0"):
        autoact.ApplyActivations(WANTED, activation_rate=0)


def test_resuming_keeps_the_groups(tmp_path):
    weights = []
    for stops in ([4], [2, 4]):
        torch.manual_seed(0)
        module, path = Net(), None
        for stop in stops:
            run = trainer(tmp_path, autoact.ApplyActivations(WANTED, activation_rate=0.1), epochs=stop)
            run.fit(module, loader(), ckpt_path=path, weights_only=False)
            path = tmp_path / "paused.ckpt"
            run.save_checkpoint(path)
        weights.append(module.net[3].weight.detach().clone())
    torch.testing.assert_close(*weights)


def test_resuming_at_another_rate_is_refused(tmp_path):
    path = tmp_path / "one.ckpt"
    for wanted, other in ((WANTED, "trained with activation_rate=0.1, this callback has 1: "), ({"net.1": "tanh"}, "")):
        run = trainer(tmp_path, autoact.ApplyActivations(wanted, activation_rate=0.1))
        run.fit(Net(), loader())
        run.save_checkpoint(path)
        again = trainer(tmp_path, autoact.ApplyActivations(wanted), epochs=2)
        with pytest.raises(AutoactError, match=other) if other else contextlib.nullcontext():
            again.fit(Net(), loader(), ckpt_path=path, weights_only=False)


def test_an_optimiser_without_groups_is_told(tmp_path):
    class Whole(Net):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=0.1)

    callback = autoact.ApplyActivations(WANTED, activation_rate=0.1)
    with pytest.warns(UserWarning, match="activation_rate=0.1 is not in force.*LBFGS steps all its weights as one"):
        trainer(tmp_path, callback).fit(Whole(), loader())
