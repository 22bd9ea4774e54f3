"""What a search may try: activations by name, and activations whose parameters are searched in a range."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.distributions import FloatDistribution

from autoact.activations import canonical, function_key, get
from autoact.activations.registry import name_key, parameters
from autoact.activations.registry import normalisations as all_normalisations
from autoact.activations.spec import Activation, Parameter
from autoact.core.assignment import RANGE, Choice
from autoact.core.errors import AutoactError, unknown

_FORM = re.compile(r"^\s*([A-Za-z_][\w-]*)\s*\((.*)\)\s*$")
# Where in a range, as shares of it on its scale, the same activation everywhere is tried beside its default.
SPREAD = (1 / 6, 1 / 2, 5 / 6)
# Significant digits of a searched value: files stay readable, and no activation notices more.
DIGITS = 3


@dataclass(frozen=True)
class ParameterRange:
    """A parameter of an activation that is searched between two values, on a logarithmic scale or a linear one."""

    name: str
    low: float
    high: float
    log: bool

    def __str__(self) -> str:
        """The form in which it is given."""
        return f"{self.name}={self.low:g}{RANGE}{self.high:g}"

    @property
    def distribution(self) -> FloatDistribution:
        """The range as an Optuna dimension."""
        return FloatDistribution(self.low, self.high, log=self.log)

    def rounded(self, value: float) -> float:
        """The value to the digits that are kept, within the range.

        Example:
            >>> ParameterRange("omega", 1.0, 30.0, log=True).rounded(12.3456)
            12.3
        """
        return min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))

    def at(self, share: float) -> float:
        """The value at a share of the range, on its scale.

        Example:
            >>> ParameterRange("omega", 1.0, 100.0, log=True).at(0.5)
            10.0
        """
        if self.log:
            return self.rounded(self.low * (self.high / self.low) ** share)
        return self.rounded(self.low + share * (self.high - self.low))


@dataclass(frozen=True)
class RangedChoice:
    """An activation whose parameters, or some of them, are searched; ``fixed`` has the values of the others.

    Example:
        >>> sine = ranged("sine(omega=0.3..10)")
        >>> str(sine), str(sine.start), [str(choice) for choice in sine.spread]
        ('sine(omega=0.3..10)', 'sine', ['sine(omega=0.538)', 'sine(omega=5.57)'])
    """

    fixed: Choice
    ranges: tuple[ParameterRange, ...]

    def __str__(self) -> str:
        """The form in which it is given."""
        given = [*(f"{name}={value:g}" for name, value in self.fixed.params), *map(str, self.ranges)]
        return f"{self.fixed.name}({', '.join(given)})"

    def choice(self, values: Mapping[str, float]) -> Choice:
        """The activation with these values of the searched parameters; one that is missing has its first value."""
        found = {one.name: values.get(one.name, self._first(one)) for one in self.ranges}
        rounded = {one.name: one.rounded(found[one.name]) for one in self.ranges}
        return canonical(Choice(self.fixed.name, tuple(sorted({**dict(self.fixed.params), **rounded}.items()))))

    def _first(self, one: ParameterRange) -> float:
        default = next(p.default for p in get(self.fixed.name).parameters if p.name == one.name)
        return default if one.low <= default <= one.high else one.at(0.5)

    @property
    def start(self) -> Choice:
        """What is tried first: the defaults, or the middle where the range does not hold them."""
        return self.choice({})

    @property
    def spread(self) -> tuple[Choice, ...]:
        """Values over the range, away from the first one: each parameter takes those places in another order."""
        first = self.ranges[0]
        nearest = min(range(len(SPREAD)), key=lambda k: abs(self._place(first, first.at(SPREAD[k]))))
        places = [k for k in range(len(SPREAD)) if k != nearest]
        every = [{one.name: one.at(SPREAD[(k + i) % len(SPREAD)]) for i, one in enumerate(self.ranges)} for k in places]
        return tuple(self.choice(values) for values in every)

    def _place(self, one: ParameterRange, value: float) -> float:
        """How far a value lies from the first one that is tried, on the range's scale."""
        first = self._first(one)
        return value / first - first / value if one.log else value - first

    @property
    def label(self) -> str:
        """Its name as a value of an Optuna dimension: the activation's, unless that means a value beyond the range."""
        return str(self.fixed) if self.start == canonical(self.fixed) else str(self)

    def values_of(self, choice: Choice) -> dict[str, float] | None:
        """The searched parameters of a choice; None where it is another activation or lies beyond the range."""
        if choice.name != self.fixed.name:
            return None
        searched = {one.name: one for one in self.ranges}
        values, fixed = parameters(choice), parameters(self.fixed)
        if any(values[name] != fixed[name] for name in values if name not in searched):
            return None
        found = {name: values[name] for name in searched}
        return (
            found if all(searched[name].low <= value <= searched[name].high for name, value in found.items()) else None
        )


