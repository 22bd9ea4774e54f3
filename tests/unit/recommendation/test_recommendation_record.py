"""The recommendation file: what it refuses, and what it does to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from autoact.core.choice import Assignment
from autoact.core.errors import AutoactError
from autoact.recommendation import Policy, Recommendation, load_recommendation


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


def recommendation(assignment: dict[str, str] | None = None) -> Recommendation:
    chosen = assignment or {"1": "tanh", "3": "leaky_relu(negative_slope=0.2)"}
    better = Policy(True, Assignment(chosen), {"learning_rate": 0.01}, 12, "better", {"validation": 0.9})
    baseline = Policy(False, Assignment({"1": "relu", "3": "relu"}), {"learning_rate": 0.003}, 9, "tuned", {})
    site = {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}
    return Recommendation(
        task="demo",
        created="2026-01-01T00:00:00+00:00",
        verdict="Recommended.",
        metric={"name": "ROC AUC", "mode": "max"},
        policies={"quality": better, "economy": baseline},
        baseline=baseline,
        sites={"1": dict(site), "3": dict(site)},
    )


def test_a_saved_file_reads_back_equal(tmp_path: Path) -> None:
    file = recommendation().save(tmp_path / "deep" / "recommended.yaml")
    assert load_recommendation(file) == recommendation()


def test_apply_gives_a_copy_that_computes_the_assignment() -> None:
    before = model()
    after = recommendation().apply(before, "quality")
    x = torch.randn(5, 4)
    by_hand = nn.functional.leaky_relu(before[2](torch.tanh(before[0](x))), 0.2)
    assert torch.equal(after(x), before[4](by_hand))
    assert isinstance(before[1], nn.ReLU)


def test_keep_the_baseline_leaves_the_model_as_it_is() -> None:
    before = model()
    after = recommendation().apply(before, "economy")
    x = torch.randn(5, 4)
    assert torch.equal(after(x), before(x))


def test_learnable_activations_need_no_example_because_the_file_knows_the_channels() -> None:
    after = recommendation({"1": "prelu", "3": "prelu"}).apply(model(), "quality")
    assert sum(p.numel() for p in after[1].parameters()) == 8


def test_balanced_is_the_default_where_there_is_one() -> None:
    assert recommendation().policy() is recommendation().policy("quality") or recommendation().policy().recommend
    with pytest.raises(AutoactError, match=r"unknown policy 'ballanced'.*quality, economy, baseline"):
        recommendation().policy("ballanced")


def test_every_site_that_does_not_fit_is_named() -> None:
    other = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    with pytest.raises(AutoactError, match=r"'1' holds tanh, the search saw relu; missing '3'"):
        recommendation().apply(other, "quality")


def edited(tmp_path: Path, change: Any) -> Path:
    data = recommendation().to_dict()
    change(data)
    file = tmp_path / "recommended.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format=99), "has format 99; this version of autoact reads 1"),
        (lambda d: d.update(kind="other"), "not a recommendation of autoact"),
        (lambda d: d.pop("sites"), "field 'sites' is missing"),
        (lambda d: d.update(polices={}), "unknown field in .*'polices'.*did you mean policies"),
        (lambda d: d.update(simulated="no"), "field 'simulated' holds 'no'"),
        (lambda d: d["policies"]["quality"].update(assignment={"1": 3}), "activation of '1' is 3, not a name"),
        (lambda d: d["policies"]["quality"].update(settings={"lr": "big"}), "setting 'lr' is 'big', not a number"),
        (lambda d: d["policies"]["quality"].update(assignment={"1": "os.system(x)"}), "cannot read the activation"),
        (lambda d: d["sites"]["1"].pop("channels"), r"sites\.1: the field 'channels' is missing"),
        (lambda d: d.update(policies={}), "policies is empty"),
    ],
)
def test_tampered_files_are_refused_with_the_reason(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        load_recommendation(edited(tmp_path, change))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kind: [unclosed", "is not YAML"),
        (b"\xff\xfe\x00", "not UTF-8|not YAML"),
        (b"", "not a recommendation"),
        (b"!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(AutoactError, match=message):
        load_recommendation(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match=r"cannot read the recommendation .*nowhere\.yaml"):
        load_recommendation(tmp_path / "nowhere.yaml")
