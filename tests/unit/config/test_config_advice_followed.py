"""Bad input, the advice of the message followed word by word, and the message is gone."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autoact.cli.config_arguments import read
from autoact.config.groups import GROUPS
from autoact.config.key_names import KEYS
from autoact.core.errors import AutoactError
from autoact.data.prepare import prepare

C, R = ["task=classification", "data.path=t.csv", "data.target=y"], ["task=regression", "data.path=t.csv"]
COUNT = 120


def _frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=COUNT).round(3), "c": [("u", "v")[k % 2] for k in range(COUNT)]})
    frame["n"] = random.normal(size=COUNT).round(2)
    frame["y"] = [("no", "yes")[k] for k in random.integers(0, 2, COUNT)]
    return frame


# What is wrong with the table, the words, and a piece of the message that has to go.
SITUATIONS = {
    "an id": ({"id": list(range(COUNT))}, C, "counts the rows"),
    "unique text": ({"ref": [f"x{k}" for k in range(COUNT)]}, C, "nearly every value is unique"),
    "no value": ({"void": [None] * COUNT}, C, "holds no value at all"),
    "dates": ({"day": [f"2024-{k // 28 + 1:02d}-{k % 28 + 1:02d}" for k in range(COUNT)]}, C, "holds dates"),
    "stray text": ({"m": ["tall", *[str(k * k) for k in range(COUNT - 1)]]}, C, "but row 1 holds 'tall'"),
    "0/1 in a regression": ({"t": [k % 2 for k in range(COUNT)]}, [*R, "data.target=t"], "task=classification is"),
    "fractions as classes": ({"t": [(0.5, 1.5, 2.5)[k % 3] for k in range(COUNT)]},
                             ["task=classification", "data.path=t.csv", "data.target=t"], "task=regression is meant"),
    "too many classes": ({"t": np.arange(COUNT) ** 2 % 1009}, ["task=classification", "data.path=t.csv",
                                                              "data.target=t"], "more than the 100 classes"),
    "text in a regression": ({}, [*R, "data.target=y"], "holds text"),
    "a class of two": ({"y": ["rare", "rare", *["no", "yes"] * (COUNT // 2 - 1)]}, C, "has too few rows"),
    "time and group": ({"t": list(range(COUNT)), "g": [f"s{k % 20}" for k in range(COUNT)]},
                       [*C, "data.time=t", "data.group=g"], "rows of one 'g' can lie in several parts"),
    "a bare path": ({}, ["t.csv", "task=classification", "data.target=y"], "did you mean data.path"),
    "a bare task": ({}, ["classification", "data.path=t.csv", "data.target=y"], "did you mean task"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _said(words: list[str]) -> list[str]:
    """What is said of these words: the error, or the notes."""
    try:
        config, _, notes = read(words).settings("search")
        return [*notes, *prepare(config.data, config.task.kind).notes]
    except AutoactError as error:
        return [str(error)]


def _advice(line: str) -> list[str]:
    """The settings that a message advises, as a shell hands them over."""
    found = []
    for match in re.findall(r'"[a-z_.]+=[^"]*"|(?<![\w.])[a-z_]+(?:\.[a-z_]+)*=(?:\[[^\]]*\]|[^\s,;:?)(]+)', line):
        word = shlex.split(match)[0]
        key = word.partition("=")[0]
        if (key in KEYS or key in GROUPS) and not word.partition("=")[2].isupper():
            found.append(word)
    return found


@pytest.mark.parametrize("name", SITUATIONS)
def test_advice_that_is_followed_ends_the_message(name: str, folder: Path) -> None:
    columns, words, message = SITUATIONS[name]
    _frame().assign(**columns).to_csv(folder / "t.csv", index=False)
    line = next(line for line in _said(words) if message in line)
    advised = [word for word in _advice(line) if word not in words]
    assert advised, f"no advice in: {line}"
    for word in advised:
        replaced = [w for w in words if w.partition("=")[0] != word.partition("=")[0] and "=" in w]
        after = _said([*replaced, word])
        assert not any(message in one for one in after), f"{word} was followed: {after}"
        assert not any(one.startswith(("unknown", "cannot read")) for one in after), after
