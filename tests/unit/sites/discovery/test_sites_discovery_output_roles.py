"""Heads, gates and scales are kept, however they are written; hidden layers stay sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.core.errors import AutoactError
from autoact.sites import find_sites
from autoact.sites.discovery.output_roles import GATE, PARAMETERS, SCALE
from autoact.sites.site import OUTPUT
from autoact.space.build_space import build_space
from autoact.space.settings import SpaceSettings

X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


@dataclass
class Answer:
    """What some models return."""

    p: Tensor
    h: Tensor | None = None


class Kept:
    """What other code may return: an object of its own."""

    def __init__(self, p: Tensor) -> None:
        self.p = p


class Net(nn.Module):
    """Modules by name and a forward given as a function."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def body() -> dict[str, nn.Module]:
    return {"fc": nn.Linear(8, 16), "act": nn.ReLU(), "head": nn.Linear(16, 2)}


WAYS: dict[str, Callable[[Tensor], Any]] = {
    "itself": lambda p: p,
    "clamp": lambda p: p.clamp(1e-6, 1 - 1e-6),
    "epsilon": lambda p: p + 1e-6,
    "scaled": lambda p: 1 + 4 * p,
    "cat": lambda p: torch.cat([1 - p, p], 1),
    "stack": lambda p: torch.stack([p, p * 2]),
    "log": torch.log,
    "logit": torch.logit,
    "where": lambda p: torch.where(X[:, :1] > 0, p, 1 - p),
    "mean": lambda p: p.mean(1),
    "max": lambda p: p.max(1),
    "double": lambda p: p.double(),
    "half and back": lambda p: p.half().float(),
    "power": lambda p: p**-0.5,
    "slice": lambda p: p[:, 0],
    "chunk": lambda p: p.chunk(2, 1),
    "unbind": lambda p: p.unbind(1),
    "squeeze": lambda p: p[:, :1].squeeze(-1),
    "view": lambda p: p.view(-1),
    "permute": lambda p: p.permute(1, 0).contiguous(),
    "normal": lambda p: torch.distributions.Normal(p, F.softplus(p) + 1e-3),
    "bernoulli": lambda p: torch.distributions.Bernoulli(p),
    "dict": lambda p: {"p": p, "loss": (p - 1).square().mean()},
    "dataclass": Answer,
    "object": Kept,
    "detached": lambda p: (p, p.detach()),
    "in a buffer": lambda p: torch.zeros(4, 3).index_copy_(1, torch.tensor([0, 2]), p),
    "written in place": lambda p: p.mul_(2).sub_(1),
    "cumulated": lambda p: p.cumsum(1),
    "own product": lambda p: p * (1 - p),
    "loss": lambda p: F.binary_cross_entropy(p, torch.ones_like(p)),
    "normalised": lambda p: p / p.sum(1, keepdim=True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Softplus(), nn.Tanh()], ids=["sigmoid", "softplus", "tanh"])
def test_whatever_is_done_to_a_head_it_is_kept_and_the_hidden_layer_is_searched(way: str, last: nn.Module) -> None:
    model = Net(lambda m, x: WAYS[way](m.last(m.head(m.act(m.fc(x)))).clamp(0, 1)), **body(), last=last)
    sites = find_sites(model, X)
    assert {site.name: site.kept for site in sites if site.name in ("act", "last")} == {"act": "", "last": OUTPUT}


def kept(forward: Callable[[Any, Tensor], Any], **modules: nn.Module) -> dict[str, str]:
    return {site.name: site.kept for site in find_sites(Net(forward, **modules), X)}


def test_features_that_are_returned_beside_what_a_layer_makes_of_them_stay_sites() -> None:
    def forward(m: Any, x: Tensor) -> dict[str, Tensor]:
        h = m.act(m.fc(x))
        return {"backbone_features": h, "logits": m.head(h)}

    assert kept(forward, **body()) == {"act": ""}


def test_gates_are_kept_and_what_they_gate_is_searched() -> None:
    def excite(m: Any, x: Tensor) -> Tensor:
        h = m.act(m.fc(x))
        return m.head(h * m.gate(m.up(m.inner(m.down(h)))))

    squeezed = {"down": nn.Linear(16, 4), "inner": nn.ReLU(), "up": nn.Linear(4, 16), "gate": nn.Sigmoid()}
    assert kept(excite, **body(), **squeezed) == {"act": "", "inner": "", "gate": GATE}

    def by_halves(m: Any, x: Tensor) -> Tensor:
        a, b = m.fc(x).chunk(2, 1)
        return m.head(a * m.gate(b))

    assert kept(by_halves, fc=nn.Linear(8, 32), gate=nn.Sigmoid(), head=nn.Linear(16, 2)) == {"gate": GATE}

    def highway(m: Any, x: Tensor) -> Tensor:
        gate = m.gate(m.decide(x))
        return m.head(torch.lerp(x, m.act(m.fc(x)), gate))

    parts = {"fc": nn.Linear(8, 8), "act": nn.ReLU(), "decide": nn.Linear(8, 8), "gate": nn.Hardsigmoid()}
    assert kept(highway, **parts, head=nn.Linear(8, 2)) == {"act": "", "gate": GATE}


