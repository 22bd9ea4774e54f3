"""The emitted source: computes what autoact computes, without autoact."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autoact import activations
from autoact.activations import registry
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.recommendation import Policy, Recommendation
from autoact.recommendation.python_source import to_python
from autoact.sites import apply

CHANNELS = 8
GIVEN = ["leaky_relu(negative_slope=0.2)", "snake(a=2)", "sine(omega=3)", "softplus(beta=2)", "maxout(pieces=4)"]
NAMES = [row.name for row in registry.all()] + GIVEN


def recommendation(assignment: dict[str, str], current: str = "relu", channel_dim: int = -1) -> Recommendation:
    better = Policy(True, Assignment(assignment), {}, 3, "better")
    kept = Policy(False, Assignment(dict.fromkeys(assignment, current)), {}, 3, "kept")
    site = {"current": current, "shape": [2, CHANNELS], "channels": CHANNELS, "channel_dim": channel_dim}
    sites = {name: dict(site) for name in assignment}
    policies = {"quality": better, "economy": kept}
    return Recommendation("demo", "2026-01-01T00:00:00+00:00", "Take it.", {}, policies, kept, sites)


# In the process below there is no autoact: what the source makes is saved as the outputs of all functions.
SCRIPT = """
import importlib.abc, sys, torch

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "autoact":
            raise ModuleNotFoundError("there is no autoact here")

sys.meta_path.insert(0, Wall())
from emitted import ACTIVATIONS
torch.manual_seed(0)
x, image = torch.randn(16, 8) * 3, torch.randn(4, 8, 5)
found = {}
for site, make in ACTIVATIONS.items():
    module = make().eval()
    out = module(x)
    found[site] = (out, [name for name, _ in module.named_parameters()])
torch.save(found, "found.pt")
"""


def test_all_activations_of_the_catalogue_compute_the_same_without_autoact(tmp_path: Path) -> None:
    # A site for each; "identity" stands there now, so that relu is a change as well.
    assignment = {f"act{k}": name for k, name in enumerate(NAMES) if name != "identity"}
    source = to_python(recommendation(assignment, current="identity"))
    assert "autoact" not in source.replace("autoact recommends", "").replace("with\nautoact:", "").replace(
        "'autoact:'", ""
    )
    (tmp_path / "emitted.py").write_text(source, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    torch.manual_seed(0)
    x = torch.randn(16, CHANNELS) * 3
    assert len(found) == len(assignment) > 45
    for site, name in assignment.items():
        ours = activations.build(name, channels=CHANNELS).eval()
        torch.testing.assert_close(
            found[site][0], ours(x), rtol=0, atol=0, msg=lambda text, name=name: f"{name}: {text}"
        )
        assert found[site][1] == [key for key, _ in ours.named_parameters()]


def executed(source: str) -> dict[str, Any]:
    space: dict[str, Any] = {}
    exec(source, space)
    return space


def test_it_goes_into_a_model_under_all_names_and_takes_its_weights() -> None:
    shared = nn.ReLU()
    made = recommendation({"act": "prelu", "1": "tanh"}, channel_dim=1)
    model = nn.Sequential(nn.Conv1d(3, CHANNELS, 3), nn.ReLU(), nn.Conv1d(CHANNELS, CHANNELS, 3))
    model.add_module("act", shared)
    model.add_module("again", shared)
    ours = made.apply(model, "quality")
    assert isinstance(ours, nn.Sequential)
    with torch.no_grad():
        ours.get_submodule("act").weight.mul_(torch.arange(CHANNELS))
    theirs = executed(to_python(made, "quality"))["apply_"](model)
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if "autoact:" not in k})
    assert theirs.again is theirs.act
    x = torch.randn(2, 3, 20)
    assert torch.equal(theirs(x), ours(x))


def test_it_says_how_weights_of_activations_train() -> None:
    said = "0.1 times the learning rate, and no weight decay, for weights of activations, as in the search."
    for name, found in (("prelu", True), ("tanh", False)):
        source = to_python(replace(recommendation({"1": name}), activation_rate=0.1))
        assert (said in str(executed(source)["__doc__"])) == found


def test_gated_sites_say_that_the_widths_change() -> None:
    source = to_python(recommendation({"1": "swiglu", "3": "gelu"}))
    assert "The layers before and behind 1 have other widths" in source
    out = executed(source)["ACTIVATIONS"]["1"]()(torch.ones(2, 8))
    assert out.shape == (2, 4)


def test_what_cannot_be_written_is_an_error() -> None:
    with pytest.raises(AutoactError, match="policy economy keeps the activations of the model"):
        to_python(recommendation({"1": "tanh"}), "economy")
    with pytest.raises(AutoactError, match="unknown policy"):
        to_python(recommendation({"1": "tanh"}), "best")
    made = recommendation({"1": "prelu"})
    made.sites["1"]["channels"] = None  # type: ignore[index]
    with pytest.raises(AutoactError, match="prelu has weights per channel"):
        to_python(made)


def test_an_activation_of_your_own_is_an_error() -> None:
    activations.register("only_here", lambda x: x.clamp(-1, 1))
    try:
        with pytest.raises(AutoactError, match="only_here is an activation of your own"):
            to_python(recommendation({"1": "only_here"}))
    finally:
        activations.unregister("only_here")


HOSTILE = [
    'x"""\nimport os\nos.system("touch here")\n"""',
    'x""" + __import__("os").system("touch here") + """',
    "x\\",
    "x'''\nimport os\n'''",
    "a\nimport os\n#",
    "a\r\u2028import os",
    "\x1b[2J\u202e",
]


def shape_of(source: str) -> list[str]:
    """The statements of a module, less all text in them."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return [ast.dump(statement) for statement in tree.body]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["task", "site", "policy", "created", "verdict", "reason"])
def test_text_of_the_file_never_becomes_a_statement(field: str, text: str) -> None:
    def written(words: str) -> str:
        made = recommendation({words if field == "site" else "1": "swiglu", "3": "prelu"})
        better = made.policies["quality"]
        if field in ("task", "created", "verdict"):
            object.__setattr__(made, field, words)  # past what makes a label of it
        if field == "reason":
            made = replace(made, policies={"quality": replace(better, reason=words)})
        if field == "policy":
            made = replace(made, policies={words: better})
        return to_python(made, words if field == "policy" else "quality")

    hostile = written(text)
    compile(hostile, "emitted", "exec")
    assert shape_of(hostile) == shape_of(written("plain"))
    assert "\x1b" not in hostile and "\u202e" not in hostile and "\u2028" not in hostile


def test_the_source_fits_a_layer_that_holds_its_activation_as_a_function() -> None:
    layer = nn.TransformerEncoderLayer(CHANNELS, 2, 16, batch_first=True).eval()
    assignment = {"activation": "tanh", "norm1": "derf"}
    expected = apply(layer, assignment, example_input=torch.zeros(2, 3, CHANNELS))
    emitted: dict[str, Any] = {}
    exec(to_python(recommendation(assignment)), emitted)
    x = torch.randn(2, 3, CHANNELS)
    with torch.no_grad():
        assert torch.allclose(emitted["apply_"](layer).eval()(x), expected.eval()(x), atol=1e-6)
