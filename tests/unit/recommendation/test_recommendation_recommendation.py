"""The recommendation file: what it refuses, and what it does to a model."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from autoact.activations.initialisation import rules_of
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.data.preparation import drift
from autoact.recommendation import Policy, Recommendation, load_recommendation, safe_yaml
from autoact.recommendation.checksums import digests
from autoact.recommendation.schema import check, published


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


def test_the_rate_of_activations_weights_is_said_where_it_says_something(tmp_path: Path) -> None:
    plain, learnt = recommendation(), replace(recommendation(), activation_rate=0.1)
    assert "activation_rate" not in plain.to_dict() and plain.activation_rate == 1.0
    assert load_recommendation(learnt.save(tmp_path / "learnt.yaml")).activation_rate == 0.1
    assert learnt.digest != plain.digest
    with pytest.raises(AutoactError, match="'activation_rate' holds 0: it must be more than 0"):
        Recommendation.from_dict({**plain.to_dict(), "activation_rate": 0})


def test_the_rules_of_initial_weights_are_noted_and_told_where_weights_are_drawn(tmp_path: Path) -> None:
    noted = replace(recommendation(), initialisation=rules_of(["relu", "tanh"]))
    assert load_recommendation(noted.save(tmp_path / "new.yaml")) == noted
    x = torch.zeros(2, 4)
    noted.apply(model(), rescale=True, example_input=x)
    old = load_recommendation(recommendation().save(tmp_path / "old.yaml"))
    assert "initialisation" not in old.to_dict()
    old.apply(model(), example_input=x)  # trained weights stay: nothing is drawn
    with pytest.warns(UserWarning, match="does not note by which rules"):
        old.apply(model(), rescale=True, example_input=x)
    with pytest.warns(UserWarning, match="weights around tanh are drawn by other rules"):
        replace(noted, initialisation={"tanh": "0" * 8}).apply(model(), rescale=True, example_input=x)


def test_an_ensemble_is_a_policy_that_says_its_size(tmp_path: Path) -> None:
    plain = recommendation()
    averaged = replace(plain.policies["quality"], ensemble=5)
    made = replace(plain, policies={**plain.policies, "ensemble": averaged})
    read = load_recommendation(made.save(tmp_path / "recommended.yaml"))
    assert read == made and read.policy("ensemble").ensemble == 5
    assert read.named()[0] == "quality", "one model unless it is asked for"
    assert "ensemble" not in plain.to_dict()["policies"]["quality"]
    data = made.to_dict()
    data["policies"]["ensemble"]["ensemble"] = 1
    with pytest.raises(AutoactError, match="'ensemble' holds 1: it must be 2 or more"):
        Recommendation.from_dict(data)


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


def policies(**recommended: bool) -> Recommendation:
    """A recommendation with policies that recommend or keep the baseline."""
    made = recommendation()
    kept, better = made.baseline, made.policies["quality"]
    return replace(made, policies={name: better if yes else kept for name, yes in recommended.items()})


@pytest.mark.parametrize(
    ("recommended", "name"),
    [
        ({"quality": True, "balanced": True, "economy": True}, "balanced"),
        ({"quality": True, "balanced": False, "economy": True}, "quality"),
        ({"quality": False, "balanced": False, "economy": True}, "economy"),
        ({"quality": False, "balanced": False, "economy": False}, "balanced"),
        ({"quality": False, "economy": False}, "quality"),
        ({"economy": False}, "economy"),
    ],
)
def test_without_a_name_the_first_policy_that_recommends_is_meant(recommended: dict[str, bool], name: str) -> None:
    made = policies(**recommended)
    assert made.named() == (name, made.policies[name])
    assert made.policy() is made.policies[name]


def test_unknown_policies_are_named_with_the_known_ones() -> None:
    with pytest.raises(AutoactError, match=r"unknown policy 'ballanced'.*quality, economy, baseline"):
        recommendation().policy("ballanced")
    assert recommendation().policy("baseline") is not None


class Wider(nn.Module):
    """Sites 1 and 3 like the model above, and one more."""

    def __init__(self) -> None:
        super().__init__()
        for name, module in zip("01234", model(), strict=True):
            self.add_module(name, module)
        self.more = nn.Tanh()


def test_missing_changed_and_extra_sites_are_listed_in_one_error() -> None:
    other = Wider()
    other.add_module("1", nn.Tanh())
    delattr(other, "3")
    with pytest.raises(AutoactError) as caught:
        recommendation().apply(other, "quality")
    text = str(caught.value)
    assert "changed '1': it holds tanh, the search saw relu" in text
    assert "missing '3' (nearest" not in text and "missing '3'" in text
    assert "extra 'more' (tanh), which the search did not see" in text


def test_what_the_search_left_alone_is_no_extra_site() -> None:
    made = replace(recommendation(), not_searched=("more",))
    assert str(made.apply(Wider(), "quality").get_submodule("1")) == "ActivationModule(tanh)"


def test_not_strict_applies_what_fits_and_names_the_rest() -> None:
    other = Wider()
    other.add_module("3", nn.Tanh())
    with pytest.warns(UserWarning, match=r"applied to 1 of 2 sites: changed '3'.*; extra 'more'"):
        after = recommendation().apply(other, "quality", strict=False)
    assert str(after.get_submodule("1")) == "ActivationModule(tanh)"
    assert isinstance(after.get_submodule("3"), nn.Tanh) and isinstance(other.get_submodule("1"), nn.ReLU)


@pytest.mark.parametrize("assignment", [{"1": "tanh", "3": "gelu"}, {"1": "relu", "3": "gelu"}])
def test_nothing_replaced_is_always_an_error(assignment: dict[str, str]) -> None:
    other = nn.Sequential(nn.Linear(4, 8), nn.ReLU() if assignment["1"] == "relu" else nn.Sigmoid(), nn.Linear(8, 1))
    with pytest.raises(
        AutoactError, match=r"no site of this model would be replaced \(policy quality\): .*missing '3'"
    ):
        recommendation(assignment).apply(other, "quality", strict=False)


def edited(tmp_path: Path, change: Any, *, sign: bool = False) -> Path:
    """A file that somebody edited; ``sign`` makes the digests anew, so that the schema has to see it."""
    data = json.loads(json.dumps(recommendation().to_dict()))  # shares nothing
    change(data)
    if sign:
        data["digest"] = digests(data)
    file = tmp_path / "recommended.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return file


def deep(*path: Any, value: Any) -> Any:
    """Sets one value in nested data."""

    def change(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return change


def profile(**changes: Any) -> dict[str, Any]:
    """A profile of one column."""
    column = {"name": "age", "kind": "numeric", "edges": [1.0], "shares": [0.5, 0.5, 0.0], **changes}
    return {"rows": 10, "columns": [column]}


AGAINST_THE_SCHEMA = {
    "missing": (lambda d: d.pop("sites"), "field 'sites' is missing"),
    "unknown": (lambda d: d.update(polices={}), "unknown field in .*'polices'.*did you mean policies"),
    "type": (deep("simulated", value="no"), "field 'simulated' holds 'no': it must be true or false"),
    "number as text": (deep("rescale", value=1), "field 'rescale' holds 1: it must be true or false"),
    "activation": (
        deep("policies", "quality", "assignment", "1", value=3),
        "quality.assignment: the field '1' holds 3",
    ),
    "setting": (
        deep("policies", "quality", "settings", "learning_rate", value="big"),
        "settings: the field 'learning_rate' holds 'big'",
    ),
    "a boolean setting": (
        deep("baseline", "settings", "learning_rate", value=True),
        "baseline.settings: the field 'learning_rate' holds True",
    ),
    "unknown setting": (
        deep("baseline", "settings", "weight_decai", value=0.1),
        r"unknown field in .*baseline\.settings 'weight_decai': did you mean weight_decay",
    ),
    "no learning rate": (deep("baseline", "settings", "learning_rate", value=0), "holds 0: it must be more than 0"),
    "more than everything dropped": (
        deep("baseline", "settings", "dropout", value=1.5),
        "holds 1.5: it must be 1 or less",
    ),
    "negative decay": (deep("baseline", "settings", "weight_decay", value=-0.1), "holds -0.1: it must be 0 or more"),
    "direction": (deep("metric", "mode", value="up"), "metric: the field 'mode' holds 'up': it must be max or min"),
    "data": (deep("about", value={"data": "x"}), "about: the field 'data' holds 'x': it must be a mapping"),
    "packages": (deep("about", value={"packages": {"torch": 2}}), "'torch' holds 2: it must be text"),
    "profile": (
        deep("about", value={"data": {"profile": {"rows": "x", "columns": []}}}),
        r"about\.data\.profile: the field 'rows' holds 'x': it must be a whole number",
    ),
    "a share": (
        deep("about", value={"data": {"profile": profile(shares=[0.5, 0.5, 1.5])}}),
        r"'shares\[2\]' holds 1.5: it must be 1 or less",
    ),
    "kind of column": (deep("about", value={"data": {"profile": profile(kind="date")}}), "must be numeric or category"),
    "empty task": (deep("task", value=" "), "'task' holds ' ': it must be 1 to 100 characters"),
    "long task": (deep("task", value="x" * 101), "'task' holds .* must be 1 to 100 characters"),
    "quotes in the task": (deep("task", value='x"""'), "'task' holds .* without quotes"),
    "line end in the task": (deep("task", value="x\n"), r"'task' holds 'x\\n'"),
    "escape in the verdict": (deep("verdict", value="\x1b[2J"), r"'verdict' holds '\\x1b\[2J': it must be one line"),
    "turned verdict": (deep("verdict", value="a\u202eb"), "'verdict' holds .* one line of text"),
    "line end in a reason": (deep("baseline", "reason", value="a\nb"), "'reason' holds .* one line of text"),
    "line end in a site": (
        lambda d: d["sites"].update({"a\nb": {**d["sites"]["1"], "shape": None}}),
        r"holds 'a\\nb': it must be one",
    ),
    "no assignment": (deep("baseline", "assignment", value={}), "baseline.assignment is empty"),
    "site": (lambda d: d["sites"]["1"].pop("channels"), r"sites\.1: the field 'channels' is missing"),
    "site field": (
        deep("sites", "1", "chanels", value=1),
        r"unknown field in .*sites\.1 'chanels': did you mean channels",
    ),
    "shape": (deep("sites", "1", "shape", value=[2, "x"]), r"'shape\[1\]' holds 'x': it must be a whole number"),
    "negative": (deep("policies", "quality", "epochs", value=-1), "field 'epochs' holds -1: it must be 0 or more"),
    "half an epoch": (
        deep("policies", "quality", "epochs", value=1.5),
        "field 'epochs' holds 1.5: it must be a whole number",
    ),
    "evidence": (deep("baseline", "evidence", value={"latency_ms": "fast"}), "field 'latency_ms' holds 'fast'"),
    "interval": (
        deep("baseline", "evidence", value={"gain_over_tuned_baseline": [1.0]}),
        "'gain_over_tuned_baseline' holds .*it must hold 3 values",
    ),
    "no policies": (lambda d: d.update(policies={}), "policies is empty"),
    "own policy": (lambda d: d["policies"].update(best={}), "unknown field in .*policies 'best'"),
    "digest": (deep("digest", "verdict", value="0"), "digest: the field 'verdict' holds '0': it must look like"),
}


