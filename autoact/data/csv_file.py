"""Reading a csv file so that whatever is wrong with it is said in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from autoact.core.errors import AutoactError
from autoact.data.settings import DataSettings

_DELIMITERS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}


def read_csv(file: Path, settings: DataSettings, remedy: str = "") -> pd.DataFrame:
    """A csv file as a table; missing-value marks become missing.

    Args:
        file: an existing file, UTF-8, compressed or not.
        settings: delimiter, header, names, comment, missing and strip are used.
        remedy: what to do about another delimiter, where the settings cannot be changed.

    Raises:
        AutoactError: empty, not UTF-8, uneven rows, repeated column names, another delimiter, wrong number of names.
    """
    first = _read(file, settings, remedy, header=None, nrows=1, dtype=str, na_filter=False)
    names = [str(v).strip() if settings.strip else str(v) for v in first.iloc[0]] if len(first) else []
    _check_delimiter(file, names, settings, remedy)
    width = len(names)
    if settings.header:
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated and settings.names is None:
            raise AutoactError(f"{file.name} has {names.count(repeated[0])} columns named {repeated[0]!r}: rename them")
    else:
        names = [f"c{k}" for k in range(width)]
    if settings.names is not None:
        names = _given_names(file, settings.names, width)
    frame = _read(
        file, settings, remedy, header=0 if settings.header else None, na_values=settings.missing, keep_default_na=False
    )
    if not isinstance(frame.index, pd.RangeIndex) or frame.shape[1] != width:
        raise AutoactError(f"{file.name}: rows hold more fields than the first line's {width}: fix the file")
    frame.columns = names
    return frame


def _read(file: Path, settings: DataSettings, remedy: str, **options: object) -> pd.DataFrame:
    """``pandas.read_csv`` with its errors put into words."""
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
            f"iconv -f latin1 -t utf-8 {file.name}"
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


def _given_names(file: Path, names: list[str], width: int) -> list[str]:
    """The names of ``data.names``, one for each column."""
    if len(names) != width:
        raise AutoactError(f"data.names lists {len(names)} names; {file.name} has {width} columns")
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise AutoactError(f"data.names lists {repeated[0]!r} more than once")
    return list(names)
