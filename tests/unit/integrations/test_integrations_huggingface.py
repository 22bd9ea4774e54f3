"""``autoact.from_pretrained``: any class with the activations that its saved weights were trained with."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import autoact
from autoact.core.errors import AutoactError

hub = pytest.importorskip("huggingface_hub")
X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


@dataclasses.dataclass
class Shape:
    width: int = 8


class Width:
    def __init__(self, value):
        self.value = value


def layers(width):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))


class Plain(nn.Module, hub.PyTorchModelHubMixin, library_name="plain", tags=["test"]):
    def __init__(self, width=8):
        super().__init__()
        self.net = layers(width)

    def forward(self, x):
        return self.net(x)


class OfMapping(nn.Module, hub.PyTorchModelHubMixin):
    def __init__(self, config: dict):
        super().__init__()
        self.config, self.net = config, layers(config["width"])

    def forward(self, x):
        return self.net(x)


class OfDataclass(nn.Module, hub.PyTorchModelHubMixin):
    def __init__(self, config: Shape):
        super().__init__()
        self.config, self.net = config, layers(config.width)

    def forward(self, x):
        return self.net(x)


class OfNone(nn.Module, hub.PyTorchModelHubMixin):
    def __init__(self, act=nn.ReLU, **others):
        super().__init__()
        self.config, self.others = None, others
        self.net = layers(others["width"])

    def forward(self, x):
        return self.net(x)


class Coded(nn.Module, hub.PyTorchModelHubMixin, coders={Width: (lambda width: width.value, Width)}):
    def __init__(self, width: Width):
        super().__init__()
        self.net = layers(width.value)

    def forward(self, x):
        return self.net(x)


class Functional(nn.Module, hub.PyTorchModelHubMixin):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.second(nn.functional.relu(self.first(x)))


class Follows(OfMapping):
    """Is what its configuration says; what is saved of it is a copy."""

    def __init__(self, config: dict):
        super().__init__(config)
        for index in (1, 3):
            self.net[index] = {"relu": nn.ReLU, "tanh": nn.Tanh}[config["hidden_act"]]()


MODELS = {
    "plain": lambda: Plain(width=16),
    "mapping": lambda: OfMapping({"width": 6}),
    "dataclass": lambda: OfDataclass(Shape(5)),
    "none": lambda: OfNone(width=7),
    "coded": lambda: Coded(Width(9)),
    "functional": Functional,
    "follows": lambda: Follows({"width": 8, "hidden_act": "relu"}),
}


def changed_model(name, choices=("tanh",)):
    model = MODELS[name]()
    names = [site.name for site in autoact.find_sites(model, X).searchable]
    wanted = {site: choices[number % len(choices)] for number, site in enumerate(names)}
    return model, autoact.apply(model, wanted, example_input=X)


@pytest.mark.filterwarnings("ignore:.*from_pretrained alone cannot build")
@pytest.mark.parametrize("over", [False, True], ids=["new folder", "over the unchanged model"])
@pytest.mark.parametrize("choices", [("tanh",), ("gelu", "prelu")], ids="-".join)
@pytest.mark.parametrize("name", MODELS)
def test_models_of_the_hub(name, choices, over, tmp_path, capsys):
    model, changed = changed_model(name, choices)
    if over:
        model.save_pretrained(tmp_path)
    changed.save_pretrained(tmp_path)
    with pytest.raises((FileNotFoundError, TypeError, KeyError)):
        type(model).from_pretrained(tmp_path)
    found = autoact.from_pretrained(type(model), tmp_path, example_input=X)
    assert torch.equal(found(X), changed(X)) and not torch.equal(found(X), model(X))
    assert isinstance(found, type(model)) and not found.training
    found.save_pretrained(tmp_path / "second")
    again = autoact.from_pretrained(type(model), str(tmp_path / "second"), example_input=X)
    assert torch.equal(again(X), changed(X))


def test_a_gated_activation_with_resized_layers(tmp_path):
    model = Plain(width=64)
    changed = autoact.apply(model, {"net.1": "swiglu"}, example_input=X)
    with pytest.warns(UserWarning):
        changed.save_pretrained(tmp_path)
    assert torch.equal(autoact.from_pretrained(Plain, tmp_path, example_input=X)(X), changed(X))
    with pytest.raises(autoact.AutoactError, match="example_input"):
        autoact.from_pretrained(Plain, tmp_path)


def test_the_class_is_as_before_after_loading(tmp_path):
    _, changed = changed_model("plain")
    with pytest.warns(UserWarning):
        changed.save_pretrained(tmp_path)
    before = dict(vars(Plain))
    autoact.from_pretrained(Plain, tmp_path)
    assert dict(vars(Plain)) == before and isinstance(Plain().net[1], nn.ReLU)

    class Inherits(Plain):
        pass

    assert isinstance(autoact.from_pretrained(Inherits, tmp_path), Inherits)
    assert "__init__" not in vars(Inherits) and isinstance(Inherits().net[1], nn.ReLU)


def test_an_unchanged_model_loads_as_ever(tmp_path):
    model = Plain()
    model.save_pretrained(tmp_path)
    assert torch.equal(autoact.from_pretrained(Plain, tmp_path)(X), model(X))


def test_a_folder_of_an_earlier_version_is_told(tmp_path):
    """It wrote markers into the files that the class finds, and reads without looking at them."""
    _, changed = changed_model("plain")
    Plain.save_pretrained(changed, tmp_path)
    with pytest.warns(UserWarning, match=r"'net.1' was trained with tanh \(2 such places\).*autoact.restore_"):
        autoact.from_pretrained(Plain, tmp_path)


def test_a_model_saved_over_a_changed_one_is_told(tmp_path):
    model, changed = changed_model("plain")
    with pytest.warns(UserWarning):
        changed.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    with pytest.raises(autoact.AutoactError, match=r"two models: (config.json|model.safetensors) was saved"):
        autoact.from_pretrained(Plain, tmp_path)
    (tmp_path / "assignment.json").unlink()
    assert torch.equal(autoact.from_pretrained(Plain, tmp_path)(X), model(X))


@pytest.mark.filterwarnings("ignore:.*from_pretrained alone cannot build")
def test_through_the_hub(tmp_path, monkeypatch):
    """What is pushed lies there as in a folder; the network is left out."""
    there = tmp_path / "hub"

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, repo_id, **_):
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, *, folder_path, repo_id, **_):
            shutil.copytree(folder_path, there / repo_id)
            return "a commit"

    monkeypatch.setattr(hub.hub_mixin, "HfApi", Api)
    asked = []
    monkeypatch.setattr(
        hub, "snapshot_download", lambda name, **known: asked.append(known) or str(Path(there, name)), raising=False
    )
    _, changed = changed_model("plain")
    assert changed.push_to_hub("me/net") == "a commit"
    found = autoact.from_pretrained(Plain, "me/net", revision="main", map_location="cpu")
    assert torch.equal(found(X), changed(X)) and asked == [{"revision": "main"}]


class Elsewhere(nn.Module):
    """Does not build its model as ``Elsewhere(...)``."""

    def __init__(self):
        super().__init__()
        self.net = layers(8)

    def save_pretrained(self, folder):
        torch.save(self.state_dict(), Path(folder, "weights.pt"))

    @classmethod
    def from_pretrained(cls, folder):
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model.net = layers(8)
        model.load_state_dict(torch.load(Path(folder, "weights.pt"), weights_only=True), strict=False)
        return model


def test_a_class_that_builds_its_model_in_another_way_is_told(tmp_path):
    changed = autoact.apply(Elsewhere(), {"net.1": "tanh"})
    with pytest.warns(UserWarning, match="alone cannot build"):
        changed.save_pretrained(tmp_path)
    with (
        pytest.warns(UserWarning, match="computes another function"),
        pytest.raises(autoact.AutoactError, match=r"does not build its model as Elsewhere\(...\)"),
    ):
        autoact.from_pretrained(Elsewhere, tmp_path)


@pytest.mark.parametrize("kind", [Plain(), "Plain", nn.Linear, dict])
def test_a_model_class_is_needed(kind, tmp_path):
    with pytest.raises(autoact.AutoactError, match="takes the class of a model that has a from_pretrained"):
        autoact.from_pretrained(kind, tmp_path)


def test_the_weights_of_another_class(tmp_path):
    _, changed = changed_model("plain")
    with pytest.warns(UserWarning):
        changed.save_pretrained(tmp_path)
    with pytest.raises(autoact.AutoactError, match="is of a Plain, give that class if you can: unknown site"):
        autoact.from_pretrained(Functional, tmp_path)


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        ({"kind": "other"}, "kind is 'other'"),
        ({"format": 2}, "format is 2, this version reads 1"),
        ({"weights": "../elsewhere"}, "not in '../elsewhere'"),
        ({"assignment": 3}, "was not written by this version"),
        ({"assignment": None}, "was not written by this version"),
        (None, "'kind' is missing"),
    ],
)
def test_other_files_of_that_name(edited, message, tmp_path):
    _, changed = changed_model("plain")
    with pytest.warns(UserWarning):
        changed.save_pretrained(tmp_path)
    file = tmp_path / "assignment.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **edited} if edited else {}))
    with pytest.raises(autoact.AutoactError, match=message):
        autoact.from_pretrained(Plain, tmp_path)
    file.write_text("{")
    with pytest.raises(autoact.AutoactError, match="was not written by this version"):
        autoact.from_pretrained(Plain, tmp_path)


@pytest.mark.parametrize("folder", ["./none", "/no/such/folder", "a/b/c", Path("none")])
def test_a_folder_that_is_not_there(folder):
    with pytest.raises(autoact.AutoactError, match="there is no folder"):
        autoact.from_pretrained(Plain, folder)


def test_a_class_without_the_configuration_of_the_saved_one(tmp_path):
    _, changed = changed_model("plain")
    with pytest.warns(UserWarning):
        changed.save_pretrained(tmp_path)
    file = tmp_path / "assignment.json"
    edited = {**json.loads(file.read_text()), "model": "Other", "config": {"hidden_act": "relu"}}
    file.write_text(json.dumps(edited))
    with pytest.raises(autoact.AutoactError, match=r"is of a Other, .*: Plain has no configuration of transformers"):
        autoact.from_pretrained(Plain, tmp_path)


def test_without_the_hubs_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(AutoactError, match=r"no folder 'some/model', and its download needs .*'\.\[hub\]'"):
        autoact.from_pretrained(Plain, "some/model")
