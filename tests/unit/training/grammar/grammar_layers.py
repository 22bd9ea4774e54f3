"""Bodies that other people write, by what their layers do: three features in, four hidden ones out."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from grammar_bodies import Layers, Plain
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv1d(1, 4, 2), nn.BatchNorm1d(4), nn.ReLU(inplace=True)
        self.drop = nn.Dropout1d(0.2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop(self.act(self.norm(self.conv(x.unsqueeze(1)))))
        return h.transpose(1, 2).flatten(1).unflatten(1, (2, 4)).mean(1)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.embed(x.unsqueeze(-1))).mean(1)


class Recurrent(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.gru(x.unsqueeze(-1))[0][:, -1]))


class Noisy(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        if self.training:
            h = h + 0.1 * torch.randn_like(h)
        return F.relu(self.second(F.dropout(h, 0.2, self.training)))


class StochasticDepth(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        if self.training and float(torch.rand(1)) < 0.5:
            return h
        return h + self.act(self.second(h))


class KeepsAverage(Layers):
    """Buffers that the forward pass writes, in place and anew, and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
            self.count += 1
            self.calls += 1
        return self.act(self.second(h - self.mean))


class Cached(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None or self.mask.shape[-1] != 4:
            self.mask = torch.tensor([1.0, 0.0, 1.0, 1.0])
        return self.act(self.second(self.act(self.first(x)) * self.mask))


class Remembers(Layers):
    """What the last forward gave is held for whoever asks."""

    def forward(self, x: Tensor) -> Tensor:
        self.hidden = self.act(self.first(x))
        return self.act(self.second(self.hidden))


class Listened(Layers):
    """A forward hook collects features."""

    def __init__(self) -> None:
        super().__init__()
        self.features: dict[str, Tensor] = {}
        self.act.register_forward_hook(self._note)

    def _note(self, module: nn.Module, given: Any, result: Tensor) -> None:
        self.features["act"] = result

    def forward(self, x: Tensor) -> Tensor:
        self.act(self.first(x))
        return F.relu(self.second(self.features["act"]))


class HalvedByHook(Layers):
    """A forward hook changes what the activation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.act.register_forward_hook(lambda module, given, result: 0.5 * result)
        self.second.register_forward_pre_hook(lambda module, given: (given[0] + 0.1,))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.act(self.first(x))))


class OldWeightNorm(Layers):
    """The weight is computed anew by a hook before each forward."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.second = nn.utils.weight_norm(self.second)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.act(self.first(x))))


class Dropouts(Layers):
    """All kinds of dropout, one of which writes into its input, which is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.alpha = nn.Dropout(0.2, inplace=True), nn.AlphaDropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(self.act(self.first(x)))
        return self.alpha(F.selu(self.drop(h) + h))


class Norms(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            [nn.BatchNorm1d(4, track_running_stats=False), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.RMSNorm(4)]
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.norms[1](self.norms[0](self.first(x))))
        return self.act(self.norms[3](self.norms[2](self.second(h).unsqueeze(1)).squeeze(1)))


class Masked(Layers):
    """Writes into what it has computed, place by place."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h[:, 0] = 0.5 * h[:, 0]
        h = self.act(h).masked_fill(x[:, :1] > 0, 0.1)
        top = self.second(h)
        top[x[:, 0] > 0] += 0.1
        return torch.where(top > 0, top, 0.1 * top)


class Filled(Layers):
    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(len(x), 4)
        out[:, :2] = self.act(self.first(x))[:, :2]
        return self.act(self.second(out))


class Renormed(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 4, max_norm=0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.act(self.first(x)) + self.table((x[:, 0] > 0).long())))


class AuxiliaryInTraining(Layers):
    """A branch that runs in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.aux, self.aux_act = nn.Linear(4, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        out = F.relu(self.second(h))
        return out + 0.1 * self.aux_act(self.aux(h)) if self.training else out


class Learnable(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.act, self.last = nn.PReLU(4), nn.RReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.act(self.first(x))))


class Frozen(Layers):
    """A backbone that is not trained, with a norm that does not move."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.first.requires_grad_(False)
        self.norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.norm(self.act(self.first(x)))
        return F.relu(self.second(h))


class Recomputed(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = checkpoint(self.first, x, use_reentrant=False)
        return self.act(self.second(self.act(h)))


class Branching(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        return self.act(self.second(h)) if h.mean() > 0.2 else self.act(self.second(-h))


class Teacher(Layers):
    """A frozen copy runs beside the body."""

    def __init__(self) -> None:
        super().__init__()
        self.student = Plain()
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.student(x) + 0.1 * self.teacher(x)


class Lazy(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Hardswish(inplace=True), nn.Linear(4, 4))
        self.append(nn.Sequential(nn.Softmax(dim=-1)))


class MaxOut(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        return torch.stack([self.second(h), -self.second(h)]).max(0).values
