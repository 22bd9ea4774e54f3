"""What a message calls a setting: keys on the command line, arguments in Python. One table per face translates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from autoact.core.errors import AutoactError

_SECTIONS = "search|space|objectives|hardware|engine|confirm|tracking|trainer|recipe|data|task"
_VALUE = r"""\[[^\]]*\]|'[^']*'|"[^"]*"|[^\s,;:()\]]+"""
_KEY = re.compile(rf"(?<![\w./])((?:{_SECTIONS})\.[a-z_]+(?:\.[a-z_]+)*)(?:=({_VALUE}))?")
_CHOICE = re.compile(r"(?<![\w./])(engine|tracking)=([a-z]+)\b")
# Records within records.
_RECORDS = {"rungs": "autoact.RungSettings"}
_WORDS = {"true": "True", "false": "False", "null": "None"}


@dataclass(frozen=True)
class Terms:
    """How a face names settings.

    Attributes:
        arguments: key -> the argument that it is.
        records: section -> its argument and the class that holds it in full.
        sentences: pattern -> what the face says instead.

    Example:
        >>> Terms({"search.trials": "trials"}).said("more trials (search.trials=20)")
        'more trials (trials=20)'
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    sentences: Mapping[str, str] = field(default_factory=dict)

    def said(self, text: str) -> str:
        """A message with this face's own names in the place of the command line's keys."""
        for pattern, instead in self.sentences.items():
            text = re.sub(pattern, instead, text)
        if self.arguments:
            text = _CHOICE.sub(r'\1="\2"', text)
        return _KEY.sub(self._named, text)

    def _named(self, found: re.Match[str]) -> str:
        """One key, with its value where it has one."""
        key, value = found[1], found[2]
        # What ends a sentence is no part of the value.
        value, end = (value.rstrip("."), value[len(value.rstrip(".")) :]) if value and value != "..." else (value, "")
        section, _, name = key.partition(".")
        if key in self.arguments:
            return self.arguments[key] + (f"={_python(value)}" if value else "") + end
        if section not in self.records:
            return found[0]
        argument, record = self.records[section]
        if record == "dict":
            return f'{argument}={{"{name}": {_python(value or "...")}}}{end}'
        if not value:
            return f"{record}.{name}{end}"
        inner, _, leaf = name.rpartition(".")
        given = f"{inner}={_RECORDS[inner]}({leaf}={_python(value)})" if inner else f"{name}={_python(value)}"
        return f"{argument}={record}({given}){end}"

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of autoact's own kind name settings as this face does."""
        try:
            yield
        except AutoactError as error:
            said = self.said(str(error))
            if said == str(error):
                raise
            raise type(error)(said) from error


def _python(value: str) -> str:
    """A value of the command line as Python writes it.

    Example:
        >>> [_python(value) for value in ("[gelu,tanh]", "20", "false", "x", "N", "[0.1, 10]")]
        ["['gelu', 'tanh']", '20', 'False', "'x'", 'N', '[0.1, 10]']
    """
    if value.startswith("[") and value.endswith("]"):
        return f"[{', '.join(_python(part.strip()) for part in value[1:-1].split(',') if part.strip())}]"
    if value in _WORDS:
        return _WORDS[value]
    is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|-inf", value)
    if is_number or value.isupper() or value == "..." or value[:1] in "'\"":
        return value
    return repr(value)


# What ``autoact.search`` says otherwise than the command line.
SENTENCES_OF_CALL = {
    r"\bthe same command\b": "the same call",
    r"\(name a priced machine, hardware=\.\.\., or give hardware\.price_per_hour and hardware\.currency\)": (
        '(give hardware=autoact.HardwareSettings(price_per_hour=..., currency="USD"))'
    ),
    r"callbacks=\[package\.module:Class\]": "callbacks=lambda: [...]",
    r"trainer\.callbacks: name callbacks by reference": "callbacks are no argument of the Trainer here",
}

# The scikit-learn estimators.
ESTIMATOR = Terms(
    arguments={
        "search.trials": "trials",
        "search.minutes": "minutes",
        "search.patience": "patience",
        "search.seed": "random_state",
        "space.candidates": "candidates",
        "space.granularity": "granularity",
        "objectives.use": "objectives",
        "confirm.seeds": "confirm_seeds",
        "hardware.device": "device",
        "engine.workers": "n_jobs",
        "tracking.backend": "tracking",
        "trainer.max_epochs": "max_epochs",
        "recipe.batch_size": "batch_size",
        "data.scaling": "scaling",
        **{f"recipe.arguments.{name}": name for name in ("width", "depth", "dropout", "learning_rate", "weight_decay")},
    },
    records={"tracking": ("tracking", "autoact.TrackingSettings")},
    sentences={
        r"data\.drop=\[([^\]]*)\]": r"leave it out of X (\1)",
        r"(: )?let the search try (\w+) ones with space\.learning_rate=\[[^\]]*\]": r": give a \2 learning_rate",
        r"\brecipe\.arguments do not fit \S+": "the network cannot be built",
        r"\bthe same command\b": "a fit",
        # What a fit found ends with it: its study is in memory, or in a folder under another name.
        r"Nothing is lost: a fit": "A fit",
        r" \(or your own as package\.module:function\)": "",
        r"\bthe same search with a larger budget \(([^)]*)\) goes on from here": (
            r"a larger budget (\1) compares others"
        ),
        r"\bgoes on from here\b": "comes further",
    },
)


def estimator_terms(reduced: bool) -> Terms:
    """What an estimator calls settings; with few rows no larger budget helps."""
    if not reduced:
        return ESTIMATOR
    few = {
        r"; the same search with a larger budget \([^)]*\) goes on from here": "; more rows would carry a comparison"
    }
    return replace(ESTIMATOR, sentences={**few, **ESTIMATOR.sentences})
