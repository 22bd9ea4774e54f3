"""Numbers as people write them: read when the settings say how, else named in a line whose advice works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from autoact.config.override_syntax import read_override
from autoact.core.errors import AutoactError
from autoact.data.columns.number_formats import NumberForm
from autoact.data.prepare import prepare
from autoact.data.preprocessing_file import SavedPreprocessing
from autoact.data.settings import DataSettings

KINDS = {"data.decimal": str, "data.thousands": str, "data.number_signs": list[str], "data.categorical": list[str]}
KINDS |= {"data.missing": list[str], "data.drop": list[str], "data.numeric": list[str]}


def followed(settings: DataSettings, line: str, which: int = 0) -> DataSettings:
    """The settings with the ``which``-th advice of a line typed behind the command."""
    word_of_a_shell = r"""(?=["']?data\.)(?:'[^']*'|"[^"]*"|\[[^\]]*\]|[^\s,'"()\[\]])+"""
    pasted = re.findall(word_of_a_shell, line)
    groups: list[list[str]] = [[]]
    rest = line
    for one in pasted:
        before, _, rest = rest.partition(one)
        if groups[-1] and before != " ":
            groups.append([])
        groups[-1].append(one)
    changes = {}
    for one in groups[which]:
        (word,) = shlex.split(one)
        override = OverridesParser.create().parse_override(read_override(word, KINDS, (), {}))
        changes[override.key_or_group.removeprefix("data.")] = override.value()
    plain = {key: _plain(value) for key, value in changes.items()}
    return DataSettings(**{**vars(settings), **plain})


def _plain(value):
    """Hydra's quoted strings as text."""
    return [_plain(item) for item in value] if isinstance(value, list) else str(getattr(value, "text", value))


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        (NumberForm(","), "12,5", 12.5),
        (NumberForm(","), "12.5", None),
        (NumberForm(".", ","), "1,500", 1500.0),
        (NumberForm(".", ","), "1,500.25", 1500.25),
        (NumberForm(".", ","), "1,50", None),
        (NumberForm(".", ","), "0,500", None),
        (NumberForm(".", ","), "12,34,567", 1234567.0),
        (NumberForm(",", "."), "1.234.567,5", 1234567.5),
        (NumberForm(",", " "), "1\u202f234,5", 1234.5),
        (NumberForm(".", "'"), "1’500", 1500.0),
        (NumberForm(signs=("$",)), "-$1500", -1500.0),
        (NumberForm(signs=("$",)), "$-1500", -1500.0),
        (NumberForm(signs=("EUR",)), "1500 EUR", 1500.0),
        (NumberForm(signs=("%",)), "12 %", 12.0),
        (NumberForm(signs=("()",)), "(3.2)", -3.2),
        (NumberForm(signs=("()", "$")), "($3.2)", -3.2),
        (NumberForm(), "\u22123.5", -3.5),
        (NumberForm(","), "\u22123,5e2", -350.0),
        (NumberForm(signs=("$",)), "1500", 1500.0),
        (NumberForm(signs=("$",)), "--1", None),
    ],
)
def test_one_value(form: NumberForm, text: str, number: float | None) -> None:
    (found,) = form.parse(pd.Series([text]))
    assert np.isnan(found) if number is None else found == number


# How a number is written, and by what it is multiplied.
WRITTEN = {
    "decimal comma": (lambda v: f"{v:.2f}".replace(".", ","), 1),
    "dollars": (lambda v: f"${v:.2f}", 1),
    "euros behind": (lambda v: f"{v:.2f} €", 1),
    "brackets": (lambda v: f"({v:.2f})", -1),
    "per cent": (lambda v: f"{v:.2f} %", 1),
    "blanks": (lambda v: f"{v * 1000:,.2f}".replace(",", " ").replace(".", ","), 1000),
    "apostrophes": (lambda v: f"{v * 1000:,.2f}".replace(",", "'"), 1000),
    "english": (lambda v: f"{v * 1000:,.2f}", 1000),
    "german": (lambda v: f"{v * 1000:,.2f}".translate(str.maketrans(",.", ".,")), 1000),
    "a unit": (lambda v: f"{v:.2f} kg", 1),
    "everything": (lambda v: f"-{v * 1000:,.2f} USD".translate(str.maketrans(",.", ".,")), -1000),
}


def _table(folder: Path, write, rows: int = 300) -> tuple[DataSettings, np.ndarray]:
    random = np.random.default_rng(0)
    values = random.uniform(1, 90, rows).round(2)
    frame = pd.DataFrame({"v": [write(v) for v in values], "x": random.normal(size=rows).round(3)})
    frame["y"] = random.choice(["a", "b"], rows)
    frame.to_csv(folder / "t.csv", index=False, sep="|")
    return DataSettings(path=str(folder / "t.csv"), target="y", delimiter="|"), values


@pytest.mark.parametrize("how", WRITTEN)
def test_the_pattern_is_named_and_the_advice_reads_the_numbers(tmp_path: Path, how: str) -> None:
    write, factor = WRITTEN[how]
    settings, values = _table(tmp_path, write)
    with pytest.raises(AutoactError, match="column 'v' holds numbers written as in") as caught:
        prepare(settings, "classification")
    line = str(caught.value)
    assert "\n" not in line
    given = followed(settings, line)
    prepared = prepare(given, "classification")
    assert prepared.frame_schema == {"v": "numeric", "x": "numeric"}
    middle = prepared.profile["columns"][0]["edges"][4]
    assert middle == pytest.approx(np.median(values) * factor, rel=0.1)
    # New rows are read by the saved form, whatever rows stand there and whatever the settings are.
    saved = SavedPreprocessing.from_json(SavedPreprocessing.of(prepared, given, "sigmoid").to_json())
    new = pd.read_csv(settings.path, dtype=str, sep="|").drop(columns="y")
    new.head(3).to_csv(tmp_path / "new.csv", index=False, sep="|")
    assert saved.encode(saved.read(str(tmp_path / "new.csv"))).tolist() == saved.encode(new).tolist()[:3]


def test_the_other_advice_keeps_categories(tmp_path: Path) -> None:
    settings, _ = _table(tmp_path, lambda v: f"{v:.2f}".replace(".", ","))
    with pytest.raises(AutoactError) as caught:
        prepare(settings, "classification")
    kept = prepare(followed(settings, str(caught.value), 1), "classification")
    assert kept.frame_schema["v"] == "category"
    assert [note for note in kept.notes if "teach nothing" not in note] == []


def test_a_minus_behind_the_number_is_one(tmp_path: Path) -> None:
    assert NumberForm().parse(pd.Series(["264.21-", "3", "-", "1-2"])).tolist()[:2] == [-264.21, 3.0]
    assert NumberForm(",", ".").parse(pd.Series(["1.264,21-"])).tolist() == [-1264.21]
    settings, _ = _table(tmp_path, lambda v: f"{abs(v):.2f}{'-' if v < 0 else ''}")
    assert prepare(settings, "classification").frame_schema["v"] == "numeric"


def test_what_can_mean_two_numbers_is_asked(tmp_path: Path) -> None:
    settings, _ = _table(tmp_path, lambda v: f"{int(v * 1000):,}")
    with pytest.raises(
        AutoactError, match=r"which can mean .* or .*: set one of them, or data.categorical=\[v\]"
    ) as got:
        prepare(settings, "classification")
    edges = []
    for which in (0, 1):
        prepared = prepare(followed(settings, str(got.value), which), "classification")
        edges.append(prepared.profile["columns"][0]["edges"][4])
    assert edges[1] == pytest.approx(1000 * edges[0], rel=1e-3)


def test_few_prices_stay_categories_with_a_line(tmp_path: Path) -> None:
    settings, _ = _table(tmp_path, lambda v: f"${int(v) % 5}")
    prepared = prepare(settings, "classification")
    assert prepared.frame_schema["v"] == "category"
    (note,) = prepared.notes
    assert prepare(followed(settings, note), "classification").frame_schema["v"] == "numeric"
    assert prepare(followed(settings, note, 1), "classification").notes == []


def test_plain_columns_beside_them_stay_plain(tmp_path: Path) -> None:
    settings, _ = _table(tmp_path, lambda v: f"{v:.2f}".replace(".", ","))
    given = DataSettings(**{**vars(settings), "decimal": ",", "thousands": "."})
    prepared = prepare(given, "classification")
    assert list(prepared.forms) == ["v"] and prepared.frame_schema["x"] == "numeric"
    assert max(map(abs, prepared.profile["columns"][1]["edges"])) < 5


def test_targets_are_read_so_too(tmp_path: Path) -> None:
    settings, values = _table(tmp_path, lambda v: f"{v:.2f}".replace(".", ","))
    settings.target, settings.drop = "v", ["y"]
    with pytest.raises(AutoactError, match=r"target 'v' holds text .*data.decimal=','"):
        prepare(settings, "regression")
    prepared = prepare(DataSettings(**{**vars(settings), "decimal": ","}), "regression")
    assert prepared.target_scale is not None
    assert prepared.target_scale.mean[0] == pytest.approx(values.mean(), rel=0.1)


def test_a_form_that_no_column_has_is_said(tmp_path: Path) -> None:
    settings, _ = _table(tmp_path, lambda v: f"{v:.2f}")
    notes = prepare(DataSettings(**{**vars(settings), "decimal": ","}), "classification").notes
    assert any("change nothing" in note for note in notes)


@pytest.mark.parametrize("stray", ["n/v", "unknown, sorry", "-"])
def test_stray_text_among_numbers(tmp_path: Path, stray: str) -> None:
    settings, _ = _table(tmp_path, lambda v: stray if v < 3 else f"{v:.2f}")
    with pytest.raises(AutoactError, match="column 'v' holds numbers, but row") as caught:
        prepare(settings, "classification")
    line = str(caught.value)
    (word,) = shlex.split(re.search(r'"data\.missing=[^"]*"', line).group())
    override = OverridesParser.create().parse_override(read_override(word, KINDS, (), {}))
    settings.missing = [str(getattr(mark, "text", mark)) for mark in override.value()]
    assert prepare(settings, "classification").frame_schema["v"] == "numeric"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decimal": ""}, "data.decimal='' must be one character"),
        ({"thousands": "1"}, "data.thousands='1' must be one character"),
        ({"thousands": "."}, "both '.'"),
        ({"number_signs": ["-"]}, "data.number_signs holds '-'"),
    ],
)
def test_settings_that_cannot_be(changes: dict, message: str) -> None:
    with pytest.raises(AutoactError, match=re.escape(message)):
        DataSettings(**changes)
