"""What ``find_sites`` returns: sites, and what was found but cannot be replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from autoact.activations import registry
from autoact.core.assignment import Choice
from autoact.core.errors import unknown
from autoact.sites.rewriting.method_rewrite import MethodCall

NOT_RUN = "the model was not run: give an example_input"
NORMALISATION = "a normalisation keeps its width"
# The kind of what looks like a normalisation and is no site.
NORMALISES = "normalisation"
# Why the activations that make a model's output are kept.
OUTPUT = "no layer with weights reads its result"


@dataclass(frozen=True)
class LinearLayer:
    """An ``nn.Linear`` whose width may change.

    Attributes:
        name: dotted module name.
        inputs: ``in_features``.
        outputs: ``out_features``.
        bias: whether it has one.
        order: position in the order of first calls.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool
    order: int


@dataclass(frozen=True)
class NormLayer:
    """A normalisation whose width may change.

    Attributes:
        name: dotted module name.
        per_channel: parameters for each channel: 2 with scale and shift, 0 with neither.
    """

    name: str
    per_channel: int


@dataclass(frozen=True)
class Wiring:
    """The layers around a site, which change their width with it.

    Attributes:
        producer: gives its input.
        consumers: take its output.
        before: normalisations between producer and site.
        after: normalisations between site and consumers.
        width: channels that leave the site.
    """

    producer: LinearLayer
    consumers: tuple[LinearLayer, ...]
    before: tuple[NormLayer, ...]
    after: tuple[NormLayer, ...]
    width: int


@dataclass(frozen=True)
class Site:
    """One place in a model where an activation is applied, or, where these were asked for, a normalisation.

    Attributes:
        name: dotted module name, e.g. ``encoder.0.act``; empty if the model itself is the activation.
        current: the activation that stands there.
        shape: shape of the tensor seen there first, batch included; None if the model was not run.
        channels: size along ``channel_dim``; None if the model was not run, or if calls differ in it.
        channel_dim: 1 where the tensor comes from a convolution or a batch norm over images or sequences, else -1.
        uses: calls in one forward; 0 if the model was not run.
        kept: why a search leaves it as it is unless it is named, in one line: no layer with weights reads its result,
            or its range is used; empty where a search may change it.
        order: position in the order of first calls, from 0; order of definition if the model was not run.
        shared_as: further names of the same module object.
        wiring: the layers that change their width if a gated activation is put here; None where they cannot.
        not_gateable: why they cannot, in one line; empty where they can.
        call: the call in the user's code that ``apply`` turns into a call of the module of this name; None where a
            module or an attribute stands already.
        line: file and line of that call, e.g. ``net.py:42``; empty where there is none.
        twin_of: the site that this one is a copy of (of an averaged model, of a teacher): a search gives both the same
            activation; empty where it is no copy.
        input_written: the model writes into what the activation was given, later in the same forward.
        output_written: it writes into what the activation returned: ``x = act(x); x += skip``.
    """

    name: str
    current: Choice
    shape: tuple[int, ...] | None = None
    channels: int | None = None
    channel_dim: int = -1
    uses: int = 0
    kept: str = ""
    order: int = 0
    shared_as: tuple[str, ...] = ()
    wiring: Wiring | None = None
    not_gateable: str = NOT_RUN
    call: MethodCall | None = None
    line: str = ""
    twin_of: str = ""
    input_written: bool = False
    output_written: bool = False

    @property
    def is_output(self) -> bool:
        """Whether it makes the model's output: no layer with weights reads its result."""
        return self.kept == OUTPUT

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the module: the site's own first."""
        return (self.name, *self.shared_as)

    @property
    def normalises(self) -> bool:
        """Whether a normalisation stands here, or what was put in the place of one."""
        return registry.get(self.current.name).normalisation

    @property
    def gateable(self) -> bool:
        """Whether a layer-level choice (a gated activation or maxout) may stand here."""
        return self.wiring is not None

    def refusal(self, choice: str | Choice) -> str:
        """Why ``choice`` cannot stand here by its kind, in one line; empty where it can.

        Example:
            >>> site = Site("act", Choice("relu"), not_gateable="it is called 2 times in one forward")
            >>> site.refusal("tanh"), site.refusal("swiglu")
            ('', 'swiglu cannot stand at act: it is called 2 times in one forward')
        """
        place, row = self.name or "the model itself", registry.get(registry.canonical(choice).name)
        if row.normalisation != self.normalises:
            stands = f"the normalisation {self.current}" if self.normalises else f"the activation {self.current}"
            allowed = ", ".join(row.name for row in registry.normalisations() if row.searchable)
            only = f"only {allowed} can stand" if self.normalises else f"{row.name} stands at normalisations alone"
            return f"{choice} cannot stand at {place}: {stands} does, and {only}"
        if self.normalises:
            here = registry.canonical(choice) == self.current or row.searchable
            return "" if here else f"{choice} cannot be put at {place}: {row.reason_not_searchable}"
        if self.gateable or registry.pieces(choice) == registry.pieces(self.current):
            return ""
        return f"{choice} cannot stand at {place}: {self.not_gateable}"


