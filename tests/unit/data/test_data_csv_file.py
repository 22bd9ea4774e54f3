"""csv files: what is wrong with them is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoact.core.errors import AutoactError
from autoact.data.csv_file import read_csv
from autoact.data.settings import DataSettings


def _write(folder: Path, content: str | bytes) -> Path:
    file = folder / "data.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (b"", {}, "data.csv is empty"),
        (b"\n\n", {}, "data.csv is empty"),
        (b"a,b\n\xe9,1\n", {}, "not UTF-8 text"),
        (b"a;b\n1;2\n", {}, r"set data.delimiter=';'"),
        (b"a\tb\n1\t2\n", {}, r"set data.delimiter='\\t'"),
        (b"a,b\n1,2\n1,2,3\n", {}, "line 3 holds 3 fields where 2 were expected"),
        (b"a,b\n1,2,3\n1,2,3\n", {}, "rows hold more fields than the first line's 2"),
        (b"a,b,a\n1,2,3\n", {}, "2 columns named 'a'"),
        (b"1,2\n3,4\n", {"header": False, "names": ["a"]}, "data.names lists 1 names; data.csv has 2 columns"),
        (b"1,2\n3,4\n", {"header": False, "names": ["a", "a"]}, "lists 'a' more than once"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, changes: dict, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        read_csv(_write(tmp_path, content), DataSettings(**changes))


def test_without_header_columns_are_numbered_or_named(tmp_path: Path) -> None:
    file = _write(tmp_path, "1, x\n2, y\n")
    assert list(read_csv(file, DataSettings(header=False)).columns) == ["c0", "c1"]
    named = read_csv(file, DataSettings(header=False, names=["n", "t"]))
    assert named["n"].tolist() == [1, 2] and named["t"].tolist() == ["x", "y"]


def test_names_replace_the_header_even_a_repeated_one(tmp_path: Path) -> None:
    frame = read_csv(_write(tmp_path, "a,a\n1,2\n"), DataSettings(names=["p", "q"]))
    assert frame.to_dict("list") == {"p": [1], "q": [2]}


def test_byte_order_mark_and_blanks_in_names_are_trimmed(tmp_path: Path) -> None:
    frame = read_csv(_write(tmp_path, b"\xef\xbb\xbfa , b\n1,2\n"), DataSettings())
    assert list(frame.columns) == ["a", "b"]


def test_marks_are_missing_and_none_is_a_category(tmp_path: Path) -> None:
    frame = read_csv(_write(tmp_path, "a,b\n?,None\n1,x\n ,y\n"), DataSettings())
    assert frame["a"].isna().tolist() == [True, False, True]
    assert frame["b"].tolist() == ["None", "x", "y"]


def test_comment_lines_are_skipped(tmp_path: Path) -> None:
    file = _write(tmp_path, "|1x3 Cross validator\n25,<=50K.\n38,>50K.\n")
    frame = read_csv(file, DataSettings(header=False, names=["age", "income"], comment="|"))
    assert frame["age"].tolist() == [25, 38]


@pytest.mark.parametrize("content", [b"a;b\n1;2\n", b"a,b\n1,2\n1,2,3\n"])
def test_who_cannot_change_the_settings_is_not_told_to(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AutoactError, match=r"write it with commas$") as caught:
        read_csv(_write(tmp_path, content), DataSettings(), "write it with commas")
    assert "data." not in str(caught.value).replace("data.csv", "")
