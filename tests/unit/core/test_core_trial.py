"""Records travel as JSON without loss."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import COMPLETE, FAILED, PRUNED, STOPPED, Candidate, TrialRecord

CANDIDATE = Candidate(Assignment({"a": "elu(alpha=0.5)", "b": "relu"}), {"learning_rate": 1 / 3}, 7, "tuning")
RECORD = TrialRecord(
    number=3,
    candidate=CANDIDATE,
    status=COMPLETE,
    quality=0.1 + 0.2,
    values={"quality": 0.3, "latency": 1e-9},
    metrics={"val_loss": 2.5},
    curve=({"val_loss": 3.0}, {"val_loss": 2.5, "train_loss": 1.0}),
    best_epoch=2,
    epochs=2,
    seconds=1.25,
)


def test_a_candidate_reads_back():
    assert Candidate.from_dict(json.loads(json.dumps(CANDIDATE.to_dict()))) == CANDIDATE


def test_a_candidate_under_another_seed():
    other = CANDIDATE.with_seed(9, "confirmation")
    assert (other.seed, other.role) == (9, "confirmation")
    assert (other.assignment, other.settings) == (CANDIDATE.assignment, CANDIDATE.settings)
    assert CANDIDATE.seed == 7


def test_a_label_is_for_people():
    settings = {"weight_decay": 0.00123456, "learning_rate": 0.1}
    assert Candidate(Assignment({"a": "tanh"}), settings).label() == "tanh, learning_rate=0.1, weight_decay=0.00123"
    assert Candidate(Assignment({"a": "tanh"})).label() == "tanh"


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        dataclasses.replace(RECORD, status=FAILED, quality=None, reason="val_loss is nan"),
        TrialRecord(0, Candidate(Assignment({})), STOPPED),
        dataclasses.replace(RECORD, status=PRUNED, quality=None, rungs={3: 0.5, 9: 0.25}),
    ],
)
def test_a_record_reads_back(record):
    text = record.to_json()
    assert "\n" not in text
    assert TrialRecord.from_json(text) == record


def test_values_that_are_not_finite_read_back():
    record = dataclasses.replace(RECORD, curve=({"train_loss": math.nan, "other": math.inf},))
    back = TrialRecord.from_json(record.to_json())
    assert math.isnan(back.curve[0]["train_loss"])
    assert back.curve[0]["other"] == math.inf


@pytest.mark.parametrize(("status", "complete"), [(COMPLETE, True), (FAILED, False), (STOPPED, False), (PRUNED, False)])
def test_complete(status, complete):
    assert dataclasses.replace(RECORD, status=status).complete is complete


def test_records_of_earlier_versions_have_no_rungs():
    data = json.loads(RECORD.to_json())
    del data["rungs"]
    assert TrialRecord.from_json(json.dumps(data)) == RECORD
