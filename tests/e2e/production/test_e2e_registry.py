"""From a recommendation to a model in service, on the command line: train, promote, rollback, predict."""

import random
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch

import autoact
from autoact.core.assignment import Assignment
from autoact.recommendation import load_recommendation
from autoact.tracking.models.model_registry import CANDIDATE, Registry, using
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store

ROWS = 300
TABLE = ["task=classification", "task.name=leavers", "metric=roc_auc", "data.target=left", "data.drop=[who]"]


def table(rows, seed):
    """Customers with an id, gaps, a rare category and a target."""
    draw = random.Random(seed)
    found = []
    for k in range(rows):
        age, plan = draw.gauss(40, 10), draw.choice(["basic"] * 5 + ["plus"] * 4 + ["gold"])
        chance = 0.2 + 0.6 * (age < 38) * (plan != "plus")
        cells = {"who": f"id-{seed}-{k}", "age": f"{age:.2f}", "plan": plan, "calls": draw.randint(0, 9)}
        if k % 17 == 0:
            cells["age"] = ""
        found.append({**cells, "left": "yes" if draw.random() < chance else "no"})
    return pd.DataFrame(found)


@pytest.fixture(scope="module")
def place(tmp_path_factory, cli, small):
    """A folder with a table, a recommendation that recommends, and a registry with two versions."""
    folder = tmp_path_factory.mktemp("registry")
    table(ROWS, 1).to_csv(folder / "table.csv", index=False)
    run = [word for word in small if not word.startswith(("task=", "tracking="))]
    run += [*TABLE, f"data.path={folder / 'table.csv'}", f"output={folder / 'runs'}"]
    done = cli("search", *run, "tracking=none")
    assert done.code == 0, done.err
    (file,) = (folder / "runs").glob("*/recommended.yaml")
    found = load_recommendation(file)
    wanted = Assignment(dict(zip(found.sites, ["tanh", "prelu", "snake"], strict=True)))
    better = replace(found.policies["quality"], recommend=True, assignment=wanted, epochs=2)
    replace(found, policies={**found.policies, "quality": better}).save(folder / "recommended.yaml")
    for seed in (0, 1):
        done = cli("train", *run, f"recommendation={folder / 'recommended.yaml'}", f"search.seed={seed}")
        assert done.code == 0, done.err
        assert f"load it (candidate): mlflow.pyfunc.load_model('models:/leavers-autoact/{seed + 1}')" in done.out
    return folder


@pytest.fixture
def runs(place, tmp_path):
    """A copy of the registry, to be changed."""
    return f"runs={place / 'runs'}"


@pytest.fixture(scope="module")
def registry(place):
    return Registry(Store(TrackingSettings(), place / "runs"))


def versions(registry, alias):
    """The version that has an alias; None where none has."""
    with using(registry.store.uri):
        (model,) = registry.store.client.search_registered_models("name = 'leavers-autoact'")
        return int(model.aliases[alias]) if alias in model.aliases else None


def test_aliases_move_and_move_back(place, runs, registry, cli):
    def promote(version, to="champion"):
        return cli("promote", f"models:/leavers-autoact{version}", f"to={to}", runs)

    def rollback(alias="champion"):
        return cli("rollback", f"models:/leavers-autoact@{alias}", runs)

    done = promote("/1")
    assert done.code == 0, done.err
    assert "champion is given to version 1; no version had it (quality: tanh | prelu | snake)" in done.out
    done = promote("@candidate")
    assert "champion moves from version 1 to version 2" in done.out and versions(registry, "champion") == 2
    assert f"python -m autoact rollback models:/leavers-autoact@champion {runs}" in done.out
    again = promote("@candidate")
    assert again.code == 0 and "version 2 is the champion already; nothing moved" in again.out
    assert "rollback" not in again.out
    assert "champion moves from version 2 to version 1" in rollback().out and versions(registry, "champion") == 1
    assert "champion is taken from version 1; no version had it before" in rollback().out
    assert versions(registry, "champion") is None and versions(registry, CANDIDATE) == 2
    done = rollback()
    assert done.code == 2 and "nothing earlier to go back to: every promote of champion was taken back" in done.err
    # Somebody else moves it in between.
    promote("/1", "shadow")
    with using(registry.store.uri):
        registry.store.client.set_registered_model_alias("leavers-autoact", "shadow", "2")
    done = rollback("shadow")
    assert done.code == 2 and "shadow was moved by other means since (version 2 has it" in done.err
    assert versions(registry, "shadow") == 2


