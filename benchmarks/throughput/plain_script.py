"""A search as the libraries' own examples show it: Optuna outside, one Lightning Trainer per trial, MLflow beside it.

Optuna's Lightning example (one Trainer per trial inside the objective), its several-objective tutorial (a list of
directions, ``TPESampler``), its distributed tutorial (two processes, one SQLite study) and Lightning's own pages
(``DataLoader`` over a ``TensorDataset``, ``EarlyStopping``, ``MLFlowLogger``, a metric of torchmetrics that is logged).
Where those examples are slower than need be without a reason, this script is not: no progress bar, no summary, no
checkpoint files, the best epoch read from ``EarlyStopping``, an in-memory study for one process.

The networks are those that autoact trains, initial weights included; only the script around them differs.

Run by ``benchmarks.throughput``; alone:
``python -m benchmarks.throughput.plain_script PROBLEM.json FOLDER [PROCESSES]``.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import optuna
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanSquaredError, Metric
from torchmetrics.classification import BinaryAUROC

import autoact
from autoact.recipes.tabular import TabularClassifier, TabularRegressor
from benchmarks.throughput.problem import EXPERIMENT, Problem, Run, Trial, Workshop, make_ready, mlflow_store

WARM_UP, CALLS = 20, 200


class LoggedQuality:
    """A validation step that logs a metric of torchmetrics."""

    metric: Metric

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """One batch."""
        module: Any = self
        x, y = batch
        out = module(x)
        module.log("val_loss", module.loss(out, y))
        self.metric.update(module.score(out), y)
        module.log("val_quality", self.metric, on_step=False, on_epoch=True)


class Classifier(LoggedQuality, TabularClassifier):
    """The network for classes."""

    def __init__(self, **arguments: Any) -> None:
        """Bring the metric along."""
        super().__init__(**arguments)
        self.metric = BinaryAUROC()


class Regressor(LoggedQuality, TabularRegressor):
    """The network for numbers."""

    def __init__(self, **arguments: Any) -> None:
        """Bring the metric along."""
        super().__init__(**arguments)
        self.metric = MeanSquaredError(squared=False)


@dataclass(frozen=True)
class Ingredients:
    """All that one training needs, as plain tensors and numbers, so that Ray can send it to its workers.

    Attributes:
        train: inputs and targets of the training rows.
        validation: inputs and targets of the validation rows.
        classes: whether classes are learnt.
        outputs: classes, or numbers.
        width: of every hidden layer.
        batch_size: of training rows, and of validation rows as in the examples.
        epochs: most epochs.
        patience: epochs without a better validation value.
        threads: CPU threads.
        latency_batch: rows of a timed request.
        device: ``cpu`` or ``cuda``.
        unit: what a standardised error is multiplied by.
        choices: site -> the activations on offer.
        rates: lowest and highest learning rate.
        decays: weight decays on offer.
        seed: of weights, batches and sampler.
    """

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    classes: bool
    outputs: int
    width: int
    batch_size: int
    epochs: int
    patience: int
    threads: int
    latency_batch: int
    device: str
    unit: float
    choices: Mapping[str, list[str]]
    rates: tuple[float, float]
    decays: list[float]
    seed: int

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """Of quality and latency, as Optuna wants them."""
        return ["maximize" if self.classes else "minimize", "minimize"]


def ingredients(workshop: Workshop) -> Ingredients:
    """What the script starts from."""
    problem, data, space = workshop.problem, workshop.data, workshop.space
    scale = data.target_scale
    return Ingredients(
        train=(data.train.x, data.train.y),
        validation=(data.validation.x, data.validation.y),
        classes=data.kind == "classification",
        outputs=data.outputs,
        width=problem.width,
        batch_size=int(workshop.task.identity["batch_size"]),
        epochs=problem.epochs,
        patience=problem.patience,
        threads=problem.threads,
        latency_batch=problem.latency_batch,
        device=problem.device,
        unit=1.0 if scale is None else float(scale.std[0]),
        choices={site: space.choices_of(site) for site in space.groups},
        rates=space.rate_range,
        decays=list(space.decays),
        seed=problem.seed,
    )


def build_model(given: Ingredients, params: Mapping[str, Any]) -> Any:
    """The network of a trial."""
    rows, _ = given.train
    model = (Classifier if given.classes else Regressor)(
        inputs=rows.shape[1],
        outputs=given.outputs,
        width=given.width,
        learning_rate=params["learning_rate"],
        weight_decay=params["weight_decay"],
    )
    assignment = {site: params[site] for site in given.choices}
    return autoact.apply_(model, assignment, example_input=rows[:4], rescale=True)


def measure_latency(model: torch.nn.Module, batch: Tensor, device: str) -> float:
    """Median time of a call in ms, as one would write it into an objective."""
    model.to(device).eval()
    batch = batch.to(device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    times = []
    with torch.inference_mode():
        for _ in range(WARM_UP):
            model(batch)
        wait()
        for _ in range(CALLS):
            started = time.perf_counter()
            model(batch)
            wait()
            times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def train_one(given: Ingredients, params: Mapping[str, Any], tracking_uri: str, name: str) -> tuple[float, float, int]:
    """Train and judge one point; returns quality, latency in ms and epochs."""
    lightning.seed_everything(given.seed, verbose=False)
    model = build_model(given, params)
    logger = MLFlowLogger(experiment_name=EXPERIMENT, run_name=name, tracking_uri=tracking_uri)
    logger.log_hyperparams(dict(params))
    stopping = EarlyStopping("val_quality", mode="max" if given.classes else "min", patience=given.patience)
    trainer = lightning.Trainer(
        max_epochs=given.epochs,
        accelerator="gpu" if given.device == "cuda" else "cpu",
        devices=1,
        logger=logger,
        callbacks=[stopping],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        model,
        DataLoader(TensorDataset(*given.train), batch_size=given.batch_size, shuffle=True),
        DataLoader(TensorDataset(*given.validation), batch_size=given.batch_size),
    )
    quality = float(stopping.best_score) * given.unit
    rows, _ = given.validation
    latency = measure_latency(model, rows[: given.latency_batch], given.device)
    logger.log_metrics({"quality": quality, "latency_ms": latency})
    logger.finalize("success")
    return quality, latency, trainer.current_epoch


def suggest(given: Ingredients, trial: optuna.Trial) -> dict[str, Any]:
    """A point of the space, in Optuna's words."""
    params: dict[str, Any] = {site: trial.suggest_categorical(site, names) for site, names in given.choices.items()}
    params["learning_rate"] = trial.suggest_float("learning_rate", *given.rates, log=True)
    params["weight_decay"] = trial.suggest_categorical("weight_decay", given.decays)
    return params


