"""What new rows hold that a model has not learnt from, in a line for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from autoact.core.value_holders import PlainData
from autoact.data.columns.category_levels import same_amount
from autoact.data.columns.typed_text import SECONDS, meaning

# More of a value than this is not shown.
MOST_LETTERS = 60


def shortened(text: str) -> str:
    """A value as it is shown.

    Example:
        >>> shortened("short"), len(shortened("9" * 400))
        ('short', 63)
    """
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def gap_lines(column: pd.Series, *, known: bool) -> list[str]:
    """A line on missing numbers where training had none, or where no row has one.

    ``known`` says whether training had missing values there, too.

    Example:
        >>> gap_lines(pd.Series([None, None], name="age", dtype=float), known=True)
        ["column 'age' has no value in any row: the median of the training rows stands in for all"]
    """
    gaps, name = int(column.isna().sum()), column.name
    if gaps == len(column) > 1:
        return [f"column {name!r} has no value in any row: the median of the training rows stands in for all"]
    if not gaps or known:
        return []
    rows = _rows(gaps, len(column), "has no value", "have no value")
    return [f"column {name!r}: {rows}, and training had one in every row: its median stands in"]


def category_lines(levels: pd.Series, fitted: PlainData) -> list[str]:
    """A line on categories without a column of their own.

    Args:
        levels: by the names that the categories had in training.
        fitted: what the preprocessing knows of the column; see ``SavedPreprocessing.categories``.

    Example:
        >>> known = {"known": ["01", "high"], "other": False, "gap": "missing"}
        >>> print(*category_lines(pd.Series(["1", "HIGH", "01"], name="zip"), known))
        column 'zip': 2 of 3 rows hold values that training never had ('1', 'HIGH'; '1' may be meant to be '01': then \
write it so in the file): the model takes it for none of the values that it knows
    """
    gap, name = fitted.get("gap", "missing"), levels.name
    levels = levels.fillna(gap)
    strange = levels[~levels.isin(fitted["known"])]
    if strange.empty:
        return []
    counts = strange.value_counts()
    shown = ", ".join("no value" if v == gap else repr(shortened(str(v))) for v in counts.index[:3])
    more = f" and {len(counts) - 3:,} more" if len(counts) > 3 else ""
    rows = _rows(len(strange), len(levels), "holds a value", "hold values")
    what = "had too rarely to tell apart, or never" if fitted["other"] else "never had"
    taken = "one of the rare values" if fitted["other"] else "none of the values that it knows"
    meant = _meant([str(v) for v in counts.index if v != gap], fitted["known"])
    return [f"column {name!r}: {rows} that training {what} ({shown}{more}{meant}): the model takes it for {taken}"]


def _meant(strange: Sequence[str], known: Sequence[str]) -> str:
    """A known category that a strange one may be meant to be: of other case, or a code that lost its zeros."""
    loose = {_loosely(level): level for level in known}
    for value in strange:
        if (level := loose.get(_loosely(value))) is not None:
            return f"; {value!r} may be meant to be {level!r}: then write it so in the file"
    return ""


def _loosely(text: str) -> str:
    """What may be the same value with another meaning: never taken for it, and told.

    Example:
        >>> _loosely("01"), _loosely("1.0"), _loosely("Yes"), _loosely("TRUE"), _loosely("t"), _loosely("false")
        ('1', '1', '1', '1', '1', '0')
    """
    folded = text.strip().casefold()
    if folded in ("true", "t", "yes", "y"):
        return "1"
    if folded in ("false", "f", "no", "n"):
        return "0"
    digits = folded.lstrip("0")
    digits = f"0{digits}" if not digits or digits.startswith(".") else digits
    return same_amount(digits) or folded


def meaning_lines(frame: pd.DataFrame, meanings: Mapping[str, str]) -> list[str]:
    """A line on each column whose numbers stand for something else than in training.

    ``frame`` holds the numeric columns as they were read; ``meanings`` belong to the training rows, see ``meaning``.

    Example:
        >>> meaning_lines(pd.DataFrame({"age": [True, False]}), {})
        ["column 'age' holds truth values, read as 1 and 0; training had plain numbers there"]
    """
    lines = []
    for name in frame.columns:
        if frame[name].isna().all():
            continue
        now, then = meaning(frame[name]), meanings.get(str(name))
        if now != then:
            read = "" if now is None else f", read as {'seconds' if now == SECONDS else '1 and 0'}"
            had = then or "plain numbers"
            lines.append(f"column {str(name)!r} holds {now or 'plain numbers'}{read}; training had {had} there")
    return lines


def _rows(some: int, every: int, one: str, many: str) -> str:
    return f"{some:,} of {every:,} rows {one if some == 1 else many}"
