"""What production training imports: torch and PyYAML, and nothing else that has to be installed."""

import subprocess
import sys
from dataclasses import replace

from autoact.core.assignment import Assignment
from autoact.recommendation import load_recommendation

# In the process below nothing can be imported but these; the second line is what torch itself needs.
ALLOWED = ["autoact", "torch", "torchgen", "functorch", "yaml", "_yaml"]
TORCHS = ["typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec"]

SCRIPT = """
import importlib.abc, sys

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ALLOWED:
            raise ModuleNotFoundError(f"not installed: {name}", name=name)

sys.meta_path.insert(0, Wall())
import autoact
assert "torch" not in sys.modules, "import autoact takes no time"
recommendation = autoact.load_recommendation(FILE)
assert "torch" not in sys.modules, "a recommendation is plain data"

import torch
from torch import nn

class Layer(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.linear, self.act = nn.Linear(inputs, 64), nn.ReLU()

    def forward(self, x):
        return self.act(self.linear(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.head = nn.ModuleList([Layer(30), Layer(64), Layer(64)]), nn.Linear(64, 1)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)

model = recommendation.apply(Net(), "quality")
assert model(torch.zeros(2, 30)).shape == (2, 1)
print(*(type(layer.act).__name__ + ":" + str(layer.act) for layer in model.layers))
print(autoact.find_sites(model, torch.zeros(2, 30)).names)
"""


def test_a_recommendation_needs_torch_and_pyyaml_alone(searched, tmp_path):
    (found,) = searched[0].glob("*/recommended.yaml")
    was = load_recommendation(found)
    choices = ["leaky_relu(negative_slope=0.2)", "tanh", "swish_beta"]
    assignment = Assignment(dict(zip(was.sites, choices, strict=True)))
    better = replace(was.policies["quality"], recommend=True, assignment=assignment)
    file = replace(was, policies={**was.policies, "quality": better}).save(tmp_path / "recommended.yaml")
    script = f"ALLOWED = {ALLOWED + TORCHS!r}\nFILE = {str(file)!r}\n{SCRIPT}"
    # torch warns where there is no numpy.
    quiet = ["-W", "error", "-W", "ignore:Failed to initialize NumPy"]
    done = subprocess.run([sys.executable, *quiet, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    activations, names = done.stdout.splitlines()
    assert "leaky_relu(negative_slope=0.2)" in activations and "tanh" in activations and "swish_beta" in activations
    assert names == "('layers.0.act', 'layers.1.act', 'layers.2.act')"
