"""Score new rows with a logged model: the same preprocessing, the rows' own ids."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import torch

from autoact.core.errors import AutoactError
from autoact.data.saved import FILE, PARQUET, SavedPreprocessing
from autoact.tracking.model import FetchedModel

# Number of the row in the file, from 0.
ROW = "row"
BATCH = 8192
ENDINGS = (".csv", ".csv.gz", *PARQUET)


def preprocessing_of(model: FetchedModel, source: str) -> SavedPreprocessing:
    """The preprocessing that lies beside a model.

    Raises:
        AutoactError: there is none.
    """
    if FILE not in model.files:
        raise AutoactError(
            f"{source} holds no {FILE}: rows of a file can be scored with models of the table recipes alone; "
            "others take tensors (mlflow.pyfunc.load_model)"
        )
    return SavedPreprocessing.from_json(model.files[FILE])


def predict(model: FetchedModel, frame: pd.DataFrame, source: str = "the model") -> pd.DataFrame:
    """Scores of new rows, in their order.

    Args:
        model: read back by ``fetch_model``.
        frame: rows as they come from the user.
        source: names the model in messages.

    Returns:
        The columns ``row`` (from 0), the id columns that the training left out, ``score`` (or one for each of several
        classes) and ``prediction``.

    Raises:
        AutoactError: columns are missing or hold what they cannot hold, or the model was not trained on a table.
    """
    saved = preprocessing_of(model, source)
    x = saved.encode(frame, "the input")
    with torch.no_grad():
        out = torch.cat([model.module(part) for part in x.split(BATCH)])
    ids = {name: frame[name].to_numpy() for name in saved.ids if name in frame.columns}
    head = pd.DataFrame({ROW: range(len(frame)), **ids})
    return pd.concat([head, saved.scored(out)], axis=1)


def check_output(path: str, source: str) -> None:
    """Refuse an output that is the input, or of which no format is known.

    Args:
        path: the file to write.
        source: the file of new rows, read before.

    Raises:
        AutoactError: says which.
    """
    file, read = Path(path).expanduser(), Path(source).expanduser()
    if os.path.realpath(file) == os.path.realpath(read) or (file.exists() and read.exists() and file.samefile(read)):
        raise AutoactError(f"output={path} would overwrite the input: name another file")
    if not file.name.lower().endswith(ENDINGS):
        raise AutoactError(f"output={path} has no format that is known. Allowed endings: {', '.join(ENDINGS)}")


def write_scores(scores: pd.DataFrame, path: str) -> Path:
    """Write a csv or parquet file; see ``check_output``.

    Raises:
        AutoactError: it cannot be written.
    """
    file = Path(path).expanduser()
    try:
        if file.suffix.lower() in PARQUET:
            scores.to_parquet(file, index=False)
        else:
            scores.to_csv(file, index=False)
    except OSError as error:
        raise AutoactError(f"output={path} cannot be written: {error.strerror or error}") from error
    return file
