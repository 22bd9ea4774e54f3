"""Rows are in the order of time, or the column is refused with the setting that orders them."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.columns.time_order import order_of

HOURS = pd.date_range("2024-03-30", periods=60, freq="h")
DAYS = pd.date_range("2024-01-01", periods=60)
IN_ORDER = {
    "over a change of the clock": HOURS.tz_localize("UTC").tz_convert("Europe/Berlin").astype(str),
    "typed, with a zone": HOURS.tz_localize("UTC").tz_convert("Europe/Berlin"),
    "no end": [*DAYS.strftime("%Y-%m-%d"), "9999-12-31"],
    "long ago": [f"{year}-01-01" for year in range(1000, 1100)],
    "durations": [str(pd.Timedelta(hours=k)) for k in range(200)],
    "times": [f"{k:02d}:30" for k in range(24)],
    "typed times": [datetime.time(k) for k in range(24)],
    "proved by the 13th": DAYS.strftime("%m/%d/%Y"),
}


@pytest.mark.parametrize("name", IN_ORDER)
def test_in_order(name: str) -> None:
    column = pd.Series(IN_ORDER[name])
    shuffled = column.sample(frac=1, random_state=0)
    assert shuffled.index[np.argsort(order_of(shuffled, None), kind="stable")].tolist() == list(range(len(column)))


@pytest.mark.parametrize(
    ("form", "typed"),
    [
        ("%d%m%Y", str),
        ("%d%m%Y", int),
        ("%m%d%Y", int),
        ("%d%b%Y", str),
        ("%d-%b-%y", str),
        ("%Y%m%d", int),
    ],
)
def test_dates_in_other_forms_are_in_order_or_the_advice_orders_them(form: str, typed: type) -> None:
    column = pd.Series([typed(day) for day in pd.date_range("2023-12-25", periods=60).strftime(form)], name="t")
    try:
        order = order_of(column, None)
    except AutoactError as error:
        advised = re.search(r"time_format='([^']*)'", str(error))
        assert advised is not None and advised[1] == form
        order = order_of(column, form)
    assert np.argsort(order).tolist() == list(range(60))


@pytest.mark.parametrize("clock", ["", " %H:%M", " %H:%M:%S", " %I:%M %p"])
def test_day_or_month_first_is_asked_where_every_date_can_mean_both(clock: str) -> None:
    moments = pd.to_datetime(["2024-01-02 10:00", "2024-03-04 10:00", "2024-05-01 10:00"])
    column = pd.Series(moments.strftime(f"%d/%m/%Y{clock}"), name="t")
    with pytest.raises(AutoactError, match="can mean the day or the month first") as caught:
        order_of(column, None)
    advised = re.findall(r"time_format='([^']*)'", str(caught.value))
    assert advised == [f"%d/%m/%Y{clock}", f"%m/%d/%Y{clock}"]
    assert np.argsort(order_of(column, advised[0])).tolist() == [0, 1, 2]
    assert np.argsort(order_of(column, advised[1])).tolist() == [2, 0, 1]


def test_plain_numbers_are_no_dates() -> None:
    for values in ([10_000_000, 10_000_001, 10_000_060], [31_122_024.5, 1.0, 2.0], [1_700_000_000, 1_700_000_001]):
        assert order_of(pd.Series(values), None).tolist() == values
    assert order_of(pd.Series(["01/01/2024", "01/01/2024"]), None).tolist() == [1704067200.0] * 2
