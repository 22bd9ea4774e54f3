"""Reading a csv file so that whatever is wrong with it is said in one line."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.common import get_handle

from autoact.core.errors import AutoactError
from autoact.data.columns.dtype_readings import contents
from autoact.data.columns.number_formats import CODE, NumberForm
from autoact.data.settings import DataSettings

_COMPRESSED = frozenset({".gz", ".bz2", ".zip", ".xz", ".zst", ".tar"})
# What a reader takes for truth values.
_TRUTH = {word: word.lower() == "true" for word in ("True", "TRUE", "true", "False", "FALSE", "false")}
# How files begin that are given in place of a csv file, and what to do with them.
_FORMATS = {
    b"PK\x03\x04": "a spreadsheet or an archive: save it as csv",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as csv",
    b"PAR1": "a parquet file: its ending is .parquet, and a search reads it with data=parquet",
    b"\x1f\x8b": "compressed: give it the ending .gz",
    b"ARRO": "an Arrow file: save it as parquet",
    b"FEA1": "a Feather file: save it as parquet",
    b'{"': "JSON: save it as csv",
    b"{\n": "JSON: save it as csv",
    b"[{": "JSON: save it as csv",
    b"SQLi": "a database: write the table as csv",
}
# Bytes that are looked at in one go.
_BLOCK = 1 << 24
_DELIMITERS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}


def read_csv(file: Path, settings: DataSettings, remedy: str = "", text: Collection[str] | None = None) -> pd.DataFrame:
    """A csv file as a table; missing-value marks become missing.

    Whatever a reader would change by reading it as another type stays text, as it is written: truth values, codes with
    leading zeros, the columns in ``text`` and those that the settings declare categorical. Where the settings say how
    numbers are written, everything is text. Other columns that hold numbers alone are numbers.

    Args:
        file: an existing file, UTF-8, compressed or not.
        settings: delimiter, header, names, comment, missing, strip and the way numbers are written are used.
        remedy: what to do about another delimiter, where the settings cannot be changed.
        text: columns that are text, whatever they hold; given by whoever knows the training rows' schema, and then
            no column is looked at for leading zeros.

    Raises:
        AutoactError: empty, not UTF-8, uneven rows, repeated column names, another delimiter, wrong number of names.
    """
    _check_text(file)
    names = _names(file, settings, remedy)
    known = {*settings.categorical, *(text or ())}
    as_text = {k for k, name in enumerate(names) if name in known}
    if text is None and not NumberForm.of(settings).plain:
        as_text = set(range(len(names)))
    frame = _columns(file, settings, remedy, len(names), dtype=dict.fromkeys(as_text, str))
    lost = [k for k in frame.columns if k not in as_text and _truth(frame[k])]
    if text is None and may_hold_codes(file, settings.separator):
        lost += [k for k in frame.columns if k not in as_text and k not in lost and _whole(frame[k])]
    if lost:
        written = _columns(file, settings, remedy, len(names), dtype=str, usecols=sorted(lost))
        for k in lost:
            if not _number(frame[k]) or _coded(written[k]):
                frame[k] = written[k]
    return frame.set_axis(names, axis=1)


def _check_text(file: Path) -> None:
    """Refuse what is no text in UTF-8, by its first bytes."""
    with file.open("rb") as stream:
        start = stream.read(4)
    for mark, kind in _FORMATS.items():
        if start.startswith(mark) and file.suffix.lower() not in _COMPRESSED:
            raise AutoactError(f"{file.name} is no csv file but {kind}")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise AutoactError(
            f"{file.name} is text in UTF-16: convert it, for example iconv -f utf-16 -t utf-8 {file.name} > utf8.csv"
        )


def _names(file: Path, settings: DataSettings, remedy: str) -> list[str]:
    """The names of the columns: of the header, of ``data.names``, or counted."""
    first = _read(file, settings, remedy, header=None, nrows=1, dtype=str, na_filter=False)
    names = [str(v).strip() if settings.strip else str(v) for v in first.iloc[0]] if len(first) else []
    _check_delimiter(file, names, settings, remedy)
    if settings.names is not None:
        _check_header(file, names, settings, remedy)
        return _given_names(file, settings.names, len(names))
    if not settings.header:
        return [f"c{k}" for k in range(len(names))]
    repeated = sorted({n for n in names if n and names.count(n) > 1})
    if repeated:
        raise AutoactError(f"{file.name} has {names.count(repeated[0])} columns named {repeated[0]!r}: rename them")
    return names


def _columns(file: Path, settings: DataSettings, remedy: str, width: int, **options: object) -> pd.DataFrame:
    frame = _read(
        file,
        settings,
        remedy,
        names=list(range(width)),
        header=0 if settings.header else None,
        na_values=settings.missing,
        keep_default_na=False,
        **options,
    )
    if not isinstance(frame.index, pd.RangeIndex) or ("usecols" not in options and frame.shape[1] != width):
        raise AutoactError(f"{file.name}: rows hold more fields than the first line's {width}: fix the file")
    # A reader fills rows that end early, such as the last one of a file that was cut off.
    if (
        width > 1
        and "usecols" not in options
        and frame[width - 1].isna().any()
        and (short := _short(file, settings, width))
    ):
        raise AutoactError(
            f"{file.name}: line {short[0]} holds {short[1]} fields where {width} were expected: fix the line, "
            "or write the file again if it was cut off"
        )
    return frame


def _short(file: Path, settings: DataSettings, width: int) -> tuple[int, int] | None:
    """The first row that has fewer fields than ``width``: the line on which it ends, and how many fields it has."""
    with get_handle(file, "r", encoding="utf-8-sig", compression="infer", memory_map=False) as handles:
        rows = csv.reader(
            (_uncommented(line, settings.comment) for line in handles.handle),
            delimiter=settings.separator,
            skipinitialspace=settings.strip,
        )
        for row in rows:
            blank = not row or (len(row) == 1 and not row[0].strip())
            if not blank and len(row) < width:
                return rows.line_num, len(row)
    return None


def _uncommented(line: str, mark: str | None) -> str:
    return line if mark is None else line.partition(mark)[0]


def _number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _whole(column: pd.Series) -> bool:
    """Whether a reader took a column for whole numbers: one with fractions holds no codes."""
    if not _number(column):
        return False
    return not pd.api.types.is_float_dtype(column.dtype) or bool((column.dropna() % 1 == 0).all())


def _truth(column: pd.Series) -> bool:
    """Whether a reader took a column, or what is not missing of it, for truth values."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return True
    return column.dtype == object and not column.isna().all() and contents(column) == "boolean"


