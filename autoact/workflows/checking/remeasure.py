"""Measuring a recommendation again: fresh seeds of two candidates, and their times in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from autoact.core.trial import Candidate, Role
from autoact.engines.job import WorkerContext
from autoact.engines.settings import EngineSettings
from autoact.latency.hardware import HardwareSettings
from autoact.latency.model_call import call_model, to_device
from autoact.latency.timer import time_alternating
from autoact.study.confirmation.end_to_end_timing import careful, paired_ratio
from autoact.study.confirmation.retraining import RetrainedCandidate, Retraining, SeedFold, trainer_to_the_end
from autoact.study.confirmation.verdict import Ratio
from autoact.study.settings import SearchSettings
from autoact.study.storage.study_notes import open_notes
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions, served_module
from autoact.training.population import PopulationSession
from autoact.workflows.checking.metric_match import silent
from autoact.workflows.searching.lazy_engine import LateEngine
from autoact.workflows.searching.population_size import shape_of

# Seeds of a check are none of the search's (0 ...), of the choice (10,000 ...) or of the claim (20,000 ...).
FIRST_SEED = 30_000


def retrain(
    task: Task,
    candidates: Mapping[str, Candidate],
    seeds: int,
    *,
    device: torch.device,
    engine: EngineSettings,
    search: SearchSettings,
    rescale: bool,
    activation_rate: float = 1.0,
    test: str | None = None,
) -> dict[str, RetrainedCandidate]:
    """Train each candidate under the same fresh seeds; equal candidates are trained once.

    Fresh seeds are counted from ``search.seed``. ``test`` says why the test part is opened; None: it stays sealed, and
    validation rows judge.

    Raises:
        AutoactError: the task cannot be trained, or has no test rows where they are asked for.
    """
    if task.metric is not None:
        task = replace(task, metric=silent(task.metric))
    shape = shape_of(task, SessionOptions(device, search.patience, rescale, threads=search.threads), engine, search)
    options = SessionOptions(
        device,
        search.patience,
        rescale,
        threads=shape.threads,
        population=shape.largest,
        alone=shape.alone,
        activation_rate=activation_rate,
    )
    worker_context = WorkerContext(task, lambda: PopulationSession(task, options))
    if test is not None and task.test is not None:
        task.test.open(test)  # workers open their own copies; what is scored in this process needs this one
    with LateEngine(engine, worker_context, device, shape) as workers:
        trainer = trainer_to_the_end(task, workers, shape.largest, repeatable=engine.deterministic)
        # A check trains anew each time: what an earlier one noted says nothing of today's code.
        trainings = Retraining(candidates, open_notes(None, "check"), trainer, (), stage=Role.CHECK, test=test)
        return trainings.run([SeedFold(FIRST_SEED + search.seed + number) for number in range(seeds)])


def time_ratio(
    task: Task, mine: Candidate, baseline: Candidate, hardware: HardwareSettings, device: torch.device, rows: int
) -> Ratio:
    """The time of a call relative to the baseline's, both timed in turn (A B A B) on the assembled models.

    ``hardware`` says how carefully to time, and ``rows`` how many are in a call.
    """

    def caller(candidate: Candidate) -> Callable[[], object]:
        module = served_module(task, candidate, device)
        batch = to_device(task.make_input(rows), device)
        return lambda: call_model(module, batch)

    hardware = careful(hardware)
    timed = time_alternating(
        {"mine": caller(mine), "baseline": caller(baseline)},
        device=device,
        rounds=hardware.rounds,
        min_ms=hardware.min_ms,
        threads=hardware.threads,
    )
    return paired_ratio(timed["mine"], timed["baseline"])
