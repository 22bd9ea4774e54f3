"""Bodies that other people write, by how they call activations: three features in, four hidden ones out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class Plain(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())


class InPlace(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Linear(3, 4),
            nn.BatchNorm1d(4),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(4, 4),
            nn.ELU(1.0, True),
        )


class Layers(nn.Module):
    """Two layers and an activation, for bodies that use them in ways of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4)


class ReadAgain(Layers):
    """The skip connection sees what the activation has written."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return torch.tanh(self.second(self.act(h)) + h)


class Statement(Layers):
    """The activation's result is its input."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        self.act(h)
        return F.silu(self.second(h))


class WritesOutput(Layers):
    """Something writes into what the activation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        h += 0.1
        return self.act(self.second(h)).mul_(0.5)


class Functional(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.second(F.relu(self.first(x))))


class FunctionalInPlace(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = F.relu_(self.first(x))
        return F.leaky_relu(self.second(h), 0.1, inplace=True)


class Clamped(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.second(self.first(x).clamp(min=0)))


class WrittenOut(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = h * torch.sigmoid(h)
        return torch.maximum(self.second(h), torch.zeros((), dtype=h.dtype))


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Lambdas(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 4), Lambda(lambda x: F.relu(x)), nn.Linear(4, 4), Lambda(torch.tanh))


class ByName(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.function, self.last = getattr(F, "relu"), partial(F.leaky_relu, negative_slope=0.2)  # noqa: B009

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.function(self.first(x))))


def outside(x: Tensor) -> Tensor:
    return F.gelu(x)


class OutsideFunction(Layers):
    @staticmethod
    def squash(x: Tensor) -> Tensor:
        return torch.tanh(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.squash(self.second(outside(self.first(x))))


class OnTheFly(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return nn.Tanh()(self.second(nn.ReLU()(self.first(x))))


class WeightNormed(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(self.first)
        self.second = nn.utils.parametrize.register_parametrization(self.second, "weight", Symmetric())

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.act(self.first(x))))


class Symmetric(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 0.5 * (weight + weight.T)


class SpectralNormed(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.second = parametrizations.spectral_norm(self.second)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.act(self.first(x))))


class SharedActivation(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.act(self.first(x))))


class TiedWeights(Layers):
    """One layer is used twice, another is held under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.again, self.last = self.second, nn.Softplus()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.second(self.act(self.first(x))))
        return self.last(self.again(h)) + F.linear(F.linear(h, self.first.weight.t()), self.first.weight)


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 4)])
        self.acts = nn.ModuleDict({"0": nn.GELU(), "1": nn.Mish()})
        self.norms = nn.ModuleList(nn.LayerNorm(4) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(self.acts[str(i)](layer(x)))
        return x


class HeldInAList(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [self.first, self.act, self.second, nn.Tanh()]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class Residual(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(4), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return h + self.drop(self.act(self.second(self.norm(h))))


class Excited(Layers):
    """Squeeze and excite."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite, self.gate = nn.Linear(4, 2), nn.Linear(2, 4), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        return self.second(h) * self.gate(self.excite(F.relu(self.squeeze(h))))


class GatedHalf(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(self.wide(self.act(self.first(x))), dim=-1)
