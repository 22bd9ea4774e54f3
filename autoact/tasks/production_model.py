"""The production model: the model in production, whatever it is, scored on the same rows as the networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from autoact.core.errors import AutoactError, nearest
from autoact.data.columns.column_types import as_text
from autoact.data.prepared_data import PreparedData
from autoact.data.raw_table import TABULAR, RawTable, raw_table
from autoact.data.settings import HALF, DataSettings
from autoact.data.sources.csv_file import read_csv
from autoact.data.sources.load import existing_file
from autoact.tasks.decision_threshold import VALIDATION
from autoact.tasks.metrics import METRICS, Metric
from autoact.tasks.score_conversion import as_scores

# Column of a file of predictions: the number of the row in the source file from 0, and the score.
ROW, SCORE = "row", "score"

# How names of production models begin, in tables.
PRODUCTION = "production model: "


class ScoreSource(Protocol):
    """Where the production model's scores come from."""

    title: str

    def scores(self, part: str) -> np.ndarray | None:
        """Scores of the ``validation`` or ``test`` rows, in the metric's form; None where there are none."""


class Model(Protocol):
    """A model of whatever make; picklable, and loaded when it is first asked.

    Attributes:
        title: its name, for people.
        columns: the input columns that it names itself; None where it names none.
    """

    title: str

    @property
    def columns(self) -> list[str] | None:
        """See the class."""

    def predict(self, frame: pd.DataFrame) -> tuple[ArrayLike, list[str] | None]:
        """Its output for these rows, and the class of each output column where it knows."""


class ProductionModel:
    """The model in production as a row of the table.

    Making one scores the validation rows, so that what is wrong with it is said before anything is trained.

    The test part of the data stays sealed until somebody opens it.
    """

    def __init__(self, source: ScoreSource, prepared: PreparedData, metric: Metric) -> None:
        self.name = f"{PRODUCTION}{source.title}"
        self._source = source
        self._prepared = prepared
        self._metric = metric
        self._validation = self._score("validation")
        self._unfitted = self._metric.threshold == VALIDATION
        if self._unfitted:
            self._metric = self._metric.at(HALF)

    def row(self, opened: bool) -> tuple[str, float | None, float | None]:
        """Name, validation score and test score; the latter only after the test part was opened.

        Raises:
            SealedError: the test score is asked for, and nobody opened the test part.
        """
        return self.name, self._validation, self._score("test") if opened else None

    @property
    def note(self) -> str:
        """What to know of its scores.

        Where two classes were taken for each other, the scores rank the validation rows backwards; without scores of
        validation rows no threshold is fitted.
        """
        if self._unfitted:
            return f"{self.name} has no scores of all validation rows, to fit a threshold: its decisions are at {HALF}"
        scores, classes = self._source.scores("validation"), self._prepared.classes
        if scores is None or classes is None or scores.ndim > 1:
            return ""
        try:
            area = METRICS["roc_auc"](self._prepared.validation.y.numpy(), scores)
        except (ValueError, ArithmeticError):
            return ""  # one class alone
        if area >= 0.5:
            return ""
        return (
            f"{self.name} ranks the validation rows backwards (ROC AUC {area:.4g}): a score is the probability of "
            f"{classes[1]!r} (data.positive)"
        )

    def _score(self, part: str) -> float | None:
        y = (self._prepared.validation.y if part == "validation" else self._prepared.test.y).numpy()
        scores = self._source.scores(part)
        if scores is None:
            return None
        try:
            if part == "validation":
                self._metric = self._metric.fitted(y, scores)
            return self._metric(y, scores)
        except (ValueError, ArithmeticError) as error:
            raise AutoactError(f"{self.name}: {self._metric.title} cannot be computed: {error}") from error


