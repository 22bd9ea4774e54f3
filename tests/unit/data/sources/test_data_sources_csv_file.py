"""csv files: what is wrong with them is said in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.settings import DataSettings
from autoact.data.sources.csv_file import may_hold_codes, read_csv, retyped


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
        (
            b"Age,pay\n3,4\n",
            {"header": False, "names": ["age", "pay"]},
            "holds column names, not values: data.header=true",
        ),
        (b"b,a\n3,4\n", {"names": ["a", "b"]}, "has the column 'a' in another place than data.names: data.names=null"),
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


def test_what_a_reader_would_change_stays_text(tmp_path: Path) -> None:
    file = _write(tmp_path, 'zip,flag,gap,n,f,q\n02134,TRUE,True,1,0.5,"01"\n10001,FALSE,,02.5,00.5,2\n')
    frame = read_csv(file, DataSettings())
    assert frame["zip"].tolist() == ["02134", "10001"] and frame["flag"].tolist() == ["TRUE", "FALSE"]
    assert frame["gap"].iloc[0] == "True" and frame["gap"].isna().tolist() == [False, True]
    assert frame["n"].tolist() == [1.0, 2.5] and frame["f"].tolist() == [0.5, 0.5]
    assert frame["q"].tolist() == ["01", "2"]


def test_columns_that_are_to_be_text_are_text_as_written(tmp_path: Path) -> None:
    file = _write(tmp_path, "a,b\n1.0,1.0\n2.50,?\n")
    frame = read_csv(file, DataSettings(), text=["a"])
    assert frame["a"].tolist() == ["1.0", "2.50"] and frame["b"].iloc[0] == 1.0


@pytest.mark.parametrize(
    ("content", "delimiter", "wanted"),
    [
        (b"a,b\n10,0.5\n", ",", False),
        (b"a,b\n01,0.5\n", ",", True),
        (b"01;2\n", ";", True),
        (b"a\n1\n02", ",", True),
        (b"a\n100\n2.05\n", ",", False),
        (b"a,b\n1, 02\n", ",", True),
    ],
)
def test_leading_zeros_are_seen(tmp_path: Path, content: bytes, delimiter: str, wanted: bool) -> None:
    assert may_hold_codes(_write(tmp_path, content), delimiter) is wanted


def test_leading_zeros_are_seen_between_two_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in range(1, 9):
        monkeypatch.setattr("autoact.data.sources.csv_file._BLOCK", size)
        assert may_hold_codes(_write(tmp_path, "a,b\n1,02\n3,4\n"), ",")
        assert not may_hold_codes(_write(tmp_path, "a,b\n1,20\n3,0.4\n"), ",")


def test_columns_of_a_compressed_file_too(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    file.write_bytes(gzip.compress(b"zip,n\n02134,1\n10001,2\n"))
    assert read_csv(file, DataSettings())["zip"].tolist() == ["02134", "10001"]


def test_rows_are_identified_as_a_reader_would_have_read_them() -> None:
    text = {"n": ["1", "2", None], "t": ["TRUE", "false", None], "b": ["True", "False", "True"], "c": ["01", "2", "3"]}
    frame = retyped(pd.DataFrame(text))
    assert frame["n"].tolist()[:2] == [1.0, 2.0] and frame["t"].tolist()[:2] == [True, False]
    assert frame["b"].dtype == bool and frame["c"].tolist() == ["01", "2", "3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,c\n1,2,3\n4,5\n", "line 3 holds 2 fields where 3 were expected: fix the line, or write the file again"),
        (b'a,b,c\n"x\ny",2,3\n4', "line 4 holds 1 fields where 3 were expected"),
        (b"PK\x03\x04\x00\x00", "data.csv is no csv file but a spreadsheet or an archive: save it as csv"),
        (b'{"a":{"0":1}}', "is no csv file but JSON: save it as csv"),
        (b"PAR1....", "is no csv file but a parquet file: its ending is .parquet"),
        ("a,b\n1,2\n".encode("utf-16"), "is text in UTF-16: convert it, for example iconv -f utf-16 -t utf-8"),
    ],
)
def test_a_file_that_is_cut_off_or_no_csv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        read_csv(_write(tmp_path, content), DataSettings())


@pytest.mark.parametrize(
    "content",
    ["a,b,c\n1,2,\n,,\n", "a,b,c\n1,2,\n\n \n", "a,b,c\n1,2,# none\n# all\n3,4,5\n", '"a","b"\n1,"x\n\ny"\n2,\n'],
)
def test_rows_whose_last_fields_are_empty_are_whole(tmp_path: Path, content: str) -> None:
    frame = read_csv(_write(tmp_path, content), DataSettings(comment="#"))
    assert frame[frame.columns[-1]].isna().any()


def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.csv.gz"
    file.write_bytes(gzip.compress(b"a,b,c\n1,2,3\n4,5\n"))
    with pytest.raises(AutoactError, match="line 3 holds 2 fields"):
        read_csv(file, DataSettings())
