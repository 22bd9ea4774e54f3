"""What the rules of the activations around a weight make of it: its scale, its bias, and the change of both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.initialisation import first_scale, gain_after, scale, shift
from autoact.activations.spec import Initialisation
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.tracing.weight_consumers import WeightGraph, WeightSource


class WeightRules:
    """The rules of one assignment for the weights of a model.

    Args:
        graph: which weight consumes and produces what.
        held: parameters that stay as they are: what they feed keeps inputs of size 1, and no bias of theirs moves.
        choices: site -> activation; weights around other sites follow no rule.
    """

    def __init__(self, graph: WeightGraph, held: Collection[str], choices: Mapping[str, str | Choice]) -> None:
        self._graph, self._held, self._choices = graph, held, choices
        self._sized = {
            site: weights
            for site, weights in graph.producers.items()
            if site in choices and not any(weight in held for weight in weights)
        }
        self._feeds = {weight: site for site, weights in self._sized.items() for weight in weights}

    def value(self, weight: str) -> float:
        """Standard deviation of a weight, times the root of its fan-in: the gain of its source, the scale it is for."""
        return self.gain(weight) * self.output_scale(weight)

    def gain(self, weight: str) -> float:
        """``value`` without the scale that its results should have."""
        site = self._source_site(weight)
        if site is None:
            return 1.0
        return gain_after(self._choices[site], self._input_scale(site), self.shift(weight))

    def output_scale(self, weight: str) -> float:
        """The root mean square that the results of a weight, or of a normalisation, should have."""
        if (site := self._feeds.get(weight)) is not None:
            if self._from_input(weight):
                return first_scale(self._choices[site], self._graph.consumers[weight].fan_in)
            return scale(self._choices[site])
        source = self._source_site(weight)
        if source is not None and weight in self._graph.ending and self._rule(source).quiet_end:
            return scale(self._choices[source])
        return 1.0

    def is_first(self, weight: str) -> bool:
        """Whether a weight is drawn by a rule for first layers."""
        site = self._feeds.get(weight)
        return site is not None and self.output_scale(weight) != scale(self._choices[site])

    def shift(self, weight: str) -> float:
        """What the bias beside a weight takes off each of its inputs."""
        site = self._source_site(weight)
        source = self._graph.consumers[weight] if site is not None else None
        if site is None or source is None or source.bias is None or not source.own_bias or source.bias in self._held:
            return 0.0
        return shift(self._choices[site])

    def norms(self) -> dict[str, float]:
        """Affine weights of normalisations that have to be another number than 1."""
        sizes = {weight: self.output_scale(weight) for weight in self._feeds if weight not in self._graph.consumers}
        return {weight: size for weight, size in sizes.items() if size != 1.0}

    def _rule(self, site: str) -> Initialisation:
        return registry.get(registry.canonical(self._choices[site]).name).initialisation

    def _source_site(self, weight: str) -> str | None:
        source = self._graph.consumers.get(weight)
        return source.site if source is not None and source.site in self._choices else None

    def _from_input(self, weight: str) -> bool:
        source = self._graph.consumers.get(weight)
        return source is not None and source.kind == "input"

    def _input_scale(self, site: str) -> float:
        """The root mean square of a site's inputs, where its producing weights follow its rule."""
        return max((self.output_scale(weight) for weight in self._sized.get(site, ())), default=1.0)


@dataclass(frozen=True)
class Change:
    """What another activation makes of a weight that is drawn already, and of its bias.

    Attributes:
        factor: the weight is multiplied by it.
        source: the fan-in and bias of the layer; None for a normalisation.
        put_back: what the old rule took off each input.
        taken: what the new one takes off.
        bias: name of a bias that is multiplied by ``bias_factor``.
        bias_factor: 1 unless the results change their scale.
    """

    factor: float
    source: WeightSource | None = None
    put_back: float = 0.0
    taken: float = 0.0
    bias: str | None = None
    bias_factor: float = 1.0

    def renamed(self, rename: Callable[[str], str]) -> Change:
        """The change of a copy of the layer."""
        source = self.source
        if source is not None and source.bias is not None:
            source = replace(source, bias=rename(source.bias))
        return replace(self, source=source, bias=rename(self.bias) if self.bias is not None else None)


def weight_changes(
    graph: WeightGraph, held: Collection[str], old: Mapping[str, str | Choice], new: Mapping[str, str | Choice]
) -> dict[str, Change]:
    """The change of each weight around a changed site, by parameter name.

    Raises:
        AutoactError: ``old`` and ``new`` name different sites, or an activation has no gain.
    """
    if set(old) != set(new):
        raise AutoactError(f"old and new must name the same sites; only one names {', '.join(set(old) ^ set(new))}")
    before, after = WeightRules(graph, held, old), WeightRules(graph, held, new)
    producers = [weight for site in new for weight in graph.producers.get(site, ())]
    found: dict[str, Change] = {}
    for weight in dict.fromkeys([*graph.consumers, *producers]):
        source = graph.consumers.get(weight)
        size = after.output_scale(weight) / before.output_scale(weight)
        if source is not None and source.site in new:
            factor = after.gain(weight) / before.gain(weight) * size
            found[weight] = Change(factor, source, before.shift(weight), after.shift(weight))
        elif size != 1.0:
            found[weight] = Change(size, source)
        else:
            continue
        bias = graph.biases.get(weight)
        if size != 1.0 and bias is not None and bias not in held:
            found[weight] = replace(found[weight], bias=bias, bias_factor=size)
    return found


def change_(model: nn.Module, changes: Mapping[str, Change]) -> None:
    """Change weights by name, and the biases beside them, in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, change in changes.items():
            weight, source = parameters[name], change.source
            if source is not None and change.put_back:
                take_off_(parameters, source, held_back(parameters, name, change))
            weight.mul_(change.factor)
            if change.bias is not None:
                parameters[change.bias].mul_(change.bias_factor)
            if source is not None and change.taken:
                take_off_(parameters, source, change.taken * sums(weight, source))


def held_back(parameters: Mapping[str, Tensor], name: str, change: Change) -> Tensor:
    """What has to go from a bias to put back what the old rule took off; zeros where the bias does not hold it.

    A model that was not drawn by the rules has biases of its own: they are smaller without the constant then.
    """
    assert change.source is not None and change.source.bias is not None, "no shift without a bias"
    with torch.no_grad():
        bias, there = parameters[change.source.bias], -change.put_back * sums(parameters[name], change.source)
        smaller = float((bias - there).square().sum()) < float(bias.square().sum())
    return there if smaller else torch.zeros_like(there)


def take_off_(parameters: Mapping[str, Tensor], source: WeightSource, amount: Tensor) -> None:
    """Subtract from the bias of a layer, in place."""
    assert source.bias is not None, "no shift without a bias"
    parameters[source.bias].sub_(amount.to(parameters[source.bias].dtype))


def sums(weight: Tensor, source: WeightSource) -> Tensor:
    """What each output of a layer is for inputs that are all 1 (on average, for a transposed convolution with strides).

    Example:
        >>> sums(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), WeightSource("input"))
        tensor([3., 7.])
    """
    wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
    if source.transposed is None:
        return wide.flatten(1).sum(1)
    groups, steps = source.transposed
    return wide.unflatten(0, (groups, -1)).flatten(3).sum((1, 3)).flatten() / steps
