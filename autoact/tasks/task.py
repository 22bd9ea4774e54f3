"""A task: everything that training a candidate and judging it needs, be it a recipe's or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoact.core.errors import AutoactError
from autoact.core.value_holders import Batch, PlainData
from autoact.data.sealed_test import TestSet
from autoact.tasks.metrics import Metric


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and how it is judged.

    Attributes:
        name: the task's name, for people and for the study.
        make_module: returns a fresh LightningModule with fresh initial weights.
        make_datamodule: seed -> a LightningDataModule whose order of batches follows the seed where it can; all of them
            share one split, and the test part stays sealed until the final check opens it.
        monitor: name of the logged validation value that decides (``val_roc_auc``).
        mode: ``max`` or ``min``: which values of ``monitor`` are better.
        quality_unit: what that value is, for people (``ROC AUC``).
        example_input: what ``module(example_input)`` accepts, two rows or more; found in the first batch.
        make_input: batch size -> an input of that many rows, for timing.
        metric: computes ``monitor`` from predictions; None where the module logs it itself.
        also: metrics that the final check computes, too, from the same predictions of test rows.
        groups: columns whose values the final check scores each by themselves.
        keep_predictions: whether trainings of the final check hand back what they predict for each row they are scored
            on: its ensembles average that.
        test: the sealed test rows; None where there are none.
        trainer: arguments of ``lightning.Trainer``.
        make_callbacks: returns fresh callbacks for one training.
        identity: what makes two tasks the same one (plain data; goes into the study's name).
        facts: what the report says of the data (rows, source, fingerprint, ...).
        simulated: whether the data come from a simulator; said wherever results appear.
        references: returns the reference models' scores, ``[(name, validation, test), ...]``; None where unknown.
        ordered: whether the test rows follow each other in time.
        trivial: quality of the trivial predictor on validation rows; None where unknown.
        warning: what the reader of every result must know.
        make_fold: seed, fold from 0, number of folds -> a LightningDataModule like those of ``make_datamodule``, whose
            validation rows are that fold's and whose training rows are the others; None where rows cannot be dealt out
            anew (they follow each other in time, or belong together).
    """

    name: str
    make_module: Callable[[], Any]
    make_datamodule: Callable[[int], Any]
    monitor: str
    mode: str
    quality_unit: str
    example_input: Batch
    make_input: Callable[[int], Batch]
    metric: Metric | None = None
    test: TestSet | None = None
    trainer: PlainData = field(default_factory=dict)
    make_callbacks: Callable[[], Sequence[Any]] = tuple
    identity: PlainData = field(default_factory=dict)
    facts: PlainData = field(default_factory=dict)
    simulated: bool = False
    references: Callable[[bool], Sequence[tuple[str, float | None, float | None]]] | None = None
    ordered: bool = False
    trivial: float | None = None
    warning: str = ""
    make_fold: Callable[[int, int, int], Any] | None = None
    also: Sequence[Metric] = ()
    groups: Sequence[str] = ()
    keep_predictions: bool = False

    def datamodule(self, seed: int, fold: tuple[int, int] | None = None) -> Any:
        """The rows of a candidate: the task's own split, or one fold of a cross-validation.

        Args:
            seed: of the order of batches, and of the folds.
            fold: which one is validation, from 0, and how many there are.

        Raises:
            AutoactError: the task has no folds, or there is no such fold.
        """
        if fold is None:
            return self.make_datamodule(seed)
        number, folds = fold
        if self.make_fold is None:
            raise AutoactError(
                f"fold {number} of {folds}: the rows of the task {self.name} cannot be dealt out in folds"
            )
        if folds < 2 or not 0 <= number < folds:
            raise AutoactError(f"fold {number} of {folds}: folds count from 0, and there are 2 or more")
        return self.make_fold(seed, number, folds)

    def better(self, a: float, b: float) -> bool:
        """Whether the quality ``a`` is better than ``b``."""
        return a > b if self.mode == "max" else a < b
