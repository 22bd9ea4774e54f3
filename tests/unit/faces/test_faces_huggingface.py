"""Models with a configuration: it says which activations they have, or ``save_pretrained`` refuses."""

import copy
import json
import pickle
import sys
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
        config, weights = torch.load(folder / "model.pt", weights_only=True)
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
def test_what_the_configuration_cannot_say_is_refused(kind, assignment, tmp_path):
    changed = autoact.apply(kind(Config(hidden_act="gelu")), assignment)
    assert changed.config.hidden_act == "gelu"
    for model in (changed, copy.deepcopy(changed)):
        with pytest.raises(autoact.AutoactError, match=r"save_pretrained would lose the activations of this Model"):
            model.save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_refused_without_transformers(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "transformers.activations", raising=False)
    monkeypatch.setattr(Model, "known", Known({"gelu": nn.GELU}))
    changed = uniform(Model(Config(hidden_act="gelu")), "silu")
    for model in (changed, pickle.loads(pickle.dumps(changed))):
        with pytest.raises(autoact.AutoactError, match=r"\(silu\)"):
            model.save_pretrained(tmp_path)


def test_the_way_round_a_refusal(kind):
    changed = autoact.apply(kind(Config(hidden_act="gelu")), {"layers.0.act": "silu"})
    again = autoact.restore_(kind(changed.config), changed.state_dict())
    assert torch.equal(again(X), changed(X))
    with pytest.raises(autoact.AutoactError):
        again.save_pretrained(None)


def test_a_refusal_ends_when_the_configuration_can_say_it(kind, tmp_path):
    model = kind(Config(hidden_act="gelu"))
    autoact.apply_(model, {"layers.0.act": "silu"})
    assert "save_pretrained" in vars(model)
    autoact.apply_(model, {"layers.1.act": "silu"})
    model.save_pretrained(tmp_path)
    assert torch.equal(kind.from_pretrained(tmp_path)(X), model(X))
    autoact.apply_(model, {"layers.1.act": "relu"})
    with pytest.raises(autoact.AutoactError):
        model.save_pretrained(tmp_path)


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


@pytest.fixture(scope="module")
def transformers():
    found = pytest.importorskip("transformers")
    found.logging.set_verbosity_error()
    found.logging.disable_progress_bar()
    return found


IDS = {"input_ids": torch.arange(10).view(2, 5)}
PIXELS = {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))}
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
REAL = {
    "BertForSequenceClassification": ("BertConfig", {"vocab_size": 50, **TINY}, IDS, "hidden_act"),
    "GPT2LMHeadModel": (
        "GPT2Config",
        {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20},
        IDS,
        "activation_function",
    ),
    "LlamaForCausalLM": ("LlamaConfig", {"vocab_size": 50, "num_key_value_heads": 2, **TINY}, IDS, "hidden_act"),
    "ViTForImageClassification": ("ViTConfig", {"image_size": 32, "patch_size": 8, **TINY}, PIXELS, "hidden_act"),
    "ConvNextForImageClassification": (
        "ConvNextConfig",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
        PIXELS,
        "hidden_act",
    ),
}


def real(transformers, name, **more):
    config, arguments, example, attribute = REAL[name]
    torch.manual_seed(0)
    model = getattr(transformers, name)(getattr(transformers, config)(**arguments, **more))
    return model.eval(), example, attribute


def changed_everywhere(model, example, choice):
    names = [site.name for site in autoact.find_sites(model, example).searchable]
    return autoact.apply(model, dict.fromkeys(names, choice), example_input=example)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REAL)
def test_real_models_are_saved_with_their_activations(transformers, name, tmp_path):
    model, example, attribute = real(transformers, name)
    changed = changed_everywhere(model, example, "tanh")
    assert getattr(changed.config, attribute) == "tanh"
    changed.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())[attribute] == "tanh"
    again, loading = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values()), "no key is missing, none is too many"
    with torch.no_grad():
        assert torch.equal(again.eval()(**example)[0], changed(**example)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_model_is_not_saved_without_its_activations(transformers, tmp_path):
    model, example, _ = real(transformers, "BertForSequenceClassification")
    changed = changed_everywhere(model, example, "sine")
    for refused in (changed, changed.bert):
        with pytest.raises(autoact.AutoactError, match="save_pretrained would lose"):
            refused.save_pretrained(tmp_path)
    # These convolutions call ReLU between them, whatever the configuration says.
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    model = transformers.ResNetForImageClassification(config).eval()
    with pytest.raises(autoact.AutoactError, match="save_pretrained would lose"):
        changed_everywhere(model, PIXELS, "tanh").save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []
