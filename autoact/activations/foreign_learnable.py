"""Activations with weights that somebody else wrote, known by what they compute."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.spec import Function
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError

_TOLERANCE = 1e-6
_SHIFTS = (0.0, 1 / 16)
"""By how much the weights are moved, times their position: what it may become counts, not only where it stands."""

Weights = Mapping[str, Tensor]


def learnable_choice(module: nn.Module) -> Choice | None:
    """The learnable choice that a module of somebody else's computes, at the weights that it has now.

    Its parameters need the names of a row's, such as ``alpha_p`` and ``alpha_n`` of transformers' xIELU, and a number
    each, or one for each channel of the last axis; and it has to have the row's values, in training and evaluation,
    wherever they are. Where the numbers of a parameter differ, the choice does not say them.

    Example:
        >>> class Swish(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.beta = nn.Parameter(torch.tensor(2.0))
        ...
        ...     def forward(self, x):
        ...         return x * torch.sigmoid(self.beta * x)
        >>> str(learnable_choice(Swish())), learnable_choice(nn.Linear(1, 1)) is None
        ('swish_beta(beta=2)', True)
    """
    given = {name: weight for name, weight in module._parameters.items() if weight is not None}
    if not given or type(module).__module__.startswith("torch.") or any(True for _ in module.children()):
        return None
    rows = [row for row in registry.all() if row.learnable and set(row.parameter_names) == set(given)]
    channels = max(weight.numel() for weight in given.values())
    if (
        not rows
        or not channels
        or any(
            w.is_meta
            or not w.is_floating_point()
            or max(w.shape, default=1) != w.numel()
            or w.numel() not in (1, channels)
            for w in given.values()
        )
    ):
        return None
    weights = {name: weight.detach().to("cpu", torch.float64).flatten() for name, weight in given.items()}
    row = next((row for row in rows if _computes(module, row.function, weights, channels)), None)
    if row is None:
        return None
    known = {name: w[0].item() for name, w in weights.items() if bool((w == w[0]).all())}
    try:
        return registry.canonical(Choice(row.name, tuple(sorted((n, float(f"{v:.7g}")) for n, v in known.items()))))
    except AutoactError:
        return None  # trained beyond what the row allows


def _computes(module: nn.Module, function: Function, weights: Weights, channels: int) -> bool:
    """Whether a module has the values of ``function`` for these weights, and for others."""
    every = torch.cat([torch.arange(-200, 201) * (torch.pi / 64), torch.tensor([-60.0, 60.0])])
    try:
        double = copy.deepcopy(module).to("cpu", torch.float64)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            # A few numbers first: a normalisation of thousands of channels may have a parameter of such a name, too.
            return all(_agree(double, function, weights, channels, points) for points in (every[::80], every))
    except Exception:  # it cannot be copied, or is not made for features alone
        return False


def _agree(double: nn.Module, function: Function, weights: Weights, channels: int, points: Tensor) -> bool:
    x = points.to("cpu", torch.float64)[:, None].expand(-1, channels)
    for shift in _SHIFTS:
        moved = {name: weight + shift * (k + 1) for k, (name, weight) in enumerate(weights.items())}
        for name, weight in moved.items():
            parameter = double.get_parameter(name)
            parameter.copy_(weight.reshape(parameter.shape))
        wanted = function(x, **moved)
        for training in (True, False):
            y = double.train(training).forward(x.clone())
            if not isinstance(y, Tensor) or y.shape != x.shape:
                return False
            if not torch.allclose(y.double(), wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                return False
    return True