def ranged(text: str, *, stated: bool = False) -> RangedChoice | None:
    """Read a candidate with ranges, ``name(param=low..high, ...)``; None where it has none.

    Args:
        text: a candidate as it is given.
        stated: search also the other parameters for which the catalogue states a range.

    Raises:
        AutoactError: an unknown name or parameter, or no range that can be searched.
    """
    match = _FORM.match(text)
    parts = [part.strip() for part in match.group(2).split(",")] if match else []
    given = [part for part in parts if RANGE in part]
    if not given and not stated:
        return None
    rest = ", ".join(part for part in parts if part and RANGE not in part)
    written = Choice.parse(f"{match.group(1)}({rest})" if match else text)
    fixed = canonical(written)
    row = get(fixed.name)
    ranges = {one.name: one for one in (_range(row, part) for part in given)}
    if len(given) > len(ranges) or any(name in ranges for name, _ in written.params):
        raise AutoactError(f"{text} gives a parameter twice")
    for parameter in row.parameters if stated else ():
        if parameter.search and parameter.name not in ranges and parameter.name not in dict(written.params):
            found = parameter.search
            ranges[parameter.name] = ParameterRange(parameter.name, found.low, found.high, found.log)
    if not ranges:
        return None
    _check_ordered(row, fixed, ranges)
    return RangedChoice(fixed, tuple(ranges[name] for name in row.parameter_names if name in ranges))


def _range(row: Activation, part: str) -> ParameterRange:
    """One ``param=low..high``.

    Raises:
        AutoactError: an unknown parameter, no numbers, bounds in the wrong order or beyond what is allowed.
    """
    name, _, values = (word.strip() for word in part.partition("="))
    known: dict[str, Parameter] = {parameter.name: parameter for parameter in row.parameters}
    if name not in known:
        if not known:
            raise AutoactError(f"{row.name} has no parameters: write {row.name} without {part}")
        raise unknown(f"parameter of {row.name}", name, known)
    parameter = known[name]
    first, _, last = values.partition(RANGE)
    try:
        low, high = float(first), float(last)
    except ValueError:
        raise AutoactError(
            f"cannot read the range {part!r} of {row.name}: write {name}=low{RANGE}high with two numbers"
        ) from None
    if parameter.whole:
        several = ", ".join(f"{row.name}({name}={value:g})" for value in (parameter.low, parameter.low + 1))
        raise AutoactError(
            f"{row.name}: {part} cannot be searched as a range, since {name} is a whole number that changes widths of "
            f"layers: name each value as a candidate of its own, such as {several}"
        )
    if not low < high:
        raise AutoactError(
            f"{row.name}: {part} must begin with the lower number and end with a higher one; "
            f"it reads {low:g} to {high:g}"
        )
    if not parameter.low <= low < high <= parameter.high:
        raise AutoactError(f"{row.name}: {part} is not allowed, choose within {parameter.low:g} .. {parameter.high:g}")
    return ParameterRange(name, low, high, log=parameter.search is not None and parameter.search.log and low > 0)


