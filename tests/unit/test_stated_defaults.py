"""Defaults that docstrings, usage texts and pages state as numbers are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoact.config.schema import TaskSettings
from autoact.study.execution.successive_halving import rungs_of
from autoact.study.settings import DEFAULT_TRIALS, ConfirmSettings, RungSettings, SearchSettings
from autoact.workflows.checking.measure_again import CheckSettings

ROOT = Path(__file__).resolve().parents[2]
SHARES = {3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 8: "an eighth", 9: "a ninth", 10: "a tenth"}
NUMBER = rf"\d[\d,]*(?:\.\d+)*|{'|'.join(SHARES.values())}"
GIVEN = r"unless (?:given|set)|by default|where neither \S+ nor \S+ is given"
STATED = re.compile(rf"\b({NUMBER})\b((?:[^.;|:\d]|(?<=\d)\.\d){{0,60}}?)\b(?:{GIVEN})")

TUNING = SHARES[round(60 / SearchSettings(trials=60).tuning_trials())]
MOST_TUNING = SearchSettings(trials=10_000).tuning_trials()
# The file of each statement, and what the code says.
DEFAULTS: dict[str, set[object]] = {
    "docs/metrics.md": {TaskSettings().threshold},
    "autoact/cli/verbs/search.py": {DEFAULT_TRIALS},
    "autoact/cli/verbs/ui.py": {5000, "127.0.0.1"},
    "autoact/workflows/search.py": {ConfirmSettings().seeds},
    "autoact/integrations/sklearn/estimators.py": {128},
    "autoact/study/settings.py": {
        DEFAULT_TRIALS,
        SearchSettings(trials=DEFAULT_TRIALS).together,
        SHARES[round(90 / rungs_of(RungSettings(), 90, None)[0])],
        MOST_TUNING,
    },
    "docs/check.md": {CheckSettings.seeds},
    "docs/configuration.md": {DEFAULT_TRIALS, MOST_TUNING},
}


def stated(text: str) -> Iterator[str]:
    """The numbers that a text states as defaults."""
    return (match[1].replace(",", "") for match in STATED.finditer(" ".join(text.split())))


@pytest.mark.parametrize("folder", ["autoact", "recipes", "docs", "README.md"])
def test_stated_defaults_are_those_of_the_code(folder: str) -> None:
    files = [file for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".md")] or [ROOT / folder]
    for file in files:
        name = file.relative_to(ROOT).as_posix()
        said = set(stated(file.read_text(encoding="utf-8")))
        known = {str(value) for value in DEFAULTS.get(name, ())}
        assert said <= known, f"{name} states {said - known} as a default; of the code's, DEFAULTS lists {known}"


@pytest.mark.parametrize("name", ["autoact/study/settings.py", "docs/check.md", "docs/configuration.md"])
def test_the_numbers_are_found(name: str) -> None:
    assert set(stated((ROOT / name).read_text(encoding="utf-8"))) == {str(value) for value in DEFAULTS[name]}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("confirm: the final check; 3 fresh seeds unless given.", ["3"]),
        ("a sixth of all unless given; 1,000 rows by default", ["a sixth", "1000"]),
        ("epochs: 5 at most; 2 unless given", ["2"]),
        ("--host ADDRESS 127.0.0.1 unless given", ["127.0.0.1"]),
        ("the name unless given", []),
    ],
)
def test_a_number_is_seen(text: str, numbers: list[str]) -> None:
    assert list(stated(text)) == numbers


def test_the_baseline_is_tuned_with_the_stated_share_of_trials() -> None:
    words = f"{TUNING} of all, {MOST_TUNING} at most, unless given"
    assert words in " ".join((ROOT / "autoact" / "study" / "settings.py").read_text(encoding="utf-8").split())
    assert words in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
