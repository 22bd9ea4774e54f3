"""A search with a given seed proposes what it proposed when these records were made."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from autoact.core.trial import PRUNED, Candidate
from autoact.study.proposal.planner import Planner
from autoact.study.settings import SearchSettings

RECORDS = json.loads(Path(__file__).with_name("recorded_proposals.json").read_text(encoding="utf-8"))
SPACES: dict[str, dict[str, Any]] = {
    "blocks": {
        "sites": {"a": "relu", "b": "elu", "c.0": "relu", "c.1": "relu"},
        "candidates": ("relu", "elu", "celu", "gelu", "tanh", "silu", "identity"),
        "granularity": "block",
    },
    "activations alone": {
        "sites": {"a": "relu", "b": "relu"},
        "candidates": ("relu", "gelu", "tanh"),
        "learning_rate": [],
        "weight_decay": [],
    },
}


def invented(kit: Any, bench: Any, candidate: Candidate) -> Any:
    """What a training gave: some fail, some are stopped at a rung."""
    names = [str(choice) for choice in candidate.assignment.values()]
    effects = sum({"gelu": 1.0, "tanh": -1.0, "silu": 0.5}.get(name, 0.0) * (i + 1) for i, name in enumerate(names))
    rate = abs(candidate.settings.get("learning_rate", 0.01) - 0.03)
    quality = 0.7 + 0.05 * effects - 0.3 * rate + 0.01 * kit.draw(candidate.label(), candidate.seed)
    values = bench.known.values(candidate.assignment)
    if kit.draw("fails", candidate.label()) > 2.0:
        return kit.record(candidate, -1, None)
    record = dataclasses.replace(kit.record(candidate, -1, quality, **values), rungs={1: quality - 0.02})
    if candidate.role in ("sampled", "refined") and kit.draw("stops", candidate.label()) > 0.2:
        return dataclasses.replace(record, status=PRUNED, quality=None, values=values, curve=())
    return record


def proposals(kit: Any, space: str, sampler: str) -> list[list[Any]]:
    """Activations, learning rate, weight decay, seed and role of everything that a search of 40 trials proposes."""
    settings = SearchSettings(trials=40, batch=8, seed=3, sampler=sampler, refine=0.4)
    costs = {"tanh": 0.3, "gelu": 0.1, "silu": 0.2}
    bench = kit.Bench(space=kit.space(**SPACES[space]), settings=settings, extra=costs)
    ledger = bench.ledger()
    planner = Planner(bench.task, ledger.space, settings, ledger, bench.known.epsilons())
    found: list[list[Any]] = []
    while batch := planner.next(min(8, 40 - len(found)), left=40 - ledger.spent) if len(found) < 40 else []:
        for candidate in batch:
            ledger.tell(invented(kit, bench, candidate))
            rest = [candidate.settings.get(name, 0.0) for name in ("learning_rate", "weight_decay")]
            found.append([candidate.assignment.summary(), *rest, candidate.seed, str(candidate.role)])
    return found


@pytest.mark.skipif(optuna.__version__ != RECORDS["optuna"], reason="another Optuna draws other points")
@pytest.mark.parametrize("case", sorted(RECORDS["proposals"]))
def test_proposals_are_those_recorded(kit: Any, case: str) -> None:
    """Before an Optuna point became one record, these were proposed: the same trials, in the same order."""
    space, sampler = case.split(", ")
    found, recorded = proposals(kit, space, sampler), RECORDS["proposals"][case]
    assert [[row[0], *row[3:]] for row in found] == [[row[0], *row[3:]] for row in recorded]
    assert [row[1:3] for row in found] == [pytest.approx(row[1:3], rel=1e-6) for row in recorded]
