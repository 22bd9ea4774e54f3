"""The floor under a training step: its matrix products, activations and optimiser step, each timed alone.

Layers and shapes are read off one forward pass of the model; then each operation is made anew, for ``k`` members at
once, on tensors of its own, without a graph around it. What a step needs beside them (losses, dropout, residual sums,
gathering members by activation) is left out on purpose: the floor is what cannot be saved.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Operation = Callable[[], Any]
SGEMM = 2048


@dataclass(frozen=True)
class Layer:
    """A layer that multiplies matrices, and the shape that it sees.

    Attributes:
        module: ``nn.Linear`` or ``nn.Conv1d``.
        shape: of its input.
        first: whether no gradient flows further down.
    """

    module: Any
    shape: tuple[int, ...]
    first: bool

    @property
    def flops(self) -> float:
        """Floating-point operations of a training step: forward, and one or two products backward."""
        weights = self.module.weight.numel()
        if isinstance(self.module, nn.Linear):
            positions = float(torch.Size(self.shape[:-1]).numel())
        else:
            reach = self.module.dilation[0] * (self.module.kernel_size[0] - 1)
            positions = float(self.shape[0] * (self.shape[2] - reach))
        return 2.0 * weights * positions * (2 if self.first else 3)


@dataclass(frozen=True)
class Anatomy:
    """What a model's step is made of.

    Attributes:
        layers: in the order in which they run.
        sites: shape of the input of each activation.
        parameters: shapes of all parameters.
    """

    layers: tuple[Layer, ...]
    sites: dict[str, tuple[int, ...]]
    parameters: tuple[tuple[int, ...], ...]


def dissect(model: nn.Module, batch: Tensor, sites: Sequence[str]) -> Anatomy:
    """Read layers and shapes off one forward pass.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))
        >>> found = dissect(model, torch.zeros(2, 3), ["1"])
        >>> [layer.shape for layer in found.layers], found.sites, [layer.flops for layer in found.layers]
        ([(2, 3), (2, 5)], {'1': (2, 5)}, [120.0, 60.0])
    """
    layers: list[Layer] = []
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = []

    def see(name: str, module: nn.Module) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if name in sites:
                shapes[name] = tuple(inputs[0].shape)
            elif isinstance(module, (nn.Linear, nn.Conv1d)):
                layers.append(Layer(module, tuple(inputs[0].shape), first=not inputs[0].requires_grad))

        return hook

    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(see(name, module)))
    model(batch)
    for handle in hooks:
        handle.remove()
    return Anatomy(tuple(layers), shapes, tuple(tuple(p.shape) for p in model.parameters()))


def products(anatomy: Anatomy, members: int, device: torch.device) -> list[list[Operation]]:
    """Forward and backward products of every layer; of each inner list the fastest way counts."""
    operations = []
    for layer in anatomy.layers:
        make = _linear if isinstance(layer.module, nn.Linear) else _convolution
        operations += make(layer, members, device)
    return operations


def _linear(layer: Layer, members: int, device: torch.device) -> list[list[Operation]]:
    """The three products of stacked linear layers."""
    inside, outside = layer.module.in_features, layer.module.out_features
    rows = torch.Size(layer.shape[:-1]).numel()
    x = torch.randn(members, rows, inside, device=device)
    w = torch.randn(members, outside, inside, device=device)
    bias = torch.randn(members, 1, outside, device=device)
    grad = torch.randn(members, rows, outside, device=device)
    found: list[list[Operation]] = [[lambda: torch.baddbmm(bias, x, w.transpose(1, 2))]]
    found.append([lambda: torch.bmm(grad.transpose(1, 2), x)])
    return found if layer.first else [*found, [lambda: torch.bmm(grad, w)]]


def _convolution(layer: Layer, members: int, device: torch.device) -> list[list[Operation]]:
    """Forward and backward of stacked convolutions, as one grouped convolution or member by member."""
    conv = layer.module
    rows, channels, time_steps = layer.shape
    x = torch.randn(rows, members * channels, time_steps, device=device)
    w = torch.randn(members * conv.out_channels, channels, conv.kernel_size[0], device=device)
    b = torch.randn(members * conv.out_channels, device=device)
    parts = [
        (piece.contiguous(), v, c)
        for piece, v, c in zip(x.chunk(members, 1), w.chunk(members), b.chunk(members), strict=True)
    ]
    grad = torch.randn_like(F.conv1d(x, w, b, dilation=conv.dilation, groups=members))
    grads = [piece.contiguous() for piece in grad.chunk(members, 1)]
    mask = [not layer.first, True, True]

    def back(g: Tensor, x: Tensor, w: Tensor, groups: int) -> Any:
        shape = [w.shape[0]]
        return torch.ops.aten.convolution_backward(g, x, w, shape, [1], [0], conv.dilation, False, [0], groups, mask)

    return [
        [
            lambda: F.conv1d(x, w, b, dilation=conv.dilation, groups=members),
            lambda: [F.conv1d(*part, dilation=conv.dilation) for part in parts],
        ],
        [
            lambda: back(grad, x, w, members),
            lambda: [back(g, piece, v, 1) for g, (piece, v, _) in zip(grads, parts, strict=True)],
        ],
    ]


def activations(anatomy: Anatomy, choices: Sequence[dict[str, str]], device: torch.device) -> list[list[Operation]]:
    """Forward and backward of every site, one group of members per activation."""
    from autoact.activations import build

    operations: list[list[Operation]] = []
    for site, shape in anatomy.sites.items():
        for choice, count in Counter(chosen[site] for chosen in choices).items():
            module = build(choice).to(device)
            x = torch.randn(count, *shape, device=device, requires_grad=True)
            grad = torch.randn(count, *shape, device=device)
            operations.append([partial(_there_and_back, module, x, grad)])
    return operations


def _there_and_back(module: nn.Module, x: Tensor, grad: Tensor) -> None:
    """Forward and backward."""
    torch.autograd.grad(module(x), x, grad)


def optimiser(anatomy: Anatomy, members: int, device: torch.device) -> list[list[Operation]]:
    """A fused AdamW step over stacked parameters."""
    stacked = [torch.randn(members, *shape, device=device, requires_grad=True) for shape in anatomy.parameters]
    for parameter in stacked:
        parameter.grad = torch.randn_like(parameter)
    adamw = torch.optim.AdamW(stacked, lr=1e-6, fused=True)
    return [[adamw.step]]


def total_ms(operations: Sequence[Sequence[Operation]], steps: int, device: torch.device) -> float:
    """The sum of the operations' medians in ms; of several ways to do one, the fastest counts."""
    return sum(min(median_ms(way, steps, device) for way in ways) for ways in operations)


def median_ms(call: Operation, steps: int, device: torch.device, warm: int = 2) -> float:
    """Median time of a call in ms."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    taken = []
    for index in range(warm + steps):
        wait()
        started = time.perf_counter()
        call()
        wait()
        if index >= warm:
            taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def sgemm_gflops(device: torch.device, steps: int = 5) -> float:
    """The machine's floating-point limit: a large product of square matrices, in GFLOP/s."""
    a, b = torch.randn(2, SGEMM, SGEMM, device=device)
    return 2.0 * SGEMM**3 / median_ms(lambda: a @ b, steps, device) / 1e6