class PredictedRows:
    """A file of predictions: a row id and a score; for more than two classes a column per class.

    With two classes the score is the probability of the positive one, the last in ``prepared.classes``.

    The id is the number of the row in the source file from 0 (column ``row``), or a column that the data have too.

    Raises:
        AutoactError: no such file, wrong columns, an id twice or of no row, a score that is not finite or, where the
            metric needs probabilities, not from 0 to 1, a sealed row without one.
    """

    def __init__(self, path: str, prepared: PreparedData, settings: DataSettings, metric: Metric) -> None:
        if prepared.kind == "forecast":
            raise AutoactError("production_model=FILE scores rows with one target each: a forecast has none")
        file = existing_file(path, "production_model")
        self.title = file.name
        self._prepared = prepared
        self._metric = metric
        frame = read_csv(file, DataSettings(), "write the file with ',' between fields")
        raw = raw_table(settings, prepared.kind) if prepared.kind in TABULAR else None
        self._outputs = _score_columns(prepared)
        self._id = self._id_column(list(frame.columns), [] if raw is None else raw.columns)
        self._scores = self._checked(frame)
        # The ids of sealed rows say nothing about them: a gap is found now, and not at the end of a search.
        self._ids = {part: self._ids_of(part, raw) for part in ("validation", "test")}
        if raw is not None:
            self._refuse_strangers(raw)
        as_scores(self._scores.to_numpy(), self._outputs, prepared, metric, self.title)
        if self._ids["test"] is not None:
            self._covered("test", self._ids["test"])

    def scores(self, part: str) -> np.ndarray | None:
        """See ``ScoreSource``; None for validation rows of which one has no score."""
        ids = self._ids[part]
        if ids is None and part == "test":
            ids = self._numbers(self._prepared.test.rows)
        if ids is None or (part == "validation" and not set(ids) <= set(self._scores.index)):
            return None
        self._covered(part, ids)
        values = self._scores.loc[ids].to_numpy()
        return as_scores(values, self._outputs, self._prepared, self._metric, self.title)

    def _id_column(self, columns: Sequence[str], known: Sequence[str]) -> str:
        for name in self._outputs:
            if name not in columns:
                close = nearest(name, columns)
                hint = f": did you mean {close[0]}?" if close else "."
                raise AutoactError(
                    f"production_model={self.title} has no column {name!r}{hint} It holds {', '.join(columns)}; wanted "
                    f"are a row id and {', '.join(self._outputs)}"
                )
        rest = [name for name in columns if name not in self._outputs]
        both = [name for name in rest if name in known]
        if len(both) == 1:
            return both[0]
        if ROW in rest and not both:
            return ROW
        shown = ", ".join(known[:20])
        reason = (
            f"{' and '.join(both)} are columns of the data both" if both else f"its other columns: {rest or 'none'}"
        )
        raise AutoactError(
            f"production_model={self.title} needs one column with row ids: {ROW!r} (the number of the row in the "
            f"source file from 0), or one that the data have too ({shown}); {reason}"
        )

    def _checked(self, frame: pd.DataFrame) -> pd.DataFrame:
        ids = as_text(frame[self._id])
        if ids.isna().any():
            line = int(np.flatnonzero(ids.isna())[0]) + 2
            raise AutoactError(f"production_model={self.title}: line {line} has no {self._id}")
        twice = ids[ids.duplicated()]
        if len(twice):
            raise AutoactError(
                f"production_model={self.title} holds {len(twice)} ids more than once (the first: {self._id} "
                f"{twice.iloc[0]})"
            )
        numbers = frame[self._outputs].apply(pd.to_numeric, errors="coerce").astype("float64")
        wrong = ~np.isfinite(numbers.to_numpy()).all(axis=1)
        if wrong.any():
            raise AutoactError(
                f"production_model={self.title}: {int(wrong.sum())} scores are not finite numbers (the first is that "
                f"of {self._id} {ids[wrong].iloc[0]})"
            )
        return numbers.set_index(pd.Index(ids))

    def _refuse_strangers(self, raw: RawTable) -> None:
        """Refuse ids that no row has: numbers that were counted from 1, or rows of other data."""
        if self._id == ROW:
            known = set(self._numbers(np.arange(raw.numbered)))
            allowed = f"rows are numbered from 0 to {raw.numbered - 1}"
        else:
            known = set(as_text(pd.Series(raw.every_id(self._id), dtype=object)))
            allowed = f"give the scores of rows that the data have in their column {self._id}"
        strange = [name for name in self._scores.index if name not in known]
        if strange:
            raise AutoactError(
                f"production_model={self.title} holds {len(strange):,} ids that the data do not have (the first: "
                f"{self._id} {strange[0]}): {allowed}"
            )

    def _ids_of(self, part: str, raw: RawTable | None) -> list[str] | None:
        """The ids of a part's rows; None where they are known only after the test part was opened, or not at all."""
        if raw is not None and self._id != ROW:
            ids = as_text(pd.Series(raw.ids(self._id, part), dtype=object))
            if ids.duplicated().any() or ids.isna().any():
                raise AutoactError(f"the data's column {self._id} does not tell rows apart: use the column {ROW!r}")
            return list(ids)
        if raw is not None and raw.own_test and part == "validation":
            return None  # numbers are those of the test file
        if part == "validation":
            return self._numbers(self._prepared.validation.rows)
        return None if raw is None else self._numbers(raw.split.test)

    def _numbers(self, rows: np.ndarray) -> list[str]:
        return [str(int(row)) for row in rows]

    def _covered(self, part: str, ids: Sequence[str]) -> None:
        lacking = [name for name in ids if name not in self._scores.index]
        if lacking:
            raise AutoactError(
                f"production_model={self.title} lacks {len(lacking):,} of the {len(ids):,} {part} rows (the first is "
                f"{self._id} {lacking[0]})"
            )


