"""What is said about columns: one line, and advice that works when it is typed as it is printed."""

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
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings

ROWS = 200
NAMES = ["id", "customer id", "price (EUR)", "it's", 'a "b"', "a,b", "a=b", "x[0]", "Größe", "true", "12", "$x", "${x}"]
LIST = {"data.drop": list[str], "data.categorical": list[str], "data.numeric": list[str]}


def typed(line: str, key: str) -> dict[str, list[str]]:
    """The advice about ``key`` as a shell, the command line and Hydra understand it."""
    start = min(
        k for k in (line.find(f'"data.{key}='), line.find(f"'data.{key}="), line.find(f"data.{key}=")) if k >= 0
    )
    lexer = shlex.shlex(line[start:], posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    word = lexer.get_token()
    assert word is not None
    word = word if word.endswith("]") else word.rstrip(",")
    override = OverridesParser.create().parse_override(read_override(word, LIST, (), {}))
    return {key: [str(getattr(v, "text", v)).replace("\\${", "${") for v in override.value()]}


def given(folder: Path, columns: dict[str, object], **settings: object) -> DataSettings:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"x": draw.normal(size=ROWS), "y": draw.choice(["a", "b"], ROWS)}).assign(**columns)
    frame.to_parquet(folder / "t.parquet")
    return DataSettings(source="parquet", path=str(folder / "t.parquet"), target="y", **settings)  # type: ignore[arg-type]


TROUBLES = {
    "counts the rows": range(ROWS),
    "count in another order": np.random.default_rng(0).permutation(ROWS),
    "holds no value at all": [None] * ROWS,
    "nearly every value is unique": [f"id-{k}" for k in range(ROWS)],
    "holds dates": pd.date_range("2020", periods=ROWS),
    "holds values of type bytes": [b"a"] * ROWS,
    "codes with leading zeros .* and nearly every value": [f"{k:05d}" for k in range(ROWS)],
}


def said(settings: DataSettings) -> list[str]:
    try:
        return prepare(settings, "classification").notes
    except AutoactError as error:
        return [str(error)]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("name", NAMES)
def test_the_advice_to_drop_a_column_works_as_it_is_printed(tmp_path: Path, trouble: str, name: str) -> None:
    settings = given(tmp_path, {name: TROUBLES[trouble], "other": TROUBLES["counts the rows"]}, drop=["other"])
    (line,) = said(settings)
    assert "\n" not in line and (trouble.startswith("count in") or re.search(trouble, line))
    settings.drop = typed(line, "drop")["drop"]
    assert said(settings) == [] and "other" in settings.drop


def test_several_counters_share_a_line(tmp_path: Path) -> None:
    settings = given(tmp_path, {"a": range(ROWS), "b c": range(5, ROWS + 5)})
    (line,) = said(settings)
    assert line == "columns 'a', 'b c' count the rows: probably ids, \"data.drop=[a,'b c']\""


def test_codes_are_categories_with_a_line_and_numbers_when_declared(tmp_path: Path) -> None:
    settings = given(tmp_path, {"zip code": ["02134", "10001", "94105", "00501"] * (ROWS // 4)})
    (line,) = said(settings)
    assert line.startswith("column 'zip code' holds codes with leading zeros (row 1 holds '02134')")
    for key, kind in (("numeric", "numeric"), ("categorical", "category")):
        changed = DataSettings(**{**vars(settings), **typed(line, key)})
        prepared = prepare(changed, "classification")
        assert prepared.frame_schema["zip code"] == kind and prepared.notes == []


def test_padded_numbers_with_fractions_are_numbers(tmp_path: Path) -> None:
    settings = given(tmp_path, {"v": [f"{k:03d}" if k % 2 else f"{k:05.1f}" for k in range(ROWS)]})
    prepared = prepare(settings, "classification")
    assert prepared.frame_schema["v"] == "numeric"


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_a_column_without_a_name_is_left_out_with_a_line(tmp_path: Path, header: str) -> None:
    frame = pd.DataFrame({header: range(50), "x": np.arange(50) % 7, "y": ["a", "b"] * 25})
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = DataSettings(path=str(tmp_path / "t.csv"), test_path=str(tmp_path / "t.csv"), target="y")
    prepared = prepare(settings, "classification")
    assert prepared.features == ["x"] and len(prepared.notes) == 1
    assert prepared.notes[0].startswith("column 1 ") and "left out" in prepared.notes[0]
    if header:
        settings.drop = [header]
        assert prepare(settings, "classification").notes == []


def test_an_empty_last_column_of_a_trailing_delimiter(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",x,y,\n" + "".join(f"{k},{k % 7},{'ab'[k % 2]},\n" for k in range(50)))
    prepared = prepare(DataSettings(path=str(tmp_path / "t.csv"), target="y"), "classification")
    assert prepared.features == ["x"] and prepared.notes[0].startswith("column 1, column 4 have no name")
