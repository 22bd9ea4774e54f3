"""Find the sites of a model: walk its modules, run it once, watch what is called with what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from autoact.activations import registry
from autoact.activations.modules import ActivationModule
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.discovery.call_tracer import CallTracer
from autoact.sites.discovery.functional_calls import FoundCall, free_name
from autoact.sites.discovery.model_copies import with_twins
from autoact.sites.discovery.normalisations import with_normalisations
from autoact.sites.discovery.placeholders import StandIns
from autoact.sites.discovery.self_check import SelfCheck, Written
from autoact.sites.discovery.unsupported import unreplaceable_in
from autoact.sites.rewriting.method_rewrite import MethodCall
from autoact.sites.site import OUTPUT, Site, Sites, Unreplaceable
from autoact.sites.tracing.dry_run import copied, run_model, tensors_in, undisturbed
from autoact.sites.tracing.layer_wiring import WiringTracer
from autoact.sites.tracing.locate import Located, activation_modules, check_model, normalisation_modules

_CHANGES = "putting a module in its place changes what the model computes"
_CHANGES_IT = "as a module of the catalogue changes what the model computes"


def find_sites(
    model: nn.Module,
    example_input: object = None,
    *,
    call: Callable[[], object] | None = None,
    per_use: bool = False,
    normalisations: bool = False,
) -> Sites:
    """The sites of ``model``, and what looks like one and cannot be replaced.

    With an example input the model runs once, in evaluation mode and without gradients; weights, buffers, training
    flags and random states are as before. Without one, sites are found by their type alone: shapes, calls and outputs
    are unknown (the last activation of an ``nn.Sequential`` is taken for the output), neither activations of your own
    nor functional calls such as ``F.relu(x)`` are looked for, and no site is known to be gateable.

    A functional call in a method of a module is a site of its own, named after the method and the function:
    ``block.forward_relu_1`` is the first ``relu`` in the text of ``block.forward``. So is a module of your own that has
    the values of an activation of the catalogue.

    Before anything is a site, the activation that stands there is put back as a module, and the model has to give the
    same outputs and gradients in evaluation and in training (see ``SelfCheck``). What does not, such as an
    ``nn.ReLU(inplace=True)`` whose input is read again, is listed with the reason.

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
        normalisations: the model's ``nn.LayerNorm`` and ``nn.RMSNorm`` are sites too, for ``dynamic_tanh`` and
            ``derf``; calls such as ``F.layer_norm(x, ...)`` are none, and are told.

    Returns:
        The sites in the order of their first call, normalisations behind the activations.

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
        if example_input is None and call is None:
            standins.for_functions_of_layers()
            if per_use:
                standins.for_names(activation_modules(model))
            sites = _by_type(model)
        else:
            sites = _Search(model, example_input, call, standins).sites(per_use)
        if normalisations:
            sites = with_normalisations(model, sites, example_input, call)
        return sites if example_input is None and call is None else with_twins(model, sites)


def called_names(model: nn.Module, example_input: object) -> set[str]:
    """The names of the activation modules and normalisations that one run of the model calls.

    Raises:
        AutoactError: the model's forward raised.

    Example:
        >>> import torch
        >>> sorted(called_names(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), torch.zeros(2, 4)))
        ['1']
    """
    observer = CallTracer(model, [*activation_modules(model), *normalisation_modules(model)])
    with undisturbed(model), observer.watching():
        run_model(model, copied(example_input), None)
    return {name for site in observer.sites(lambda _: "") for name in site.names}


