"""What a scikit-learn estimator is given, as rows that the data layer prepares: typed columns, targets, parts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoact.core.errors import AutoactError
from autoact.data.column_notes import ColumnError, Remark
from autoact.data.columns.column_types import CATEGORY, NUMERIC, conform, infer
from autoact.data.columns.dtype_readings import tidy
from autoact.data.preparation.preprocessing import unique_name
from autoact.data.preparation.split import Split, split_name
from autoact.data.preparation.tables import Typed, prepare_rows, split_table
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings, default_missing

Numbers: TypeAlias = NDArray[np.float64] | NDArray[np.int64]

# Below, a fifth of the rows is too few for a claim: 100 test rows tell accuracies apart by some 10 %.
FULL_ROWS = 500
# Every part of a stratified split, and every fold, needs some rows of each class.
RAREST_CLASS = 10
# Below, validation rows are so few that they choose at random: all rows train.
FEWEST_TO_SPLIT = 40
# Where nothing can be recommended, trials do no more than tune the baseline.
ROWS_PER_TRIAL = 100
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Columns:
    """How the columns of ``X`` become columns of a table, learnt in ``fit``.

    Attributes:
        names: of the table's columns, in order.
        schema: column -> ``numeric`` or ``category``.
    """

    names: list[str]
    schema: dict[str, str]

    @classmethod
    def of_numbers(cls, names: list[str]) -> Columns:
        """Columns of an array of numbers."""
        return cls(names, dict.fromkeys(names, NUMERIC))

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, names: list[str]) -> Columns:
        """Columns of a DataFrame, read as ``data.readings`` says: as those of a file.

        What is worth a look is a warning.

        Raises:
            AutoactError: a column that can be neither numbers nor categories.
        """
        text = tidy(frame.set_axis(names, axis=1), default_missing())
        try:
            found = infer(text, DataSettings())
        except ColumnError as error:
            raise AutoactError(_line(error.remark)) from error
        for remark in found.remarks:
            warnings.warn(_line(remark), UserWarning, stacklevel=2)
        return cls(names, found.schema)

    def table(self, values: Numbers | pd.DataFrame) -> pd.DataFrame:
        """Checked columns: numbers as float64, categories as text.

        Raises:
            AutoactError: text where numbers stood in ``fit``, or an infinite number.
        """
        if isinstance(values, np.ndarray):
            frame = pd.DataFrame(values, columns=self.names)
            return conform(frame, self.schema, "X") if CATEGORY in self.schema.values() else frame
        frame = values.reset_index(drop=True).set_axis(self.names, axis=1)
        return conform(tidy(frame, default_missing()), self.schema, "X")


def _line(remark: Remark) -> str:
    """What is said about a column of ``X``: there are no settings to advise."""
    return (
        f"{remark.what}: convert it (pandas.to_numeric; astype('category') for categories) or leave it out "
        f"(X.drop(columns={remark.name!r})) before fit"
    )


def typed_rows(columns: Columns, values: Numbers | pd.DataFrame, y: Numbers, classes: list[str] | None) -> Typed:
    """Checked rows with their targets, as the data layer takes them.

    ``y`` holds indices of the classes (int64), or numbers (float64) where ``classes`` is None.

    Raises:
        AutoactError: a value that does not fit its column.
    """
    table = columns.table(values)
    raw = table.assign(**{unique_name("target", table.columns): y})
    return Typed(table, y, columns.schema, "y", classes, raw)


def kind_of(rows: Typed) -> str:
    """``classification`` or ``regression``."""
    return "regression" if rows.classes is None else "classification"


@dataclass(frozen=True)
class Protocol:
    """What so many rows allow.

    Attributes:
        name: ``full`` or ``reduced``.
        split: which rows train, validate, and are sealed for the final check.
        trials: trials at most; None where the rows set no limit.
        note: what is reduced and why; empty under the full protocol.
    """

    name: str
    split: Split
    trials: int | None
    note: str

    @property
    def reduced(self) -> bool:
        """Whether there is no final check."""
        return self.name == "reduced"

    @property
    def epochs_chosen(self) -> bool:
        """Whether rows that do not train choose the number of epochs."""
        return not np.array_equal(self.split.train, self.split.validation)


def protocol_for(rows: Typed, settings: DataSettings) -> Protocol:
    """The protocol for these rows, decided by how many there are, and how many of the rarest class.

    Example:
        >>> y = np.arange(30.0)
        >>> protocol_for(typed_rows(Columns.of_numbers(["x0"]), y[:, None], y, None), DataSettings()).note
        'reduced protocol, 30 rows (the full one needs 500): 1 trial(s), no sealed test part and no final check, so that
        nothing can be recommended; all rows train, for max_epochs'
    """
    count = len(rows.y)
    rarest = int(np.bincount(rows.y).min()) if rows.classes is not None else count
    if count >= FULL_ROWS and rarest >= RAREST_CLASS:
        split = split_table(rows, np.arange(count), split_name(settings, kind_of(rows)), settings)
        return Protocol("full", split, None, "")
    trials = max(1, count // ROWS_PER_TRIAL)
    if count < FULL_ROWS:
        why = f"{count} rows (the full one needs {FULL_ROWS})"
    else:
        why = f"{rarest} rows of the rarest class (the full one needs {RAREST_CLASS})"
    note = (
        f"reduced protocol, {why}: {trials} trial(s), no sealed test part and no final check, so that nothing can be "
        "recommended"
    )
    everything, none = np.arange(count), np.arange(0)
    if count < FEWEST_TO_SPLIT:
        note = f"{note}; all rows train, for max_epochs"
        return Protocol("reduced", Split(everything, everything, none), trials, note)
    validation = _validation_rows(rows, settings.seed)
    return Protocol("reduced", Split(np.setdiff1d(everything, validation), validation, none), trials, note)


def _validation_rows(rows: Typed, seed: int) -> Numbers:
    """A fifth of the rows of each class that has two or more, at least one; of a single row nothing is taken."""
    random = np.random.default_rng(seed)
    group = np.zeros(len(rows.y), dtype="int64") if rows.classes is None else rows.y
    taken = []
    for value in np.unique(group):
        members = random.permutation(np.flatnonzero(group == value))
        count = min(len(members) - 1, max(1, round(VALIDATION_SHARE * len(members))))
        taken.append(members[:count])
    return np.sort(np.concatenate(taken))


def prepared(rows: Typed, split: Split, settings: DataSettings, name: str) -> PreparedData:
    """The rows as the command line would prepare them; see ``prepare_rows``.

    Raises:
        AutoactError: a column without any value in the training rows.
    """
    return prepare_rows(
        rows, split, settings, kind_of(rows), name=name, description="arrays given to a scikit-learn estimator"
    )


def whole(rows: Typed, settings: DataSettings, name: str) -> PreparedData:
    """All rows as training rows, for the model that is used after the search."""
    everything = np.arange(len(rows.y))
    return prepared(rows, Split(everything, everything, np.arange(0)), settings, name)