def _check_ordered(row: Activation, fixed: Choice, ranges: Mapping[str, ParameterRange]) -> None:
    """Refuse ranges that hold values in a forbidden order.

    Raises:
        AutoactError: names the two parameters.
    """
    values = row.values(dict(fixed.params))
    for lesser, greater in row.ordered:
        most = ranges[lesser].high if lesser in ranges else values[lesser]
        least = ranges[greater].low if greater in ranges else values[greater]
        if most > least:
            raise AutoactError(
                f"{row.name}: {lesser} may not exceed {greater}, but reaches {most:g} where {greater} begins "
                f"at {least:g}"
            )


def _check_normalisations(names: Sequence[str]) -> None:
    """Refuse what cannot stand in the place of a normalisation.

    Raises:
        AutoactError: names it, and what is allowed.
    """
    rows = all_normalisations()
    known = {name_key(name) for row in rows for name in (row.name, *row.aliases)}
    for text in names:
        if name_key(name := text.partition("(")[0]) not in known:
            allowed = [row.name for row in rows if row.searchable]
            raise unknown("choice of space.normalisations", name, allowed)


def _check_searchable(given: Choice | RangedChoice, row: Activation, normalisations: bool) -> None:
    """Refuse what no search may try, and a normalisation among activations.

    Raises:
        AutoactError: says why, and where it belongs.
    """
    if not row.searchable:
        raise AutoactError(f"{given} cannot be searched: {row.reason_not_searchable}")
    if row.normalisation and not normalisations:
        raise AutoactError(
            f"{given} stands at normalisations, not where activations are applied: space.normalisations=[{given}]"
        )


@dataclass(frozen=True)
class Candidates:
    """What a search may try.

    Attributes:
        choices: each as a choice, in canonical form; one with ranges as its start.
        ranged: those with ranges, by the text of their start.
        merged: what is not tried -> what is tried in its place.
    """

    choices: tuple[Choice, ...]
    ranged: Mapping[str, RangedChoice]
    merged: Mapping[str, str]


def read_candidates(names: Sequence[str], *, stated: bool = False, normalisations: bool = False) -> Candidates:
    """Canonical candidates, each function once.

    Args:
        names: as given in ``space.candidates``, or in ``space.normalisations``.
        stated: search the parameters for which the catalogue states a range (``space.parameters``).
        normalisations: they are to stand at normalisations, and not where activations are applied.

    Raises:
        AutoactError: none is given, one cannot be read or searched, or none has a range although ranges are wanted.

    Example:
        >>> found = read_candidates(["sine(omega=0.3..10)", "sin", "tanh"])
        >>> [str(choice) for choice in found.choices], dict(found.merged)
        (['sine', 'tanh'], {'sine': 'sine(omega=0.3..10)'})
    """
    if not names:
        raise AutoactError("space.candidates is empty: name at least one activation, e.g. space.candidates=[gelu,tanh]")
    if normalisations:
        _check_normalisations(names)
    read = [ranged(name, stated=stated) or canonical(name) for name in names]
    spans: dict[str, RangedChoice] = {}
    for one in read:
        if isinstance(one, RangedChoice) and spans.setdefault(one.fixed.name, one) != one:
            raise AutoactError(f"{spans[one.fixed.name]} and {one} search one activation twice: give one of them")
    if stated and not spans:
        raise AutoactError(
            f"space.parameters=true has no effect: the catalogue states no range for any of {', '.join(names)}; "
            "python -m autoact activations NAME shows those that it states"
        )
    unique: dict[str, Choice] = {}
    merged: dict[str, str] = {}
    for one in read:
        choice = one.start if isinstance(one, RangedChoice) else one
        _check_searchable(one, get(choice.name), normalisations)
        if isinstance(one, RangedChoice):
            unique[str(one)] = choice
        elif (span := spans.get(choice.name)) is not None and span.values_of(choice) is not None:
            merged[str(choice)] = str(span)
        elif (kept := unique.setdefault(function_key(choice), choice)) != choice:
            merged[str(choice)] = str(kept)
    return Candidates(tuple(unique.values()), {str(span.start): span for span in spans.values()}, merged)