class PredictingModel:
    """A model that takes the raw columns: read anew for each part, the test rows only after they were opened.

    Raises:
        AutoactError: the data are no table.
    """

    def __init__(self, model: Model, prepared: PreparedData, settings: DataSettings, metric: Metric) -> None:
        if prepared.kind not in TABULAR:
            raise AutoactError(
                f"production_model={model.title}: a registered model is scored on tables alone; "
                f"give its scores as a file, production_model=predictions.csv"
            )
        self.title = model.title
        self._model = model
        self._prepared = prepared
        self._settings = settings
        self._metric = metric

    def scores(self, part: str) -> np.ndarray:
        """See ``ScoreSource``."""
        if part == "test":
            _ = self._prepared.test.part  # raises while it is sealed, before a row is read
        raw = raw_table(self._settings, self._prepared.kind)
        frame = raw.validation() if part == "validation" else raw.test(self._prepared.test)
        frame = frame[self._wanted(raw)].reset_index(drop=True)
        values, classes = self._model.predict(frame)
        return as_scores(values, classes, self._prepared, self._metric, self.title)

    def _wanted(self, raw: RawTable) -> list[str]:
        """The columns that the model names, else the features."""
        named = self._model.columns
        for name in named or ():
            if name not in raw.columns:
                close = nearest(name, raw.columns)
                hint = f"; the nearest is {close[0]}" if close else ""
                raise AutoactError(
                    f"production_model={self.title} wants a column {name!r} that the data do not have{hint}"
                )
        return raw.features if named is None else named


def _score_columns(prepared: PreparedData) -> list[str]:
    return prepared.classes if prepared.classes is not None and len(prepared.classes) > 2 else [SCORE]


def find_production_model(
    what: str | None,
    prepared: PreparedData,
    settings: DataSettings,
    metric: Metric,
    load: Callable[[str], Model],
) -> ProductionModel | None:
    """The production model that the user names: ``models:/name@alias``, another address of MLflow's, or a csv file.

    None where they name none.

    Raises:
        AutoactError: it is not there, or does not fit.
    """
    if what is None:
        return None
    source: ScoreSource
    if is_address(what):
        source = PredictingModel(load(what), prepared, settings, metric)
    else:
        source = PredictedRows(what, prepared, settings, metric)
    return ProductionModel(source, prepared, metric)


def is_address(what: str) -> bool:
    """Whether this names a model of MLflow's, and not a file.

    Example:
        >>> is_address("models:/churn_prod@champion"), is_address("predictions.csv")
        (True, False)
    """
    return what.startswith(("models:/", "runs:/", "mlflow-artifacts:/")) or (Path(what) / "MLmodel").is_file()


def production_note(
    name: str, score: float | None, other: str, other_score: float | None, *, mode: str, unit: str
) -> str:
    """A sentence that compares the production model with a network on test rows; empty where one has no score.

    Example:
        >>> production_note("production model: old.csv", 0.84, "recommended: quality", 0.86, mode="max", unit="ROC AUC")
        'recommended: quality (ROC AUC 0.86) is better on the test rows than the production model: old.csv ...'
    """
    if score is None or other_score is None:
        return ""
    gain = (other_score - score) * (1.0 if mode == "max" else -1.0)
    word = "better" if gain > 0 else "worse" if gain < 0 else "neither better nor worse"
    by = f" by {abs(gain):.4g}" if gain else ""
    return f"{other} ({unit} {other_score:.4g}) is {word} on the test rows than the {name} ({score:.4g}){by}"
