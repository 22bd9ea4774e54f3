"""Models with a configuration: it says which activations they have, or the class alone does not load what is saved."""

import copy
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

import autoact


class Config(SimpleNamespace):
    """Stands for a configuration of ``transformers``."""

    model_type = "stand-in"

    def to_dict(self):
        return dict(vars(self))


class Layer(nn.Module):
    def __init__(self, config, known):
        super().__init__()
        self.dense, self.act = nn.Linear(4, 4), known[config.hidden_act]

    def forward(self, x):
        return self.act(self.dense(x))


class Model(nn.Module):
    """Stands for a model of ``transformers``: two layers that follow the configuration, and a pooler that does not."""

    known: dict = {}  # noqa: RUF012

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(Layer(config, self.known), Layer(config, self.known))
        self.pooler = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x):
        return self.pooler(self.layers(x))

    def save_pretrained(self, folder):
        ignored = getattr(self, "_keys_to_ignore_on_save", None) or ()
        weights = {key: value for key, value in self.state_dict().items() if key not in ignored}
        torch.save((self.config.to_dict(), weights), folder / "model.pt")

    @classmethod
    def from_pretrained(cls, folder):
        config, weights = torch.load(Path(folder, "model.pt"), weights_only=True)
        model = cls(Config(**config))
        model.load_state_dict(weights)
        return model


class Known(dict):
    def __getitem__(self, name):
        if name == "broken":
            raise ImportError("needs a GPU")
        return super().__getitem__(name)()


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
LAYERS = ("layers.0.act", "layers.1.act")


@pytest.fixture
def kind(monkeypatch):
    """The stand-in's class, with a table of activations where ``transformers`` has one."""
    table = {
        "broken": None,
        "gelu": nn.GELU,
        "swish": nn.SiLU,
        "silu": nn.SiLU,
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
    }
    module = ModuleType("transformers.activations")
    module.ACT2CLS, module.ACT2FN = table, Known(table)
    monkeypatch.setitem(sys.modules, "transformers.activations", module)
    monkeypatch.setattr(Model, "known", module.ACT2FN)
    return Model


def uniform(model, choice):
    return autoact.apply(model, dict.fromkeys(LAYERS, choice))


def test_a_uniform_assignment_is_written(kind, tmp_path):
    model = kind(Config(hidden_act="gelu"))
    changed = uniform(model, "silu")
    assert (model.config.hidden_act, changed.config.hidden_act) == ("gelu", "silu")
    changed.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert torch.equal(again(X), changed(X)) and not torch.equal(again(X), model(X))
    assert autoact.assignment_in(changed.state_dict()).to_dict() == dict.fromkeys(LAYERS, "silu")


@pytest.mark.parametrize("attribute", ["activation_function", "hidden_activation"])
def test_other_names_of_the_attribute(kind, attribute, monkeypatch):
    class Other(kind):
        def __init__(self, config):
            super().__init__(Config(hidden_act=getattr(config, attribute)))
            self.config = config

    assert getattr(uniform(Other(Config(**{attribute: "gelu"})), "silu").config, attribute) == "silu"


@pytest.mark.parametrize(
    "assignment",
    [
        {"layers.0.act": "silu", "layers.1.act": "relu"},
        {"layers.0.act": "silu"},
        dict.fromkeys(LAYERS, "sine"),
        dict.fromkeys(LAYERS, "leaky_relu(negative_slope=0.2)"),
        dict.fromkeys(LAYERS, "gelu_tanh"),
        {**dict.fromkeys(LAYERS, "silu"), "pooler.1": "silu"},
    ],
    ids=["mixed", "in part", "not known", "other parameter", "nearly the same", "beyond the configuration"],
)
def test_what_the_configuration_cannot_say_is_saved_beside_the_weights(kind, assignment, tmp_path):
    changed = autoact.apply(kind(Config(hidden_act="gelu")), assignment)
    assert changed.config.hidden_act == "gelu"
    for number, model in enumerate((changed, copy.deepcopy(changed), pickle.loads(pickle.dumps(changed)))):
        with torch.no_grad():
            model.pooler[0].weight.add_(number)
        saved_and_loaded(model, kind, tmp_path / str(number), X)


