"""Each key of the schema: set to another value something observable changes, and where it cannot act a line says so.

A new key fails the first test until it is covered here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import autoact
from autoact.cli.config_arguments import read
from autoact.config.compose import compose, settings
from autoact.config.key_names import KEYS
from autoact.config.user_keys import given
from autoact.core.errors import AutoactError
from autoact.data.prepare import prepare
from autoact.workflows.searching.unused_settings import why_idle_here
from autoact.workflows.task_source import Configured, prepared_search

C, R, F, S = (f"task={kind}" for kind in ("classification", "regression", "forecast", "sequences"))
Y, N = "data.target=y", "data.target=n"
CSV, TEXT = "data.path=t.csv", "data.path=text.csv"
PACKAGED, DEMAND = ["task=churn", "data=packaged"], "task=demand"

# Key -> the situation, and the key with another value; what is observed is the prepared data.
DATA = {
    "task.kind": ([C, CSV, N], "task.kind=regression"),
    "data.source": ([C, CSV, Y], "data.source=parquet"),
    "data.path": ([C, CSV, Y], "data.path=other.csv"),
    "data.test_path": ([C, CSV, Y], "data.test_path=other.csv"),
    "data.name": ([C, CSV, Y], "data.name=mine"),
    "data.delimiter": ([C, "data.path=semicolon.csv", Y], "data.delimiter=;"),
    "data.header": ([R, "data.path=numbers.csv", "data.names=[p,q]", "data.target=q"], "data.header=false"),
    "data.names": ([C, CSV, Y], "data.names=[p,q,c,day,shop,n,y]"),
    "data.comment": ([C, "data.path=comment.csv", Y], "data.comment='|'"),
    "data.missing": ([C, CSV, Y], "data.missing=[u]"),
    "data.strip": ([C, "data.path=blanks.csv", Y], "data.strip=false"),
    "data.target": ([C, CSV, Y], "data.target=c"),
    "data.series": ([F, CSV, "data.time=day", "data.series=[a]"], "data.series=[b]"),
    "data.known": ([F, CSV, "data.time=day", "data.series=[a]"], "data.known=[b]"),
    "data.drop": ([C, CSV, Y], "data.drop=[shop]"),
    "data.numeric": ([C, TEXT, Y], "data.numeric=[c]"),
    "data.decimal": ([C, CSV, Y], "data.decimal=','"),
    "data.thousands": ([C, "data.path=groups.csv", Y], "data.thousands='_'"),
    "data.number_signs": ([C, CSV, Y], "data.number_signs=[$]"),
    "data.categorical": ([C, CSV, Y], "data.categorical=[n]"),
    "data.positive": ([C, CSV, Y], "data.positive=no"),
    "data.label_strip": ([C, CSV, Y], "data.label_strip=s"),
    "data.split": ([C, CSV, Y], "data.split=random"),
    "data.time": ([C, CSV, Y], "data.time=day"),
    "data.time_format": ([C, "data.path=dates.csv", Y, "data.time=date", "data.time_format=%d/%m/%Y"],
                         "data.time_format=%m/%d/%Y"),
    "data.group": ([C, CSV, Y], "data.group=shop"),
    "data.validation": ([C, CSV, Y], "data.validation=.3"),
    "data.test": ([C, CSV, Y], "data.test=.3"),
    "data.seed": ([C, CSV, Y], "data.seed=5"),
    "data.max_rows": ([C, CSV, Y], "data.max_rows=60"),
    "data.scaling": ([C, CSV, Y], "data.scaling=none"),
    "data.min_frequency": ([C, CSV, Y], "data.min_frequency=60"),
    "data.max_categories": ([C, CSV, Y], "data.max_categories=3"),
    "data.history": ([F, CSV, "data.time=day", "data.series=[a]"], "data.history=10"),
    "data.horizon": ([F, CSV, "data.time=day", "data.series=[a]"], "data.horizon=3"),
}  # fmt: skip
BASE = [C, CSV, Y, "recipe.arguments.width=4", "recipe.arguments.depth=1", "hardware.device=cpu"]
OWN_METRIC = [R, CSV, N, *BASE[3:], "metric=statistics:correlation"]
PRICED = [*BASE, "hardware.price_per_hour=1", "hardware.currency=USD"]
# The same; what is observed is the prepared search, before anything is trained.
SEARCH = {
    "task.name": (BASE, "task.name=mine"),
    "task.metric": (BASE, "task.metric=f1"),
    "task.threshold": ([*BASE, "metric=f1"], "task.threshold=validation"),
    "metric": (BASE, "metric=f1"),
    "data.season": (
        [F, CSV, "data.time=day", "data.series=[a]", "hardware.device=cpu", "metric=mase"],
        "data.season=2",
    ),
    "metric_mode": ([*OWN_METRIC, "trust=statistics", "metric_mode=max"], "metric_mode=min"),
    "recipe.module": (BASE, "recipe.module=autoact.recipes.tabular:TabularRegressor"),
    "recipe.arguments": (BASE, "recipe.arguments.width=6"),
    "recipe.batch_size": (BASE, "recipe.batch_size=16"),
    "trainer": (BASE, "trainer.max_epochs=7"),
    "space.granularity": ([*BASE, "recipe.arguments.depth=2"], "space.granularity=model"),
    "space.candidates": (BASE, "space.candidates=[relu,tanh]"),
    "space.parameters": ([*BASE, "space.candidates=[relu,elu]"], "space.parameters=true"),
    "space.normalisations": ([*BASE, "recipe.arguments.norm=layer"], "space.normalisations=[derf]"),
    "space.include": ([*BASE, "recipe.arguments.depth=2"], "space.include=[*0*]"),
    "space.exclude": ([*BASE, "recipe.arguments.depth=2"], "space.exclude=[*0*]"),
    "space.learning_rate": (BASE, "space.learning_rate=[]"),
    "space.weight_decay": (BASE, "space.weight_decay=[]"),
    "space.dropout": (BASE, "space.dropout=[0.2]"),
    "space.activation_rate": ([*BASE, "candidates=[relu,prelu]"], "space.activation_rate=0.5"),
    "space.rescale": (BASE, "space.rescale=false"),
    "objectives.use": (BASE, "objectives.use=[quality]"),
    "hardware.device": (BASE, "hardware.device=gpu"),
    "hardware.price_per_hour": (PRICED, "hardware.price_per_hour=2"),
    "hardware.currency": (PRICED, "hardware.currency=EUR"),
    "hardware.threads": (BASE, "hardware.threads=1"),
    "hardware.throughput_batch": (PRICED, "hardware.throughput_batch=64"),
    "hardware.latency_batch": (BASE, "hardware.latency_batch=2"),
    "search.seed": (BASE, "search.seed=3"),
    "search.patience": (BASE, "search.patience=3"),
    "search.rungs.enabled": (BASE, "search.rungs.enabled=false"),
    "search.rungs.reduction": (BASE, "search.rungs.reduction=2"),
    "search.rungs.first": (BASE, "search.rungs.first=2"),
    "output": (BASE, "output=elsewhere"),
    "trust": ([*OWN_METRIC, "metric_mode=max", "trust=statistics"], "trust=json"),
    "production_model": (BASE, "production_model=no-such.csv"),
    "engine.name": (BASE, "engine.name=nowhere"),
}
# Key -> the file that reads it after the preparation, by these attributes; tests of that file say what it does.
LATER = {
    "space.arguments": "config/network_arguments.py",
    "data.openml_id": "data/sources/load.py",
    "data.cache_dir": "data/sources/load.py",
    "data.groups": "config/recipe_task.py",
    "objectives.own": "workflows/task_source.py",
    "objectives.margin": "workflows/searching/run_search.py",
    "objectives.latency.max_ms": "tasks/constraints.py",
    "objectives.max_cost": "tasks/constraints.py",
    "objectives.min_quality": "tasks/constraints.py",
    "hardware.name": "study/execution/predicted_costs.py",
    "hardware.price_date": "study/execution/predicted_costs.py",
    "hardware.price_source": "study/execution/predicted_costs.py",
    "hardware.rounds": "latency/build_table.py",
    "hardware.min_ms": "latency/build_table.py",
    "engine.workers": "engines/resources.py",
    "engine.population": "workflows/searching/population_size.py",
    "engine.deterministic": "workflows/searching/population_size.py",
    "engine.address": "engines/ray_engine.py",
    "engine.max_gpus": "engines/resources.py",
    "engine.gpu_memory_fraction": "engines/factory.py",
    "search.trials": "study/settings.py",
    "search.minutes": "study/budget.py",
    "search.sampler": "study/proposal/planner.py",
    "search.sampler_options": "study/proposal/planner.py",
    "search.batch": "study/settings.py",
    "search.refine": "study/proposal/planner.py",
    "search.tuning": "study/settings.py",
    "search.threads": "workflows/searching/population_size.py",
    "search.storage": "study/storage/optuna_storage.py",
    "confirm.seeds": "study/confirmation/claim_on_test.py",
    "confirm.finalists": "study/confirmation/choose_on_validation.py",
    "confirm.early": "study/confirmation/claim_on_test.py",
    "confirm.confidence": "study/confirmation/claim_on_test.py",
    "confirm.power": "study/confirmation/claim_on_test.py",
    "confirm.references": "config/recipe_task.py",
    "confirm.ensemble": "study/confirmation/claim_on_test.py",
    "tracking.backend": "tracking/factory.py",
    "tracking.uri": "tracking/store.py",
    "tracking.experiment": "tracking/mlflow_tracker.py",
    "tracking.children": "tracking/mlflow_tracker.py",
    "tracking.parent_run_id": "tracking/mlflow_tracker.py",
    "train.rows": "workflows/train.py",
    "train.register": "workflows/models/deliver_model.py",
    "train.ensemble": "workflows/train.py",
    "module": "user_code/from_references.py",
    "module_arguments": "user_code/from_references.py",
    "datamodule": "user_code/from_references.py",
    "datamodule_arguments": "user_code/from_references.py",
    "monitor": "user_code/from_references.py",
    "mode": "user_code/from_references.py",
    "callbacks": "user_code/from_references.py",
    "plugins": "config/compose.py",
    "recommendation": "cli/verbs/train.py",
    "policy": "workflows/train.py",
}
OWN = ["module=mine.code:Net", "datamodule=mine.code:Data", "trust=mine"]
ARRAYS, SERIES = [S, "data.path=x.npz"], [F, CSV, "data.series=[a]"]
TIMED = [R, CSV, N, "data.time=day"]
# The situation, the key that cannot act in it, and what the line says.
IDLE = [
    *(([C, CSV, Y], f"{key}=x", "module=package.module:Class is not given") for key in
      ("module_arguments.a", "datamodule", "datamodule_arguments.a", "monitor", "mode", "callbacks")),
    *((OWN, word, "your own module and datamodule decide") for word in
      ("task.kind=regression", "recipe.batch_size=3", "recipe=forecast", "data.path=t.csv", "data=sklearn", Y,
       "data.scaling=none", "data.split=time", "confirm.references=true", "task.metric=f1", "task.threshold=0.3")),
    (["task=income"], "data.test=0.3", "the official test file of income is the test part"),
    (OWN, "metric_mode=max", "direction of metric="),
    *(([C, "data=parquet", "data.path=t.parquet", Y], word, "it is for data.source=csv") for word in
      ("data.delimiter=;", "data.header=false", "data.names=[a]", "data.comment='#'")),
    *(([C, CSV, Y], word, "it is for data.source=openml") for word in ("data.openml_id=3", "data.cache_dir=x")),
    *((PACKAGED, word, "it is for data.source=") for word in (CSV, "data.test_path=t.csv")),
    *((ARRAYS, word, "these sequences are arrays") for word in
      ("data.missing=[x]", "data.strip=false", Y, "data.drop=[a]", "data.numeric=[a]", "data.categorical=[a]")),
    *((SERIES, word, "a forecast reads") for word in ("data.drop=[b]", "data.numeric=[b]", "data.categorical=[c]")),
    (SERIES, Y, "a forecast predicts the columns of data.series"),
    *((SERIES, word, "and task.kind is forecast") for word in
      ("data.positive=yes", "data.label_strip=.", "data.min_frequency=3", "data.max_categories=9")),
    *(([C, CSV, Y], word, "and task.kind is classification") for word in
      ("data.series=[a]", "data.known=[a]", "data.history=9", "data.horizon=9")),
    ([C, CSV, Y], "data.season=7", "and task.kind is classification"),
    (SERIES, "data.groups=[c]", "and task.kind is forecast"),
    ([*BASE, "confirm=none"], "data.groups=[c]", "no final check"),
    (SERIES, "data.scaling=none", "forecasts are always standardised"),
    (ARRAYS, "data.scaling=quantile", "scaled by channel"),
    ([C, CSV, Y], "data.time_format=%d", "data.time is not set"),
    ([C, CSV, Y, "data.test_path=t.csv"], "data.test=.1", "is the test part"),
    (TIMED, "data.seed=3", "a split by time draws nothing"),
    *((BASE, word, "has no price") for word in
      ("objectives.max_cost=3", "hardware.currency=USD", "hardware.price_date=2026", "hardware.price_source=x",
       "hardware.throughput_batch=3")),
    *(([*BASE, "objectives.use=[latency]"], word, "compared early by their quality") for word in
      ("search.rungs.enabled=true", "search.rungs.first=2", "search.rungs={reduction: 2}")),
    ([*BASE, "search.rungs.enabled=false"], "search.rungs.first=2", "no early stops with search.rungs.enabled=false"),
    ([*BASE, "space.learning_rate=[]", "space.weight_decay=[]"], "search.tuning=3", "no training setting is searched"),
    *(([*BASE, "confirm=none"], f"confirm.{word}", "no final check") for word in
      ("finalists=3", "early=false", "confidence=.9", "power=.7")),
    *(([*BASE, "tracking=none"], f"tracking.{word}=x", "nothing is tracked") for word in
      ("uri", "experiment", "parent_run_id")),
    ([*BASE, "tracking=none"], "tracking.children=front", "nothing is tracked"),
    ([*BASE, "metric=f1"], "task.metric=f1", "metric=f1 decides instead"),
    ([*BASE, "confirm.seeds=3"], "confirm=none", "confirm.seeds=3 sets all that it does"),
    ([*BASE, "engine.name=processes"], "engine=inline", "engine.name=processes sets all that it does"),
    *((BASE, word, "has no effect in search") for word in
      ("recommendation=x.yaml", "policy=quality", "train.rows=train", "train.register=x")),
    (BASE, "trust=json", "nothing is imported by reference"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def tables(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Small files of each kind, in the working folder."""
    import pandas as pd

    random, count = np.random.default_rng(0), 120
    frame = pd.DataFrame({"a": random.normal(size=count).round(3), "b": random.normal(size=count).round(3)})
    frame["c"] = [("u", "v", "w")[k % 3] for k in range(count)]
    frame["day"] = range(count)
    frame["shop"] = [f"s{k}" for k in random.integers(0, 12, count)]
    frame["n"] = random.integers(0, 9, count)
    frame["y"] = [("no", "yes")[k] for k in random.integers(0, 2, count)]
    folder = tmp_path_factory.mktemp("tables")
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "text.csv", index=False)
    frame.sample(frac=0.9, random_state=0).to_csv(folder / "other.csv", index=False)
    frame.to_csv(folder / "semicolon.csv", index=False, sep=";")
    frame.to_parquet(folder / "t.parquet")
    frame[["a", "b"]].to_csv(folder / "numbers.csv", index=False)
    frame.assign(c=[f" {value}" for value in frame["c"]]).to_csv(folder / "blanks.csv", index=False)
    dates = [f"{k % 12 + 1:02d}/{k // 12 + 1:02d}/2024" for k in range(count)]
    frame.assign(date=dates).to_csv(folder / "dates.csv", index=False)
    frame.assign(n=[f"{k}_500" for k in frame["n"]]).to_csv(folder / "groups.csv", index=False)
    text = (folder / "t.csv").read_text(encoding="utf-8")
    (folder / "comment.csv").write_text(text + "|a remark\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def test_every_key_of_the_schema_is_covered() -> None:
    covered = [*DATA, *SEARCH, *LATER]
    assert sorted(covered) == sorted(KEYS), "cover the key: what changes with it, and where it cannot act"


def _data(*words: str) -> object:
    """What the words prepare, or the line that refuses them."""
    config = settings(compose(words))
    try:
        found = prepare(config.data, config.task.kind)
    except AutoactError as error:
        return str(error)
    tensors = [part.numpy().tobytes() for part in (found.train.x, found.train.y, found.validation.x)]
    return found.kind, found.name, found.sizes, found.features, found.classes, found.split, found.notes, tensors


@pytest.mark.parametrize("key", DATA)
def test_a_key_of_the_data_changes_what_is_prepared(key: str) -> None:
    words, changed = DATA[key]
    assert key == changed.partition("=")[0]
    read([*words, changed]).settings("search")  # nothing says that it cannot act
    assert _data(*words) != _data(*words, changed)


def _search(*words: str) -> object:
    """What the words prepare for a search, or the line that refuses them."""
    try:
        found = prepared_search(Configured(settings(compose(words))))
    except AutoactError as error:
        return str(error)
    trainer = {k: v for k, v in found.task.trainer.items()}
    return found.identity.name, found.rungs, found.notes, found.objectives, trainer, str(found.folder)


@pytest.mark.parametrize("key", SEARCH)
def test_a_key_changes_the_prepared_search(key: str) -> None:
    words, changed = SEARCH[key]
    assert changed.startswith(key)
    assert _search(*words) != _search(*words, changed)


@pytest.mark.parametrize("key", LATER)
def test_a_key_is_read_where_it_acts(key: str) -> None:
    tree = ast.parse((Path(autoact.__file__).parent / LATER[key]).read_text(encoding="utf-8"))
    read_there = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert key.rpartition(".")[2] in read_there | named


@pytest.mark.parametrize(("words", "key", "said"), IDLE, ids=[f"{key} {said[:20]}" for _, key, said in IDLE])
def test_a_key_that_cannot_act_is_refused_or_told_in_one_line(words: list[str], key: str, said: str) -> None:
    try:
        lines = read([*words, key]).settings("search")[2]
    except AutoactError as error:
        lines = [str(error)]
    assert len(lines) == 1 and said in lines[0] and lines[0].startswith(f"{key} has no effect") and "\n" not in lines[0]


@pytest.mark.parametrize(
    "task", ["churn", "credit", "income", "bike", "cancer", "demand", "digits", "digits-rows", "houses"]
)
@pytest.mark.parametrize("more", [[], ["data=openml", "data.openml_id=3"], ["confirm=none"], ["tracking=none"]])
def test_what_the_packaged_groups_set_is_never_held_against_the_user(task: str, more: list[str]) -> None:
    if more[:1] == ["data=openml"] and task in ("digits-rows",):
        return
    assert read([f"task={task}", *more]).settings("search")[2] == []


@pytest.mark.parametrize(
    "words", [["confirm=default", "confirm.seeds=3"], ["search=quick", "search.trials=9"], ["confirm=none"]]
)
def test_a_choice_that_other_words_leave_something_of_may_stand(words: list[str]) -> None:
    assert read([*BASE, *words]).settings("search")[2] == []


@pytest.mark.parametrize("verb", ["train", "check", "confirm", "confirm STUDY"])
def test_the_words_of_a_search_are_told_and_not_refused_by_the_verbs_that_follow_it(verb: str) -> None:
    lines = read(["task=cancer", "search.trials=9"]).settings(verb)[2]
    assert len(lines) == 1 and lines[0].startswith(f"search.trials=9 has no effect in {verb}: ")


def test_a_key_in_a_file_of_ones_own_is_told(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(
        "# @package _global_\ntask: {name: mine}\ndata: {path: t.csv, target: y, openml_id: 3}\ntrain: {rows: train}\n",
        encoding="utf-8",
    )
    lines = read(["task=mine", "-cd", str(tmp_path)]).settings("search")[2]
    assert lines == [
        "data.openml_id (set in task/mine.yaml) has no effect: it is for data.source=openml, and it is csv"
    ]


def test_a_choice_that_sets_one_key_that_acts_acts() -> None:
    assert given(["hardware=cpu"])[0].keys[:2] == ("hardware.name", "hardware.device")
    assert read(["task=cancer", "hardware=cpu"]).settings("train")[2] == []


@pytest.mark.parametrize("word", ["data.openml_id=null", "monitor=null", "module_arguments={}", "data.series=[]"])
def test_a_value_that_asks_for_nothing_is_not_refused(word: str) -> None:
    assert read(["task=cancer", word]).settings("search")[2] == []


def test_what_the_model_and_the_device_leave_idle_becomes_a_note_of_the_search() -> None:
    words = [*BASE, "data.drop=[c,shop]", "trainer.max_epochs=2", "search.rungs.first=3", "engine.max_gpus=1"]
    words += ["data.min_frequency=3"]
    config, keys, notes = read(words).settings("search")
    prepared = prepared_search(Configured(config, given=keys, notes=notes))
    for line in (
        "search.rungs.first=3 has no effect: trainings of 2 epochs leave no room for early stops",
        "engine.max_gpus=1 has no effect: it is for GPUs, and this search trains on cpu",
        "data.min_frequency=3 has no effect: no column that is learnt from holds categories",
    ):
        assert prepared.notes.count(line) == 1
    assert why_idle_here("space.learning_rate", prepared) == "" == why_idle_here("confirm.seeds", prepared)


@pytest.mark.parametrize("word", ["monitor={a: 1}", "callbacks={a: 1}", "hardware.currency={a: 1}"])
def test_a_tree_where_one_value_is_meant_is_not_passed_over(word: str) -> None:
    with pytest.raises(AutoactError, match=r"has no effect"):
        read([*BASE, word]).settings("search")


@pytest.mark.parametrize("word", ["engine.max_gpus=null", "search.rungs.first=null"])
def test_null_asks_for_nothing_on_the_model_and_the_device_either(word: str) -> None:
    config, keys, notes = read([*BASE, "trainer.max_epochs=2", word]).settings("search")
    assert [
        note for note in prepared_search(Configured(config, given=keys, notes=notes)).notes if "no effect" in note
    ] == []


@pytest.mark.parametrize(("use", "idle"), [("[quality]", True), ("[quality,cost]", True), ("[quality,latency]", False)])
def test_a_margin_that_no_policy_may_lose_is_told(use: str, idle: bool) -> None:
    config, keys, notes = read([*BASE, f"objectives.use={use}", "objectives.margin=.3"]).settings("search")
    said = [
        note
        for note in prepared_search(Configured(config, given=keys, notes=notes)).notes
        if "objectives.margin" in note
    ]
    line = "objectives.margin=.3 has no effect: nothing is traded against quality, so no policy may lose any"
    assert said == ([line] if idle else [])


@pytest.mark.parametrize("name", ["a/b", "../x", ".hidden", "a:b", "x" * 101, "tab\tin"])
def test_a_name_that_would_lead_out_of_the_output_folder_is_refused(name: str) -> None:
    config = settings(compose(BASE))
    config.task.name = name
    with pytest.raises(AutoactError, match=r"becomes part of a folder's name"):
        prepared_search(Configured(config))


@pytest.mark.parametrize(
    ("word", "said"), [("data.comment=##", "must be one character"), ("data.delimiter=é", "ASCII")]
)
def test_marks_of_a_file_that_no_reader_takes_are_one_line(word: str, said: str) -> None:
    with pytest.raises(AutoactError, match=said):
        settings(compose([*BASE, word]))