@pytest.mark.parametrize("name", AGAINST_THE_SCHEMA)
def test_files_against_the_schema_are_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    change, message = AGAINST_THE_SCHEMA[name]
    with pytest.raises(AutoactError, match=message):
        load_recommendation(edited(tmp_path, change, sign=name not in ("no policies", "missing", "digest")))


@pytest.mark.parametrize("name", [*AGAINST_THE_SCHEMA, "good", "format", "kind", "whole number with a point"])
def test_our_checker_and_the_library_for_json_schema_agree(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    others = {
        "good": lambda d: None,
        "format": deep("format", value=1),
        "kind": deep("kind", value="other"),
        "whole number with a point": deep("baseline", "epochs", value=9.0),
    }
    data = json.loads(json.dumps(recommendation().to_dict()))
    (others.get(name) or AGAINST_THE_SCHEMA[name][0])(data)
    try:
        check(data, "it")
        ours = True
    except AutoactError:
        ours = False
    assert ours == jsonschema.Draft202012Validator(published()).is_valid(data)
    assert ours == (name in ("good", "whole number with a point"))


def test_the_schema_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(published())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (deep("format", value=1), "has format 1, this version of autoact reads 2: run the command of the search again"),
        (deep("format", value=99), "has format 99, .* written by another version, or edited"),
        (deep("format", value=True), "has format True"),
        (deep("kind", value="other"), "not a recommendation of autoact"),
        (deep("policies", "quality", "settings", "learning_rate", value=float("inf")), "is inf, not a finite number"),
        (deep("policies", "quality", "assignment", "1", value="os.system(x)"), "cannot read the activation"),
        (deep("policies", "quality", "settings", "learning_rate", value=float("nan")), "is nan, not a finite number"),
        (
            deep("policies", "quality", "assignment", "1", value="gelu"),
            r"edited .*\(policies\.quality\).*autoact\.apply",
        ),
        (deep("verdict", value="Take it."), r"edited after it was written \(verdict\)"),
        (deep("baseline", "evidence", value={"test_mean": 0.1}), r"\(baseline\)"),
        (deep("sites", "1", "current", value="tanh"), r"\(sites\)"),
        (deep("simulated", value=True), r"\(simulated\)"),
        (lambda d: d["policies"].pop("economy"), r"\(policies, policies\.economy\)"),
        (lambda d: d["digest"].pop("verdict"), r"\(verdict\)"),
    ],
)
def test_edited_files_are_refused_and_the_part_is_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        load_recommendation(edited(tmp_path, change))


