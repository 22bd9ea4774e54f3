"""Output folders: made and tried before anything else, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoact.core.errors import AutoactError
from autoact.core.output_folder import make_folder


def test_it_is_made_with_all_above_it_and_left_empty(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["", "runs", "runs/deeper"])
def test_a_file_in_its_place_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "table.csv"
    file.touch()
    with pytest.raises(AutoactError) as caught:
        make_folder(file / below / "study", file / below)
    assert str(caught.value) == f"output={file / below} cannot be written: {file} is a file, name a folder"


def test_a_folder_that_cannot_be_is_refused() -> None:
    with pytest.raises(AutoactError, match=r"^output=/proc/none cannot be written: No such file or directory$"):
        make_folder(Path("/proc/none"))
