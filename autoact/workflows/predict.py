"""``autoact.predict``: score new rows with a trained model and the preprocessing that it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from autoact.core.errors import AutoactError
from autoact.core.output_folder import for_people
from autoact.core.result_table import ResultTable, to_html
from autoact.workflows.models.fetch_model import ModelSource, fetched
from autoact.workflows.models.score_rows import (
    check_output,
    input_names,
    preprocessing_of,
    renamed,
    write_scores,
)
from autoact.workflows.models.score_rows import (
    predict as scores_of,
)

# Rows that a notebook shows.
SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class PredictResult:
    """Scores of new rows.

    Attributes:
        scores: the columns ``row`` (from 0), those that the training left out, ``score`` (or one for each of several
            classes) and ``prediction``.
        model: which model scored.
        notes: what the reader must know, such as categories that the training never saw.
        file: what was written, an absolute path; None where no output was named.
    """

    scores: pd.DataFrame
    model: str
    notes: Sequence[str] = ()
    file: Path | None = None

    @property
    def summary(self) -> str:
        """One sentence."""
        where = "" if self.file is None else f": {for_people(self.file)}"
        return f"{len(self.scores):,} rows scored by {self.model}{where}"

    def to_dataframe(self) -> pd.DataFrame:
        """The scores, a row for each row of the input."""
        return self.scores

    def __repr__(self) -> str:
        return f"PredictResult({self.summary})"

    def _repr_html_(self) -> str:
        """The first rows, as notebooks show them."""
        head = self.scores.head(SHOWN)
        rows = [list(map(str, row)) for row in head.itertuples(index=False)]
        table = ResultTable(f"the first {len(head)} rows", list(map(str, head.columns)), rows)
        return to_html(self.summary, [table], self.notes)


def predict(
    model: ModelSource,
    rows: pd.DataFrame | str | Path,
    *,
    output: str | Path | None = None,
    tracking_uri: str | None = None,
    runs: str | Path = "autoact-runs",
) -> PredictResult:
    """Score new rows; the target's column may be absent.

    Args:
        model: ``"models:/NAME@champion"``, ``"models:/NAME/3"``, ``"runs:/ID/model"``, a folder that holds a logged
            model, or what ``autoact.train`` returned.
        rows: a data frame, or a csv or parquet file.
        output: the csv or parquet file to write; nothing is written unless given.
        tracking_uri: where MLflow is; else ``MLFLOW_TRACKING_URI``, else the SQLite file in ``runs``.
        runs: the folder that trainings write to.

    Raises:
        AutoactError: there is no such model or file, or columns are missing or hold what they cannot hold.

    Example:
        >>> predict("nowhere", "new.csv")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: model=nowhere: there is no such folder; write models:/NAME@ALIAS, ...
    """
    if not isinstance(rows, pd.DataFrame | str | Path):
        raise AutoactError(f"rows is a {type(rows).__name__}: give a pandas.DataFrame, or a csv or parquet file")
    if output is not None:
        check_output(str(output), "" if isinstance(rows, pd.DataFrame) else str(rows))
    found, name = fetched(model, tracking_uri, runs)
    saved = preprocessing_of(found, name)
    frame = rows if isinstance(rows, pd.DataFrame) else saved.read(str(rows))
    scores = scores_of(found, frame, name)
    notes = [saved.decision, renamed(input_names(saved, frame.columns)), *saved.unfamiliar(frame, "the input")]
    file = None if output is None else write_scores(scores, str(output)).absolute()
    return PredictResult(scores, name, list(filter(None, notes)), file)
