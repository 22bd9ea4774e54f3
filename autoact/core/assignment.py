"""A choice of activation, as plain data: a catalogue name with the parameters that differ from its defaults."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoact.core.errors import AutoactError
from autoact.core.typed_values import unfit

LONG_RUN = 5
"""Equal choices side by side that a summary counts and does not repeat."""

_FORM = re.compile(r"^\s*([A-Za-z_][\w-]*)\s*(?:\((.*)\))?\s*$")


RANGE = ".."
"""Stands between the two ends of a range: ``sine(omega=1..30)`` among the candidates of a search."""


@dataclass(frozen=True, order=True)
class Choice:
    """An activation by name, with numeric parameters; its text form is what YAML and Optuna hold.

    Example:
        >>> str(Choice.parse("leaky_relu( negative_slope = 0.2 )"))
        'leaky_relu(negative_slope=0.2)'
        >>> Choice.parse("gelu")
        Choice(name='gelu', params=())
    """

    name: str
    params: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, text: str | Choice) -> Choice:
        """Read ``name`` or ``name(param=number, ...)``.

        Raises:
            AutoactError: the text has another form.
        """
        if isinstance(text, Choice):
            return text
        if wanted := unfit(text, str):
            raise AutoactError(f"an activation is given as {text!r}: it must be {wanted}")
        match = _FORM.match(text)
        if match is None:
            raise AutoactError(f"cannot read the activation {text!r}: write name or name(param=number)")
        params: dict[str, float] = {}
        for part in filter(None, (p.strip() for p in (match.group(2) or "").split(","))):
            key, separator, value = part.partition("=")
            if RANGE in value:
                raise AutoactError(
                    f"{text} has a range, {part}, and a range is not a choice: write one number; a search takes ranges "
                    "among its candidates"
                )
            try:
                number = float(value)
            except ValueError:
                number = None
            if not separator or number is None or key.strip() in params:
                raise AutoactError(
                    f"cannot read {part!r} in the activation {text!r}: write param=number, each once"
                    " (among the candidates of a search also param=low..high)"
                )
            params[key.strip()] = number
        return cls(match.group(1), tuple(sorted(params.items())))

    def __str__(self) -> str:
        """The text form, which ``parse`` reads back."""
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(f'{key}={_shortest(value)}' for key, value in self.params)})"


def _shortest(value: float) -> str:
    """The shortest text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


class Assignment(Mapping[str, Choice]):
    """Site name -> choice: what a trial tries and what is recommended. Immutable, hashable, ordered as given.

    Example:
        >>> a = Assignment({"layers.0.act": "tanh", "layers.1.act": "relu"})
        >>> a.to_dict()
        {'layers.0.act': 'tanh', 'layers.1.act': 'relu'}
        >>> a.uniform
        False
    """

    def __init__(self, choices: Mapping[str, str | Choice]) -> None:
        self._choices = {str(site): Choice.parse(choice) for site, choice in choices.items()}

    def __getitem__(self, site: str) -> Choice:
        return self._choices[site]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __hash__(self) -> int:
        """Equal assignments have equal hashes, whatever the order of their sites."""
        return hash(frozenset(self._choices.items()))

    def __repr__(self) -> str:
        return f"Assignment({self.to_dict()!r})"

    @property
    def uniform(self) -> bool:
        """Whether the same activation stands at every site."""
        return len(set(self._choices.values())) == 1

    def to_dict(self) -> dict[str, str]:
        """Plain data: site -> text form of the choice."""
        return {site: str(choice) for site, choice in self._choices.items()}

    def summary(self) -> str:
        """A short text for people: one name where uniform, else the choices in site order, long runs with their number.

        Example:
            >>> Assignment({"a": "tanh", "b": "relu"}).summary()
            'tanh | relu'
            >>> Assignment({**dict.fromkeys("abcdef", "layer_norm"), "g": "derf"}).summary()
            '6 x layer_norm | derf'
        """
        if self.uniform:
            return str(next(iter(self.values())))
        runs = [(str(choice), len(list(run))) for choice, run in itertools.groupby(self.values())]
        parts = [[f"{length} x {text}"] if length >= LONG_RUN else [text] * length for text, length in runs]
        return " | ".join(itertools.chain.from_iterable(parts))
