"""A row's inputs and its prediction depend on the row alone: not on the rows beside it, nor on who wrote the file."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoact.core.errors import AutoactError
from autoact.data.prepare import prepare
from autoact.data.preprocessing_file import SavedPreprocessing
from autoact.data.settings import DataSettings

ROWS = 40
STEADY = settings(
    max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
# Levels that a reader may take for something else, together or apart.
LEVELS = [
    "01 02 1A 10",
    "TRUE FALSE UNKNOWN",
    "True False",
    "1.0 2.0 X",
    "1 2 3",
    "1 1.0 x",
    "007 7 07",
    "1e3 1000 x",
    "+1 1 x",
    "a b c",
    "None nan? x",
    "inf x y",
    "12,5 13,5",
    "$5 $6",
    "missing other",
    "é 名 x",
    "0x10 16 x",
    "yes no",
]
SECONDS = datetime.timedelta(seconds=90)


def _texts(levels: str) -> st.SearchStrategy[list]:
    some = st.sampled_from([*levels.split(), None])
    return st.lists(some, min_size=ROWS, max_size=ROWS)


def _numbers(values: st.SearchStrategy) -> st.SearchStrategy[list]:
    return st.lists(st.one_of(values, values, values, st.none()), min_size=ROWS, max_size=ROWS)


def _column(kind: str, values: list) -> pd.Series:
    """A column in the type that its writer would choose."""
    if kind in ("Int64", "Float64", "boolean", "string", "category"):
        return pd.Series(values, dtype=object).astype(kind)
    return pd.Series(values, dtype="float64" if kind == "float64" else object)


WHOLE = st.integers(-3, 3)
BROKEN = st.floats(-9, 9, allow_nan=False).map(lambda v: round(v, 2))
COLUMNS = st.one_of(
    st.sampled_from(LEVELS).flatmap(
        lambda levels: st.tuples(st.sampled_from(["object", "string", "category"]), _texts(levels))
    ),
    st.tuples(st.sampled_from(["Int64", "float64", "category", "object"]), _numbers(WHOLE)),
    st.tuples(st.sampled_from(["Float64", "float64"]), _numbers(BROKEN)),
    st.tuples(st.sampled_from(["boolean", "object", "category"]), _numbers(st.booleans())),
    st.tuples(st.just("object"), _numbers(BROKEN.map(lambda v: Decimal(str(v))))),
    st.tuples(st.just("object"), _numbers(st.integers(0, 5).map(lambda k: k * SECONDS))),
)
TABLES = st.lists(COLUMNS, min_size=1, max_size=3)


def _frame(columns: list[tuple[str, list]]) -> pd.DataFrame:
    """The table, with a plain number and a target beside what is tried."""
    frame = pd.DataFrame({f"c{k}": _column(*column) for k, column in enumerate(columns)})
    return frame.assign(plain=np.linspace(-1, 1, ROWS).round(3), y=["a", "b"] * (ROWS // 2))


def _write(frame: pd.DataFrame, folder: str, name: str) -> str:
    path = str(Path(folder) / name)
    if name.endswith("parquet"):
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def _saved(path: str) -> SavedPreprocessing | None:
    """What a model of the table would keep; None where the table is refused in one line."""
    source = "parquet" if path.endswith("parquet") else "csv"
    given_ = DataSettings(source=source, path=path, target="y", min_frequency=2)
    try:
        saved = SavedPreprocessing.of(prepare(given_, "classification"), given_, "sigmoid")
    except AutoactError as error:
        assert "\n" not in str(error)
        return None
    return SavedPreprocessing.from_json(saved.to_json())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_any_rows_in_any_order_are_encoded_alike(ending: str) -> None:
    accepted = []

    @STEADY
    @given(TABLES, st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=8))
    def check(columns: list[tuple[str, list]], chosen: list[int]) -> None:
        frame = _frame(columns)
        with TemporaryDirectory() as folder:
            saved = _saved(_write(frame, folder, f"train.{ending}"))
            if saved is None:
                return
            accepted.append(1)
            new = frame.drop(columns="y")
            whole = saved.encode(saved.read(_write(new, folder, f"all.{ending}")))
            some = saved.encode(saved.read(_write(new.iloc[chosen], folder, f"some.{ending}")))
            assert torch.equal(some, whole[chosen])
            one = saved.encode(saved.read(_write(new.iloc[chosen[:1]], folder, f"one.{ending}")))
            assert torch.equal(one, whole[chosen[:1]])

    check()
    assert len(accepted) >= 12


def test_csv_and_parquet_of_one_table_agree_where_their_readings_are_the_same() -> None:
    agreed = []

    @STEADY
    @given(TABLES)
    def check(columns: list[tuple[str, list]]) -> None:
        frame = _frame(columns)
        with TemporaryDirectory() as folder:
            first, second = (_saved(_write(frame, folder, name)) for name in ("t.csv", "t.parquet"))
            if first is None or second is None or first.schema != second.schema:
                return
            agreed.append(1)
            if first.categories == second.categories:
                assert first.numeric == second.numeric and first.gaps == second.gaps
            new = frame.drop(columns="y")
            csv, parquet = _write(new, folder, "new.csv"), _write(new, folder, "new.parquet")
            for saved in (first, second):
                assert torch.equal(saved.encode(saved.read(csv)), saved.encode(saved.read(parquet)))

    check()
    assert len(agreed) >= 5


@pytest.mark.slow
def test_predictions_of_a_trained_model_do_not_depend_on_the_file(tmp_path: Path) -> None:
    """The whole way: search and train on the command line, then scores of all rows and of some."""
    import subprocess
    import sys

    draw = np.random.default_rng(0)
    count = 240
    code = draw.choice(["01", "02", "03", "1A"], count)
    frame = pd.DataFrame({"id": range(count), "code": code, "x": draw.normal(size=count).round(3)})
    frame["y"] = np.where((frame["code"] == "01") ^ (draw.random(count) < 0.1), "yes", "no")
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.drop(columns="y").to_csv(tmp_path / "all.csv", index=False)
    few = frame[frame["code"].isin(["01", "02"])].drop(columns="y").iloc[::-1]
    few.to_csv(tmp_path / "few.csv", index=False)

    def autoact(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "autoact", *words], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr

    common = ["task=classification", "data.path=train.csv", "data.target=y", "data.drop=id", "output=runs"]
    common += ["trainer.max_epochs=2"]
    autoact("search", *common, "search.trials=2", "confirm=none", "candidates=[relu,tanh]")
    (recommended,) = (tmp_path / "runs").glob("*/recommended.yaml")
    autoact("train", *common, f"recommendation={recommended}", "policy=baseline")
    for name in ("all", "few"):
        model = "model=models:/classification-autoact@candidate"
        autoact("predict", model, f"input={name}.csv", f"output=scores-{name}.csv", "runs=runs")
    both = pd.read_csv(tmp_path / "scores-all.csv").merge(pd.read_csv(tmp_path / "scores-few.csv"), on="id")
    assert len(both) == len(few) and (both["prediction_x"] == both["prediction_y"]).all()
    assert both["score_x"].to_numpy() == pytest.approx(both["score_y"].to_numpy(), abs=1e-6)