@dataclass(frozen=True)
class Unreplaceable:
    """Something that holds or looks like an activation, and is not a site.

    Attributes:
        name: dotted name of the module or of its attribute.
        kind: ``softmax``, ``gated``, ``recurrent``, ``attention``, ``transformer``, ``scripted``, ``unknown``,
            ``functional``, ``in_place``, ``differs``, ``normalisation`` or ``unused``.
        reason: why it cannot be replaced and, where there is a way, what to do.
    """

    name: str
    kind: str
    reason: str


class Sites(Sequence[Site]):
    """The sites of a model in the order of their first call; looked up by position or by name.

    Attributes:
        unreplaceable: what was found and cannot be replaced.

    Example:
        >>> sites = Sites([Site("0.act", Choice("relu")), Site("head", Choice("sigmoid"), kept=OUTPUT)])
        >>> sites.names
        ('0.act', 'head')
        >>> [site.name for site in sites.searchable]
        ['0.act']
        >>> sites["head"].current
        Choice(name='sigmoid', params=())
    """

    def __init__(self, sites: Sequence[Site], unreplaceable: Sequence[Unreplaceable] = ()) -> None:
        self._sites = tuple(sites)
        self._by_name = {name: site for site in self._sites for name in site.names}
        self.unreplaceable = tuple(unreplaceable)

    @overload
    def __getitem__(self, key: int | str) -> Site: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[Site]: ...

    def __getitem__(self, key: int | str | slice) -> Site | Sequence[Site]:
        """A site by position or by any of its names, or a slice as a tuple.

        Raises:
            AutoactError: no site has this name; the nearest names, or why it is not a site, are in the message.
        """
        if not isinstance(key, str):
            return self._sites[key]
        if key in self._by_name:
            return self._by_name[key]
        reasons = [item.reason for item in self.unreplaceable if item.name == key]
        if not reasons and all(site.shape is None for site in self._sites) and key[-1:].isdigit() and "_" in key:
            reasons = ["functional calls are sites only with an example_input"]
        raise unknown("site", key, self.names, advice=reasons[0] if reasons else "")

    def __len__(self) -> int:
        return len(self._sites)

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites)

    def __contains__(self, item: object) -> bool:
        return item in self._by_name if isinstance(item, str) else item in self._sites

    def __repr__(self) -> str:
        return f"Sites({', '.join(self.names)}; {len(self.unreplaceable)} unreplaceable)"

    @property
    def names(self) -> tuple[str, ...]:
        """The site names in order."""
        return tuple(site.name for site in self._sites)

    @property
    def searchable(self) -> tuple[Site, ...]:
        """The sites that a search may change: all but outputs, gates and others whose range is used."""
        return tuple(site for site in self._sites if not site.kept)

    def named(self, names: Collection[str]) -> Sites:
        """The same sites; those that are named may be searched, whatever speaks against it."""
        rows = [replace(site, kept="") if site.kept and set(site.names) & set(names) else site for site in self._sites]
        return Sites(rows, self.unreplaceable)

    def __str__(self) -> str:
        """A table for people: a row per site, then what cannot be replaced."""
        rows = [("site", "activation", "shape", "calls", "note"), *map(_row, self._sites)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        if not self._sites:
            lines = ["No site was found."]
        if self.unreplaceable:
            lines += ["", "Not replaceable:"]
            lines += [f"  {item.name or '(model)'}: {item.reason}" for item in self.unreplaceable]
        return "\n".join(lines)


def _row(site: Site) -> tuple[str, str, str, str, str]:
    notes = ["output: not searched" if site.is_output else f"not searched: {site.kept}"] if site.kept else []
    notes += [f"also {name}" for name in site.shared_as]
    notes += [f"a call at {site.line}"] if site.line else []
    notes += [f"a copy of {site.twin_of}"] if site.twin_of else []
    shape = "x".join(map(str, site.shape)) if site.shape is not None else "not run"
    return (site.name or "(model)", str(site.current), shape, str(site.uses or "-"), "; ".join(notes))
