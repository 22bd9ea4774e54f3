"""Where a recommendation may lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import autoact
from autoact.core.errors import AutoactError


@pytest.mark.parametrize("source", [3, None, "", "  ", "http://host/recommended.yaml", "s3://b/x", b"x.yaml", "runs:1"])
def test_what_names_no_place_is_refused_with_the_forms_that_do(source: Any) -> None:
    with pytest.raises(AutoactError, match=r"allowed is a path, runs:/ID, models:/NAME/VERSION or models:/NAME@ALIAS$"):
        autoact.load_recommendation(source)


@pytest.mark.parametrize("source", ["runs/x.yaml", Path("runs/x.yaml"), "models"])
def test_paths_are_looked_for(source: Any) -> None:
    with pytest.raises(AutoactError, match="cannot read the recommendation"):
        autoact.load_recommendation(source)


def test_a_folder_names_the_file_that_lies_in_it(tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match=r"it is a folder; no recommended\.yaml lies in it"):
        autoact.load_recommendation(tmp_path)
    study = tmp_path / "churn-1"
    study.mkdir()
    (study / "recommended.yaml").write_text("", encoding="utf-8")
    for folder in (tmp_path, study):
        with pytest.raises(AutoactError, match=r"it is a folder; name the file: .*/churn-1/recommended\.yaml$"):
            autoact.load_recommendation(folder)
