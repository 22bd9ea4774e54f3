"""Whatever has a ``save_pretrained`` keeps its activations, whatever its configuration is."""

import copy
import dataclasses
import json
import pickle
import sys
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

import autoact
from autoact.sites.replacement.save_pretrained import RefusedSave

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def transformers(monkeypatch):
    """A table of activations where ``transformers`` has one, so that configurations are searched for their names."""
    table = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
    module = ModuleType("transformers.activations")
    module.ACT2CLS, module.ACT2FN = table, {name: kind() for name, kind in table.items()}
    monkeypatch.setitem(sys.modules, "transformers.activations", module)


class Saves(nn.Module):
    """Saves itself as it likes, and loads leniently."""

    def __init__(self, config=None):
        super().__init__()
        self.config = config
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.net(x)

    def save_pretrained(self, save_directory, name="weights.pt", **more):
        """More is for other programs."""
        torch.save(self.state_dict(), Path(save_directory, name))
        return name

    @classmethod
    def from_pretrained(cls, save_directory, name="weights.pt"):
        model = cls()
        model.load_state_dict(torch.load(Path(save_directory, name), weights_only=True), strict=False)
        return model


class NoConfig(Saves):
    def __init__(self):
        super().__init__()
        del self.config


class BrokenConfig(Saves):
    @property
    def config(self):
        raise RuntimeError("not built yet")

    @config.setter
    def config(self, value):
        pass


class Slots:
    __slots__ = ("hidden_act",)


@dataclasses.dataclass
class Data:
    hidden_act: str = "relu"


@dataclasses.dataclass(frozen=True)
class Frozen:
    hidden_act: str = "relu"


def slotted():
    config = Slots()
    config.hidden_act = "relu"
    return config


CONFIGS = {
    "None": None,
    "a mapping": {"hidden_act": "relu", 3: "relu", "inner": {"activation": "relu"}},
    "a frozen mapping": MappingProxyType({"hidden_act": "relu"}),
    "a dataclass": Data(),
    "a frozen dataclass": Frozen(),
    "a class": Data,
    "a namespace": SimpleNamespace(hidden_act="relu"),
    "slots": slotted(),
    "a path": "config.json",
    "a number": 3,
    "itself": {"hidden_act": "relu"},
}
CONFIGS["itself"].update(one=CONFIGS["itself"], other=CONFIGS["itself"])


def guarded(model, folder, *given, **named):
    """Save, with the warning."""
    with pytest.warns(UserWarning, match=r"load with autoact.from_pretrained\("):
        return model.save_pretrained(folder, *given, **named)


@pytest.mark.parametrize("config", CONFIGS)
def test_any_configuration(config, tmp_path):
    model = Saves(CONFIGS[config] if config != "a frozen mapping" else None)
    if config == "a frozen mapping":
        changed = autoact.apply(model, {"net.1": "tanh"})
        changed.config = CONFIGS[config]
        autoact.apply_(changed, {"net.1": "gelu"})
    else:
        changed = autoact.apply(model, {"net.1": "tanh"})
    guarded(changed, tmp_path)
    with pytest.raises(FileNotFoundError):
        Saves.from_pretrained(tmp_path)
    assert torch.equal(autoact.from_pretrained(Saves, tmp_path)(X), changed(X))


@pytest.mark.parametrize("kind", [NoConfig, BrokenConfig])
def test_no_configuration(kind, tmp_path):
    changed = autoact.apply(kind(), {"net.1": "tanh"})
    guarded(changed, tmp_path)
    assert torch.equal(autoact.from_pretrained(kind, str(tmp_path))(X), changed(X))


def test_what_is_written(tmp_path):
    folder = tmp_path / "new" / "folder"
    assert guarded(autoact.apply(Saves(), {"net.1": "tanh"}), folder) == "weights.pt", "as the class returns it"
    assert json.loads((folder / "assignment.json").read_text()) == {
        "kind": "autoact assignment",
        "format": 1,
        "load_with": "autoact.from_pretrained(Saves, folder)",
        "model": "Saves",
        "weights": "load_with_autoact",
        "config": {},
        "assignment": {"net.1": "tanh"},
    }
    assert sorted(file.name for file in folder.rglob("*")) == ["assignment.json", "load_with_autoact", "weights.pt"]


def test_arguments_reach_the_class(tmp_path):
    changed = autoact.apply(Saves(), {"net.1": "tanh"})
    with pytest.warns(UserWarning):
        assert changed.save_pretrained(save_directory=tmp_path, name="mine.pt", further=1) == "mine.pt"
    assert torch.equal(autoact.from_pretrained(Saves, tmp_path, name="mine.pt")(X), changed(X))


