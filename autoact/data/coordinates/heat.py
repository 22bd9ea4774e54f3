"""The heat equation on a rod, as points: those where the equation must hold, those on the rim, and held-out ones.

``u_t = k u_xx`` for x and t from 0 to 1, with ``u(x, 0) = sin(pi x)`` and ``u(0, t) = u(1, t) = 0``, has the solution
``exp(-k pi^2 t) sin(pi x)``. Training points never hold a value of it inside: there the equation alone teaches.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError, unknown
from autoact.data.coordinates.points import FEWEST, points, refuse_columns
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings

EQUATIONS = ("heat",)
DIFFUSIVITY = 0.1
"""k in ``u_t = k u_xx``."""
INSIDE, RIM, HELD_OUT = 1536, 512, 2000


def solution(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The temperature.

    Example:
        >>> float(solution(np.array(0.5), np.array(0.0)))
        1.0
    """
    return np.exp(-DIFFUSIVITY * np.pi**2 * t) * np.sin(np.pi * x)


def prepare_heat(settings: DataSettings, *, whole: bool = False) -> PreparedData:
    """Training points are drawn by ``data.seed``; held-out points are divided as ``data.validation`` to ``data.test``.

    ``y`` of a training point is the temperature on the rim, which is given, and 0 inside, what ``u_t - k u_xx`` has to
    be; of a held-out point it is the solution. A last training (``whole``) has the same points: held-out ones hold what
    is to be found out.

    Raises:
        AutoactError: settings that fit a table, or too few points.

    Example:
        >>> prepare_heat(DataSettings(source="equation", name="heat")).sizes
        {'train': 2048, 'validation': 857, 'test': 1143}
    """
    refuse_columns(settings, "equation")
    _check_name(settings)
    inside, rim, held = INSIDE, RIM, HELD_OUT
    if settings.max_rows is not None and settings.max_rows < inside + rim + held:
        if settings.max_rows < FEWEST:
            raise AutoactError(f"data.max_rows={settings.max_rows} must be {FEWEST} or more: points inside and out")
        share = settings.max_rows / (inside + rim + held)
        rim, held = max(int(rim * share), 4), max(int(held * share), 4)
        inside = settings.max_rows - rim - held
    random = np.random.default_rng(settings.seed)
    x = random.random((inside + rim + held, 2))
    edge = x[inside : inside + rim]
    start, left, right = (edge[k::4] for k in (0, 1, 2))
    start[:, 1], left[:, 0], right[:, 0] = 0.0, 0.0, 1.0
    edge[3::4, 1] = 0.0
    # The rim holds its coordinate exactly: a recipe that learns it can tell the two sorts of points by that.
    y = solution(x[:, 0], x[:, 1])
    y[:inside] = 0.0
    y[inside : inside + rim][1::4] = y[inside : inside + rim][2::4] = 0.0
    count = max(round(held * settings.validation / (settings.validation + settings.test)), 1)
    first = inside + rim
    rows = np.arange(len(x))
    return points(
        settings,
        "heat",
        x=x,
        y=y[:, None],
        rows={"train": rows[:first], "validation": rows[first : first + count], "test": rows[first + count :]},
        features=["x", "t"],
        target="temperature",
        name="heat",
        description=f"the heat equation u_t = {DIFFUSIVITY:g} u_xx and its analytic solution",
        split="drawn",
        notes=["the solution is known at held-out points alone; training points teach the equation and the rim"],
    )


def heat_table(settings: DataSettings) -> pd.DataFrame:
    """All points as rows of a table, for lists of what there is."""
    _check_name(settings)
    points_of = np.random.default_rng(settings.seed).random((INSIDE + RIM + HELD_OUT, 2))
    return pd.DataFrame({"x": points_of[:, 0], "t": points_of[:, 1], "temperature": solution(*points_of.T)})


def _check_name(settings: DataSettings) -> None:
    if settings.name not in EQUATIONS:
        raise unknown("equation (data.name)", settings.name, EQUATIONS)
