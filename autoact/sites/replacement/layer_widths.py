"""Layer-level choices: the widths that keep the number of parameters, planned for all sites of an assignment at once.

A gated activation makes one channel of several, so the layer before its site gives ``pieces * width`` numbers and the
layers behind it take ``width``. The hidden width shrinks with it, to about two thirds for a gated form between two
layers (Shazeer, GLU Variants Improve Transformer, 2020), so that a comparison is one of functions, not of sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.initialise import draw_
from autoact.sites.site import LinearLayer, NormLayer, Site, Sites
from autoact.sites.tracing.layer_wiring import SCALE_AND_SHIFT
from autoact.sites.weight_rules import Change, WeightRules, held_back

TOLERANCE = 0.03
"""How far the number of parameters of the changed layers may move, as a share."""

GRAINS = (8, 4, 2, 1)
"""Widths are multiples of the first of these that is fine enough: vector units and tensor cores like 8."""

_FINE = 8
"""The narrowest layer is at least so many grains wide, so that equal layers stay nearly equal."""

_HALVINGS = 60
_FREE = 4
"""How many sites of very small layers are tried in every combination."""


class DoesNotFitError(AutoactError):
    """A layer-level choice whose layers cannot change their widths, or only with too many or too few parameters."""


@dataclass(frozen=True)
class Plan:
    """What an assignment changes beside the activations.

    Attributes:
        widths: site -> channels that will leave it, for the sites whose number of pieces changes.
        linears: layer -> (inputs, outputs), in the order of their first calls.
        norms: normalisation -> channels.
        before: parameters of these layers now.
        after: parameters of these layers then.
    """

    widths: Mapping[str, int]
    linears: Mapping[str, tuple[int, int]]
    norms: Mapping[str, int]
    before: int
    after: int


def plan_widths(sites: Sites, assignment: Mapping[str, str | Choice]) -> Plan:
    """The widths that an assignment needs; empty where no site changes its number of pieces.

    Sites that share a layer are planned together: each keeps its share of the width, and one common factor is chosen so
    that the parameters of all their layers stay as many as they were, within ``TOLERANCE``. The sites have to be found
    with an example input.

    Raises:
        DoesNotFitError: a site is not gateable, or no width keeps the parameters.

    Example:
        >>> from autoact.sites import find_sites
        >>> model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 16))
        >>> plan = plan_widths(find_sites(model, torch.zeros(2, 16)), {"1": "swiglu"})
        >>> plan.linears, plan.before, plan.after
        ({'0': (16, 84), '2': (42, 16)}, 2128, 2116)
    """
    pieces = {sites[name].name: registry.pieces(choice) for name, choice in assignment.items()}
    for name, choice in assignment.items():
        if refusal := sites[name].refusal(choice):
            raise DoesNotFitError(refusal)
    changed = [site for site in sites if pieces.get(site.name, 0) not in (0, registry.pieces(site.current))]
    blocks = [_Block(members, pieces) for members in _together(changed)]
    widths = {name: width for block in blocks for name, width in block.widths().items()}
    linears = [pair for block in blocks for pair in block.linears(widths)]
    return Plan(
        widths=widths,
        linears={linear.name: sizes for linear, sizes in sorted(linears, key=lambda pair: pair[0].order)},
        norms={norm.name: channels for block in blocks for norm, channels in block.norms(widths)},
        before=sum(block.before for block in blocks),
        after=sum(block.count(widths) for block in blocks),
    )


def check_sizes(model: nn.Module, sites: Sites, plan: Plan) -> None:
    """Refuse sites that were found in a model of other sizes.

    Raises:
        AutoactError: names the first layer that differs.
    """
    for name in plan.widths:
        wiring = sites[name].wiring
        assert wiring is not None, "refused before"
        for linear in (wiring.producer, *wiring.consumers):
            module = dict(model.named_modules()).get(linear.name)
            if not isinstance(module, nn.Linear) or (module.in_features, module.out_features) != (
                linear.inputs,
                linear.outputs,
            ):
                raise AutoactError(
                    f"sites do not fit the model: it holds no Linear({linear.inputs}, {linear.outputs}) "
                    f"at {linear.name!r}"
                )


def _together(sites: Sequence[Site]) -> list[list[Site]]:
    """Sites in groups that share a layer, each in the order given."""
    groups: list[tuple[set[str], list[Site]]] = []
    for site in sites:
        assert site.wiring is not None, "refused before"
        layers = {site.wiring.producer.name, *(linear.name for linear in site.wiring.consumers)}
        touching = [group for group in groups if group[0] & layers]
        members = [member for _, group in touching for member in group] + [site]
        groups = [group for group in groups if group not in touching]
        groups.append((layers.union(*(names for names, _ in touching)), members))
    return [sorted(members, key=lambda site: site.order) for _, members in groups]


class _Block:
    """Sites that share layers, and how many parameters these have at which widths."""

    def __init__(self, sites: Sequence[Site], pieces: Mapping[str, int]) -> None:
        self._wiring = {site.name: site.wiring for site in sites if site.wiring is not None}
        self._pieces = pieces
        now = {site.name: registry.pieces(site.current) for site in sites}
        self._now = {name: wiring.width for name, wiring in self._wiring.items()}
        # Between two layers of fixed size, pieces + 1 weights belong to each channel.
        self._shares = {n: w * (1 + now[n]) / (1 + pieces[n]) for n, w in self._now.items()}
        self._feeds = {linear.name: n for n, wiring in self._wiring.items() for linear in wiring.consumers}
        self._gives = {wiring.producer.name: n for n, wiring in self._wiring.items()}
        every = [linear for w in self._wiring.values() for linear in (w.producer, *w.consumers)]
        self._linears = list({linear.name: linear for linear in every}.values())
        self.before = self.count(self._now, now)

    def linears(self, widths: Mapping[str, int]) -> list[tuple[LinearLayer, tuple[int, int]]]:
        found = []
        for linear in self._linears:
            inputs, outputs = self._sizes(linear, widths, self._pieces)
            found.append((linear, (int(inputs), int(outputs))))
        return found

    def norms(self, widths: Mapping[str, int]) -> list[tuple[NormLayer, int]]:
        before = [(n, self._pieces[s] * widths[s]) for s, wiring in self._wiring.items() for n in wiring.before]
        return before + [(n, widths[s]) for s, wiring in self._wiring.items() for n in wiring.after]

    def _sizes(
        self, linear: LinearLayer, widths: Mapping[str, float], pieces: Mapping[str, int]
    ) -> tuple[float, float]:
        feeder, taker = self._feeds.get(linear.name), self._gives.get(linear.name)
        inputs = linear.inputs if feeder is None else widths[feeder]
        return inputs, linear.outputs if taker is None else pieces[taker] * widths[taker]

    def count(self, widths: Mapping[str, float], pieces: Mapping[str, int] | None = None) -> int:
        return round(self._amount(widths, pieces or self._pieces))

    def _amount(self, widths: Mapping[str, float], pieces: Mapping[str, int]) -> float:
        """Parameters at some widths, which need not be whole."""
        amount = 0.0
        for linear in self._linears:
            inputs, outputs = self._sizes(linear, widths, pieces)
            amount += outputs * (inputs + linear.bias)
        for name, wiring in self._wiring.items():
            amount += sum(norm.per_channel for norm in wiring.before) * pieces[name] * widths[name]
            amount += sum(norm.per_channel for norm in wiring.after) * widths[name]
        return amount

    def widths(self) -> dict[str, int]:
        """The widths by site.

        Raises:
            DoesNotFitError: none keeps the parameters within the tolerance.
        """
        exact = self._exact()
        fine = [grain for grain in GRAINS if grain == 1 or min(exact.values()) >= _FINE * grain]
        tried = [self._rounded(exact, grain) for grain in fine]
        for widths in tried:
            if self._keeps(widths):
                return widths
        nearest = tried[-1]
        around = [widths for widths in self._around(nearest) if self._keeps(widths)]
        if around:
            return min(around, key=lambda widths: max(abs(math.log(widths[n] / exact[n])) for n in widths))
        sizes = ", ".join(f"{width} at {name}" for name, width in nearest.items())
        layers = ", ".join(linear.name for linear in self._linears)
        raise DoesNotFitError(
            f"no hidden width keeps the {self.before} parameters of {layers} within {TOLERANCE:.0%}: "
            f"the nearest ({sizes}) has {self.count(nearest)}; the layers are too small for a gated activation"
        )

    def _keeps(self, widths: Mapping[str, int]) -> bool:
        return abs(self.count(widths) - self.before) <= TOLERANCE * self.before

    def _around(self, widths: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """Widths up to two more or fewer at each of the first sites, for layers so small that one channel counts."""
        free = list(widths)[:_FREE]
        for steps in itertools.product((0, 1, -1, 2, -2), repeat=len(free)):
            moved = {name: widths[name] + step for name, step in zip(free, steps, strict=True)}
            if min(moved.values()) > 0:
                yield {**widths, **moved}

    def _exact(self) -> dict[str, float]:
        """Widths, not whole, that keep the parameters exactly: each its share, times a common factor."""
        low, high = 0.0, 2.0 * (1 + max(self._pieces.values()))  # no choice has more pieces than it loses width
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            scaled = {name: middle * share for name, share in self._shares.items()}
            low, high = (middle, high) if self._amount(scaled, self._pieces) < self.before else (low, middle)
        return {name: low * share for name, share in self._shares.items()}

    def _rounded(self, exact: Mapping[str, float], grain: int) -> dict[str, int]:
        """Whole multiples of ``grain``: all rounded down, then up one by one, the largest remainder first."""
        widths = {name: max(grain, int(width / grain + 1e-9) * grain) for name, width in exact.items()}
        tried = [dict(widths)]
        for name in sorted(widths, key=lambda name: widths[name] - exact[name]):
            widths[name] += grain
            tried.append(dict(widths))
        return min(tried, key=lambda widths: abs(self.count(widths) - self.before))


def resize_(model: nn.Module, plan: Plan) -> Callable[[], None]:
    """Give the layers of ``plan`` their sizes, in place; new weights are zero until ``draw_layers_`` draws them.

    The modules stay the same objects, and parameters keep their names, device and dtype. A layer whose outputs do not
    change keeps its bias; normalisations start anew. What is returned puts everything back as it was.
    """
    memories = [_memory_of(model.get_submodule(name)) for name in (*plan.linears, *plan.norms)]
    for name, (inputs, outputs) in plan.linears.items():
        _resize_linear_(model.get_submodule(name), inputs, outputs)
    for name, channels in plan.norms.items():
        _resize_norm_(model.get_submodule(name), channels)

    def put_back() -> None:
        for remember in memories:
            remember()

    return put_back


def kept_biases(model: nn.Module, changes: Mapping[str, Change]) -> dict[str, Tensor]:
    """Biases as they are without what the old activations' rules took off, of layers that are about to be resized."""
    parameters = dict(model.named_parameters())
    return {
        change.source.bias: parameters[change.source.bias].detach() - held_back(parameters, name, change)
        for name, change in changes.items()
        if change.put_back and change.source is not None and change.source.bias is not None
    }


