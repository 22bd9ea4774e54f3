"""One SQLite store for all tests here, and small searches made by hand."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import COMPLETE, FAILED, Candidate, TrialRecord
from autoact.study.callbacks import SearchInfo
from autoact.study.confirmation.verdict import Ruling
from autoact.study.outcome.result import Row, SearchResult
from autoact.study.paired_statistics import Interval
from autoact.study.selection import Selection
from autoact.tasks.objectives import Objective

FACTS = {
    "data": {"fingerprint": "e43a", "rows": {"train": 70, "validation": 10, "test": 20}, "gpu": None},
    "sites": {"a.act": "relu", "b.act": "relu"},
    "space": {
        "groups": {"a.act": ["a.act"], "both": ["a.act", "b.act"]},
        "choices": {"a.act": ["relu", "tanh"], "both": ["relu", "tanh"]},
    },
    "hardware": {"name": "c6i", "price": {"per_hour": 0.17, "currency": "USD"}},
    "packages": {"torch": "2.13.0"},
}


def make_info(study="demo-1", **changes):
    objectives = (
        Objective("quality", "ROC AUC", "max"),
        Objective("latency", "ms", "min"),
        Objective("cost", "USD per million samples", "min"),
        Objective("parameters", "count", "min", compute=len),
    )
    info = SearchInfo(
        task="demo",
        study=study,
        storage="postgresql://anna:secret@db/optuna",
        folder="runs/demo-1",
        objectives=objectives,
        simulated=True,
        facts=FACTS,
        budget=8,
        notes=("a note",),
    )
    return replace(info, **changes)


def make_record(number, quality=0.8, choices=("tanh", "relu"), reason=""):
    candidate = Candidate(
        Assignment({"a.act": choices[0], "b.act": choices[1]}),
        {"learning_rate": 0.01, "weight_decay": 0.0},
        7,
        "sampled",
    )
    if reason:
        return TrialRecord(number, candidate, FAILED, reason=reason, seconds=1.0)
    curve = tuple({"val_roc_auc": quality - abs(2 - epoch) / 10, "train_loss": 1 / epoch} for epoch in (1, 2, 3))
    return TrialRecord(
        number,
        candidate,
        COMPLETE,
        quality=quality,
        values={"quality": quality, "latency": 0.05, "cost": 0.5, "parameters": 12.0},
        metrics=curve[1],
        curve=curve,
        best_epoch=2,
        epochs=3,
        seconds=2.0,
    )


def make_result(info, records, status="finished", front=(1,), files=None):
    by_number = {record.number: record for record in records}
    tuned, best = by_number[0], by_number[front[0]]
    selection = Selection(tuned, tuned, None, {"quality": best, "balanced": best}, tuple(front), 0.01)
    rows = [
        Row("tuned", "tuned baseline", tuned.candidate, tuned.quality, 0.79, 0.01, 0.05, 0.06, 0.5, 1.0, 1.0, 2, True),
        Row("logistic regression", "logistic regression", None, 0.7, 0.71),
        Row(
            "balanced", "recommended: balanced", best.candidate, best.quality, 0.88, 0.02, 0.04, 0.05, 0.4, 0.8, 0.8, 3
        ),
    ]
    return SearchResult(
        info=info,
        status=status,
        records=records,
        selection=selection,
        rows=rows,
        gains={"balanced": Interval(0.09, 0.05, 0.13, 0.02, float("inf"))},
        rulings={"quality": Ruling("quality", False, "no"), "balanced": Ruling("balanced", True, "better by 0.09")},
        verdict="Recommended under balanced. balanced: better by 0.09.",
        seconds=9.0,
        opening=1,
        notes=["a note for the reader"],
        quality_unit="ROC AUC",
        mode="max",
        seeds=3,
        files=files or {},
    )


@dataclass(frozen=True)
class Made:
    """Factories."""

    info = staticmethod(make_info)
    record = staticmethod(make_record)
    result = staticmethod(make_result)


@pytest.fixture(scope="session")
def made():
    return Made()


@pytest.fixture(scope="session")
def output(tmp_path_factory) -> Path:
    """The folder of the one store; creating its tables takes seconds."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def no_mlflow_variables(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
