"""Openings of the test part: each is numbered, remembered with what it was opened for, and costs certainty."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from autoact.study.storage.trial_store import TrialStore

OPENINGS = "openings"


@dataclass(frozen=True)
class NumberedOpening:
    """One opening.

    Attributes:
        number: from 1, over all studies of this storage with the same data.
        used: whether trials were added after an earlier one, or another study opened it: no longer unseen data.
        alpha: the probability of a false claim that this opening may spend.
    """

    number: int
    used: bool
    alpha: float


def spent_at(number: int, confidence: float) -> float:
    """What the ``number``-th opening may spend of all openings' alpha: half of what is left, as many as there may be.

    alpha / 2^k sums up to alpha over any number of openings (Bonferroni), so that all claims ever made on one test
    part hold together with the given confidence.

    Example:
        >>> round(spent_at(1, 0.95), 6), round(spent_at(2, 0.95), 6)
        (0.025, 0.0125)
    """
    return (1.0 - confidence) / 2**number


def open_test(
    ledger: TrialStore, candidates: Collection[str], seeds: int, data: str | None, confidence: float
) -> NumberedOpening:
    """Number this opening, and remember it with what it is opened for: other candidates or seeds are another one.

    Args:
        ledger: the study.
        candidates: what is claimed, by keys that are equal for equal trainings.
        seeds: fresh seeds.
        data: the fingerprint of the data; None where unknown: other studies then do not count.
        confidence: of all openings together.
    """
    openings: list[dict[str, Any]] = ledger.noted(OPENINGS) or []
    purpose = {"trials": len(ledger.records()), "candidates": sorted(candidates), "seeds": seeds, "data": data}
    if not openings or {key: openings[-1].get(key) for key in purpose} != purpose:
        openings.append({**purpose, "time": time.time()})
        ledger.note(OPENINGS, openings)
    now = openings[-1]["time"]
    others = [opening for study in ledger.noted_elsewhere(OPENINGS) for opening in study]
    elsewhere = [o for o in others if data is not None and o.get("data") == data and o["time"] < now]
    used = bool(elsewhere) or any(opening["trials"] < purpose["trials"] for opening in openings)
    number = len(openings) + len(elsewhere)
    return NumberedOpening(number, used, spent_at(number, confidence))