def test_the_task_is_a_label_that_may_be_renamed(tmp_path: Path) -> None:
    read = load_recommendation(edited(tmp_path, deep("task", value="mine")))
    assert read == replace(recommendation(), task="mine")


def test_the_digest_names_the_content_wherever_it_lies(tmp_path: Path) -> None:
    made = replace(recommendation(), about={"rows": (1, 2), "tiny": 1e-7, "when": None})
    read = load_recommendation(made.save(tmp_path / "a.yaml"))
    assert read.digest == made.digest != recommendation().digest and len(read.digest) == 64
    assert read.source == {"uri": str(tmp_path / "a.yaml")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kind: [unclosed", "is not YAML: expected ',' or .* in line 1, column 16$"),
        (b"a: 1\nb: 'x\n\nc: 2", "is not YAML: found unexpected end of stream in line 4"),
        (b"a: \x1b", "is not YAML: unacceptable character"),
        (b"a: !!int ''", r"types \(!name\) are not allowed in line 1, column 4$"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        (b"\xff\xfe\x00", "not UTF-8|not YAML"),
        (b"", "not a recommendation"),
        (b"a: &x [1]\nb: *x", "is not YAML: references"),
        (b"a: 2026-13-45", "cannot be read: month must be"),
        (b"!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(AutoactError, match=message) as caught:
        load_recommendation(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match=r"cannot read the recommendation .*nowhere\.yaml"):
        load_recommendation(tmp_path / "nowhere.yaml")


def in_profile(**changes: Any) -> Any:
    return deep("about", value={"data": {"profile": profile(**changes)}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            deep("policies", "quality", "assignment", "4", value="gelu"),
            r"unknown site in .*policies\.quality\.assignment '4'.*Allowed: 1, 3",
        ),
        (deep("baseline", "assignment", "other", value="relu"), r"baseline\.assignment 'other'"),
        (in_profile(shares=[1.0]), r"about\.data\.profile: column 'age': it has 1 shares for 1 edges: it needs 3"),
        (in_profile(kind="category"), "column 'age': the field 'levels' is missing"),
        (in_profile(kind="category", levels=["a", "a"]), "its levels must differ"),
        (in_profile(edges=[2.0, 1.0], shares=[0.5, 0.5, 0.0, 0.0]), "its edges must differ and ascend"),
        (in_profile(edges=[float("inf")]), "its edges must be finite"),
        (in_profile(shares=[float("nan"), 0.5, 0.5]), "its shares must be finite"),
        (deep("about", value={"odd": {1: "x", "a": "y"}}), "the field 1 in about.odd must be named by text"),
        (deep("about", value={"when": datetime.date(2026, 1, 1)}), "'when' holds .*: it must be a mapping or a list"),
    ],
)
def test_crafted_files_with_right_digests_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    data = json.loads(json.dumps(recommendation().to_dict()))
    change(data)
    if "odd" not in data["about"]:
        data["digest"] = digests(data)
    file = tmp_path / "recommended.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    with pytest.raises(AutoactError, match=message):
        load_recommendation(file)


def test_profiles_that_a_search_writes_are_read(tmp_path: Path) -> None:
    table = pd.DataFrame({"age": [30.0, 41.0, None, 30.0], "city": ["a", "b\n", None, "a"], "none": [None] * 4})
    found = drift.profile(table, {"age": "numeric", "city": "category", "none": "category"})
    made = replace(recommendation(), about={"data": {"profile": found, "summary": "two\nlines"}})
    stored = load_recommendation(made.save(tmp_path / "recommended.yaml")).about["data"]["profile"]
    assert [one.psi for one in drift.drift(stored, table)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("task", ['x"""\nimport os\n"""', "a\x1b[31m", "", "x" * 300, "Größe + 50 %: Köln's (1/2)"])
def test_a_task_of_any_name_is_saved_as_a_label_that_can_be_read(tmp_path: Path, task: str) -> None:
    made = replace(recommendation(), task=task)
    read = load_recommendation(made.save(tmp_path / "recommended.yaml"))
    assert read == made and read.task.isprintable() and 1 <= len(read.task) <= 100
    assert (made.task == task) == task.startswith("Gr")


def test_text_of_a_file_cannot_reach_the_terminal_through_an_error(tmp_path: Path) -> None:
    change = deep("about", value={"\x1b[2J": {"a": {"b": datetime.date(2026, 1, 1)}}})
    with pytest.raises(AutoactError, match=r"about\.\\x1b\[2J\.a") as caught:
        load_recommendation(edited(tmp_path, change, sign=True))
    assert "\x1b" not in str(caught.value)
    with pytest.raises(AutoactError, match=r"\\x1b\[2J") as caught:
        load_recommendation(edited(tmp_path, deep("digest", "\x1b[2J", value="0" * 16)))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("depth", [50, 100, 150, 200, 300])
def test_deep_files_are_read_or_refused(tmp_path: Path, depth: int) -> None:
    nested: Any = "x"
    for _ in range(depth):
        nested = [nested]
    data = {**recommendation().to_dict(), "about": {"deep": nested}}
    data["digest"] = digests(data)
    file = tmp_path / "deep.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
    try:
        assert load_recommendation(file).about == {"deep": nested}
    except AutoactError as error:
        assert depth > 50 and "nested too deeply" in str(error)


def test_large_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as handle:
        handle.truncate(safe_yaml.LARGEST + 1)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was read"))
    with pytest.raises(AutoactError, match=r"large\.yaml' is no recommendation: it is larger than 4 MB"):
        load_recommendation(file)


def test_a_stream_without_end_is_refused() -> None:
    with pytest.raises(AutoactError, match="larger than 4 MB"):
        load_recommendation("/dev/zero")


class Decoder(nn.Module):
    """torch's decoder layer forgets an activation that is a module when it is copied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(4, 1, 8, activation=nn.SiLU(), batch_first=True, dropout=0.0)
        self.net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(self.layer(x, x))


@pytest.mark.parametrize("strict", [True, False])
def test_the_copy_computes_what_the_model_does_elsewhere(strict: bool) -> None:
    x, decoder = torch.randn(2, 3, 4), Decoder()
    seen = {
        "layer.activation": {"current": "silu", "shape": [2, 3, 8], "channels": 8, "channel_dim": -1},
        "net.1": {"current": "relu", "shape": [2, 3, 4], "channels": 4, "channel_dim": -1},
    }
    chosen = Policy(True, Assignment({"net.1": "tanh"}), {}, 1, "better")
    rec = replace(recommendation(), policies={"quality": chosen}, sites=seen)
    changed = rec.apply(decoder, example_input=x, strict=strict)
    decoder.net[1] = nn.Tanh()
    assert torch.equal(changed(x), decoder(x))
