"""Simulated demand: trend, seasons and promotions are there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.sources.simulated_demand import PRODUCTS, simulate_demand


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate_demand()


def test_form(frame: pd.DataFrame) -> None:
    assert len(frame) == 1461 * len(PRODUCTS) and set(frame["product"]) == set(PRODUCTS)
    assert not frame.duplicated(["date", "product"]).any() and (frame["demand"] >= 0).all()
    assert frame["date"].iloc[0] == "2020-01-01" and frame["date"].iloc[-1] == "2023-12-31"


@pytest.mark.parametrize("product", PRODUCTS)
def test_week_and_promotions_move_demand(frame: pd.DataFrame, product: str) -> None:
    one = frame[frame["product"] == product]
    weekday = pd.to_datetime(one["date"]).dt.day_name()
    quiet = one[one["promotion"] == 0]
    by_day = quiet["demand"].groupby(weekday).mean()
    assert by_day["Saturday"] > 1.1 * by_day["Tuesday"]
    # Promotions hold Thursdays more often than others, so compare within a weekday.
    thursday = one[weekday == "Thursday"]
    lift = thursday["demand"].groupby(thursday["promotion"]).mean()
    assert lift[1] > 1.15 * lift[0]
    assert 0.03 < one["promotion"].mean() < 0.25
    assert (one["price"][one["promotion"] == 1].max() < one["price"][one["promotion"] == 0].min()).all()


def test_the_same_day_a_week_ago_tells_more_than_three_days_ago(frame: pd.DataFrame) -> None:
    by_week = []
    for _, one in frame.groupby("product"):
        demand = np.log(one["demand"].to_numpy() + 1.0)
        week, other = (np.corrcoef(demand[lag:], demand[:-lag])[0, 1] for lag in (7, 3))
        assert week > other
        by_week.append(week)
    assert np.mean(by_week) > 0.3


def test_fixed_by_its_seed(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(frame, simulate_demand())
    assert not frame["demand"].equals(simulate_demand(seed=1)["demand"])


def test_too_few_days() -> None:
    with pytest.raises(AutoactError, match="needs 60 days"):
        simulate_demand(59)