def _coded(column: pd.Series) -> bool:
    """Whether whole numbers have leading zeros, and none a fraction."""
    text = column.dropna()
    return bool(text.str.fullmatch(rf"\s*{CODE}\s*").any() and text.str.fullmatch(r"\s*[+-]?\d+\s*").all())


def may_hold_codes(file: Path, delimiter: str) -> bool:
    """Whether some field may begin with a zero that a digit follows; a fast look at the bytes of the file.

    It may err on the side of yes, which costs time alone: a compressed file is not looked into.
    """
    if file.suffix.lower() in _COMPRESSED:
        return True
    starts, digits = np.zeros(256, dtype=bool), np.zeros(256, dtype=bool)
    starts[list(b"\n\r\" '" + delimiter.encode())] = True
    digits[list(b"0123456789")] = True
    rest = b"\n"
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            data = np.frombuffer(rest + block, dtype=np.uint8)
            zeros = np.flatnonzero(data[1:-1] == ord("0")) + 1
            if (starts[data[zeros - 1]] & digits[data[zeros + 1]]).any():
                return True
            rest = (rest + block)[-2:]
    return False


def retyped(frame: pd.DataFrame) -> pd.DataFrame:
    """The text of a csv file as numbers or truth values, in columns that hold these alone: as a reader would have it.

    That identifies rows, however the settings say that columns are to be read; and models of another make take it.

    Example:
        >>> found = retyped(pd.DataFrame({"a": ["1", "2"], "b": ["01", "2"], "c": ["TRUE", "False"]}))
        >>> found["a"].tolist(), found["b"].tolist(), found["c"].tolist()
        ([1, 2], ['01', '2'], [True, False])
    """
    done = {}
    for name in frame.columns:
        column = frame[name]
        if not (pd.api.types.is_object_dtype(column.dtype) or isinstance(column.dtype, pd.StringDtype)):
            continue
        present = column.dropna()
        if len(present) and present.head(20).isin(list(_TRUTH)).all() and present.isin(list(_TRUTH)).all():
            values = column.astype(object).map(_TRUTH, na_action="ignore")
            done[name] = values.astype(bool) if len(present) == len(column) else values
        elif pd.to_numeric(present.head(20), errors="coerce").notna().all():
            parsed = pd.to_numeric(column, errors="coerce")
            if not ((parsed.isna() & column.notna()).any() or _coded(present)):
                done[name] = parsed
    return frame.assign(**done) if done else frame


