"""What tasks of points share: parts cut from arrays, and settings of tables refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from autoact.core.errors import AutoactError
from autoact.core.override_text import override
from autoact.data.part import Part
from autoact.data.preparation.fingerprint import content_hash, data_fingerprint
from autoact.data.prepared_data import PreparedData
from autoact.data.sealed_test import PreparedTest
from autoact.data.settings import DataSettings

# Points, below which no part is worth its name.
FEWEST = 16
# What speaks of columns of a table.
_COLUMNS = ("target", "time", "group", "drop", "numeric", "categorical", "positive", "series", "known")


def refuse_columns(settings: DataSettings, source: str) -> None:
    """Refuse settings of tables, which points have no use for.

    Raises:
        AutoactError: names the first one.
    """
    if settings.source != source:
        raise AutoactError(f"data.source={settings.source} does not fit this task: it reads data.source={source}")
    plain = DataSettings(source=source)
    for name in ("split", *_COLUMNS):
        if getattr(settings, name) != getattr(plain, name):
            given = override(f"data.{name}", getattr(settings, name))
            raise AutoactError(f"{given} is for tables: the points of this task have no columns; leave it out")


@dataclass(frozen=True)
class PointReader:
    """Makes the part of some points when it is called; picklable."""

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray

    def __call__(self) -> Part:
        """Cut and hand over; a single value of a point has no axis of its own."""
        y = self.y[self.rows]
        return Part(torch.tensor(self.x[self.rows]), torch.tensor(y[:, 0] if y.shape[1] == 1 else y), self.rows)

    def __repr__(self) -> str:
        return f"PointReader({len(self.rows)} points)"


def points(
    settings: DataSettings,
    kind: str,
    *,
    x: np.ndarray,
    y: np.ndarray,
    rows: Mapping[str, np.ndarray],
    features: list[str],
    target: str,
    name: str,
    description: str,
    split: str,
    notes: list[str],
) -> PreparedData:
    """Prepared data of points.

    Args:
        settings: what the user says about the data.
        kind: of the task.
        x: **Shape** ``[points, features]``.
        y: **Shape** ``[points, values]``.
        rows: ``train``, ``validation`` and ``test`` -> numbers of their points.
        features: names of the coordinates.
        target: names of the values.
        name: of the data.
        description: where they came from.
        split: how they were divided.
        notes: what is worth a look.
    """
    x, y = x.astype(np.float32), y.astype(np.float32)
    train, validation, test = (PointReader(x, y, rows[part]) for part in ("train", "validation", "test"))
    learnt = train()
    sealed = content_hash([("x", x[test.rows]), ("y", y[test.rows])])
    return PreparedData(
        kind="regression",
        name=name,
        description=description,
        simulated=False,
        train=learnt,
        validation=validation(),
        test=PreparedTest(test, len(test.rows), sealed, train=learnt),
        input_shape=(x.shape[1],),
        outputs=y.shape[1],
        features=features,
        target=target,
        split=split,
        seed=settings.seed,
        fingerprint=data_fingerprint(kind, content_hash([("x", x), ("y", y)]), settings),
        notes=[
            *notes,
            "no preprocessing is saved beside a trained model: python -m autoact predict cannot score new rows",
        ],
    )
