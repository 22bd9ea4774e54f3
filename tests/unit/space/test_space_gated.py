"""Layer-level choices in a search: where they are on offer, and the road from there to a recommendation."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autoact.config.groups import conf_dir
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.recommendation import Policy, Recommendation, load_recommendation
from autoact.sites import find_sites
from autoact.space.build_space import build_space
from autoact.space.search_space import SearchSpace
from autoact.space.settings import SpaceSettings
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession

CONFIGURED = {"learning_rate": 0.003, "weight_decay": 0.02}


class Mixed(nn.Module):
    """A convolution with an activation, which refuses, and a perceptron with two that accept."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first = nn.Conv1d(1, 4, 3), nn.ReLU()
        self.a, self.second = nn.Linear(8, 64), nn.ReLU()
        self.b, self.third, self.head = nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.conv(x.unsqueeze(1))).flatten(1)
        return self.head(self.third(self.b(self.second(self.a(x)))))


def perceptron(width: int = 64, depth: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(8, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


def space_of(model: nn.Module, *candidates: str, width: int = 8, **settings: Any) -> SearchSpace:
    if isinstance(model, Mixed):
        width = 4
    sites = find_sites(model, torch.zeros(2, width))
    return build_space(sites, SpaceSettings(candidates=list(candidates), **settings), CONFIGURED)


def test_it_is_on_offer_where_the_site_accepts_it() -> None:
    space = space_of(Mixed(), "tanh", "swiglu", "maxout(pieces=2)")
    assert space.choices_of("first") == ["relu", "tanh"]
    assert space.choices_of("second") == space.choices_of("third") == ["relu", "tanh", "swiglu", "maxout"]
    assert space.size() == 2 * 4 * 4
    assert [list(d.choices) for d in list(space.distributions().values())[:3]] == list(
        map(space.choices_of, space.groups)
    )
    assert space.describe()["choices"]["first"] == ["relu", "tanh"]


def test_what_is_not_on_offer_is_told() -> None:
    space = space_of(Mixed(), "tanh", "swiglu")
    (note,) = space.notes
    assert note.startswith("not tried everywhere: swiglu cannot stand at first: its input comes from conv1d()")
    assert space_of(perceptron(), "tanh", "swiglu").notes == ()


def test_uniform_assignments_are_those_that_fit_everywhere() -> None:
    assert [a.summary() for a in space_of(Mixed(), "tanh", "swiglu").uniform()] == ["tanh"]
    assert [a.summary() for a in space_of(perceptron(), "tanh", "swiglu").uniform()] == ["tanh", "swiglu"]


def test_a_dimension_of_several_sites_offers_what_all_accept() -> None:
    with pytest.raises(AutoactError, match="swiglu can be tried nowhere in this model: swiglu cannot stand at first"):
        space_of(Mixed(), "tanh", "swiglu", granularity="model")
    only = space_of(Mixed(), "tanh", "swiglu", granularity="model", exclude=["first"])
    assert only.choices_of("activation") == ["relu", "tanh", "swiglu"]


def test_a_model_that_was_not_run_offers_none() -> None:
    with pytest.raises(AutoactError, match="was not run: give an example_input"):
        build_space(find_sites(perceptron()), SpaceSettings(candidates=["tanh", "glu"]), CONFIGURED)


def test_layers_that_are_too_small_offer_none() -> None:
    with pytest.raises(AutoactError, match=r"swiglu can be tried nowhere .* no hidden width keeps the 81 parameters"):
        space_of(perceptron(width=8, depth=1), "tanh", "swiglu")


def test_assignments_whose_widths_do_not_fit_together_are_not_allowed() -> None:
    # Each site alone has a width that keeps the parameters; both together have none.
    model = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 28), nn.ReLU(), nn.Linear(28, 1))
    space = space_of(model, "tanh", "swiglu", width=16)
    assert space.choices_of("1") == space.choices_of("3") == ["relu", "tanh", "swiglu"]
    assert space.allowed(Assignment({"1": "swiglu", "3": "tanh"})) and space.allowed(
        Assignment({"1": "tanh", "3": "swiglu"})
    )
    both = Assignment({"1": "swiglu", "3": "swiglu"})
    assert not space.allowed(both) and not space.allowed(both), "remembered"
    assert [assignment.summary() for assignment in space.uniform()] == ["tanh"]
    assert pickle.loads(pickle.dumps(space)).allowed(both) is False


def test_parameters_and_names_translate() -> None:
    space = space_of(perceptron(), "tanh", "swiglu", "maxout(pieces=3)")
    assignment = Assignment({"1": "SwiGLU", "3": "maxout(pieces=3.0)"})
    params = space.point_of(Candidate(assignment)).params
    assert (params["1"], params["3"]) == ("swiglu", "maxout(pieces=3)")
    point = space.point(params)
    assert space.point_of(Candidate(point.assignment)).params == params
    assert point.assignment["3"] == Choice("maxout", (("pieces", 3.0),))
    assert point == space.point_of(Candidate(assignment))
    with pytest.raises(AutoactError, match="unknown activation at first 'swiglu'"):
        mixed = space_of(Mixed(), "tanh", "swiglu")
        mixed.point_of(Candidate(Assignment(dict.fromkeys(mixed.baseline, "swiglu"))))


