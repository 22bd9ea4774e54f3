"""Models with a configuration: it says which activations they have, or the class alone does not load what is saved."""

import copy
import json
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
T5 = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
BOTH = {**IDS, "decoder_input_ids": torch.arange(6).view(2, 3)}
REAL = {
    "BertForSequenceClassification": ("BertConfig", {"vocab_size": 50, **TINY}, IDS, "hidden_act"),
    "GPT2LMHeadModel": (
        "GPT2Config",
        {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20},
        IDS,
        "activation_function",
    ),
    "T5ForConditionalGeneration": ("T5Config", T5, BOTH, "feed_forward_proj"),
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
def test_a_gated_projection_and_its_parts_are_written(transformers, tmp_path):
    """The stacks of T5 hold copies of its configuration, which says twice what it is."""
    model, example, _ = real(transformers, "T5ForConditionalGeneration", feed_forward_proj="gated-gelu")
    changed = changed_everywhere(model, example, "tanh")
    for config in (changed.config, changed.encoder.config, changed.decoder.config):
        assert (config.feed_forward_proj, config.dense_act_fn) == ("gated-tanh", "tanh")
    changed.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.eval()(**example)[0], changed(**example)[0])


CLIP = {
    "text_config": {"vocab_size": 50, "max_position_embeddings": 20, "hidden_act": "gelu", **TINY},
    "vision_config": {"image_size": 32, "patch_size": 8, "hidden_act": "gelu", **TINY},
    "projection_dim": 8,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_mixed_assignment_is_written_where_each_part_has_its_place(transformers, tmp_path):
    model, example = transformers.CLIPModel(transformers.CLIPConfig(**CLIP)).eval(), {**IDS, **PIXELS}
    wanted = {site.name: "tanh" if "text" in site.name else "relu" for site in autoact.find_sites(model, example)}
    changed = autoact.apply(model, wanted, example_input=example)
    assert (changed.config.text_config.hidden_act, changed.config.vision_config.hidden_act) == ("tanh", "relu")
    changed.save_pretrained(tmp_path)
    again = transformers.CLIPModel.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.eval()(**example).logits_per_image, changed(**example).logits_per_image)


def mixed_in(names, choices):
    return {name: choices[number % len(choices)] for number, name in enumerate(names)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("choices", [("tanh", "relu"), ("sine",), ("prelu", "swiglu")], ids="-".join)
@pytest.mark.parametrize("name", ["BertForSequenceClassification", "GPT2LMHeadModel", "LlamaForCausalLM"])
def test_what_a_real_configuration_cannot_say_is_saved_beside_the_weights(transformers, name, choices, tmp_path):
    if "swiglu" in choices and not name.startswith("Bert"):
        pytest.skip("its layers cannot change their width")
    model, example, attribute = real(transformers, name)
    names = [site.name for site in autoact.find_sites(model, example).searchable if "pooler" not in site.name]
    changed = autoact.apply(model, mixed_in(names, choices), example_input=example)
    before = getattr(changed.config, attribute)
    changed.save_pretrained(tmp_path)
    assert getattr(changed.config, attribute) == before, "the model's own configuration stays"
    with pytest.raises(KeyError, match=r"load with autoact.from_pretrained"):
        type(model).from_pretrained(tmp_path)
    known = {} if choices in (("tanh", "relu"), ("sine",)) else {"example_input": example}
    again, loading = autoact.from_pretrained(type(model), tmp_path, output_loading_info=True, **known)
    assert not any(loading.values()), "no key is missing, none is too many"
    again.save_pretrained(tmp_path / "second")
    for found in (again, autoact.from_pretrained(type(model), tmp_path / "second", example_input=example)):
        assert getattr(found.config, attribute) == before
        with torch.no_grad():
            assert torch.equal(found.eval()(**example)[0], changed(**example)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_part_of_a_real_model_is_saved_with_its_activations_too(transformers, tmp_path):
    model, example, _ = real(transformers, "BertForSequenceClassification")
    changed = changed_everywhere(model, example, "sine")
    changed.bert.save_pretrained(tmp_path)
    with pytest.raises(KeyError):
        transformers.BertModel.from_pretrained(tmp_path)
    again = autoact.from_pretrained(transformers.BertModel, tmp_path)
    with torch.no_grad():
        assert torch.equal(again.eval()(**example)[0], changed.bert(**example)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_places_of_a_real_model_that_do_not_follow_its_configuration(transformers, tmp_path):
    # These convolutions call ReLU between them, whatever the configuration says.
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    model = transformers.ResNetForImageClassification(config).eval()
    changed = changed_everywhere(model, PIXELS, "tanh")
    changed.save_pretrained(tmp_path)
    with pytest.raises(KeyError):
        type(model).from_pretrained(tmp_path)
    again = autoact.from_pretrained(type(model), tmp_path, example_input=PIXELS)
    with torch.no_grad():
        assert torch.equal(again.eval()(**PIXELS)[0], changed(**PIXELS)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_model_saved_over_a_changed_one_is_told(transformers, tmp_path):
    model, example, _ = real(transformers, "BertForSequenceClassification")
    changed_everywhere(model, example, "sine").save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    with pytest.raises(autoact.AutoactError, match=r"holds two models: config.json was saved later"):
        autoact.from_pretrained(type(model), tmp_path)
    (tmp_path / "assignment.json").unlink()
    again = autoact.from_pretrained(type(model), tmp_path)
    with torch.no_grad():
        assert torch.equal(again.eval()(**example)[0], model(**example)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_model_in_half_precision(transformers, tmp_path):
    model, example, _ = real(transformers, "ViTForImageClassification")
    names = [site.name for site in autoact.find_sites(model, example).searchable]
    changed = autoact.apply(model, mixed_in(names, ("tanh", "prelu")), example_input=example).bfloat16()
    changed.save_pretrained(tmp_path)
    again = autoact.from_pretrained(type(model), tmp_path, example_input=example)
    assert {weight.dtype for weight in again.parameters()} == {torch.bfloat16}
    halves = {name: value.bfloat16() for name, value in example.items()}
    with torch.no_grad():
        assert torch.equal(again.eval()(**halves)[0], changed(**halves)[0])
