"""Rows of a table before any preprocessing: what a model of another make takes, and what drift is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError
from autoact.data.preparation.fingerprint import content_hash, frame_pieces
from autoact.data.preparation.split import Split, split_name
from autoact.data.preparation.tables import Typed, check_table, split_table, subset
from autoact.data.sealed_test import PreparedTest
from autoact.data.settings import DataSettings
from autoact.data.sources.csv_file import retyped
from autoact.data.sources.load import load_table

TABULAR = ("classification", "regression")


@dataclass(frozen=True, repr=False)
class RawTable:
    """A table as it was read, and which of its rows belong to which part.

    It holds sealed rows too: read it where rows are wanted, and do not keep it.

    Attributes:
        split: row numbers from 0; of the test file where ``own_test`` is true.
        own_test: whether the test rows lie in a file of their own.
    """

    _frame: pd.DataFrame
    _test_frame: pd.DataFrame | None
    _typed: Typed
    split: Split
    own_test: bool

    @property
    def columns(self) -> list[str]:
        """All columns but the target."""
        return [name for name in self._frame.columns if name != self._typed.target]

    @property
    def features(self) -> list[str]:
        """The columns that a network learns from."""
        return list(self._typed.schema)

    def training_columns(self) -> pd.DataFrame:
        """The training rows' features: numbers as float64, categories as text."""
        return self._typed.features.iloc[self.split.train]

    def validation(self) -> pd.DataFrame:
        """The validation rows as they were read, without the target."""
        return self._frame[self.columns].iloc[self.split.validation]

    def ids(self, column: str, part: str) -> list[object]:
        """The values of an id column, which tell rows apart and nothing else, of ``validation`` or ``test`` rows."""
        frame = self._tested if part == "test" else self._frame
        return list(frame[column].iloc[getattr(self.split, part)])

    @property
    def numbered(self) -> int:
        """How many rows the file has whose rows are numbered: the test file where there is one."""
        return len(self._tested)

    def every_id(self, column: str) -> list[object]:
        """The values of an id column in all rows, of whatever part."""
        frames = [frame for frame in (self._frame, self._test_frame) if frame is not None]
        return [value for frame in frames for value in frame[column]]

    def test(self, sealed: PreparedTest) -> pd.DataFrame:
        """The test rows as they were read, without the target.

        Raises:
            SealedError: the test part was not opened.
            AutoactError: these are other rows than the sealed ones: the file was changed.
        """
        rows = sealed.rows
        raw = self._typed.raw.iloc[self.split.test] if self._typed.raw_test is None else self._typed.raw_test
        if content_hash(frame_pieces(raw)) != sealed.fingerprint or not np.array_equal(rows, self.split.test):
            raise AutoactError("the data file has changed since the search began: its test rows are others now")
        return self._tested[self.columns].iloc[rows]

    @property
    def _tested(self) -> pd.DataFrame:
        """What holds the test rows: the test file where there is one."""
        return self._frame if self._test_frame is None else self._test_frame


def raw_table(settings: DataSettings, kind: str) -> RawTable:
    """Read a table again, and split it as ``prepare`` does.

    Raises:
        AutoactError: no table, or something is wrong with it.

    Example:
        >>> raw_table(DataSettings(source="sklearn", name="wine"), "classification").training_columns().shape
        (115, 13)
    """
    if kind not in TABULAR:
        raise AutoactError(f"a {kind.replace('_', ' ')} has no table of rows: allowed are {' and '.join(TABULAR)}")
    table = load_table(settings)
    typed = check_table(table, settings, kind)
    how = split_name(settings, kind)
    split = split_table(typed, subset(len(typed.y), how, settings, typed.order), how, settings)
    written = retyped if settings.source == "csv" else lambda frame: frame
    own_test = table.test_frame is not None
    if table.test_frame is not None:
        split = Split(split.train, split.validation, np.arange(len(table.test_frame)))
    test_frame = None if table.test_frame is None else plain_text(written(table.test_frame))
    return RawTable(plain_text(written(table.frame)), test_frame, typed, split, own_test)


def plain_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Text as plain objects, missing as nan: what scikit-learn and older models take."""
    texts = {name: frame[name].astype(object) for name in frame.columns if pd.api.types.is_string_dtype(frame[name])}
    return frame.assign(**{name: column.where(column.notna(), np.nan) for name, column in texts.items()})
