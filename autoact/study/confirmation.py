"""The final check: finalists and baselines trained again with fresh seeds, scored once on the sealed test part."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoact.core.records import STOPPED, Candidate, TrialRecord
from autoact.core.statistics import Interval, jackknife_variance, paired_interval
from autoact.engines.job import Job
from autoact.study.batches import Trainer, parts
from autoact.study.events import Observer
from autoact.study.identity import digest
from autoact.study.ledger import Ledger
from autoact.study.selection import Selection
from autoact.study.settings import ConfirmSettings
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted

# Fresh seeds lie far from the search's own.
FIRST_FRESH_SEED = 10_000
OPENINGS = "openings"


@dataclass(frozen=True)
class Confirmed:
    """What the final check found of one candidate.

    Attributes:
        candidate: what was trained.
        scores: the metric on the test rows, by seed.
        validation: the metric on the validation rows, by seed.
        best_epochs: epoch of the kept weights, by seed.
        seconds: seconds of training, by seed.
        failures: reasons, by seed.
        replicates: the test metric with one group of rows left out at a time, by seed; empty where unknown.
    """

    candidate: Candidate
    scores: Mapping[int, float] = field(default_factory=dict)
    validation: Mapping[int, float] = field(default_factory=dict)
    best_epochs: Mapping[int, int] = field(default_factory=dict)
    seconds: Mapping[int, float] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)
    replicates: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean test score over the seeds; nan where every seed failed."""
        return statistics.fmean(self.scores.values()) if self.scores else float("nan")

    @property
    def epochs(self) -> int:
        """Median best epoch: how long to train in production."""
        return round(statistics.median(self.best_epochs.values())) if self.best_epochs else 0


@dataclass(frozen=True)
class Confirmation:
    """The final check of a search.

    Attributes:
        entries: name (``configured``, ``tuned``, ``uniform``, a policy) -> what was found; equal candidates share one.
        gains: name -> paired difference to the tuned baseline, better = positive, with its interval.
        comparisons: number of different challengers that the intervals are corrected for.
        opening: which opening of this test part it was, from 1.
        rows_counted: whether the intervals hold for other test rows too, not only for other seeds.
        trials_after: whether trials were added after an earlier opening, or another study of this storage opened it.
    """

    entries: Mapping[str, Confirmed]
    gains: Mapping[str, Interval]
    comparisons: int
    opening: int
    trials_after: bool
    rows_counted: bool = False


def confirm(
    task: Task,
    selection: Selection,
    ledger: Ledger,
    trainer: Trainer,
    settings: ConfirmSettings,
    observers: Sequence[Observer],
) -> Confirmation:
    """Train the finalists again and score them on the test part, which opens here.

    What an earlier, interrupted check has scored is not trained again.

    Raises:
        Interrupted: the user asked to stop; what was scored by then is kept.
    """
    named = finalists(selection)
    unique = {_same(candidate): candidate for candidate in named.values()}
    opening, after = _open(ledger, unique, settings.seeds, task.facts.get("fingerprint"))
    assert task.open_test is not None
    reason = f"final check of {ledger.name}, opening {opening}"
    task.open_test(reason)  # workers open their own copies; what is scored in this process needs this one
    for observer in observers:
        observer.confirming(len(unique) * settings.seeds)
    names = {same: next(n for n, c in named.items() if _same(c) == same) for same in unique}
    found = _Check(unique, names, ledger, settings, observers).run(trainer, reason)
    entries = {name: found[_same(candidate)] for name, candidate in named.items()}
    challengers = {_same(r.candidate) for r in selection.policies.values()} - {_same(selection.tuned.candidate)}
    comparisons = max(1, len(challengers))
    gains = {
        name: gain
        for name, entry in entries.items()
        if name != "tuned" and (gain := _gain(task, entry, entries["tuned"], settings, comparisons)) is not None
    }
    counted = all(all(entry.replicates.values()) for entry in found.values())
    return Confirmation(entries, gains, comparisons, opening, after, counted)


def finalists(selection: Selection) -> dict[str, Candidate]:
    """The candidates of the final check by name."""
    return {name: record.candidate for name, record in selection.named().items()}


def _same(candidate: Candidate) -> str:
    """Equal for candidates that train the same thing."""
    return digest([candidate.assignment.to_dict(), dict(candidate.settings)])


def _open(ledger: Ledger, unique: Mapping[str, Candidate], seeds: int, data: str | None) -> tuple[int, bool]:
    """Number this opening of the test part, and remember it with what it is opened for: other seeds are another one.

    Openings of other studies in the same storage count too, where they have the same data.
    """
    openings: list[dict[str, Any]] = ledger.noted(OPENINGS) or []
    purpose = {"trials": len(ledger.records()), "candidates": sorted(unique), "seeds": seeds, "data": data}
    if not openings or {key: openings[-1].get(key) for key in purpose} != purpose:
        openings.append({**purpose, "time": time.time()})
        ledger.note(OPENINGS, openings)
    now = openings[-1]["time"]
    others = [opening for study in ledger.noted_elsewhere(OPENINGS) for opening in study]
    elsewhere = [o for o in others if data is not None and o.get("data") == data and o["time"] < now]
    after = bool(elsewhere) or any(opening["trials"] < purpose["trials"] for opening in openings)
    return len(openings) + len(elsewhere), after