def test_a_recurrent_cell_by_hand_keeps_its_gates() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        h = c = torch.zeros(4, 6)
        for _ in range(3):
            i, f, o, g = m.cell(torch.cat([x, h], 1)).chunk(4, 1)
            c = m.keep(f) * c + m.write(i) * m.new(g)
            h = m.show(o) * m.seen(c)
        return m.head(m.act(m.fc(h)))

    cell = {"keep": nn.Sigmoid(), "write": nn.Sigmoid(), "new": nn.Tanh(), "show": nn.Sigmoid(), "seen": nn.Tanh()}
    found = kept(forward, cell=nn.Linear(14, 24), fc=nn.Linear(6, 5), act=nn.ReLU(), head=nn.Linear(5, 1), **cell)
    assert found == {**dict.fromkeys(cell, GATE), "act": ""}


def test_an_activation_that_gates_its_own_input_and_a_gated_unit_are_searched() -> None:
    swish = Net(
        lambda m, x: m.head((h := m.fc(x)) * m.act(h)), fc=nn.Linear(8, 16), act=nn.Hardsigmoid(), head=nn.Linear(16, 2)
    )
    assert all(not site.kept for site in find_sites(swish, X))
    unit = {"fc": nn.Linear(8, 16), "act": nn.SiLU(), "other": nn.Linear(8, 16), "head": nn.Linear(16, 2)}
    assert kept(lambda m, x: m.head(m.act(m.fc(x)) * m.other(x)), **unit) == {"act": ""}


def test_masks_and_scales_do_not_make_a_gate() -> None:
    modules = {"fc": nn.Linear(8, 16), "act": nn.Tanh(), "head": nn.Linear(16, 2)}
    model = Net(lambda m, x: m.head(m.act(m.fc(x)) * (x[:, :1] > 0).float() * 0.5), **modules)
    assert {site.name: site.kept for site in find_sites(model, X)} == {"act": ""}


def test_what_scales_random_numbers_is_kept() -> None:
    modules = {
        "mean": nn.Linear(8, 4),
        "raw": nn.Linear(8, 4),
        "std": nn.Softplus(),
        "fc": nn.Linear(4, 8),
        "act": nn.ReLU(),
    }
    decoder = {**modules, "head": nn.Linear(8, 2)}

    def by_noise(m: Any, x: Tensor) -> Tensor:
        mean, std = m.mean(x), m.std(m.raw(x))
        return m.head(m.act(m.fc(mean + std * torch.randn_like(std))))

    def by_sample(m: Any, x: Tensor) -> Tensor:
        return m.head(m.act(m.fc(torch.distributions.Normal(m.mean(x), m.std(m.raw(x))).rsample())))

    for forward in (by_noise, by_sample):
        assert kept(forward, **decoder) == {"std": SCALE, "act": ""}


def test_what_is_computed_from_parameters_alone_is_kept() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw, self.positive = nn.Parameter(torch.zeros(8)), nn.Softplus()
            self.fc, self.act, self.head = nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.act(self.fc(x * self.positive(self.raw + 1))))

    assert {site.name: site.kept for site in find_sites(Scaled(), X)} == {"act": "", "positive": PARAMETERS}


def test_convolutions_recurrent_layers_and_attention_count_as_layers() -> None:
    recurrent = Net(
        lambda m, x: m.rnn(m.act(m.fc(x))[None])[0][-1], fc=nn.Linear(8, 6), act=nn.ReLU(), rnn=nn.LSTM(6, 3)
    )
    assert [site.kept for site in find_sites(recurrent, X) if site.name == "act"] == [""]
    images = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
    assert [site.kept for site in find_sites(images, torch.randn(2, 1, 8, 8))] == [""]
    attended = Net(
        lambda m, x: m.attend(*[m.act(m.fc(x))[None]] * 3)[0],
        fc=nn.Linear(8, 4),
        act=nn.ReLU(),
        attend=nn.MultiheadAttention(4, 2),
    )
    assert [site.kept for site in find_sites(attended, X)] == [""]


def test_what_is_kept_is_searched_where_it_is_named() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    sites = find_sites(model, X)
    settings = SpaceSettings(candidates=["relu", "tanh"], include=["*", "3"])
    assert set(build_space(sites.named(settings.include), settings, {}).groups) == {"1", "3"}
    assert set(build_space(sites, SpaceSettings(candidates=["relu", "tanh"]), {}).groups) == {"1"}
    with pytest.raises(AutoactError, match="matches only the model's output"):
        from autoact.sites import apply

        apply(nn.Sequential(nn.Linear(8, 1), nn.Sigmoid()), {"*": "tanh"}, example_input=X)
