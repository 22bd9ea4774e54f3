"""Where the scores of new rows may be written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.faces.predict import ENDINGS, check_output, write_scores


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