def test_a_recommendation_comes_back_from_the_registry_and_from_the_run(place, registry):
    output = place / "runs"
    was = load_recommendation(place / "recommended.yaml")
    by_alias = autoact.load_recommendation("models:/leavers-autoact@candidate", runs=output)
    assert by_alias == was
    assert by_alias.source["resolved"] == "models:/leavers-autoact/2" and by_alias.source["version"] == "2"
    assert by_alias.source["digest"] == was.digest == by_alias.digest
    run_id = registry.version("models:/leavers-autoact/1").run_id
    for source in (f"runs:/{run_id}/recommended.yaml", f"runs:/{run_id}", f"runs:/{run_id}/model"):
        assert autoact.load_recommendation(source, runs=output) == was
    with using(registry.store.uri):
        tags = registry.store.client.get_run(run_id).data.tags
    assert tags["autoact.recommendation_digest"] == was.digest


def test_training_from_the_registry_says_which_version_it_meant(place, registry, cli, small, tmp_path):
    shutil.copytree(place / "runs", tmp_path / "runs")
    run = [word for word in small if not word.startswith(("task=", "tracking="))]
    run += [*TABLE, f"data.path={place / 'table.csv'}", f"tracking.uri={registry.store.uri}", "train.register=none"]
    done = cli("train", *run, "recommendation=models:/leavers-autoact@candidate", f"output={tmp_path}")
    assert done.code == 0, done.err
    run_id = re.search(r"MLflow run (\w+) in", done.out)[1]
    with using(registry.store.uri):
        tags = registry.store.client.get_run(run_id).data.tags
    assert tags["autoact.recommendation"] == "models:/leavers-autoact/2" and versions(registry, CANDIDATE) == 2


def test_new_rows_are_scored_with_the_same_preprocessing(place, runs, registry, cli, tmp_path):
    new = table(1000, 2).drop(columns="left")
    new.loc[3, "plan"], new.loc[4, "plan"], new.loc[5, "calls"] = "platinum", None, None
    new = new[["calls", "plan", "who", "age"]]
    new.to_csv(tmp_path / "new.csv", index=False)
    scores = []
    for rows, kind in ((1, "csv"), (7, "csv"), (1000, "csv"), (1000, "parquet")):
        new.head(rows).to_csv(tmp_path / "part.csv", index=False)
        target = tmp_path / f"scores.{kind}"
        done = cli(
            "predict",
            "model=models:/leavers-autoact@candidate",
            f"input={tmp_path / 'part.csv'}",
            f"output={target}",
            runs,
        )
        assert done.code == 0, done.err
        assert f"{rows:,} rows scored by models:/leavers-autoact@candidate (models:/leavers-autoact/2)" in done.out
        scores.append(pd.read_csv(target) if kind == "csv" else pd.read_parquet(target))
    whole = scores[2]
    assert list(whole.columns) == ["row", "who", "score", "prediction"]
    assert whole["row"].tolist() == list(range(1000)) and whole["who"].tolist() == new["who"].tolist()
    for part in scores:
        assert part["score"].to_numpy() == pytest.approx(whole["score"].to_numpy()[: len(part)], abs=1e-6)
    assert ((whole["score"] > 0.5) == (whole["prediction"] == "yes")).all() and whole["score"].nunique() > 100
    # The weights beside the graph, in a fresh module of the recipe, give the same.
    assert whole["score"].to_numpy() == pytest.approx(by_hand(place, registry, new, tmp_path), abs=1e-5)


