"""The same search as Ray Tune's own pages show it: OptunaSearch, two workers, each trial a Lightning training.

Ray's guide to Optuna (``OptunaSearch`` with lists of metrics and modes), its guide to concurrency (resources per trial,
``max_concurrent_trials``) and its advice on data (``tune.with_parameters`` puts it into the object store once). A trial
runs the very training of the plain script, MLflow logging included, and reports once, at its end: what comes between
cannot be used by several-objective OptunaSearch. The clock starts when both workers have imported everything and
stand ready, so that neither the start of Ray nor imports count.

Run by ``benchmarks.throughput``; alone:
``python -m benchmarks.throughput.ray_tune_script PROBLEM.json FOLDER [WORKERS]``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Ray's own switches; they are read when it is imported.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

from benchmarks.throughput.problem import Problem, Run, Trial, make_ready, mlflow_store

OBJECT_STORE_BYTES = 512 * 1024**2
_ready: set[str] = set()


def trainable(config: Mapping[str, Any], *, given: Any, uri: str, folder: str, workers: int) -> None:
    """One trial in a worker: a training, and one report."""
    import torch
    from ray import tune

    from benchmarks.throughput.plain_script import be_quiet, train_one

    if folder not in _ready:
        be_quiet()
        mlflow_store(Path(folder))  # imports what MLflow imports late
        warm_up(given)
        _ready.add(folder)
        wait_for_all(Path(folder), workers)
    torch.set_num_threads(given.threads)
    began = time.time()
    quality, latency, epochs = train_one(given, config, uri, tune.get_context().get_trial_id())
    ended = time.time()
    tune.report(
        {"quality": quality, "latency": latency, "epochs": epochs, "began": began, "ended": ended, "pid": os.getpid()}
    )


def warm_up(given: Any) -> None:
    """One step of training: Lightning and torch import much of themselves when they are first used."""
    import lightning
    from torch.utils.data import DataLoader, TensorDataset

    from benchmarks.throughput.plain_script import build_model

    params = {site: names[0] for site, names in given.choices.items()}
    model = build_model(given, {**params, "learning_rate": given.rates[0], "weight_decay": 0.0})
    trainer = lightning.Trainer(
        fast_dev_run=True, accelerator="auto", devices=1, logger=False, enable_progress_bar=False
    )
    loader = DataLoader(TensorDataset(*given.train), batch_size=given.batch_size)
    trainer.fit(model, loader, loader)


def wait_for_all(folder: Path, workers: int) -> None:
    """Let nobody begin before all workers are ready; the last one to come starts the clock.

    A worker that Ray started anew in the middle of a run finds the clock running, and so waits for nobody.
    """
    (folder / f"ready-{os.getpid()}").write_text(str(time.time()), encoding="utf-8")
    while len(list(folder.glob("ready-*"))) < workers:
        time.sleep(0.005)


def search_space(given: Any) -> dict[str, Any]:
    """The space in Tune's words."""
    from ray import tune

    space: dict[str, Any] = {site: tune.choice(names) for site, names in given.choices.items()}
    return {
        **space,
        "learning_rate": tune.loguniform(*given.rates),
        "weight_decay": tune.choice(given.decays),
    }


def search(problem: Problem, folder: Path, workers: int) -> Run:
    """The whole search on a local Ray with so many workers."""
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from benchmarks.throughput.plain_script import be_quiet, ingredients

    be_quiet()
    given, uri = ingredients(make_ready(problem, folder)), mlflow_store(folder)
    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    modes = ["max" if given.classes else "min", "min"]
    function = tune.with_parameters(trainable, given=given, uri=uri, folder=str(folder.resolve()), workers=workers)
    tuner = tune.Tuner(
        tune.with_resources(function, {"cpu": 1, **({"gpu": 1 / workers} if given.device == "cuda" else {})}),
        param_space=search_space(given),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(metric=["quality", "latency"], mode=modes, seed=problem.seed),
            num_samples=problem.trials,
            max_concurrent_trials=workers,
            # Off by default: every trial would then start a process of its own and import everything anew.
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(folder.resolve() / "ray"), verbose=0),
    )
    results = tuner.fit()
    ray.shutdown()
    return _collected(problem, folder, workers, [results[number] for number in range(len(results))])


def _collected(problem: Problem, folder: Path, workers: int, results: list[Any]) -> Run:
    """What the workers reported, on a clock that starts when the last of the first workers was ready."""
    marks = sorted(float(mark.read_text(encoding="utf-8")) for mark in folder.glob("ready-*"))
    if len(marks) < workers:
        raise RuntimeError(f"only {len(marks)} of {workers} Ray workers came up: {results[0].error}")
    started = marks[workers - 1]
    trials = []
    for result in results:
        found, config = result.metrics or {}, dict(result.config or {})
        if "quality" not in found:
            trials.append(Trial(0.0, config, None, None))
            continue
        took = found["ended"] - found["began"]
        moment = found["ended"] - started
        trials.append(Trial(moment, config, found["quality"], found["latency"], int(found["epochs"]), took))
    trials.sort(key=lambda trial: trial.seconds)
    processes = {result.metrics["pid"] for result in results if result.metrics and "pid" in result.metrics}
    notes = {"processes": len(processes), "failed": sum(not trial.complete for trial in trials)}
    return Run("ray", problem, tuple(trials), max(trial.seconds for trial in trials), notes)


def main(arguments: list[str]) -> None:
    """Run one search and print it as JSON."""
    problem, folder = Problem(**json.loads(Path(arguments[0]).read_text(encoding="utf-8"))), Path(arguments[1])
    run = search(problem, folder, int(arguments[2]) if len(arguments) > 2 else 2)
    (folder / "run.json").write_text(json.dumps(run.to_dict()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
