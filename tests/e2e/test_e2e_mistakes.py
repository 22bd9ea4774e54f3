"""Every mistake: exit code 2 and one line on standard error that says what to do."""

import random

import pytest

HEAD = "a,b,c,y"


def good_rows(count=60):
    """Rows of a small table with two classes."""
    draw = random.Random(0)
    return [
        f"{draw.gauss(0, 1):.3f},{draw.gauss(0, 1):.3f},{'uv'[k % 2]},{('no', 'yes')[k % 3 == 0]}" for k in range(count)
    ]


def changed(rows, **cells):
    """Rows with other values in some columns."""
    names = HEAD.split(",")
    return [",".join(cells.get(name, value) for name, value in zip(names, row.split(","), strict=True)) for row in rows]


TABLES = {
    "good.csv": [HEAD, *good_rows()],
    "one_class.csv": [HEAD, *changed(good_rows(), y="no")],
    "all_missing.csv": [HEAD, *changed(good_rows(), a="")],
    "infinite.csv": [HEAD, *changed(good_rows(1), a="inf"), *good_rows()],
    "duplicate.csv": ["a,a,c,y", *good_rows()],
    "few.csv": [HEAD, *good_rows(5)],
    "text.csv": [HEAD, *changed(good_rows(1), a="tall"), *good_rows()],
    "missing_target.csv": [HEAD, *changed(good_rows(1), y=""), *good_rows()],
    "header_only.csv": [HEAD],
    "semicolon.csv": ["a;b;y", *["1;2;no"] * 9],
    "ragged.csv": [HEAD, "1,2,u,no", "1,2,u,no,7"],
    "empty.csv": [],
    "mine.py": ["class Net:\n    pass", "class Data:\n    pass"],
    "a_file": [],
}
TABLE = ["task=classification", "data.target=y"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with good and bad files."""
    for name, lines in TABLES.items():
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "latin.csv").write_bytes(f"{HEAD}\n1,2,Größe,no\n".encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


MISTAKES = {
    "no file": ([*TABLE, "data.path=godo.csv"], "unknown file 'godo.csv': did you mean good.csv"),
    "no path": (["task=classification"], "data.path is not set"),
    "a folder": ([*TABLE, "data.path=."], "is a folder"),
    "no target": (["task=classification", "data.path=good.csv"], "data.target is not set: which column"),
    "unknown target": ([*TABLE, "data.path=good.csv", "data.target=z"], "unknown column in data.target 'z'"),
    "one class": ([*TABLE, "data.path=one_class.csv"], "only one class, 'no'"),
    "all missing": ([*TABLE, "data.path=all_missing.csv"], "column 'a' holds no value at all: data.drop=[a]"),
    "infinite": ([*TABLE, "data.path=infinite.csv"], "column 'a' holds an infinite value in row 1"),
    "duplicate": ([*TABLE, "data.path=duplicate.csv"], "2 columns named 'a': rename them"),
    "few rows": ([*TABLE, "data.path=few.csv"], "too few rows"),
    "text": ([*TABLE, "data.path=text.csv", "data.numeric=a"], "column 'a' must hold numbers, but row 1 holds 'tall'"),
    "missing target": ([*TABLE, "data.path=missing_target.csv"], "target 'y' has no value in 1 rows"),
    "empty": ([*TABLE, "data.path=empty.csv"], "empty.csv is empty"),
    "header only": ([*TABLE, "data.path=header_only.csv"], "holds no rows"),
    "semicolons": ([*TABLE, "data.path=semicolon.csv"], "set data.delimiter=';'"),
    "ragged": ([*TABLE, "data.path=ragged.csv"], "line 3 holds 5 fields where 4 were expected"),
    "latin": ([*TABLE, "data.path=latin.csv"], "not UTF-8 text"),
    "classes as numbers": (
        ["task=regression", "data.path=good.csv", "data.target=y"],
        "classes need task=classification",
    ),
    "unknown drop": ([*TABLE, "data.path=good.csv", "data.drop=d"], "unknown column in data.drop 'd'"),
    "unknown metric": (["metric=acuracy"], "unknown metric 'acuracy': did you mean accuracy"),
    "metric of another kind": (["metric=rmse"], "the metric rmse does not fit a classification task"),
    "unknown activation": (["candidates=[geluu]"], "unknown activation 'geluu': did you mean gelu"),
    "dropout of all": (
        ["space.dropout=[1]"],
        "space.dropout=[1.0] must hold shares from 0 to below 1, e.g. [0, 0.1, 0.3]",
    ),
    "unknown parameter": (["candidates=[leaky_relu(slope=1)]"], "did you mean negative_slope"),
    "range backwards": (["candidates=[relu,sine(omega=30..1)]"], "omega=30..1 must begin with the lower number"),
    "range of nothing": (["candidates=[relu,relu(x=1..2)]"], "relu has no parameters: write relu without x=1..2"),
    "range of pieces": (["candidates=[relu,maxout(pieces=2..4)]"], "name each value as a candidate of its own"),
    "no stated range": (["candidates=[relu,tanh]", "space.parameters=true"], "space.parameters=true has no effect"),
    "identity alone": (["candidates=[identity]"], "identity at every site makes a linear network"),
    "not searchable": (["candidates=[step]"], "step cannot be searched"),
    "no candidates": (["candidates=[]"], "name at least one activation"),
    "unknown key": (["search.trails=3"], "unknown key 'search.trails': did you mean search.trials"),
    "unknown task": (["task=cancr"], "unknown task 'cancr': did you mean cancer"),
    "unknown objective": (["objectives.use=[qualty]"], "unknown objective 'qualty': did you mean quality"),
    "unknown site": (["space.include=[layer.*]"], "unknown site 'layer.*'"),
    "unknown granularity": (["space.granularity=bock"], "did you mean block"),
    "unknown device": (["hardware.device=gpu"], "unknown device 'gpu'"),
    "unknown trainer argument": (["trainer.max_epoch=3"], "did you mean max_epochs"),
    "recipe arguments": (["recipe.arguments.widht=3"], "unknown argument of the recipe 'widht': did you mean width?"),
    "recipe values": (["recipe.arguments.dropout=2"], "recipe.arguments do not fit"),
    "no rows to train on": (["data.validation=0.9"], "leave no rows to train on"),
    "one fresh seed": (["confirm.seeds=1"], "confirm.seeds=1 must be 2 or more"),
    "no storage": (["search.storage=sqlite:////nowhere/x.db"], "cannot open search.storage"),
    "a file as output": (["output=a_file"], "cannot be written"),
    "a file in the output's path": (["output=a_file/runs"], "cannot be written"),
    "not trusted": (["task=", "module=mine:Net", "datamodule=mine:Data", "monitor=v", "mode=max"], "trust=mine"),
    "not Lightning's": (
        ["task=", "module=mine:Net", "datamodule=mine:Data", "monitor=v", "mode=max", "trust=mine"],
        "gives Data, not a lightning.LightningDataModule",
    ),
    "no monitor": (["task=", "module=mine:Net", "datamodule=mine:Data", "trust=mine"], "needs monitor=NAME"),
    "no datamodule": (["task=", "module=mine:Net"], "needs datamodule="),
    "task and module": (["module=mine:Net"], "exclude each other"),
    "nothing": (["task="], "name a task (task=NAME: bike, cancer, churn"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name, here, small, cli):
    arguments, message = MISTAKES[name]
    done = cli("search", *small, *arguments)
    assert done.code == 2, done
    assert message in done.err
    assert done.err.startswith("autoact: ") and done.err.count("\n") == 1 and done.err.endswith("\n")


def test_the_good_table_is_good(here, small, cli):
    arguments = ["data.path=good.csv", "search.trials=1", "search.tuning=0", "confirm.seeds=0"]
    assert cli("search", *small, *TABLE, *arguments).code == 0