def saved_and_loaded(changed, kind, folder, example):
    """Save with a warning; the class alone fails, the advice of the warning works."""
    folder.mkdir()
    with pytest.warns(UserWarning, match=r"Model.from_pretrained alone cannot build .* will fail") as told:
        changed.save_pretrained(folder)
    with pytest.raises(FileNotFoundError):
        kind.from_pretrained(folder)
    advice = str(told[0].message).partition("load with ")[2]
    assert advice == f"autoact.from_pretrained(Model, {str(folder)!r})"
    found = eval(advice, {"autoact": autoact, "Model": kind})
    assert type(found) is kind and torch.equal(found(example), changed(example))
    assert autoact.assignment_in(found.state_dict()) == autoact.assignment_in(changed.state_dict())
    return found


def test_saved_beside_the_weights_without_transformers(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "transformers.activations", raising=False)
    monkeypatch.setattr(Model, "known", Known({"gelu": nn.GELU}))
    found = saved_and_loaded(uniform(Model(Config(hidden_act="gelu")), "silu"), Model, tmp_path / "first", X)
    saved_and_loaded(found, Model, tmp_path / "second", X)


def test_weights_alone_are_restored_and_guarded_again(kind, tmp_path):
    changed = autoact.apply(kind(Config(hidden_act="gelu")), {"layers.0.act": "silu"})
    again = autoact.restore_(kind(changed.config), changed.state_dict())
    assert torch.equal(again(X), changed(X))
    saved_and_loaded(again, kind, tmp_path / "again", X)


def test_the_guard_ends_when_the_configuration_can_say_it(kind, tmp_path):
    model = kind(Config(hidden_act="gelu"))
    autoact.apply_(model, {"layers.0.act": "silu"})
    assert "save_pretrained" in vars(model)
    autoact.apply_(model, {"layers.1.act": "silu"})
    model.save_pretrained(tmp_path)
    assert torch.equal(kind.from_pretrained(tmp_path)(X), model(X))
    autoact.apply_(model, {"layers.1.act": "relu"})
    saved_and_loaded(model, kind, tmp_path / "mixed", X)


class Several(Model):
    """Each layer has a place of its own in the configuration, one of them in a mapping."""

    def __init__(self, config):
        super().__init__(Config(hidden_act=config.first_act))
        self.config = config
        self.layers[1] = Layer(Config(hidden_act=config.more["act"]), self.known)


def test_a_mixed_assignment_is_written_where_there_is_a_place_for_each(kind, tmp_path):
    model = Several(Config(first_act="gelu", more={"act": "gelu"}, note="relu"))
    changed = autoact.apply(model, {"layers.0.act": "silu", "layers.1.act": "relu"})
    assert vars(changed.config) == {"first_act": "silu", "more": {"act": "relu"}, "note": "relu"}
    changed.save_pretrained(tmp_path)
    assert torch.equal(Several.from_pretrained(tmp_path)(X), changed(X))
    one = autoact.apply(model, {"layers.1.act": "relu"})
    assert vars(one.config) == {"first_act": "gelu", "more": {"act": "relu"}, "note": "relu"}


def test_others_that_are_built_of_the_same_configuration_stay_as_they_are(kind):
    config = Config(hidden_act="gelu")
    first = kind(config)
    autoact.apply_(first, dict.fromkeys(LAYERS, "silu"))
    assert (config.hidden_act, first.config.hidden_act) == ("gelu", "silu")
    assert [site.current.name for site in autoact.find_sites(kind(config))][:2] == ["gelu", "gelu"]
    autoact.apply_(first, dict.fromkeys(LAYERS, "relu"))
    assert (config.hidden_act, first.config.hidden_act) == ("gelu", "relu")


def test_an_unchanged_model_is_left_alone(kind, tmp_path):
    same = autoact.apply(kind(Config(hidden_act="gelu")), dict.fromkeys(LAYERS, "gelu"))
    same.save_pretrained(tmp_path)
    assert "save_pretrained" not in vars(same) and "_keys_to_ignore_on_save" not in vars(same)


def test_inside_of_another_module(kind):
    whole = nn.Sequential(kind(Config(hidden_act="gelu")), nn.Linear(1, 1))
    changed = autoact.apply(whole, {f"0.{name}": "silu" for name in LAYERS})
    assert changed[0].config.hidden_act == "silu" and "save_pretrained" not in vars(changed[0])


def test_nothing_is_drawn_from_the_random_generator(kind):
    model = kind(Config(hidden_act="gelu"))
    state = torch.get_rng_state()
    uniform(model, "silu")
    assert torch.equal(torch.get_rng_state(), state)