def _read(file: Path, settings: DataSettings, remedy: str, **options: object) -> pd.DataFrame:
    try:
        return pd.read_csv(
            file,
            sep=settings.separator,
            comment=settings.comment,
            encoding="utf-8-sig",
            low_memory=False,
            skipinitialspace=settings.strip,
            **options,  # type: ignore[call-overload]
        )
    except pd.errors.EmptyDataError as error:
        raise AutoactError(f"{file.name} is empty") from error
    except UnicodeDecodeError as error:
        raise AutoactError(
            f"{file.name} is not UTF-8 text (byte {error.start}): convert it, for example "
            f"iconv -f latin1 -t utf-8 {file.name} > utf8.csv"
        ) from error
    except pd.errors.ParserError as error:
        uneven = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if uneven is None:
            raise AutoactError(f"{file.name} cannot be read as csv: {str(error).strip()}") from error
        want, line, saw = uneven.groups()
        raise AutoactError(
            f"{file.name}: line {line} holds {saw} fields where {want} were expected: fix the line, "
            f"or {remedy or 'set data.delimiter or data.comment'}"
        ) from error


def _check_delimiter(file: Path, names: list[str], settings: DataSettings, remedy: str) -> None:
    """A single column whose name holds another delimiter was cut in the wrong place."""
    if len(names) != 1:
        return
    for mark, shown in _DELIMITERS.items():
        if mark != settings.separator and mark in names[0]:
            raise AutoactError(
                f"{file.name} has one column when cut at {settings.delimiter!r}; its first line holds {shown}: "
                f"{remedy or f'set data.delimiter={shown}'}"
            )


def _check_header(file: Path, first: list[str], settings: DataSettings, remedy: str) -> None:
    """Refuse names for a file whose first line holds the same ones and is read as data, or has another order."""
    given, held = ([name.casefold() for name in names] for names in (settings.names or [], first))
    if not settings.header and 2 * len(set(given) & set(held)) > len(given):
        raise AutoactError(
            f"the first line of {file.name} holds column names, not values: {remedy or 'data.header=true'}"
        )
    moved = [name for name in given if name in held and held.index(name) != given.index(name)]
    if settings.header and moved:
        raise AutoactError(
            f"{file.name} has the column {first[held.index(moved[0])]!r} in another place than data.names: "
            + (remedy or "data.names=null takes the names of the header")
        )


def _given_names(file: Path, names: list[str], width: int) -> list[str]:
    if len(names) != width:
        raise AutoactError(f"data.names lists {len(names)} names; {file.name} has {width} columns")
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise AutoactError(f"data.names lists {repeated[0]!r} more than once")
    return list(names)