def _by_type(model: nn.Module) -> Sites:
    located, last = activation_modules(model), _last_module(model)
    sites = [
        Site(item.name, item.choice, kept=OUTPUT if item.module is last else "", order=order, shared_as=item.names[1:])
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
        refusal: what is said of it if the stand-in cannot stay.
    """

    name: str
    choice: Choice
    call: MethodCall | None = None
    line: str = ""
    refusal: Unreplaceable | None = None

    @property
    def site(self) -> str:
        return self.name if self.call is None else f"{self.name}.{self.call.attribute}".lstrip(".")


@dataclass
class _Run:
    observer: CallTracer
    tracer: WiringTracer
    located: list[Located]
    own: dict[str, tuple[nn.Module, Choice | None]]


class _Search:
    def __init__(
        self, model: nn.Module, example_input: object, call: Callable[[], object] | None, standins: StandIns
    ) -> None:
        self._model, self._example, self._call, self._standins = model, example_input, call, standins
        self._written: dict[str, Written] = {}

    def sites(self, per_use: bool) -> Sites:
        """The sites, from the run with all stand-ins that change nothing."""
        plain = self._run()  # says what a model that cannot run lacks, before it is compared with itself
        check = SelfCheck(self._model, self._example, self._call)
        self._standins.for_functions_of_layers()
        first = self._first(plain, check, per_use)
        wanted, known = self._places(first)
        modules = {place.site: place for place in _modules(first)}
        kept, refused = self._agreeing(check, [*wanted, *modules.values()], first)
        run = self._run() if kept else first
        calls = {place.site: place for place in kept if place.call is not None}
        sites = [
            self._finished(site, calls.get(site.name))
            for site in run.observer.sites(run.tracer.wiring_of)
            if site.name not in refused
        ]
        unused = [item for item in run.observer.unused() if item.name not in _tied(wanted, first)]
        refused |= {item.name: _held_twice(item.name) for item in unused if item.name in modules}
        known = [*unreplaceable_in(self._model, run.located), *_unknown(first.own), *known, *refused.values()]
        unused = [item for item in unused if item.name not in refused]
        return Sites(sites, [*known, *unused])

    def _first(self, plain: _Run, check: SelfCheck, per_use: bool) -> _Run:
        """The run that shows where stand-ins are to be tried: with a module of its own for each name of a shared one.

        A shared module that writes into its input keeps its names: own modules would compute another network.
        """
        before = len(self._standins)
        if per_use:
            self._standins.for_names(plain.located)
            if len(self._standins) > before and check.difference():
                self._standins.undo(before)
        return self._run(places=True) if per_use else self._run() if len(self._standins) else plain

    def _finished(self, site: Site, place: _Place | None) -> Site:
        written = self._written.get(site.name, Written())
        site = dataclasses.replace(site, input_written=written.input, output_written=written.output)
        return site if place is None else dataclasses.replace(site, call=place.call, line=place.line)

    def _run(self, *, places: bool = False) -> _Run:
        located = activation_modules(self._model)
        tracer = WiringTracer(self._model, located)
        example = copied(self._example)
        observer = CallTracer(self._model, located, tensors_in(example), places=places)
        with undisturbed(self._model):
            with observer.watching(), tracer.watching():
                result = run_model(self._model, example, self._call)
                observer.returned(result)
                tracer.returned(result)
            own = observer.own_activations()
        return _Run(observer, tracer, located, own)

    def _places(self, run: _Run) -> tuple[list[_Place], list[Unreplaceable]]:
        """Where stand-ins are to be tried, and which calls cannot have one."""
        places = [
            _Place(name, choice, refusal=Unreplaceable(name, "unknown", f"it computes {choice}, but {_CHANGES}"))
            for name, (_, choice) in run.own.items()
            if choice is not None
        ]
        found = run.observer.calls()
        choices: dict[tuple[str, MethodCall | None], set[Choice | None]] = {}
        for item in found:
            choices.setdefault((item.inside, item.call), set()).add(item.choice)
        refusals: dict[Unreplaceable, None] = {}
        for item, is_output in found.items():
            problem = item.problem or self._problem(item, choices[item.inside, item.call])
            if item.choice is not None and not problem:
                places.append(_Place(item.inside, item.choice, item.call, item.line, _refused_call(item, _CHANGES)))
            elif not is_output:
                refusals[_refused_call(item, problem)] = None
        for choice, calls in run.observer.uses():
            places += [_Place(owner, choice, call) for owner, call in calls]
        return list(dict.fromkeys(places)), list(refusals)

    def _problem(self, item: FoundCall, choices: set[Choice | None]) -> str:
        """Why a call that could be rewritten is not; empty where it is."""
        if len(choices) > 1:
            return "one place computes different activations"
        if item.call is not None and not free_name(self._model.get_submodule(item.inside), item.call):
            return f"the module holds something called {item.call.attribute} already"
        return ""

    def _agreeing(
        self, check: SelfCheck, wanted: list[_Place], first: _Run
    ) -> tuple[list[_Place], dict[str, Unreplaceable]]:
        """The places whose stand-ins, all together, change nothing; what is said of the others, by name.

        The stand-ins of the former are in the model afterwards. Halves are tried where the whole fails.
        """
        before, kept, refused = len(self._standins), list[_Place](), dict[str, Unreplaceable]()
        waiting = [wanted] if wanted else []
        while waiting:
            group = waiting.pop()
            self._standins.undo(before)
            why = self._difference(check, [*kept, *group], first)
            if not why:
                kept += group
                self._written = check.written
            elif len(group) > 1:
                half = len(group) // 2
                waiting += [group[half:], group[:half]]
            else:
                refused[group[0].site] = _refused(group[0], first, why)
        if refused or not wanted:
            self._standins.undo(before)
            self._difference(check, kept, first)
            self._written = check.written
        return [place for place in wanted if place in kept], refused

    def _difference(self, check: SelfCheck, places: Iterable[_Place], first: _Run) -> str:
        """Put stand-ins at ``places``, and what then differs from the model as it was; empty where nothing does."""
        try:
            for place in places:
                if place.call is not None:
                    self._standins.for_call(place.name, place.call, place.choice)
                else:
                    module = self._module_at(place, first)
                    names = tuple(n for n, m in self._model.named_modules(remove_duplicate=False) if m is module)
                    self._standins.for_module(names, place.choice)
        except AutoactError as error:
            return str(error)
        if not check.modes:
            # A plain module is replaced all the same: that changes nothing unless its class is asked for.
            doubtful = any(place.refusal is not None or _writes(self._module_at(place, first)) for place in places)
            return "two runs of the model with one seed differ" if doubtful else ""
        return check.difference([item for item in activation_modules(self._model) if not _writes(item.module)])

    def _module_at(self, place: _Place, first: _Run) -> nn.Module:
        if place.name in first.own:
            return first.own[place.name][0]
        if place.call is not None:
            return self._model.get_submodule(place.name)
        return next(item.module for item in first.located if item.name == place.name)


def _modules(first: _Run) -> list[_Place]:
    """The activation modules of others that were called: one of the catalogue has to be able to stand there."""
    unused = {item.name for item in first.observer.unused()}
    return [
        _Place(item.name, item.choice)
        for item in first.located
        if item.name
        and item.name not in unused
        and not isinstance(item.module, ActivationModule)
        and not any(True for _ in item.module.parameters())
        and not registry.get(item.choice.name).stochastic
    ]


def _held_twice(name: str) -> Unreplaceable:
    """What is said of a module that was called before another one stood in its place, and that was not."""
    reason = "the model goes on calling the old module: it is held twice, as in a plain list; hold it as self.act alone"
    return Unreplaceable(name, "differs", reason)


def _writes(module: nn.Module) -> bool:
    return bool(getattr(module, "inplace", False))


def _refused(place: _Place, first: _Run, why: str) -> Unreplaceable:
    if place.refusal is not None:
        return dataclasses.replace(place.refusal, reason=place.refusal.reason.replace(_CHANGES, f"{_CHANGES} ({why})"))
    module = next((item.module for item in first.located if item.name == place.name), None)
    if module is not None and _writes(module):
        reason = (
            f"{type(module).__name__}(inplace=True) writes into its input, which the model reads again: without that, "
            f"{why}; to have it searched, take inplace=True away and read what it returns instead of its input"
        )
        return Unreplaceable(place.site, "in_place", reason)
    return Unreplaceable(place.site, "differs", f"{place.choice} put in its own place {_CHANGES_IT} ({why})")


def _refused_call(item: FoundCall, problem: str) -> Unreplaceable:
    does = f"computes {item.choice}" if item.written_out else f"calls {item.function}()"
    advice = "" if item.function == "glu" else "; make it a module to have it replaced"  # nn.GLU is none either
    reason = f"{does} at {item.line}: {problem}{advice}"
    return Unreplaceable(item.inside, "functional", reason)


def _unknown(own: dict[str, tuple[nn.Module, Choice | None]]) -> list[Unreplaceable]:
    reason = "{0} looks like an activation, not in the catalogue: autoact.register it with torch_type={0}"
    unknown = [(name, type(module).__name__) for name, (module, choice) in own.items() if choice is None]
    return [Unreplaceable(name, "unknown", reason.format(label)) for name, label in unknown]


def _tied(wanted: list[_Place], first: _Run) -> set[str]:
    """Names of tied modules that are unused only because each of their calls has a stand-in."""
    if all(place.call is None or place.line for place in wanted):
        return set()
    return {item.name for item in first.located} - {item.name for item in first.observer.unused()}
