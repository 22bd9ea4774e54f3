"""Models of ``transformers``: their configuration says which activations they have, or ``assignment.json`` does."""

import json

import pytest
import torch

import autoact


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
@pytest.mark.parametrize("choices", [("tanh", "relu"), ("sine(omega=2.5)",), ("prelu", "swiglu")], ids="-".join)
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
    known = {} if choices in (("tanh", "relu"), ("sine(omega=2.5)",)) else {"example_input": example}
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_arguments_of_a_real_class(transformers, tmp_path):
    model, example, _ = real(transformers, "BertForSequenceClassification")
    changed = changed_everywhere(model, example, "sine")
    changed.save_pretrained(tmp_path / "inside")
    given = {"subfolder": "inside", "num_labels": 3, "ignore_mismatched_sizes": True, "dtype": torch.bfloat16}
    again = autoact.from_pretrained(type(model), str(tmp_path), **given)
    assert again.classifier.out_features == 3 and again.dtype == torch.bfloat16
    assert str(again.bert.encoder.layer[0].intermediate.intermediate_act_fn) == "ActivationModule(sine)"
    loaded, saved = (one.bert.embeddings.word_embeddings.weight for one in (again, changed))
    assert torch.equal(loaded, saved.bfloat16())
    with pytest.raises(autoact.AutoactError, match=r"of a BertForSequence.* unknown site 'bert.pooler.activation'"):
        autoact.from_pretrained(transformers.BertForTokenClassification, tmp_path / "inside")
