"""Input drift: how the columns of training rows were distributed, and how far new rows are from that (PSI)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from autoact.core.value_holders import PlainData
from autoact.data.columns.category_levels import as_levels
from autoact.data.columns.column_types import NUMERIC, as_text
from autoact.data.columns.number_formats import PLAIN

# A profile is small, and holds no row: at most so many bins of a number and levels of a category.
BINS, LEVELS = 10, 20
# How the index is usually read (Siddiqi, 2006): below the first nothing happened, from the second on a column changed.
NOTICEABLE, SHIFTED = 0.1, 0.25


@dataclass(frozen=True)
class Drift:
    """One column, then and now.

    Attributes:
        name: of the column.
        psi: population stability index; None where the new rows have no such column.
        chance: what the index exceeds in one comparison in twenty, over all columns, where nothing changed.
    """

    name: str
    psi: float | None
    chance: float


def profile(frame: pd.DataFrame, schema: Mapping[str, str]) -> PlainData:
    """How the columns of training rows are distributed, as small plain data to compare later rows with.

    Numbers: the inner deciles as edges (the values themselves where there are few), and the share of rows in each bin;
    ``(edge before, edge]``, open at both ends. Categories: the share of each frequent level, and of all others
    together. Both: the share of missing values, which comes last.

    Example:
        >>> found = profile(pd.DataFrame({"city": ["a", "a", "b", None]}), {"city": "category"})
        >>> found["rows"], found["columns"][0]["levels"], found["columns"][0]["shares"]
        (4, ['a', 'b'], [0.5, 0.25, 0.0, 0.25])
    """
    columns = []
    for name, kind in schema.items():
        entry: PlainData = {"name": name, "kind": kind}
        if kind == NUMERIC:
            entry["edges"] = _edges(frame[name])
        else:
            entry["levels"] = [str(level) for level in frame[name].value_counts().index[:LEVELS]]
        columns.append({**entry, "shares": shares(entry, frame[name])})
    return {"rows": len(frame), "columns": columns}


def _edges(column: pd.Series) -> list[float]:
    """Inner edges of the bins of a number, ascending, nine at most."""
    present = column.dropna().to_numpy(dtype="float64")
    distinct = np.unique(present)
    if len(distinct) >= BINS:
        distinct = np.unique(np.quantile(present, np.arange(1, BINS) / BINS))
    # Six digits are enough to tell bins apart, and keep the file small; shares are counted with what is written.
    return sorted({float(f"{edge:.6g}") for edge in distinct})


def shares(entry: PlainData, column: pd.Series) -> list[float]:
    """The share of rows in each bin of a column's profile; missing values come last.

    Args:
        entry: the column's profile: ``kind``, and ``edges`` or ``levels``.
        column: rows, of whatever type: text among numbers counts as missing.
    """
    if entry["kind"] == NUMERIC:
        values = PLAIN.parse(column)
        place = np.searchsorted(np.asarray(entry["edges"]), values, side="left")
        bins = len(entry["edges"]) + 1
        place[np.isnan(values)] = bins
    else:
        levels = {level: number for number, level in enumerate(entry["levels"])}
        bins = len(levels) + 1
        text = as_levels(as_text(column), entry["levels"])
        place = np.array([bins if pd.isna(v) else levels.get(v, bins - 1) for v in text], dtype="int64")
    counts = np.bincount(place, minlength=bins + 1)
    return [round(float(count) / max(len(column), 1), 6) for count in counts]


def psi(expected: Sequence[float], actual: Sequence[float], rows: tuple[int, int] = (10_000, 10_000)) -> float:
    """The population stability index: the sum of (a - e) ln(a / e) over bins (Siddiqi, Credit Risk Scorecards, 2006).

    An empty bin would make it infinite: half a row is added to each bin on both sides. Below .1 it is usually read as
    no change, from .25 on as a shift.

    Args:
        expected: shares of the stored rows by bin.
        actual: shares of the new rows by bin.
        rows: how many rows there were, stored and new.

    Raises:
        ValueError: the shares do not belong to the same bins.

    Example:
        >>> psi([0.5, 0.5], [0.5, 0.5])
        0.0
        >>> round(psi([0.5, 0.5], [0.3, 0.7]), 3)
        0.169
    """
    if len(expected) != len(actual) or len(expected) == 0:
        raise ValueError(f"shares of {len(expected)} and {len(actual)} bins cannot be compared")
    old, new = (
        (np.asarray(part, dtype="float64") * count + 0.5) / (count + 0.5 * len(part))
        for part, count in ((expected, rows[0]), (actual, rows[1]))
    )
    return float(((new - old) * np.log(new / old)).sum())


def chance_level(bins: int, rows: tuple[int, int], alpha: float = 0.05) -> float:
    """What the index exceeds with probability ``alpha`` where both samples come from one distribution.

    It is distributed as (1 / n + 1 / m) times a chi-square with one degree of freedom less than there are bins
    (Yurdakul and Naranjo, 2020); its quantile by Wilson and Hilferty (1931).

    Example:
        >>> round(chance_level(10, (1000, 500)), 3)
        0.051
    """
    freedom = max(bins - 1, 1)
    z = NormalDist().inv_cdf(1 - alpha)
    spread = 2 / (9 * freedom)
    return (1 / max(rows[0], 1) + 1 / max(rows[1], 1)) * freedom * (1 - spread + z * math.sqrt(spread)) ** 3


def drift(stored: PlainData, frame: pd.DataFrame) -> list[Drift]:
    """Each stored column against new rows, the largest change first; a column that is gone comes before all.

    ``stored`` is what ``profile`` gave; further columns of the new rows do not matter.

    Example:
        >>> old, new = pd.DataFrame({"x": [0.0, 1.0] * 50}), pd.DataFrame({"x": [0.0, 1.0, 1.0, 1.0] * 50})
        >>> [(one.name, round(one.psi, 2)) for one in drift(profile(old, {"x": "numeric"}), new)]
        [('x', 0.27)]
    """
    rows = (int(stored["rows"]), len(frame))
    columns = stored["columns"]
    found = []
    for entry in columns:
        expected = entry["shares"]
        used = sum(share > 0 for share in expected)
        chance = chance_level(used, rows, 0.05 / len(columns))
        if entry["name"] not in frame.columns:
            found.append(Drift(entry["name"], None, chance))
            continue
        column = frame[entry["name"]]
        found.append(Drift(entry["name"], psi(expected, shares(entry, column), rows), chance))
    return sorted(found, key=lambda one: -math.inf if one.psi is None else -one.psi)