def by_hand(place, registry, new, folder):
    """Scores from the weights, the user's own way: the recipe, ``restore_``, the data layer's preprocessing."""
    from safetensors.torch import load_file

    from autoact.data.prepare import prepare
    from autoact.data.preprocessing_file import SavedPreprocessing
    from autoact.data.settings import DataSettings
    from autoact.recipes.residual import ResidualClassifier

    settings = DataSettings(path=str(place / "table.csv"), target="left", drop=["who"])
    prepared = prepare(settings, "classification", whole=True)
    files = registry.fetch("models:/leavers-autoact/2/extra_files", folder / "fetched")
    module = ResidualClassifier(inputs=prepared.inputs, outputs=2, numbers=prepared.numbers)
    autoact.restore_(module, load_file(files / "model.safetensors"), example_input=prepared.train.x[:2])
    with torch.no_grad():
        return torch.sigmoid(
            module.eval()(SavedPreprocessing.of(prepared, settings, "sigmoid").encode(new))[:, 0]
        ).numpy()


@pytest.mark.slow
def test_the_model_is_exported_and_compared(place, runs, registry, cli, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    file = tmp_path / "model.onnx"
    done = cli("export", "model=models:/leavers-autoact@candidate", "format=onnx", f"output={file}", runs)
    assert done.code == 0, done.err
    assert re.search(r"largest difference to PyTorch in ONNX Runtime over 1, 7, 1,000 rows: \S+e-\d+ ", done.out)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.get_inputs()
    assert session.run(None, {found.name: torch.zeros(3, found.shape[1]).numpy()})[0].shape == (3, 1)


def test_what_was_trained_is_shown_from_the_registry(place, runs, cli):
    done = cli("show", "models:/leavers-autoact@candidate", runs)
    assert done.code == 0, done.err
    assert "from models:/leavers-autoact/2" in done.out and "blocks.1.act: prelu" in done.out
    done = cli("show", "models:/leavers-autoact@candidate", "--as=python", runs)
    assert "'blocks.1.act': lambda: Learnable(prelu, 128, -1, weight=0.25)," in done.out


MISTAKES = {
    "no verb words": (["promote"], "promote needs a version"),
    "no alias": (["promote", "models:/leavers-autoact/1"], "to=... is missing"),
    "the training's own": (
        ["promote", "models:/leavers-autoact/1", "to=candidate"],
        "always names what was trained last",
    ),
    "no alias name": (["promote", "models:/leavers-autoact/1", "to=v1.2"], "is no alias"),
    "unknown model": (["promote", "models:/leaver-autoact/1", "to=champion"], "did you mean leavers-autoact"),
    "unknown version": (
        ["promote", "models:/leavers-autoact/9", "to=champion"],
        "unknown version of leavers-autoact '9'",
    ),
    "unknown alias": (
        ["promote", "models:/leavers-autoact@best", "to=champion"],
        "has no alias 'best': there is candidate",
    ),
    "no uri": (["promote", "leavers-autoact", "to=champion"], "write models:/NAME/VERSION or models:/NAME@ALIAS"),
    "unknown key": (["promote", "models:/leavers-autoact/1", "too=x"], "unknown key 'too': did you mean to"),
    "back without alias": (["rollback", "models:/leavers-autoact/1"], "rollback needs an alias"),
    "nothing to take back": (
        ["rollback", "models:/leavers-autoact@best"],
        "leavers-autoact has no alias 'best' that promote",
    ),
    "no model": (["predict", "input=a.csv", "output=b.csv"], "model=... is missing"),
    "no input": (["predict", "model=models:/leavers-autoact/1", "output=b.csv"], "input=... is missing"),
    "onto itself": (["predict", "model=models:/x/1", "input=a.csv", "output=a.csv"], "would overwrite the input"),
    "no file": (["predict", "model=models:/leavers-autoact/1", "input=nowhere.csv", "output=b.csv"], "nowhere.csv"),
    "no folder": (["predict", "model=some/folder", "input={good}", "output=b.csv"], "there is no such folder"),
    "lacking": (
        ["predict", "model=models:/leavers-autoact/1", "input={lacking}", "output=b.csv"],
        "the input has no column 'age', 'plan': it needs age, plan, calls",
    ),
    "text": (
        ["predict", "model=models:/leavers-autoact/1", "input={text}", "output=b.csv"],
        "column 'age' of the input must hold numbers, but row 1 holds 'old'",
    ),
    "empty": (["predict", "model=models:/leavers-autoact/1", "input={empty}", "output=b.csv"], "holds no rows"),
    "a folder without a model": (["predict", "model={folder}", "input={good}", "output=b.csv"], "holds no model"),
    "reserved alias": (["promote", "models:/leavers-autoact/1", "to=v3"], "are reserved by MLflow"),
    "another delimiter": (
        ["predict", "model=models:/leavers-autoact/1", "input={semicolons}", "output=b.csv"],
        "write the file as the training file was written, with ',' between fields",
    ),
    "unknown format": (["export", "model=models:/leavers-autoact/1", "output=x", "format=onxx"], "did you mean onnx"),
    "no output": (["export", "model=models:/leavers-autoact/1"], "output=... is missing"),
    "nowhere to write": (
        ["predict", "model=models:/leavers-autoact/1", "input={good}", "output=/nowhere/b.csv"],
        "output=/nowhere/b.csv cannot be written",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name, place, runs, cli, tmp_path):
    texts = {"good": "age,plan,calls\n1,basic,2\n", "lacking": "calls\n1\n", "empty": "age,plan,calls\n"}
    texts["semicolons"] = "age;plan;calls\n1;basic;2\n"
    texts["text"] = "age,plan,calls\nold,basic,2\n"
    files = {kind: tmp_path / f"{kind}.csv" for kind in texts}
    for kind, text in texts.items():
        files[kind].write_text(text, encoding="utf-8")
    files["folder"] = tmp_path
    arguments, message = MISTAKES[name]
    done = cli(arguments[0], *(word.format(**files) for word in arguments[1:]), runs)
    assert done.code == 2, done
    assert message in done.err
    assert done.err.startswith("autoact: ") and done.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["promote", "rollback", "predict", "export"])
def test_help(verb, cli):
    done = cli(verb, "--help")
    assert done.code == 0 and f"python -m autoact {verb}" in done.out


def test_a_store_that_is_not_there_is_not_made(cli, tmp_path):
    done = cli("promote", "models:/a/1", "to=champion", f"runs={tmp_path / 'none'}")
    assert done.code == 2 and "there is no MLflow store at sqlite:" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_registered_model_of_somebody_else_is_left_alone(place, registry, cli, small):
    with using(registry.store.uri):
        registry.store.client.create_registered_model("theirs")
    run = [word for word in small if not word.startswith(("task=", "tracking="))]
    run += [*TABLE, f"data.path={place / 'table.csv'}", f"output={place / 'runs'}", "train.register=theirs"]
    done = cli("train", *run, f"recommendation={place / 'recommended.yaml'}")
    assert done.code == 2 and "'theirs' was not made by autoact: nothing is added to it" in done.err
    with using(registry.store.uri):
        assert registry.store.client.search_model_versions("name = 'theirs'") == []


def test_predict_says_which_columns_of_the_input_moved(place, runs, cli, tmp_path):
    """A dropped column that is called like the model's own score; the model's is the one that a reader finds."""
    rows = table(3, 9).rename(columns={"who": "score"}).drop(columns="left")
    rows.to_csv(tmp_path / "new.csv", index=False)
    folder = tmp_path / "model"
    registry = Registry(Store(TrackingSettings(), place / "runs"))
    shutil.copytree(registry.fetch("models:/leavers-autoact/1", tmp_path), folder)
    file = folder / "extra_files" / "preprocessing.json"
    file.write_text(file.read_text().replace('"who"', '"score"'))
    done = cli("predict", f"model={folder}", f"input={tmp_path / 'new.csv'}", f"output={tmp_path / 'out.csv'}")
    assert done.code == 0, done.err
    assert (
        "note: columns of the input that are called like the model's own have other names here: 'score' as 'input"
        in (done.out)
    )
    read = pd.read_csv(tmp_path / "out.csv")
    assert list(read.columns) == ["row", "input_score", "score", "prediction"]
    assert read["input_score"].tolist() == rows["score"].tolist() and read["score"].between(0, 1).all()
