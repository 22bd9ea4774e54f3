"""Simulated daily demand of a shop's products, made by a documented process.

One row per day and product: ``date``, ``product``, ``price``, ``promotion`` (known in advance), ``demand`` (whole
units). For each product with level b:

    expected = b * trend * week * year * price ** elasticity * promotion
    demand   = round(expected * exp(noise)), never below 0

- trend: between -5 % and +15 % a year, with one change of slope after half of the time;
- week: a pattern per product, strongest on Friday and Saturday;
- year: one or two waves with a phase per product, and a rise in the three weeks before Christmas;
- promotion: starts on a Thursday in about one of six weeks, lasts 4 to 7 days, cuts the price by 15-30 % and lifts
  demand by itself; buyers stock up, so the 5 days after it sell 15 % less;
- noise: autoregressive (0.5) with a standard deviation near 0.15, from sums of uniform numbers.

The process was set by plausibility. No network was ever trained to shape it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError

DAYS = 1461
PRODUCTS = ("coffee", "tea", "juice", "bread", "cheese")
_WEEK = np.array([0.90, 0.85, 0.90, 1.00, 1.25, 1.35, 0.75])


def simulate_demand(days: int = DAYS, seed: int = 0) -> pd.DataFrame:
    """Daily demand from 2020-01-01 on, rows ordered by day, then product.

    Args:
        days: number of days, 60 or more; 1,461 are four years.
        seed: of NumPy's PCG64.

    Raises:
        AutoactError: fewer than 60 days.

    Example:
        >>> frame = simulate_demand()
        >>> frame.shape, list(frame.columns)
        ((7305, 5), ['date', 'product', 'price', 'promotion', 'demand'])
    """
    if days < 60:
        raise AutoactError(f"simulated demand needs 60 days or more, not {days}")
    random = np.random.Generator(np.random.PCG64(seed))
    dates = pd.date_range("2020-01-01", periods=days, freq="D")
    products = [_product(name, dates, random) for name in PRODUCTS]
    frame = pd.concat(products, ignore_index=True)
    return frame.sort_values(["date", "product"], kind="stable", ignore_index=True)


def _product(name: str, dates: pd.DatetimeIndex, random: np.random.Generator) -> pd.DataFrame:
    level = 40.0 + 160.0 * random.random()
    list_price = 2.0 + 6.0 * random.random()
    elasticity = -(1.0 + 0.8 * random.random())
    promotion, discount = _promotions(dates, random)
    price = list_price * (1.0 - discount)
    expected = level * _trend(len(dates), random) * _week(dates, random) * _year(dates, random)
    expected *= (price / list_price) ** elasticity * (1.0 + 0.25 * promotion) * (1.0 - 0.15 * _after(promotion))
    demand = np.maximum(np.round(expected * np.exp(_noise(len(dates), random))), 0.0)
    return pd.DataFrame(
        {
            "date": dates.strftime("%Y-%m-%d"),
            "product": name,
            "price": np.round(price, 2),
            "promotion": promotion.astype("int64"),
            "demand": demand.astype("int64"),
        }
    )


def _trend(days: int, random: np.random.Generator) -> np.ndarray:
    slopes = -0.05 + 0.20 * random.random(2)
    years = np.arange(days) / 365.25
    middle = years[days // 2]
    return 1.0 + slopes[0] * np.minimum(years, middle) + slopes[1] * np.maximum(years - middle, 0.0)


def _week(dates: pd.DatetimeIndex, random: np.random.Generator) -> np.ndarray:
    pattern = 1.0 + (0.6 + 0.8 * random.random()) * (_WEEK - 1.0)
    return pattern[dates.day_of_week.to_numpy()]


def _year(dates: pd.DatetimeIndex, random: np.random.Generator) -> np.ndarray:
    angle = 2.0 * np.pi * dates.day_of_year.to_numpy() / 365.25
    strength, phase = 0.05 + 0.20 * random.random(2), 2.0 * np.pi * random.random(2)
    wave = strength[0] * np.sin(angle + phase[0]) + 0.4 * strength[1] * np.sin(2.0 * angle + phase[1])
    advent = (dates.month.to_numpy() == 12) & (dates.day.to_numpy() >= 3) & (dates.day.to_numpy() <= 24)
    return 1.0 + wave + 0.2 * random.random() * advent


def _promotions(dates: pd.DatetimeIndex, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """0/1 for each day, and the discount."""
    promotion, discount = np.zeros(len(dates)), np.zeros(len(dates))
    for start in np.flatnonzero(dates.day_of_week.to_numpy() == 3):
        draw = random.random(3)
        if draw[0] < 1.0 / 6.0:
            stop = start + 4 + int(4.0 * draw[1])
            promotion[start:stop] = 1.0
            discount[start:stop] = 0.15 + 0.15 * draw[2]
    return promotion, discount


def _after(promotion: np.ndarray) -> np.ndarray:
    """1 on the five days that follow a promotion."""
    recent = np.zeros(len(promotion))
    for lag in range(1, 6):
        recent[lag:] = np.maximum(recent[lag:], promotion[:-lag])
    return recent * (1.0 - promotion)


def _noise(days: int, random: np.random.Generator) -> np.ndarray:
    """Autoregressive noise, standard deviation near 0.15."""
    shocks = 0.13 * (random.random((days, 12)).sum(axis=1) - 6.0)
    noise = np.empty(days)
    last = 0.0
    for day, shock in enumerate(shocks):
        last = 0.5 * last + shock
        noise[day] = last
    return noise
