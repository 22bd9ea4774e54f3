"""The same assignment gives equal outputs through every integration, by public names only. All its pages run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import lightning
import optuna
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

import autoact

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "docs" / "integrations" / f"{name}.md" for name in ("pytorch", "lightning", "optuna", "hydra", "huggingface")
]
X = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
ASSIGNMENTS = {
    "uniform": {"net.1": "silu", "net.3": "silu"},
    "mixed": {"net.1": "tanh", "net.3": "leaky_relu(negative_slope=0.2)"},
    "learnable": {"net.1": "prelu", "net.3": "snake"},
}


class Config:
    """What a model of Hugging Face's kind is built from."""

    model_type, hidden_act = "own", "relu"


class Net(lightning.LightningModule):
    """Serves every face; has the configuration and the methods of Hugging Face's models too."""

    def __init__(self):
        super().__init__()
        self.config = Config()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x)

    def predict_step(self, batch, batch_idx):
        return self(batch)

    def save_pretrained(self, folder):
        """The weights."""
        torch.save(self.state_dict(), Path(folder) / "weights.pt")

    @classmethod
    def from_pretrained(cls, folder):
        """A model with these weights."""
        model = cls()
        model.load_state_dict(torch.load(Path(folder) / "weights.pt", weights_only=True))
        return model


def recommended(folder, assignment):
    """A recommendation file, as a search writes it."""
    from autoact.recommendation import Policy

    sites = {name: {"current": "relu", "shape": [2, 16], "channels": 16, "channel_dim": -1} for name in assignment}
    chosen = Policy(True, autoact.Assignment(assignment), {}, 3, "better")
    base = Policy(False, autoact.Assignment(dict.fromkeys(assignment, "relu")), {}, 3, "as it is")
    rec = autoact.Recommendation("t", "2026-01-01T00:00:00Z", "v", {}, {"quality": chosen}, base, sites)
    return rec.save(folder / "recommended.yaml")


def through_any_loop(model, assignment, folder):
    return autoact.load_recommendation(recommended(folder, assignment)).apply(model)


def through_apply(model, assignment, folder):
    return autoact.apply(model, assignment, example_input=X)


def through_weights(model, assignment, folder):
    weights = autoact.apply(model, assignment, example_input=X).state_dict()
    return autoact.restore_(Net(), weights, example_input=X)


def through_lightning(model, assignment, folder):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    callback = autoact.ApplyActivations(recommended(folder, assignment))
    run = lightning.Trainer(default_root_dir=folder, enable_checkpointing=False, callbacks=[callback], **quiet)
    run.predict(model, torch.utils.data.DataLoader(X, batch_size=16))
    return model


def through_optuna(model, assignment, folder):
    trial = optuna.trial.FixedTrial({f"autoact.{site}": choice for site, choice in assignment.items()})
    changed = autoact.suggest(trial, model, list(assignment.values()), granularity="site", example_input=X)
    assert autoact.assignment_from(trial) == autoact.Assignment(assignment)
    return changed


def through_hydra(model, assignment, folder):
    config = OmegaConf.load(ROOT / "conf" / "plugin" / "autoact" / "recommendation" / "file.yaml")
    return instantiate(config, path=str(recommended(folder, assignment)))(model)


FACES = [through_any_loop, through_apply, through_weights, through_lightning, through_optuna, through_hydra]


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*num_workers")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("kind", ASSIGNMENTS)
@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__.removeprefix("through_"))
def test_equal_outputs(face, kind, tmp_path):
    assignment = ASSIGNMENTS[kind]
    torch.manual_seed(0)
    model = Net()
    layers = [model.net[0], model.net[2], model.net[4]]
    with torch.no_grad():
        expected = X
        for layer, choice in zip(layers, [*assignment.values(), None], strict=True):
            expected = layer(expected)
            if choice:
                expected = FUNCTIONS[choice](expected)
        plain = model(X)
        changed = face(model, assignment, tmp_path).eval()
        assert torch.allclose(changed(X), expected, atol=1e-6) and not torch.allclose(plain, expected, atol=1e-3)
    assert autoact.assignment_in(changed.state_dict()).to_dict() == assignment
    # No activation of this model is in its configuration's reach: the change is not lost.
    saved = tmp_path / "saved"
    with pytest.warns(UserWarning, match="Net.from_pretrained alone cannot build the activations of this model"):
        changed.save_pretrained(saved)
    with pytest.raises(FileNotFoundError):
        Net.from_pretrained(saved)
    with torch.no_grad():
        loaded = autoact.from_pretrained(Net, saved, example_input=X).eval()
        assert torch.allclose(loaded(X), expected, atol=1e-6)


FUNCTIONS = {
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
    "leaky_relu(negative_slope=0.2)": lambda x: nn.functional.leaky_relu(x, 0.2),
    "prelu": lambda x: nn.functional.leaky_relu(x, 0.25),
    "snake": lambda x: x + torch.sin(x) ** 2,
}

# PyYAML, torch, and what torch itself requires.
ALLOWED = """
    yaml torch torchgen functorch typing_extensions sympy mpmath networkx jinja2 markupsafe fsspec filelock
"""


def small_installation(folder):
    """A folder with links to the allowed packages and to autoact alone."""
    folder.mkdir()
    for name in ALLOWED.split():
        spec = importlib.util.find_spec(name)
        if spec is not None:
            found = Path(spec.submodule_search_locations[0] if spec.submodule_search_locations else spec.origin)
            (folder / found.name).symlink_to(found)
    (folder / "autoact").symlink_to(ROOT / "autoact")
    return folder


def blocks(page):
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(folder, script):
    """The finished process of a script that finds autoact, and its plugin where an installation has it."""
    plugins = folder / "site" / "hydra_plugins"
    plugins.mkdir(parents=True)
    ours = ROOT / "autoact" / "integrations" / "hydra_plugins" / "autoact_searchpath"
    (plugins / "autoact_searchpath").symlink_to(ours)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugins.parent), str(ROOT)])}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_runs(page, tmp_path):
    if page.stem == "huggingface":
        pytest.importorskip("transformers")
    prefix = "net." if page.stem == "lightning" else ""
    recommended(tmp_path, {f"{prefix}1": "tanh", f"{prefix}3": "gelu"})
    code = blocks(page)
    assert code
    done = run(tmp_path, "\n".join(code))
    assert done.returncode == 0, done.stderr[-3000:]
    if page.stem in ("lightning", "pytorch"):
        assert "autoact:tanh" in done.stdout and "Unexpected key" in done.stdout
    if page.stem == "hydra":
        assert "ActivationModule(tanh)" in done.stdout
    if page.stem == "huggingface":
        assert "\nrelu\n" in done.stdout and "'load with autoact.from_pretrained" in done.stdout


def test_any_loop_needs_torch_and_pyyaml_only(tmp_path):
    recommended(tmp_path, {"1": "tanh", "3": "gelu"})
    there = small_installation(tmp_path / "site")
    # Without its site module Python sees the standard library and this folder.
    code = ["import importlib.util", "assert importlib.util.find_spec('optuna') is None", *blocks(PAGES[0])]
    command = [sys.executable, "-S", "-W", "ignore", "-c", "\n".join(code)]
    environment = {**os.environ, "PYTHONPATH": str(there)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "{'1': 'tanh', '3': 'gelu'}" in done.stdout


def test_every_page_of_the_folder_is_run():
    others = {"sklearn", "own-module"}  # they have tests of their own
    assert {page.stem for page in (ROOT / "docs" / "integrations").glob("*.md")} - others == {
        page.stem for page in PAGES
    }
