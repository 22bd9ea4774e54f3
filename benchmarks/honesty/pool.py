"""Pools of trained networks with their predictions on many rows, from which studies are drawn without training."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoact.activations import registry
from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.training.lightning_session import SessionOptions
from autoact.training.population.session import PopulationSession

TOGETHER = 64
# Epochs without a better validation value before a training ends, as in a search.
PATIENCE = 8
ROWS = 20_000


@dataclass(frozen=True)
class Pool:
    """Predictions of networks that differ in their arm and in their seed.

    Attributes:
        truth: what is predicted. **Shape**: ``[rows]``.
        scores: arm -> predictions. **Shape**: ``[seeds, rows]``, float32.
    """

    truth: np.ndarray
    scores: Mapping[str, np.ndarray]

    @property
    def seeds(self) -> int:
        """Networks per arm."""
        return len(next(iter(self.scores.values())))


def train_pool(
    problem: str, arms: Mapping[str, Assignment], seeds: int, epochs: int, width: int, keep: Path | None = None
) -> Pool:
    """Train every arm under every seed, each with its own initial weights and order of batches.

    Args:
        problem: ``income`` (the packaged set, two classes) or ``friedman`` (scikit-learn's ``make_friedman1``).
        arms: name -> activations.
        seeds: networks per arm.
        epochs: of every training; the best one on validation rows is kept, as in a search.
        width: of the hidden layers.
        keep: a folder where pools are kept: the same one is not trained twice.
    """
    digest = hashlib.sha256(repr([problem, sorted(arms.items()), seeds, epochs, width]).encode()).hexdigest()[:12]
    file = None if keep is None else keep / f"pool-{problem}-{digest}.npz"
    if file is not None and file.is_file():
        found = np.load(file)
        return Pool(found["truth"], {name: found[f"arm {name}"] for name in arms})
    pool = _pool(problem, arms, seeds, epochs, width)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, truth=pool.truth, **{f"arm {name}": scores for name, scores in pool.scores.items()})
    return pool


def _pool(problem: str, arms: Mapping[str, Assignment], seeds: int, epochs: int, width: int) -> Pool:
    """Train a pool."""
    with tempfile.TemporaryDirectory(prefix="autoact-pool-") as folder:
        task = _task(problem, Path(folder), epochs, width)
        part = task.test.open("pool of predictions").val_dataloader()
        rows = [tuple(batch) for batch in part]
        x, truth = torch.cat([one[0] for one in rows]), torch.cat([one[1] for one in rows])
        scores: dict[str, np.ndarray] = {}
        for name, assignment in arms.items():
            scores[name] = np.stack(_trained(task, assignment, seeds, x, name))
    return Pool(truth.numpy(), scores)


def _trained(task: Any, assignment: Assignment, seeds: int, x: torch.Tensor, name: str) -> list[np.ndarray]:
    """Predictions of one arm under every seed."""
    found: list[np.ndarray] = []
    started = time.perf_counter()
    options = SessionOptions(torch.device("cpu"), patience=PATIENCE, rescale=True, threads=1, population=TOGETHER)
    for begin in range(0, seeds, TOGETHER):
        session = PopulationSession(task, options)
        numbers = range(begin, min(begin + TOGETHER, seeds))
        session.start([(seed, Candidate(assignment, {}, 1000 + seed)) for seed in numbers])
        session.advance()
        modules = session.modules()
        found += [_predict(modules[seed], x) for seed in numbers]
    print(f"{name}: {seeds} networks, {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return found


@torch.no_grad()
def _predict(module: Any, x: torch.Tensor) -> np.ndarray:
    """Probabilities of the second class, or numbers."""
    raw = module.eval()(x)
    if raw.ndim > 1 and raw.shape[1] == 2:
        raw = raw.softmax(1)[:, 1]
    elif raw.ndim > 1:
        raw = raw[:, 0]
    return raw.float().numpy()


def opaque(factors: Sequence[float]) -> dict[str, str]:
    """Register relu(cx)/c for each c, as activations of their own; returns label -> name.

    They equal relu as functions. In float32 they round otherwise, so that trainings part ways; expected quality is the
    same.
    """
    found = {}
    for factor in factors:
        name = f"opaque_{str(factor).replace('.', '_')}"
        registry.register(name, _scaled(factor), replace=True)
        found[str(factor)] = name
    return found


def _scaled(factor: float) -> Any:
    """relu(cx)/c."""
    return lambda x: torch.relu(factor * x) / factor


def _task(problem: str, folder: Path, epochs: int, width: int) -> Any:
    """The recipe's task on a file whose test part is the pool of rows."""
    from autoact.config.compose import compose, settings
    from autoact.config.recipe_task import recipe_task

    file = folder / f"{problem}.csv"
    common = [
        f"data.path={file}",
        f"data.test={ROWS / (ROWS + 3000)}",
        f"data.validation={1000 / (ROWS + 3000)}",
        f"recipe.arguments.width={width}",
        f"trainer.max_epochs={epochs}",
        "confirm.references=false",
    ]
    import pandas as pd

    if problem == "income":
        from autoact.data.settings import DataSettings
        from autoact.data.sources.load import load_table

        table = load_table(DataSettings(source="packaged", name="income"))
        rows = pd.concat([table.frame, table.test_frame]).assign(income=lambda all: all["income"].str.rstrip("."))
        rows.sample(ROWS + 3000, random_state=1).to_csv(file, index=False)
        task = ["task=classification", "data.target=income"]
    else:
        from sklearn.datasets import make_friedman1

        x, y = make_friedman1(ROWS + 3000, noise=1.0, random_state=1)
        pd.DataFrame({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y}).to_csv(file, index=False)
        task = ["task=regression", "data.target=y", "metric=mse"]
    return recipe_task(settings(compose([*task, *common])))
