"""Score new rows with a logged model: the same preprocessing, the rows' own ids."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import torch

from autoact.core.errors import AutoactError
from autoact.data.preprocessing_file import FILE, PARQUET, SavedPreprocessing
from autoact.tracking.models.model_artifacts import FetchedModel

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

    Returns:
        The columns ``row`` (from 0), the columns that the training left out, ``score`` (or one for each of several
        classes) and ``prediction``. A column of the input that is called like one of these has another name here; see
        ``input_names``.

    Raises:
        AutoactError: columns are missing or hold what they cannot hold, or the model was not trained on a table.
    """
    saved = preprocessing_of(model, source)
    x = saved.encode(frame, "the input")
    with torch.no_grad():
        out = torch.cat([model.module(part) for part in x.split(BATCH)])
    scored = saved.scored(out)
    names = input_names(saved, frame.columns)
    kept = frame[list(names)].reset_index(drop=True).rename(columns=names)
    return pd.concat([pd.DataFrame({ROW: range(len(frame))}), kept, scored], axis=1)


def input_names(saved: SavedPreprocessing, columns: Iterable[str]) -> dict[str, str]:
    """Columns of the input that are handed through -> their names in the output.

    The scores keep their names, whatever the input holds: a column of the input that is called like one of them gets
    the first of ``input_NAME``, ``input_NAME_2``, ... that nothing else has.
    """
    nothing = torch.zeros(0, max(1, len(saved.classes or ())))
    ours = {ROW, *map(str, saved.scored(nothing).columns)}
    present = set(columns)
    kept = [name for name in dict.fromkeys(saved.ids) if name in present]
    used, names = ours | set(kept), {}
    for name in kept:
        found, count = name, 1
        while name in ours and found in used:
            found = f"input_{name}" if count == 1 else f"input_{name}_{count}"
            count += 1
        used.add(found)
        names[name] = found
    return names


def renamed(names: Mapping[str, str]) -> str:
    """A sentence on columns of the input that have another name in the output; empty where none has.

    Example:
        >>> renamed({"who": "who", "score": "input_score"})
        "columns of the input that are called like the model's own have other names here: 'score' as 'input_score'"
    """
    changed = ", ".join(f"{name!r} as {found!r}" for name, found in names.items() if name != found)
    own = "columns of the input that are called like the model's own have other names here"
    return f"{own}: {changed}" if changed else ""


def check_output(path: str, source: str) -> None:
    """Refuse an output that is the input (``source``, read before), or of which no format is known.

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
    except pa.ArrowException as error:  # a column of mixed types, which parquet has no type for
        raise AutoactError(f"output={path} cannot be written: {error}; a .csv file takes any column") from error
    return file