class _Check:
    """Every finalist under every fresh seed, in as few jobs as the populations hold."""

    def __init__(
        self,
        unique: Mapping[str, Candidate],
        names: Mapping[str, str],
        ledger: Ledger,
        settings: ConfirmSettings,
        observers: Sequence[Observer],
    ) -> None:
        self._unique = unique
        self._names = names
        self._ledger = ledger
        self._observers = observers
        self._seeds = [FIRST_FRESH_SEED + ledger.seed + index for index in range(settings.seeds)]
        self._known: dict[str, dict[str, dict[str, Any]]] = {s: ledger.noted(_key(s)) or {} for s in unique}

    def run(self, trainer: Trainer, reason: str) -> dict[str, Confirmed]:
        """Train and score what is missing."""
        every = [(same, seed) for same in self._unique for seed in self._seeds]
        missing = [pair for pair in every if str(pair[1]) not in self._known[pair[0]]]
        for same, seed in every:
            if (same, seed) not in missing:
                self._say(same, seed)
        jobs, futures = parts(list(enumerate(missing)), trainer.population), []
        for job in jobs:
            if trainer.stop_asked():
                break
            candidates = tuple((n, self._unique[same].with_seed(seed, "confirmation")) for n, (same, seed) in job)
            futures.append(trainer.engine.submit(Job(candidates, test=reason)))
        scored = 0
        for future in futures:
            outcome = trainer.await_one(future)
            if outcome is not None:
                ended = [record for record in outcome.records if record.status != STOPPED]
                scored += len(ended)
                self._keep([(*missing[record.number], record) for record in ended], outcome.scores)
        if scored < len(missing):
            raise Interrupted
        return {same: self._confirmed(same) for same in self._unique}

    def _keep(self, ended: Sequence[tuple[str, int, TrialRecord]], scores: Mapping[int, float]) -> None:
        """Note what came of a job, and tell the observers."""
        for same, seed, record in ended:
            self._known[same][str(seed)] = {
                "score": scores.get(record.number),
                "validation": record.quality,
                "best_epoch": record.best_epoch,
                "seconds": record.seconds,
                "reason": record.reason,
                "replicates": list(record.replicates),
            }
        for same in dict.fromkeys(same for same, _, _ in ended):
            self._ledger.note(_key(same), self._known[same])
        for same, seed, _ in ended:
            self._say(same, seed)

    def _say(self, same: str, seed: int) -> None:
        """Tell the observers of one training."""
        for observer in self._observers:
            observer.confirmed_one(self._names[same], seed, self._known[same][str(seed)]["score"])

    def _confirmed(self, same: str) -> Confirmed:
        """What was found of one candidate."""
        known, seeds = self._known[same], self._seeds
        good = {seed: known[str(seed)] for seed in seeds if known[str(seed)]["score"] is not None}
        return Confirmed(
            self._unique[same],
            scores={seed: entry["score"] for seed, entry in good.items()},
            validation={seed: entry["validation"] for seed, entry in good.items()},
            best_epochs={seed: entry["best_epoch"] for seed, entry in good.items()},
            seconds={seed: entry["seconds"] for seed, entry in good.items()},
            replicates={seed: tuple(entry.get("replicates", ())) for seed, entry in good.items()},
            failures={seed: known[str(seed)]["reason"] for seed in seeds if seed not in good},
        )


def _key(same: str) -> str:
    """Under which a candidate's scores are noted."""
    return f"confirmed-{same}"


def _gain(
    task: Task, entry: Confirmed, tuned: Confirmed, settings: ConfirmSettings, comparisons: int
) -> Interval | None:
    """The paired difference to the tuned baseline over the seeds that both finished; None below two.

    Seeds and test rows are crossed: all seeds are scored on the same rows, so that the noise of the rows does not
    average out over seeds. It is added where predictions are known.
    """
    shared = sorted(set(entry.scores) & set(tuned.scores))
    if len(shared) < 2:
        return None
    sign = 1.0 if task.mode == "max" else -1.0
    differences = [sign * (entry.scores[seed] - tuned.scores[seed]) for seed in shared]
    rows = _row_replicates(entry, tuned, shared)
    return paired_interval(
        differences,
        confidence=settings.confidence,
        comparisons=comparisons,
        row_variance=jackknife_variance(rows) if rows else 0.0,
        row_df=len(rows) - 1 if rows else math.inf,
    )


def _row_replicates(entry: Confirmed, tuned: Confirmed, seeds: Sequence[int]) -> list[float]:
    """The seed-averaged difference with one group of rows left out at a time; empty where predictions are unknown."""
    mine = [entry.replicates.get(seed, ()) for seed in seeds]
    theirs = [tuned.replicates.get(seed, ()) for seed in seeds]
    if len(mine[0]) < 2 or len({len(one) for one in (*mine, *theirs)}) != 1:
        return []
    return [
        statistics.fmean(a[group] - b[group] for a, b in zip(mine, theirs, strict=True))
        for group in range(len(mine[0]))
    ]
