"""Put activations into a model: everything is checked before anything changes."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

import torch
from torch import nn

from autoact.activations import registry
from autoact.activations.modules import ActivationModule, build
from autoact.activations.normalisation import NormalisationModule
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError, unknown
from autoact.sites.discovery.find import called_names, find_sites
from autoact.sites.discovery.model_copies import scaled
from autoact.sites.discovery.placeholders import StandIns
from autoact.sites.initialise import is_held
from autoact.sites.replacement.layer_widths import (
    DoesNotFitError,
    Plan,
    check_sizes,
    draw_layers_,
    kept_biases,
    plan_widths,
    resize_,
)
from autoact.sites.replacement.save_pretrained import keep_config_true_
from autoact.sites.replacement.state_dict_marker import mark_
from autoact.sites.site import Site, Sites
from autoact.sites.tracing.locate import activation_modules, normalisation_modules, put
from autoact.sites.tracing.torch_transformer import copied_model
from autoact.sites.tracing.weight_consumers import weight_graph
from autoact.sites.user_hooks import take_hooks_
from autoact.sites.weight_rules import WeightRules, change_, weight_changes


def apply(
    model: nn.Module,
    assignment: Mapping[str, str | Choice],
    *,
    example_input: object = None,
    sites: Sites | None = None,
    rescale: bool = False,
    per_use: bool = False,
) -> nn.Module:
    """A copy of ``model`` with the activations of ``assignment``; the model given stays as it is.

    Arguments and errors are those of ``apply_``.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> apply(model, {"1": "tanh"})[1], model[1]
        (ActivationModule(tanh), ReLU())
    """
    return apply_(
        copied_model(model), assignment, example_input=example_input, sites=sites, rescale=rescale, per_use=per_use
    )


def apply_(
    model: nn.Module,
    assignment: Mapping[str, str | Choice],
    *,
    example_input: object = None,
    sites: Sites | None = None,
    rescale: bool = False,
    per_use: bool = False,
    as_modules: bool = False,
) -> nn.Module:
    """Put the activations of ``assignment`` into ``model``, in place.

    All other weights keep their names and values. A new module carries a marker (see
    ``autoact.sites.replacement.state_dict_marker``), and has the training flag of the old one and the device and dtype
    of the parameters around it. A site that holds the wanted activation already is left untouched. A module that is
    shared is replaced under all its names. If an example input is given, the changed model is run once; if it then
    fails, or does not call a new module, it is put back as it was.

    A site that is a functional call (see ``find_sites``) becomes a submodule of the site's name. The object that calls
    it gets a subclass of its class, of the same name, with that one call exchanged; all else of it stays.

    What is given to a normalisation, such as ``dynamic_tanh``, takes over its scale and shift (see
    ``NormalisationModule``).

    A gated activation or maxout changes the layers around its site too (see ``plan_widths``): the hidden width shrinks
    so that the number of parameters stays, names stay, and the weights of the resized layers are drawn anew from
    torch's default generator as ``initialise_`` draws them, whatever ``rescale`` says.

    Args:
        model: changed in place.
        assignment: site name, or glob such as ``encoder.*``, -> activation. Globs do not reach the model's output, and
            do not hand out activations that cannot be trained: name the site for that.
        example_input: as in ``find_sites``; needed for activations with weights, gated ones, and for ``rescale``.
        sites: what ``find_sites`` returned for this model, to save its run.
        rescale: change the weights around a changed site as the rules of the two activations differ: see ``rescale_``.
        per_use: as in ``find_sites``; names mean those sites.
        as_modules: make a module also of a named call whose activation stays as it is, so that models with different
            assignments have the same modules.

    Returns:
        ``model``.

    Raises:
        AutoactError: no such site; two claims on one site; an activation that is unknown or does not fit; an empty
            assignment; the model itself is the activation; layers that cannot be resized (``DoesNotFitError``).

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> apply_(model, {"1": "gelu", "3": "leaky_relu(negative_slope=0.2)"})[3]
        ActivationModule(leaky_relu(negative_slope=0.2))
        >>> model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 16))
        >>> apply_(model, {"1": "swiglu"}, example_input=torch.zeros(2, 16))
        Sequential(
          (0): Linear(in_features=16, out_features=84, bias=True)
          (1): GatedActivation(swiglu)
          (2): Linear(in_features=42, out_features=16, bias=True)
        )
    """
    if rescale and example_input is None:
        raise AutoactError("rescale=True needs an example_input: it shows which weights consume which activation")
    if sites is None:
        wants = registry.any_normalisation(assignment.values()) if isinstance(assignment, Mapping) else False
        sites = find_sites(model, example_input, per_use=per_use, normalisations=wants)
    wanted = _wanted(assignment, sites)
    changed = {name: choice for name, choice in wanted.items() if registry.canonical(sites[name].current) != choice}
    standins = StandIns(model)
    try:
        _stand_in(model, [sites[name] for name in wanted], wanted if as_modules else changed, standins)
        _replace(model, sites, changed, example_input, rescale)
    except BaseException:
        standins.undo()
        raise
    if changed:
        keep_config_true_(model)
    return model


def _stand_in(model: nn.Module, wanted: list[Site], needed: Mapping[str, Choice], standins: StandIns) -> None:
    """Check that the model holds the wanted sites, and make a module of each needed one that is none yet.

    Raises:
        AutoactError: the sites are those of another model.
    """
    located = [*activation_modules(model), *normalisation_modules(model)]
    present = {name: item for item in located for name in item.names}
    for site in wanted:
        item = present.get(site.name)
        # Parameters are not compared: those of a PReLU change in training.
        if item is not None and item.choice.name != site.current.name:
            raise AutoactError(f"sites do not fit the model: it holds no {site.current.name} at {site.name!r}")
        if site.name not in needed or (item is not None and item.names == site.names):
            continue
        if site.call is not None:
            standins.for_call(site.name.rpartition(".")[0], site.call, site.current)
        else:
            standins.for_module(site.names, site.current)


def _replace(
    model: nn.Module, sites: Sites, changed: Mapping[str, Choice], example_input: object, rescale: bool
) -> None:
    """Put new modules where modules stand, with all that belongs to it.

    Raises:
        AutoactError: see ``apply_``.
    """
    present = {item.name: item for item in [*activation_modules(model), *normalisation_modules(model)]}
    plan = plan_widths(sites, changed)
    if plan.widths and example_input is None:
        raise AutoactError(
            f"{changed[next(iter(plan.widths))]} needs an example_input: it shows what the resized layers consume"
        )
    check_sizes(model, sites, plan)
    twins = {name for site in sites if site.twin_of for name in (site.name, site.twin_of)}
    old = {name: sites[name].current for name in changed}
    graph = weight_graph(model, example_input) if plan.widths or rescale else None
    held = {name for name, parameter in model.named_parameters() if is_held(parameter)}
    changes = weight_changes(graph, held, old, changed) if graph is not None else {}
    resized = {f"{name}.weight" for name in plan.linears}
    biases = kept_biases(model, {name: change for name, change in changes.items() if name in resized})
    put_back = resize_(model, plan)
    # What stands in the place of a normalisation has its scale and shift, of the size that they have now.
    new = {name: _module(model, sites[name], choice, plan, name in twins) for name, choice in changed.items()}
    for name, module in new.items():
        put(model, sites[name].names, module)
    if example_input is not None and new:
        try:
            _check_called(model, sites, new, example_input)
        except BaseException:
            put_back()
            for name in new:
                put(model, sites[name].names, present[name].module)
            raise
    if graph is None:
        return
    choices = {name: item.choice for name, item in present.items()} | dict(changed)
    draw_layers_(model, plan, WeightRules(graph, held, choices), biases)
    if rescale:
        kept = {name: change for name, change in changes.items() if name not in resized}
        change_(model, scaled(model, sites, kept))


def _wanted(assignment: Mapping[str, str | Choice], sites: Sites) -> dict[str, Choice]:
    """Site name -> canonical choice, with globs resolved.

    Raises:
        AutoactError: see ``apply_``.
    """
    if not isinstance(assignment, Mapping):
        raise AutoactError(f"an assignment maps site names to activations; this is {type(assignment).__name__}")
    if not assignment:
        raise AutoactError("the assignment is empty: nothing would be replaced")
    wanted: dict[str, Choice] = {}
    claims: dict[str, str] = {}
    for pattern, given in assignment.items():
        choice = registry.canonical(given)
        for site in _claimed(pattern, sites, choice):
            _check_choice(pattern, site, choice)
            if site.name in claims:
                raise AutoactError(f"site {site.name!r} is claimed twice: by {claims[site.name]!r} and by {pattern!r}")
            claims[site.name] = pattern
            wanted[site.name] = choice
    return wanted


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _claimed(pattern: str, sites: Sites, choice: Choice) -> list[Site]:
    """The sites that a name or a glob means; outputs, gates and the like only where they are named.

    The glob of a normalisation reaches normalisations alone, that of an activation activations alone.

    Raises:
        AutoactError: none, with the nearest names or the reason.
    """
    if not _is_glob(pattern):
        return [sites[pattern]]
    kind = registry.get(choice.name).normalisation
    alike = [site for site in sites if site.normalises == kind]
    matched = [site for site in alike if any(fnmatch.fnmatchcase(name, pattern) for name in site.names)]
    inner = [site for site in matched if not site.kept]
    if matched and not inner:
        only = "the model's output" if matched[0].is_output else "what is better left as it is"
        raise AutoactError(
            f"{pattern!r} matches only {only} ({matched[0].name or 'the model itself'}): "
            "name the site itself to replace it"
        )
    if not inner:
        reasons = "; ".join(item.reason for item in sites.unreplaceable if fnmatch.fnmatchcase(item.name, pattern))
        raise unknown("site", pattern, [name for site in alike for name in site.names], advice=reasons)
    return inner


def _check_choice(pattern: str, site: Site, choice: Choice) -> None:
    """Refuse a choice that cannot stand at ``site``.

    Raises:
        AutoactError: see ``apply_``.
    """
    if not site.name:
        raise AutoactError(f"the model itself is the activation {site.current}: use activations.build({str(choice)!r})")
    row = registry.get(choice.name)
    if not row.searchable and _is_glob(pattern):
        raise AutoactError(
            f"{choice} is not given to all of {pattern!r} ({row.reason_not_searchable}): name each site to have it"
        )
    if refusal := site.refusal(choice):
        raise DoesNotFitError(refusal)
    if not row.learnable or row.normalisation or site.channels is not None:
        return
    if site.shape is None:
        raise AutoactError(
            f"{choice} learns weights per channel: give example_input to show the channels of {site.name!r}"
        )
    raise AutoactError(f"{choice} learns weights per channel: {site.name!r} is called with different channels")


def _module(model: nn.Module, site: Site, choice: Choice, plan: Plan, twin: bool) -> nn.Module:
    """The new module for ``site``, with the training flag of the old one and the dtype and device around it."""
    replaced = model.get_submodule(site.name)
    if site.normalises:
        module: ActivationModule = NormalisationModule(choice, replaced)
    else:
        module = build(choice, channels=plan.widths.get(site.name, site.channels), channel_dim=site.channel_dim)
    like = _nearest_weight(model, site.name)
    if like is not None:
        module = module.to(device=like.device, dtype=like.dtype)
        if twin and not like.requires_grad:  # a frozen copy stays frozen as a whole
            module.requires_grad_(False)
    mark_(module, choice)
    _protect_(module, site)
    take_hooks_(module, replaced)
    return module.train(replaced.training)


def _protect_(module: nn.Module, site: Site) -> None:
    """Let a module work on copies where the model writes into its input or output afterwards.

    ReLU's backward reads its output alone, SiLU's its input: what trains with one would raise "modified by an inplace
    operation" with the other.
    """
    if site.input_written:
        module.register_forward_pre_hook(_copied_input)
    if site.output_written:
        module.register_forward_hook(_copied_output)


def _copied_input(_module: nn.Module, args: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(part.clone() if isinstance(part, torch.Tensor) else part for part in args)


def _copied_output(_module: nn.Module, _args: object, result: torch.Tensor) -> torch.Tensor:
    return result.clone()


def _nearest_weight(model: nn.Module, name: str) -> torch.Tensor | None:
    """A floating-point parameter or buffer of the site itself, else of the closest module around it."""
    while True:
        module = model.get_submodule(name)
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                return tensor
        if not name:
            return None
        name = name.rpartition(".")[0]


def _check_called(model: nn.Module, sites: Sites, new: Mapping[str, nn.Module], example_input: object) -> None:
    """Run the changed model once.

    Raises:
        AutoactError: it fails, or goes on calling an old module.
    """
    called = called_names(model, example_input)
    for name in new:
        if name not in called and not sites[name].twin_of:
            raise AutoactError(f"{name!r} was replaced, but the model goes on calling the old module: it is held twice")