def test_it_is_told_once(tmp_path):
    changed = autoact.apply(Saves(), {"net.1": "tanh"})
    guarded(changed, tmp_path)
    changed.save_pretrained(tmp_path / "again")  # a second warning would be an error


def test_files_of_an_earlier_save_are_not_found_in_its_place(tmp_path):
    model = Saves()
    model.save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    changed = autoact.apply(model, {"net.1": "tanh"})
    guarded(changed, tmp_path)
    with pytest.raises(FileNotFoundError):
        Saves.from_pretrained(tmp_path)
    assert (tmp_path / "README.md").is_file()
    assert torch.equal(autoact.from_pretrained(Saves, tmp_path)(X), changed(X))


def test_only_the_main_process_writes(tmp_path):
    autoact.apply(Saves(), {"net.1": "tanh"}).save_pretrained(tmp_path, is_main_process=False)
    assert not (tmp_path / "assignment.json").exists()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_saves_itself(copied, tmp_path):
    changed = autoact.apply(Saves(), {"net.1": "tanh"})
    other = copied(changed)
    with torch.no_grad():
        other.net[0].weight.zero_()
    guarded(other, tmp_path)
    assert not torch.equal(other(X), changed(X))
    assert torch.equal(autoact.from_pretrained(Saves, tmp_path)(X), other(X))


def test_an_unchanged_part_saves_itself_as_ever(tmp_path):
    whole = nn.ModuleDict({"one": Saves(), "two": Saves()})
    autoact.apply_(whole, {"one.net.1": "tanh"})
    assert "save_pretrained" in vars(whole["one"]) and "save_pretrained" not in vars(whole["two"])
    guarded(whole["one"], tmp_path)
    assert torch.equal(autoact.from_pretrained(Saves, tmp_path)(X), whole["one"](X))


@pytest.mark.parametrize(
    ("given", "named", "message"),
    [
        ((), {}, "needs a folder first, not None"),
        ((3,), {}, "needs a folder first, not 3"),
        (("folder",), {"push_to_hub": True}, r"save first, then call push_to_hub\(repo_id\)"),
    ],
)
def test_what_cannot_be_saved_so(given, named, message):
    with pytest.raises(autoact.AutoactError, match=message):
        autoact.apply(Saves(), {"net.1": "tanh"}).save_pretrained(*given, **named)


def test_models_pickled_whole_by_an_earlier_version_still_refuse(tmp_path):
    changed = autoact.apply(Saves(), {"net.1": "tanh"})
    earlier = RefusedSave.__new__(RefusedSave)
    vars(earlier).update(model="Saves", assignment="tanh")
    vars(changed)["save_pretrained"] = pickle.loads(pickle.dumps(earlier))
    with pytest.raises(autoact.AutoactError, match=r"would lose the activations of this Saves \(tanh\)"):
        changed.save_pretrained(tmp_path)
    guarded(autoact.restore_(Saves(), changed.state_dict()), tmp_path)


def test_a_method_that_somebody_put_in_stays():
    model = Saves()
    vars(model)["save_pretrained"] = mine = lambda folder: None
    autoact.apply_(model, {"net.1": "tanh"})
    assert vars(model)["save_pretrained"] is not mine, "it would lose the activations"


class Follows(Saves):
    """Is what its configuration says: a mapping, or an object that takes what it is given."""

    def __init__(self, config):
        super().__init__(config)
        said = config["hidden_act"] if isinstance(config, dict) else config.hidden_act
        self.net[1] = sys.modules["transformers.activations"].ACT2CLS[said]()

    @classmethod
    def from_pretrained(cls, folder, config):
        model = cls(config)
        model.load_state_dict(torch.load(Path(folder, "weights.pt"), weights_only=True), strict=False)
        return model


@pytest.mark.parametrize(
    "config", [{"hidden_act": "relu"}, Data(), SimpleNamespace(hidden_act="relu"), Frozen()], ids=repr
)
def test_a_configuration_that_may_not_be_saved_is_left_alone(config, tmp_path):
    """Only those of transformers are known to be saved as they are."""
    changed = autoact.apply(Follows(config), {"net.1": "tanh"})
    assert str(changed.config) == str(config)
    guarded(changed, tmp_path)
    assert torch.equal(autoact.from_pretrained(Follows, tmp_path, config=config)(X), changed(X))
