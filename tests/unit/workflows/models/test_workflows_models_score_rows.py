"""Where the scores of new rows may be written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.data.preprocessing_file import FILE, SavedPreprocessing
from autoact.tracking.models.model_artifacts import FetchedModel
from autoact.workflows.models.score_rows import ENDINGS, check_output, predict, write_scores


@pytest.mark.parametrize("target", ["new.csv", "./new.csv", "deep/../new.csv", "symbolic.csv", "hard.csv"])
def test_the_input_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "new.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "symbolic.csv").symlink_to("new.csv")
    (tmp_path / "hard.csv").hardlink_to("new.csv")
    with pytest.raises(AutoactError, match="would overwrite the input: name another file"):
        check_output(target, "new.csv")
    check_output("scores.csv", "new.csv")


@pytest.mark.parametrize("target", ["s.xlsx", "s", "s.csv.txt", "csv", "s.json"])
def test_other_formats_are_refused(target: str) -> None:
    with pytest.raises(AutoactError, match=r"Allowed endings: \.csv, \.csv\.gz, \.parquet, \.pq$"):
        check_output(target, "new.csv")


@pytest.mark.parametrize("ending", [*ENDINGS, ".CSV", ".Parquet"])
def test_each_ending_has_its_format(tmp_path: Path, ending: str) -> None:
    scores, target = pd.DataFrame({"row": [0, 1], "score": [0.25, 0.5]}), str(tmp_path / f"s{ending}")
    check_output(target, "new.csv")
    file = write_scores(scores, target)
    read = pd.read_csv if "csv" in ending.lower() else pd.read_parquet
    pd.testing.assert_frame_equal(read(file), scores)
    assert (file.read_bytes()[:2] == b"\x1f\x8b") == ending.endswith(".gz")


def logged(ids: tuple[str, ...], classes: tuple[str, ...] | None) -> FetchedModel:
    """A model of one column that hands ``ids`` through; always the same output."""
    width = 1 if classes is None or len(classes) == 2 else len(classes)
    saved = SavedPreprocessing(
        kind="regression" if classes is None else "classification",
        target="y",
        output="number" if classes is None else "sigmoid" if width == 1 else "softmax",
        schema={"x": "numeric"},
        numeric={"x": {"median": 0.0}},
        gaps=(),
        categories={},
        classes=classes,
        ids=ids,
        reading={"delimiter": ",", "header": True, "names": None, "comment": None, "missing": [""], "strip": True},
    )
    files = {FILE: saved.to_json()}
    return FetchedModel(lambda x: torch.full((len(x), width), 3.0), None, files, None, None)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize(
    ("classes", "own"),
    [
        (("0", "1"), ["score", "prediction"]),
        (("a", "b", "x y"), ["score_a", "score_b", "score_x y", "prediction"]),
        (None, ["prediction"]),
    ],
)
def test_the_models_columns_keep_their_names_and_the_inputs_move(
    tmp_path: Path, ending: str, classes: tuple[str, ...] | None, own: list[str]
) -> None:
    """Dropped columns that are called as ours, as what ours would be renamed to, and twice."""
    ours = ["row", *own]
    taken = [*ours, *(f"input_{name}" for name in ours)]
    frame = pd.DataFrame({name: [f"their {name}", None] for name in taken} | {"x": [1.0, 2.0]}, index=[7, 7])
    model = logged((*taken, "row", "absent"), classes)
    scores = predict(model, frame)
    assert scores.columns.is_unique and len(scores.columns) == len(ours) + len(taken)
    file = write_scores(scores, str(tmp_path / f"s{ending}"))
    read = pd.read_parquet(file) if ending == ".parquet" else pd.read_csv(file, dtype={"prediction": str})
    assert read["row"].tolist() == [0, 1]
    clean = predict(logged((), classes), frame)
    for name in own:
        assert [str(v) for v in read[name]] == [str(v) for v in clean[name]]
    for name in ours:
        assert read[f"input_{name}"].iloc[0] == f"their input_{name}"
        assert read[f"input_{name}_2"].iloc[0] == f"their {name}"


def test_a_column_that_is_handed_through_keeps_its_type(tmp_path: Path) -> None:
    kept = {
        "who": pd.array([1, None], dtype="Int64"),
        "day": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin"),
        "kind": pd.Categorical(["a", None]),
    }
    frame = pd.DataFrame({**kept, "x": [1.0, 2.0]})
    file = write_scores(predict(logged(tuple(kept), ("0", "1")), frame), str(tmp_path / "s.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(file)[list(kept)], frame[list(kept)], check_freq=False)


def test_what_parquet_has_no_type_for_is_refused_in_a_line(tmp_path: Path) -> None:
    scores = predict(logged(("who",), ("0", "1")), pd.DataFrame({"who": ["a", 1], "x": [1.0, 2.0]}))
    with pytest.raises(AutoactError, match=r"output=.*s\.parquet cannot be written: .*; a \.csv file takes any column"):
        write_scores(scores, str(tmp_path / "s.parquet"))
    assert write_scores(scores, str(tmp_path / "s.csv")).is_file()
