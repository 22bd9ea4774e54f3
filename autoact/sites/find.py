"""Find the sites of a model: walk its modules, run it once, watch what is called with what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoact.core.choice import Choice
from autoact.core.errors import AutoactError
from autoact.sites.calls import FoundCall, free_name
from autoact.sites.locate import Located, activation_modules, check_model
from autoact.sites.observe import Observer
from autoact.sites.opaque import unreplaceable_in
from autoact.sites.records import Site, Sites, Unreplaceable
from autoact.sites.rewrite import Call
from autoact.sites.run import copied, run_model, tensors_in, undisturbed
from autoact.sites.standins import StandIns
from autoact.sites.twins import with_twins
from autoact.sites.wiring import WiringTracer

_CHANGES = "putting a module in its place changes what the model computes"


def find_sites(
    model: nn.Module, example_input: Any = None, *, call: Callable[[], Any] | None = None, per_use: bool = False
) -> Sites:
    """The sites of ``model``, and what looks like one and cannot be replaced.

    With an example input the model runs once, in evaluation mode and without gradients; weights, buffers, training
    flags and random states are as before. Without one, sites are found by their type alone: shapes, calls and outputs
    are unknown (the last activation of an ``nn.Sequential`` is taken for the output), neither activations of your own
    nor functional calls such as ``F.relu(x)`` are looked for, and no site is known to be gateable.

    A functional call in a method of a module is a site of its own, named after the method and the function:
    ``block.forward_relu_1`` is the first ``relu`` in the text of ``block.forward``. So is a module of your own that has
    the values of an activation of the catalogue. Where there are such, the model runs a second time with modules in
    their places, which must give the same result.

    A site is gateable where plain ``nn.Linear`` layers stand before and behind it, with nothing between but dropout,
    identities and normalisations of the last axis: there a gated activation may change the width. Elsewhere
    ``site.not_gateable`` says why it may not.

    Args:
        model: any module; activations are found at any depth.
        example_input: a tensor (the one argument), a tuple or list (positional arguments) or a mapping (keyword
            arguments).
        call: runs the model instead of ``model(example_input)``, for a model without a usable forward.
        per_use: a site for each place where one module object without weights stands or is called, instead of one for
            all its places.

    Returns:
        The sites in the order of their first call.

    Raises:
        AutoactError: ``model`` is not a plain module, or its forward raised.

    Shape:
        - example_input: what the model's forward takes, batch first.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
        >>> print(find_sites(model, torch.zeros(2, 4)))
        site  activation  shape  calls  note
        1     relu        2x8    1
        3     sigmoid     2x1    1      output: not searched
    """
    check_model(model)
    with StandIns(model) as standins:
        standins.for_functions_of_layers()
        if per_use:
            standins.for_names(activation_modules(model))
        if example_input is None and call is None:
            return _by_type(model)
        return _Search(model, example_input, call, standins).sites(per_use)


def _by_type(model: nn.Module) -> Sites:
    """The sites that the modules alone show."""
    located, last = activation_modules(model), _last_module(model)
    sites = [
        Site(item.name, item.choice, is_output=item.module is last, order=order, shared_as=item.names[1:])
        for order, item in enumerate(located)
    ]
    return Sites(sites, unreplaceable_in(model, located))


def _last_module(model: nn.Module) -> nn.Module:
    """What computes the result, as far as nested ``nn.Sequential`` show it; the module itself otherwise."""
    while isinstance(model, nn.Sequential):
        kept = [part for part in model if not isinstance(part, nn.Identity | nn.Flatten | nn.Unflatten)]
        if not kept:
            break
        model = kept[-1]
    return model


@dataclass(frozen=True)
class _Place:
    """Where a stand-in is tried.

    Attributes:
        name: of the module that holds the call; of the module itself where there is no call.
        choice: what is computed there.
        call: the call, if it is one.
        line: its file and line.
        told: what is told about it if the stand-in cannot stay.
    """

    name: str
    choice: Choice
    call: Call | None = None
    line: str = ""
    told: Unreplaceable | None = None

    @property
    def site(self) -> str:
        """The name of the site."""
        return self.name if self.call is None else f"{self.name}.{self.call.attribute}".lstrip(".")


@dataclass
class _Run:
    """One run of the model."""

    observer: Observer
    tracer: WiringTracer
    located: list[Located]
    results: list[Tensor]
    own: dict[str, tuple[nn.Module, Choice | None]]


class _Search:
    """Finds the sites of one model with one example."""

    def __init__(
        self, model: nn.Module, example_input: Any, call: Callable[[], Any] | None, standins: StandIns
    ) -> None:
        """Search ``model``, into which ``standins`` are put."""
        self._model, self._example, self._call, self._standins = model, example_input, call, standins

    def sites(self, per_use: bool) -> Sites:
        """The sites, from the run with all stand-ins that change nothing."""
        run = first = self._run(places=per_use)
        wanted, known = self._places(first)
        kept, refused = wanted, []
        if wanted:
            kept, run = self._agreeing(wanted, first)
            refused = [place.told for place in wanted if place not in kept and place.told is not None]
        known = [*unreplaceable_in(self._model, run.located), *_unknown(first.own), *known, *refused]
        lines = {place.site: place for place in kept if place.call is not None}
        sites = [
            dataclasses.replace(site, call=lines[site.name].call, line=lines[site.name].line)
            if site.name in lines
            else site
            for site in run.observer.sites(run.tracer.wiring_of)
        ]
        unused = [item for item in run.observer.unused() if item.name not in _tied(wanted, first)]
        return with_twins(self._model, Sites(sites, [*known, *unused]))

    def _run(self, *, places: bool = False) -> _Run:
        """Run the model once and watch it."""
        located = activation_modules(self._model)
        observer = Observer(self._model, located, places=places)
        tracer = WiringTracer(self._model, located)
        example = copied(self._example)
        with undisturbed(self._model):
            with observer.watching(), tracer.watching():
                result = run_model(self._model, example, self._call)
                observer.returned(result)
                tracer.returned(result)
            own = observer.own_activations()
        return _Run(observer, tracer, located, [tensor.detach().clone() for tensor in tensors_in(result)], own)

    def _places(self, run: _Run) -> tuple[list[_Place], list[Unreplaceable]]:
        """Where stand-ins are to be tried, and which calls cannot have one."""
        places = [
            _Place(name, choice, told=Unreplaceable(name, "unknown", f"it computes {choice}, but {_CHANGES}"))
            for name, (_, choice) in run.own.items()
            if choice is not None
        ]
        found = run.observer.calls()
        choices: dict[tuple[str, Call | None], set[Choice | None]] = {}
        for item in found:
            choices.setdefault((item.inside, item.call), set()).add(item.choice)
        told: dict[Unreplaceable, None] = {}
        for item, is_output in found.items():
            problem = item.problem or self._problem(item, choices[item.inside, item.call])
            place = (
                _Place(item.inside, item.choice, item.call, item.line, _told(item, _CHANGES)) if item.choice else None
            )
            if not problem and place is not None:
                places.append(place)
            elif not is_output:
                told[_told(item, problem)] = None
        for choice, calls in run.observer.uses():
            places += [_Place(owner, choice, call) for owner, call in calls]
        return list(dict.fromkeys(places)), list(told)

    def _problem(self, item: FoundCall, choices: set[Choice | None]) -> str:
        """Why a call that could be rewritten is not; empty where it is."""
        if len(choices) > 1:
            return "one place computes different activations"
        if item.call is not None and not free_name(self._model.get_submodule(item.inside), item.call):
            return f"the module holds something called {item.call.attribute} already"
        return ""

    def _agreeing(self, wanted: list[_Place], first: _Run) -> tuple[list[_Place], _Run]:
        """The places whose stand-ins change nothing, and the run with them: all at once, or else one by one."""
        before = len(self._standins)
        run = self._tried(wanted, first)
        if run is not None:
            return wanted, run
        kept = []
        for place in wanted:
            self._standins.undo(before)
            if self._tried([place], first) is not None:
                kept.append(place)
        self._standins.undo(before)
        run = self._tried(kept, first)
        if run is not None:
            return kept, run
        self._standins.undo(before)
        return [], first

    def _tried(self, places: Iterable[_Place], first: _Run) -> _Run | None:
        """Put stand-ins at ``places`` and run; None where the model fails or gives another result."""
        try:
            for place in places:
                if place.call is not None:
                    self._standins.for_call(place.name, place.call, place.choice)
                else:
                    module = first.own[place.name][0]
                    names = tuple(n for n, m in self._model.named_modules(remove_duplicate=False) if m is module)
                    self._standins.for_module(names, place.choice)
            run = self._run()
        except AutoactError:
            return None
        same = len(run.results) == len(first.results) and all(map(_close, run.results, first.results))
        return run if same else None


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two results are equal up to the rounding of their type."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point() or a.numel() == 0 or a.is_meta:
        return a.is_meta or torch.equal(a, b)
    tolerance = torch.finfo(a.dtype).eps ** 0.5
    scale = float(b.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _told(item: FoundCall, problem: str) -> Unreplaceable:
    """A call that cannot be replaced."""
    reason = f"calls {item.function}() at {item.line}: {problem}; make it a module to have it replaced"
    return Unreplaceable(item.inside, "functional", reason)


def _unknown(own: dict[str, tuple[nn.Module, Choice | None]]) -> list[Unreplaceable]:
    """Activations of the user's that the catalogue does not have."""
    reason = "{0} looks like an activation, not in the catalogue: autoact.register it with torch_type={0}"
    unknown = [(name, type(module).__name__) for name, (module, choice) in own.items() if choice is None]
    return [Unreplaceable(name, "unknown", reason.format(label)) for name, label in unknown]


def _tied(wanted: list[_Place], first: _Run) -> set[str]:
    """Names of tied modules that are unused only because each of their calls has a stand-in."""
    if all(place.call is None or place.line for place in wanted):
        return set()
    return {item.name for item in first.located} - {item.name for item in first.observer.unused()}
