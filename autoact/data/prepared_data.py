"""What the data layer hands on: parts ready for a network, a sealed test part, and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.compose import ColumnTransformer

from autoact.core.value_holders import PlainData
from autoact.data.columns.column_types import NUMERIC
from autoact.data.columns.number_formats import NumberForm
from autoact.data.part import Part
from autoact.data.sealed_test import PreparedTest


@dataclass(frozen=True, eq=False)
class TargetScale:
    """Mean and standard deviation over training rows, one pair for each name.

    Attributes:
        mean: **Shape** ``[names]``, in the user's unit.
        std: **Shape** ``[names]``, above 0.
        names: the target, the series, or the channels.

    Example:
        >>> scale = TargetScale.of(np.array([[1.0], [3.0]]), ["price"])
        >>> scale.restore(torch.tensor([0.0, 1.0])).tolist()
        [2.0, 3.0]
    """

    mean: np.ndarray
    std: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, values: np.ndarray, names: list[str]) -> TargetScale:
        """Measure the columns of ``values`` (``[rows, names]``); a constant column gets deviation 1."""
        wide = values.astype("float64")
        std = wide.std(axis=0)
        return cls(wide.mean(axis=0), np.where(std > 0, std, 1.0), names)

    def restore(self, y: torch.Tensor, series: torch.Tensor | None = None) -> torch.Tensor:
        """Standardised values in the user's unit.

        Args:
            y: **Shape** ``[rows]`` or ``[rows, horizon]``.
            series: which name each row belongs to; the first one unless given.
        """
        index = torch.zeros(len(y), dtype=torch.long) if series is None else series.cpu()
        shape = [-1] + [1] * (y.ndim - 1)
        mean = torch.as_tensor(self.mean, dtype=y.dtype)[index].reshape(shape).to(y.device)
        std = torch.as_tensor(self.std, dtype=y.dtype)[index].reshape(shape).to(y.device)
        return y * std + mean


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Data that is ready to be learnt from.

    Attributes:
        kind: ``classification``, ``regression``, ``sequence_classification`` or ``forecast``.
        name: short name of the data.
        description: where it came from.
        simulated: whether a process of ours made it; say so wherever results appear.
        train: rows to learn from.
        validation: rows to choose by.
        test: rows for the final check, sealed.
        input_shape: shape of one row's input: ``(features,)`` or ``(channels, time)``.
        outputs: what a network has to give: classes, 1 number, or the steps of the horizon.
        features: names of the input columns or channels, in order.
        classes: class names by index, None for numbers.
        target: the target's name, or the series' names.
        target_scale: how targets were standardised (regression, forecast), else None.
        preprocessing: the fitted scikit-learn transformer (tables), else None.
        frame_schema: column -> ``numeric`` or ``category``: what ``preprocessing`` expects.
        forms: numeric column -> how its numbers are written, where that is not as programs write them.
        amounts: columns of categories that hold numbers, and no text that looks like them.
        meanings: numeric column -> what its numbers stand for, where that is not themselves; see ``spelt.meaning``.
        split: ``stratified``, ``random``, ``time`` or ``group``.
        seed: of the split.
        fingerprint: sha256 over content and settings that matter.
        notes: what is allowed but worth a look.
        season: steps of one season (forecasts); 1 where nobody named it.
        season_known: whether somebody did.
        naive_error: mean absolute error of the seasonal naive forecast inside the training part, over the steps of all
            series, standardised (forecasts); None where no series is longer than a season.
        profile: how the columns of the training rows are distributed (tables), else empty; see ``drift.profile``.
    """

    kind: str
    name: str
    description: str
    simulated: bool
    train: Part
    validation: Part
    test: PreparedTest
    input_shape: tuple[int, ...]
    outputs: int
    features: list[str]
    target: str
    split: str
    seed: int
    fingerprint: str
    classes: list[str] | None = None
    target_scale: TargetScale | None = None
    preprocessing: ColumnTransformer | None = None
    frame_schema: dict[str, str] = field(default_factory=dict)
    forms: dict[str, NumberForm] = field(default_factory=dict)
    amounts: tuple[str, ...] = ()
    meanings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    profile: PlainData = field(default_factory=dict)
    season: int = 1
    season_known: bool = False
    naive_error: float | None = None

    @property
    def inputs(self) -> int:
        """Features of a table, channels of a sequence."""
        return self.input_shape[0]

    @property
    def numbers(self) -> torch.Tensor | None:
        """The training rows of a table's columns that are numbers, scaled (``[rows, columns]``); they come first."""
        if len(self.input_shape) > 1 or self.preprocessing is None:
            return None
        return self.train.x[:, : sum(kind == NUMERIC for kind in self.frame_schema.values())]

    @property
    def class_counts(self) -> torch.Tensor | None:
        """Training rows of each class (``[classes]``); None for numbers."""
        return None if self.classes is None else torch.bincount(self.train.y, minlength=len(self.classes))

    @property
    def sizes(self) -> dict[str, int]:
        """Part -> number of rows."""
        return {"train": len(self.train), "validation": len(self.validation), "test": self.test.size}

    def summary(self) -> str:
        """One line for people."""
        kind = self.kind.replace("_", " ")
        label = f"{self.name} (simulated)" if self.simulated else self.name
        sizes = " / ".join(f"{count:,}" for count in self.sizes.values())
        outputs = f"{len(self.classes)} classes" if self.classes else f"{self.outputs} output(s)"
        shape = " x ".join(str(n) for n in self.input_shape)
        return f"{label}: {kind} of {self.target}, {sizes} rows ({self.split} split), {shape} inputs, {outputs}"