def draw_layers_(model: nn.Module, plan: Plan, rules: WeightRules, biases: Mapping[str, Tensor]) -> None:
    """Draw the weights of the resized layers from torch's default generator, as ``initialise_`` does.

    ``rules`` are those of the activations that stand at the sites now, ``biases`` what ``kept_biases`` found.
    """
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, (inputs, _) in plan.linears.items():
            weight = f"{name}.weight"
            draw_(parameters[weight], rules.value(weight), inputs, uniform=rules.is_first(weight))
            bias = f"{name}.bias"
            if bias in biases and biases[bias].shape == parameters[bias].shape:
                parameters[bias].copy_(biases[bias])
            if taken := rules.shift(weight):
                parameters[bias].sub_((taken * parameters[weight].sum(1)).to(parameters[bias].dtype))


def _parameter(shape: tuple[int, ...], like: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape, device=like.device, dtype=like.dtype))


def _memory_of(module: nn.Module) -> Callable[[], None]:
    """Remember a layer's attributes, parameters and buffers; the result puts them back."""
    attributes, parameters, buffers = dict(vars(module)), dict(module._parameters), dict(module._buffers)

    def put_back() -> None:
        module.__dict__.update(attributes)
        module._parameters.update(parameters)
        module._buffers.update(buffers)

    return put_back


def _resize_linear_(linear: nn.Module, inputs: int, outputs: int) -> None:
    """Give a Linear another size; a bias that still fits stays."""
    assert isinstance(linear, nn.Linear), "found as one"
    if linear.bias is not None and outputs != linear.out_features:
        linear.bias = _parameter((outputs,), linear.bias)
    linear.in_features, linear.out_features = inputs, outputs
    linear.weight = _parameter((outputs, inputs), linear.weight)


def _resize_norm_(norm: nn.Module, channels: int) -> None:
    """Give a normalisation over the last axis another number of channels, as new."""
    if isinstance(norm, nn.BatchNorm1d):
        norm.num_features = channels
        for name, buffer in norm._buffers.items():
            if buffer is not None:  # the count of batches has no dimensions
                norm._buffers[name] = buffer.new_zeros(channels if buffer.dim() else ())
    else:
        norm.normalized_shape = (channels,)  # type: ignore[assignment]
    for name in SCALE_AND_SHIFT:
        if (parameter := norm._parameters.get(name)) is not None:
            norm._parameters[name] = _parameter((channels,), parameter)
    norm.reset_parameters()  # type: ignore[operator]
