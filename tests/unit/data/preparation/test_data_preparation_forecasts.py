"""Forecasts: split in time, scaled by the training steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings


def _write(folder: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / "series.csv", index=False)
    return str(folder / "series.csv")


def _series(steps: int = 200) -> pd.DataFrame:
    dates = pd.date_range("2024-01-01", periods=steps, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    return pd.DataFrame({"date": dates, "a": np.arange(steps) * 2.0 + 1, "b": np.sin(np.arange(steps))})


def test_simulated_demand_knows_its_columns() -> None:
    prepared = prepare(DataSettings(source="simulated", name="demand"), "forecast")
    assert prepared.simulated and prepared.input_shape == (3, 28) and prepared.outputs == 7
    assert prepared.features == ["demand", "promotion", "promotion in 7 steps"]
    assert prepared.target_scale is not None and prepared.target_scale.names[0] == "bread"
    assert prepared.split == "time" and prepared.train.series is not None
    assert abs(float(prepared.train.y.mean())) < 0.1 and abs(float(prepared.train.y.std()) - 1) < 0.1
    assert "(simulated)" in prepared.summary()


def test_values_return_to_the_users_unit(tmp_path: Path) -> None:
    settings = DataSettings(path=_write(tmp_path, _series()), series=["a", "b"], time="date", history=8, horizon=4)
    prepared = prepare(settings, "forecast")
    scale, part = prepared.target_scale, prepared.validation
    assert scale is not None and scale.names == ["a", "b"]
    restored = scale.restore(part.y, part.series)
    assert part.series is not None
    mine = part.series.eq(0)
    steps = torch.from_numpy(part.rows[mine.numpy()])[:, None] + torch.arange(4)
    assert torch.allclose(restored[mine], steps * 2.0 + 1, atol=1e-3)


def test_scale_is_that_of_the_training_steps_alone(tmp_path: Path) -> None:
    settings = DataSettings(path=_write(tmp_path, _series()), series=["a"], time="date", history=8, horizon=4)
    prepared = prepare(settings, "forecast")
    train = np.arange(130) * 2.0 + 1
    assert prepared.target_scale is not None
    assert np.allclose([prepared.target_scale.mean[0], prepared.target_scale.std[0]], [train.mean(), train.std()])
    assert prepared.sizes == {"train": 130 - 11, "validation": 30 - 3, "test": 40 - 3}


def test_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    settings = DataSettings(path=_write(tmp_path, _series()), series=["a"], time="date", history=8, horizon=4)
    first = prepare(settings, "forecast")
    _write(tmp_path, _series().iloc[::-1])
    second = prepare(settings, "forecast")
    assert torch.equal(first.train.x, second.train.x) and first.fingerprint == second.fingerprint


def test_first_rows_are_kept(tmp_path: Path) -> None:
    settings = DataSettings(path=_write(tmp_path, _series()), series=["a"], time="date", history=8, horizon=4)
    settings.max_rows = 100
    prepared = prepare(settings, "forecast")
    assert prepared.sizes == {"train": 65 - 11, "validation": 15 - 3, "test": 20 - 3}
    assert prepared.test.open("try").prepared.validation.rows.max() == 99 - 3


def test_uneven_steps_are_noted(tmp_path: Path) -> None:
    frame = _series().drop(index=50)
    settings = DataSettings(path=_write(tmp_path, frame), series=["a"], time="date", history=8, horizon=4)
    assert prepare(settings, "forecast").notes == ["the rows: the steps in time are not evenly spaced"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series": []}, "data.series is not set: .*Columns: date, a, b"),
        ({"series": ["aa"]}, "unknown column in data.series 'aa': did you mean a"),
        ({"series": ["gap"]}, "column 'gap' has no value in 1 rows"),
        ({"series": ["word"]}, "column 'word' must hold numbers, but row 1 holds 'x'"),
        ({"series": ["flat"]}, "series 'flat' has a constant value in the training part"),
        ({"history": 150}, "the training part is too short for one window"),
        ({"time": "flat"}, "holds the same moment twice .row 2.: set data.group"),
        ({"known": ["b"], "history": 3}, "data.known needs data.history .3. to be no shorter"),
        ({"test_path": "here"}, "data.test_path is not for forecasts"),
    ],
)
def test_bad_input(tmp_path: Path, changes: dict, message: str) -> None:
    frame = _series().assign(gap=lambda f: f["a"].where(f.index != 3), word="x", flat=1.0)
    path = _write(tmp_path, frame)
    changes = {key: path if value == "here" else value for key, value in changes.items()}
    options = {"series": ["a"], "time": "date", "history": 8, "horizon": 4, **changes}
    with pytest.raises(AutoactError, match=message):
        prepare(DataSettings(path=path, **options), "forecast")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"series": ["demand"], "known": ["demand"]},
            "in data.series and in data.known: what is forecast is not known",
        ),
        ({"series": ["demand", "demand"]}, "data.series lists 'demand' more than once"),
    ],
)
def test_one_column_is_one_input(changes, message):
    given = DataSettings(source="simulated", name="demand", time="date", group="product", **changes)
    with pytest.raises(AutoactError, match=message):
        prepare(given, "forecast")


def test_numbers_as_people_write_them_are_forecast(tmp_path):
    frame = pd.DataFrame({"day": pd.date_range("2020", periods=200).astype(str), "v": np.arange(200) * 1.25})
    frame["v"] = [f"{v % 17:.2f}".replace(".", ",") for v in frame["v"]]
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    given = DataSettings(path=str(tmp_path / "t.csv"), series=["v"], time="day", delimiter=";", history=14)
    with pytest.raises(
        AutoactError, match=r"column 'v' must hold numbers, but row 1 holds '0,00': \"data.decimal=','\""
    ):
        prepare(given, "forecast")
    given.decimal = ","
    assert prepare(given, "forecast").features == ["v"]


def test_the_season_is_what_the_user_says_or_what_is_known() -> None:
    demand = prepare(DataSettings(source="simulated", name="demand", max_rows=2000), "forecast")
    own = prepare(DataSettings(source="simulated", name="demand", max_rows=2000, season=14), "forecast")
    assert (demand.season, demand.season_known, own.season) == (7, True, 14)
    assert demand.fingerprint == own.fingerprint  # it says how errors are compared, not what is learnt
    assert demand.naive_error is not None and 0 < demand.naive_error < 2


def test_without_a_season_the_step_before_is_repeated(tmp_path: Path) -> None:
    settings = DataSettings(path=_write(tmp_path, _series()), series=["a"], time="date", history=8, horizon=4)
    prepared = prepare(settings, "forecast")
    assert (prepared.season, prepared.season_known) == (1, False)
    assert prepared.target_scale is not None and prepared.naive_error is not None
    assert prepared.naive_error * float(prepared.target_scale.std[0]) == pytest.approx(2.0)  # a rises by 2 a step