def be_quiet() -> None:
    """Silence what Lightning, Optuna and MLflow say once per trial."""
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def work_off(given: Ingredients, study: optuna.Study, trials: int, tracking_uri: str, started: float) -> list[Trial]:
    """Run the study until it holds ``trials`` trials; returns those of this process."""
    found: list[Trial] = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        began = time.time()
        params = suggest(given, trial)
        quality, latency, epochs = train_one(given, params, tracking_uri, f"trial {trial.number}")
        ended = time.time()
        found.append(Trial(ended - started, params, quality, latency, epochs, ended - began))
        return quality, latency

    enough = optuna.study.MaxTrialsCallback(trials, states=None)
    study.optimize(objective, n_trials=trials, callbacks=[enough])
    return found


def one_process(problem: Problem, folder: Path) -> Run:
    """The plain script as it stands."""
    be_quiet()
    given, uri = ingredients(make_ready(problem, folder)), mlflow_store(folder)
    torch.set_num_threads(problem.threads)
    started = time.time()
    study = optuna.create_study(directions=given.directions, sampler=optuna.samplers.TPESampler(seed=problem.seed))
    trials = work_off(given, study, problem.trials, uri, started)
    return Run("plain", problem, tuple(trials), time.time() - started)


def several_processes(problem: Problem, folder: Path, processes: int) -> Run:
    """The plain script in several processes that share an Optuna SQLite study; imports and data do not count."""
    be_quiet()
    storage, uri = f"sqlite:///{folder.resolve() / 'optuna.db'}", mlflow_store(folder)
    given = ingredients(make_ready(problem, folder))
    optuna.create_study(study_name="plain", storage=storage, directions=given.directions)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes + 1), context.Queue()
    workers = [
        context.Process(target=_one_of_several, args=(problem, folder, number, uri, storage, barrier, results))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    started = min(start for start, _ in found)
    trials = sorted((trial for _, trials in found for trial in trials), key=lambda trial: trial.seconds)
    return Run(f"plain{processes}", problem, tuple(trials), max(trial.seconds for trial in trials), {"t0": started})


def _one_of_several(
    problem: Problem, folder: Path, number: int, uri: str, storage: str, barrier: Any, results: Any
) -> None:
    """One process: gets ready, waits for the others, works."""
    be_quiet()
    given = ingredients(make_ready(problem, folder))
    mlflow_store(folder)  # imports what MLflow imports late
    torch.set_num_threads(problem.threads)
    barrier.wait()
    started = time.time()
    # Without liars two processes would try the same points; another seed each, or both would draw the same ones.
    sampler = optuna.samplers.TPESampler(seed=problem.seed + 1000 * number, constant_liar=True)
    study = optuna.load_study(study_name="plain", storage=storage, sampler=sampler)
    results.put((started, work_off(given, study, problem.trials, uri, started)))


def main(arguments: list[str]) -> None:
    """Run one search and print it as JSON."""
    problem, folder = Problem(**json.loads(Path(arguments[0]).read_text(encoding="utf-8"))), Path(arguments[1])
    processes = int(arguments[2]) if len(arguments) > 2 else 1
    run = one_process(problem, folder) if processes == 1 else several_processes(problem, folder, processes)
    (folder / "run.json").write_text(json.dumps(run.to_dict()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
