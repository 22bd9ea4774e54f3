"""Normalisations as sites: a run of its own, so that what is found of activations does not depend on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from torch import Tensor, nn

from autoact.sites.discovery.call_tracer import CallTracer
from autoact.sites.site import NORMALISATION, NORMALISES, Site, Sites, Unreplaceable
from autoact.sites.tracing.dry_run import copied, run_model, tensors_in, undisturbed
from autoact.sites.tracing.locate import Located, activation_modules, modules_with_names, normalisation_modules
from autoact.sites.tracing.tensor_tags import TorchCall

_KINDS = ("layernorm", "rmsnorm")
_CALLS = frozenset({"layer_norm", "rms_norm"})


def with_normalisations(
    model: nn.Module, sites: Sites, example_input: object, call: Callable[[], object] | None
) -> Sites:
    """The sites of activations, with those of normalisations behind them, and what cannot be one, with the reason.

    Arguments are those of ``find_sites``; without a run every normalisation is one.
    """
    located = normalisation_modules(model)
    if example_input is None and call is None:
        found = [Site(i.name, i.choice, shared_as=i.names[1:], not_gateable=NORMALISATION) for i in located]
        told = _others(model, located)
    else:
        example = copied(example_input)
        tracer = _Tracer(model, [*activation_modules(model), *located], tensors_in(example))
        with undisturbed(model), tracer.watching():
            tracer.returned(run_model(model, example, call))
        names = {item.name for item in located}
        found = [site for site in tracer.sites(lambda _: NORMALISATION) if site.name in names]
        told = [*_others(model, located), *tracer.told, *(item for item in tracer.unused() if item.name in names)]
    behind = [dataclasses.replace(site, order=len(sites) + place) for place, site in enumerate(found)]
    unreplaceable = dict.fromkeys([*sites.unreplaceable, *told])
    return Sites([*sites, *behind], tuple(unreplaceable))


class _Tracer(CallTracer):
    """Notes calls of normalisations that no module of their own makes."""

    def __init__(self, model: nn.Module, located: list[Located], inputs: Iterable[Tensor]) -> None:
        super().__init__(model, located, inputs)
        self.told: dict[Unreplaceable, None] = {}

    def called(self, call: TorchCall) -> object:
        """See ``CallTracer``."""
        if call.name in _CALLS and not self._hidden():
            name, module = self._stack[-1] if self._stack else ("", self._model)
            if not _is_called_one(module):
                reason = f"{type(module).__name__} calls {call.name}(): make it a module to have it replaced"
                self.told[Unreplaceable(name, NORMALISES, reason)] = None
        return super().called(call)


def _others(model: nn.Module, located: Iterable[Located]) -> list[Unreplaceable]:
    """Modules that are called normalisations of these kinds, and compute something else or in their own way."""
    known = {id(item.module) for item in located}
    reason = "{0} has a forward of its own: nn.LayerNorm or nn.RMSNorm in its place can be replaced"
    return [
        Unreplaceable(names[0], NORMALISES, reason.format(type(module).__name__))
        for names, module in modules_with_names(model)
        if id(module) not in known and _is_called_one(module)
    ]


def _is_called_one(module: nn.Module) -> bool:
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return True
    # What holds other modules is named after a normalisation inside it: PreLayerNorm, Wav2Vec2NoLayerNormConvLayer.
    alone = next(module.children(), None) is None
    return alone and any(kind in type(module).__name__.lower() for kind in _KINDS)
