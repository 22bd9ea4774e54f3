"""Measuring a recommendation again: fresh seeds of two candidates, and their times in turn."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
import torch

from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate, Role, TrialRecord
from autoact.engines.job import Job, Outcome, WorkerContext
from autoact.engines.settings import EngineSettings
from autoact.latency.hardware import HardwareSettings
from autoact.latency.model_call import call_model, to_device
from autoact.latency.timer import time_alternating
from autoact.study.confirmation.alpha_spending import OPENINGS
from autoact.study.confirmation.end_to_end_timing import paired_ratio
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold, same
from autoact.study.confirmation.verdict import Ratio
from autoact.study.execution.batch_trainer import shares
from autoact.study.settings import SearchSettings
from autoact.study.storage.optuna_storage import open_storage, storage_errors
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions, build_module
from autoact.training.population import PopulationSession
from autoact.workflows.checking.metric_match import silent
from autoact.workflows.searching.lazy_engine import LateEngine
from autoact.workflows.searching.population_size import shape_of

# Seeds of a check are none of the search's (0 ...), of the choice (10,000 ...) or of the claim (20,000 ...).
FIRST_SEED = 30_000
# Finalists are timed no more roughly than this.
ROUNDS, MIN_MS = 15, 10.0


def retrain(
    task: Task,
    candidates: Mapping[str, Candidate],
    seeds: int,
    *,
    device: torch.device,
    engine: EngineSettings,
    search: SearchSettings,
    rescale: bool,
    test: str | None = None,
) -> dict[str, RetrainedCandidate]:
    """Train each candidate under the same fresh seeds; equal candidates are trained once.

    Args:
        task: what is trained.
        candidates: name -> what to train.
        seeds: how many fresh seeds.
        device: where to train.
        engine: which workers train.
        search: patience, threads and the seed that fresh seeds are counted from.
        rescale: whether initial weights are scaled to each activation's gain.
        test: why the test part is opened; None: it stays sealed, and validation rows judge.

    Raises:
        AutoactError: the task cannot be trained, or has no test rows where they are asked for.
    """
    if task.metric is not None:
        task = replace(task, metric=silent(task.metric))
    keys = {name: same(candidate) for name, candidate in candidates.items()}
    unique = {keys[name]: candidate for name, candidate in candidates.items()}
    turns = [SeedFold(FIRST_SEED + search.seed + number) for number in range(seeds)]
    todo = [(key, turn) for turn in turns for key in unique]
    shape = shape_of(task, SessionOptions(device, search.patience, rescale, threads=search.threads), engine, search)
    options = SessionOptions(
        device, search.patience, rescale, threads=shape.threads, population=shape.largest, alone=shape.alone
    )
    worker_context = WorkerContext(task, lambda: PopulationSession(task, options))
    if test is not None and task.open_test is not None:
        task.open_test(test)  # workers open their own copies; what is scored in this process needs this one
    with LateEngine(engine, worker_context, device, shape) as workers:
        futures = []
        for part in shares(list(enumerate(todo)), shape.largest, 1 if engine.deterministic else shape.workers):
            numbered = tuple((number, unique[key].with_seed(turn.seed, Role.CHECK)) for number, (key, turn) in part)
            futures.append(workers.submit(Job(numbered, test=test, validate=test is None)))
        outcomes = [future.result() for future in futures]
    found = {key: _gathered(unique[key], key, todo, outcomes, test is not None) for key in unique}
    return {name: found[key] for name, key in keys.items()}


def _gathered(
    candidate: Candidate, key: str, todo: Sequence[tuple[str, SeedFold]], outcomes: Sequence[Outcome], tested: bool
) -> RetrainedCandidate:
    """What came of one candidate's trainings."""
    records: dict[SeedFold, TrialRecord] = {}
    scores: dict[SeedFold, float] = {}
    for outcome in outcomes:
        for record in outcome.records:
            mine, turn = todo[record.number]
            score = outcome.scores.get(record.number) if tested else record.quality
            if mine == key:
                records[turn] = record
                if record.complete and score is not None:
                    scores[turn] = score
    turns = [turn for mine, turn in todo if mine == key]
    return RetrainedCandidate(
        candidate,
        scores={turn: scores[turn] for turn in turns if turn in scores},
        validation={turn: q for turn in turns if turn in scores and (q := records[turn].quality) is not None},
        best_epochs={turn: records[turn].best_epoch for turn in turns if turn in scores},
        seconds={turn: records[turn].seconds for turn in turns if turn in scores},
        replicates={turn: records[turn].replicates for turn in turns if turn in scores},
        failures={turn: records[turn].reason for turn in turns if turn not in scores},
    )


def time_ratio(
    task: Task, mine: Candidate, baseline: Candidate, hardware: HardwareSettings, device: torch.device, rows: int
) -> Ratio:
    """The time of a call relative to the baseline's, both timed in turn (A B A B) on the assembled models.

    Args:
        task: gives model and input.
        mine: numerator.
        baseline: denominator.
        hardware: how carefully to time.
        device: where.
        rows: in a call.
    """

    def caller(candidate: Candidate) -> Any:
        module = build_module(task, candidate, rescale=False).eval().to(device)
        batch = to_device(task.make_input(rows), device)
        return lambda: call_model(module, batch)

    timed = time_alternating(
        {"mine": caller(mine), "baseline": caller(baseline)},
        device=device,
        rounds=max(hardware.rounds, ROUNDS),
        min_ms=max(hardware.min_ms, MIN_MS),
        threads=hardware.threads,
    )
    return paired_ratio(timed["mine"], timed["baseline"])


def note_opening(storage: str, task: Task, candidates: Sequence[Candidate], seeds: int) -> int:
    """Count an opening of the test part, where searches on the same data will find it; returns its number.

    The same candidates and seeds opened again are the same opening.

    Args:
        storage: Optuna's, as a URL.
        task: whose test part.
        candidates: what is judged on it.
        seeds: fresh seeds of each.

    Raises:
        AutoactError: the storage cannot be opened, or the data have no fingerprint.
    """
    data = task.facts.get("fingerprint")
    if data is None:
        raise AutoactError(
            f"the data of {task.name} have no fingerprint: an opening of the test part cannot be counted"
        )
    name = f"check-{task.name}-{str(data)[:12]}"
    try:
        backend = open_storage(storage)
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(study_name=name, storage=backend, load_if_exists=True)
        finally:
            optuna.logging.set_verbosity(level)
        openings = json.loads(study.user_attrs.get(OPENINGS, "[]"))
        purpose = {"trials": 0, "candidates": sorted(map(same, candidates)), "seeds": seeds, "data": data}
        known = [{key: opening.get(key) for key in purpose} for opening in openings]
        if purpose not in known:
            openings.append({**purpose, "time": time.time()})
            study.set_user_attr(OPENINGS, json.dumps(openings))
            known.append(purpose)
        mine = openings[known.index(purpose)]["time"]
        summaries = optuna.study.get_all_study_summaries(backend, include_best_trial=False)
    except storage_errors() as error:
        raise AutoactError(f"the storage cannot be opened to count this opening of the test part: {error}") from error
    others = [json.loads(s.user_attrs[OPENINGS]) for s in summaries if OPENINGS in s.user_attrs]
    return sum(one.get("data") == data and one["time"] <= mine for opening in others for one in opening)