def test_they_are_opt_in() -> None:
    from autoact.activations import get

    files = {path.stem: path.read_text(encoding="utf-8") for path in (conf_dir() / "candidates").glob("*.yaml")}
    gated = [name for name in ("glu", "reglu", "geglu", "swiglu", "bilinear", "maxout") if get(name).gated]
    assert len(gated) == 6
    assert {
        stem for stem, text in files.items() if any(f" {name}," in text or f"[{name}" in text for name in gated)
    } == {"gated"}


class Net(lightning.LightningModule):
    """Two activations that accept layer-level choices."""

    def __init__(self) -> None:
        super().__init__()
        self.net = perceptron(32)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, 0]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]), batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.02)


class Rows(lightning.LightningDataModule):
    """A product of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.x = torch.randn(96, 8, generator=torch.Generator().manual_seed(0))
        self.y = self.x[:, 0] * self.x[:, 1]

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[:64], self.y[:64]), batch_size=16, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[64:], self.y[64:]), batch_size=32)


@pytest.fixture
def task() -> Task:
    return Task(
        name="tiny",
        make_module=Net,
        make_datamodule=lambda seed: Rows(),
        example_input=torch.zeros(2, 8),
        make_input=lambda n: torch.zeros(n, 8),
        monitor="val_loss",
        mode="min",
        quality_unit="mse",
        trainer={"max_epochs": 6},
    )


def trained(task: Task, *assignments: dict[str, str]) -> LightningSession:
    session = LightningSession(task)
    session.start([(i, Candidate(Assignment(a), {}, 1, "sampled")) for i, a in enumerate(assignments)])
    session.advance()
    return session


def test_a_session_trains_them_and_a_seed_says_it_all(task: Task) -> None:
    gated = {"net.1": "swiglu", "net.3": "maxout"}
    session = trained(task, gated, gated, {"net.1": "relu", "net.3": "relu"})
    first, second, plain = session.records()
    assert (first.status, plain.status) == ("complete", "complete")
    assert first.curve == second.curve != plain.curve
    sizes = [sum(p.numel() for p in module.parameters()) for module in session.modules().values()]
    assert sizes[0] == pytest.approx(sizes[2], rel=0.03)


def test_a_trained_state_finds_its_way_through_a_recommendation_with_torch_alone(task: Task, tmp_path: Path) -> None:
    gated = {"net.1": "swiglu", "net.3": "maxout(pieces=3)"}
    module = trained(task, gated).modules()[0].eval()
    policy = Policy(True, Assignment(gated), {"learning_rate": 0.02}, 6, "better")
    sites = {
        site.name: {
            "current": str(site.current),
            "shape": list(site.shape or ()),
            "channels": site.channels,
            "channel_dim": site.channel_dim,
        }
        for site in find_sites(Net(), torch.zeros(2, 8)).searchable
    }
    made = Recommendation("tiny", "2026-01-01T00:00:00Z", "use it", {"name": "mse"}, {"quality": policy}, policy, sites)
    file = made.save(tmp_path / "recommended.yaml")
    loaded = load_recommendation(file)
    assert loaded.policy("quality").assignment == policy.assignment
    again = loaded.apply(Net(), "quality", example_input=torch.zeros(2, 8)).eval()
    again.load_state_dict(module.state_dict())
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(4))
    assert torch.equal(again(x), module(x))
    with pytest.raises(AutoactError, match="give an example_input"):
        loaded.apply(Net(), "quality")
    torch.save((x, module(x).detach(), module.state_dict()), tmp_path / "state.pt")
    script = _ALONE.format(file=str(file), state=str(tmp_path / "state.pt"))
    quiet = ["-W", "error", "-W", "ignore:Failed to initialize NumPy"]
    done = subprocess.run([sys.executable, *quiet, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "GatedActivation(swiglu)\n")


_ALONE = """
import importlib.abc, sys

ALLOWED = {{"autoact", "torch", "torchgen", "functorch", "yaml", "_yaml", "typing_extensions", "sympy", "mpmath",
           "networkx", "jinja2", "markupsafe", "filelock", "fsspec"}}

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ALLOWED:
            raise ModuleNotFoundError(f"not installed: {{name}}", name=name)

sys.meta_path.insert(0, Wall())
import autoact, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x):
        return self.net(x)[:, 0]

model = autoact.load_recommendation({file!r}).apply(Net(), "quality", example_input=torch.zeros(2, 8)).eval()
x, y, state = torch.load({state!r})
model.load_state_dict(state)
assert torch.equal(model(x), y)
print(model.net[1])
"""


def test_every_reason_for_which_a_candidate_is_dropped_is_told_once() -> None:
    """What the layers cannot change to names its dimensions; what computes the same as another names that one."""
    model = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 28), nn.ReLU(), nn.Linear(28, 1), nn.ReLU())
    model.append(nn.Linear(1, 1))
    space = space_of(model, "elu", "celu", "swiglu", "elu(alpha=1)", width=16, granularity="site")
    assert space.choices_of("5") == ["relu", "elu"]
    layers, same = space.notes
    assert layers.startswith("not tried everywhere: swiglu at 5: no hidden width keeps the 31 parameters of 4, 6")
    assert same == "celu is not tried beside elu: both compute the same"
    assert space_of(perceptron(), "tanh", "gelu").notes == ()
