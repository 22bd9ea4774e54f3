"""Preparing forecasts: tables whose rows are moments, split in time, cut into windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import as_text, numbers
from autoact.data.columns.dtype_readings import tidy
from autoact.data.columns.number_formats import NumberForm, form_of
from autoact.data.columns.time_order import order_of
from autoact.data.preparation.fingerprint import content_hash, data_fingerprint
from autoact.data.preparation.preprocessing import unique_name
from autoact.data.preparation.split import split_rows
from autoact.data.preparation.table_checks import check_columns
from autoact.data.preparation.tables import subset
from autoact.data.preparation.windows import Track, WindowReader, naive_error
from autoact.data.prepared_data import PreparedData, TargetScale
from autoact.data.sealed_test import PreparedTest
from autoact.data.settings import DataSettings
from autoact.data.sources.load import LoadedTable


def prepare_forecast(table: LoadedTable, settings: DataSettings, *, whole: bool = False) -> PreparedData:
    """Order in time, split in time, standardise by the training steps, cut windows, seal the last part.

    Every series of ``data.series`` (within every group of ``data.group``) gives windows of its own and has a mean
    and deviation of its own. See ``prepare`` for ``whole``; the validation windows are then the training windows.

    Raises:
        AutoactError: what is wrong with the table or the settings, in one line.
    """
    settings = _with_defaults(settings, table)
    frame = _checked(table, settings)
    part = np.full(len(frame), -1, dtype="int8")
    order = frame["order"].to_numpy()
    keep = subset(len(frame), "time", settings, order)
    split = split_rows(len(keep), "time", settings, order=order[keep])
    for which, rows in enumerate((split.train, split.validation, split.test)):
        part[keep[rows]] = 0 if whole and which == 1 else which
    tracks, scale, notes = _tracks(frame, part, settings)
    readers = [WindowReader(tracks, which, settings.history, settings.horizon) for which in (0, 0 if whole else 1, 2)]
    for name, reader in zip(("training", "validation", "test"), readers, strict=True):
        if len(reader) == 0:
            raise AutoactError(
                f"the {name} part is too short for one window of data.history={settings.history} and "
                f"data.horizon={settings.horizon}: more rows, or smaller ones"
            )
    features, train = _feature_names(settings), readers[0]()
    content = [(name, frame[name].to_numpy()) for name in ("order", *settings.series, *settings.known)]
    content.append(("group", frame["group"].to_numpy(dtype=object)))
    return PreparedData(
        kind="forecast",
        name=table.name,
        description=table.description,
        simulated=table.simulated,
        train=train,
        validation=readers[1](),
        test=PreparedTest(readers[2], len(readers[2]), _test_hash(frame[part == 2], settings), train=train),
        input_shape=(len(features), settings.history),
        outputs=settings.horizon,
        features=features,
        target=", ".join(settings.series),
        split="time",
        seed=settings.seed,
        fingerprint=data_fingerprint("forecast", content_hash(content), settings),
        target_scale=scale,
        notes=[*table.notes, *notes],
        season=settings.season or 1,
        season_known=settings.season is not None,
        naive_error=naive_error(tracks, settings.season or 1),
    )


def _with_defaults(settings: DataSettings, table: LoadedTable) -> DataSettings:
    """The simulated shop says itself what its columns mean."""
    if table.simulated and table.name == "demand":
        return replace(
            settings,
            series=settings.series or ["demand"],
            known=settings.known or ["promotion"],
            time=settings.time or "date",
            group=settings.group or "product",
            season=settings.season or 7,
        )
    return settings


def _checked(table: LoadedTable, settings: DataSettings) -> pd.DataFrame:
    """The needed columns as numbers, with ``order`` and ``group``, sorted by group, then time."""
    if not settings.series:
        columns = ", ".join(str(c) for c in table.frame.columns)
        raise AutoactError(f"data.series is not set: which columns are to be forecast? Columns: {columns}")
    if table.test_frame is not None:
        raise AutoactError("data.test_path is not for forecasts: the last rows in time are the test part")
    if settings.known and settings.horizon > settings.history:
        raise AutoactError(
            f"data.known needs data.history ({settings.history}) to be no shorter than "
            f"data.horizon ({settings.horizon})"
        )
    check_columns(table.frame, settings, {"data.time": settings.time, "data.group": settings.group})
    _refuse_repeated(settings)
    frame = tidy(table.frame, settings.missing, settings.strip)
    needed: dict[str, object] = {}
    for name in (*settings.series, *settings.known):
        needed[name] = numbers(frame[name], form=form_of(frame[name], NumberForm.of(settings)), settings=settings)
        gaps = np.flatnonzero(frame[name].isna())
        if len(gaps):
            raise AutoactError(
                f"column {name!r} has no value in {len(gaps)} rows (the first is row {gaps[0] + 1}): fill them before"
            )
    rows = np.arange(len(frame))
    needed["order"] = rows if settings.time is None else order_of(frame[settings.time], settings.time_format)
    needed["group"] = "" if settings.group is None else as_text(frame[settings.group]).fillna("missing")
    needed["row"] = rows
    done = pd.DataFrame(needed).sort_values(["group", "order"], kind="stable", ignore_index=True)
    repeated = done.duplicated(["group", "order"])
    if repeated.any():
        row = int(done.loc[repeated, "row"].iloc[0])
        raise AutoactError(
            f"time column {settings.time!r} holds the same moment twice (row {row + 1}): "
            f"set data.group to the column that tells the series apart"
        )
    return done


def _refuse_repeated(settings: DataSettings) -> None:
    """Refuse a column that is forecast and known in advance, or named twice: it would be two inputs of one name."""
    named = [*settings.series, *settings.known]
    repeated = [name for name in dict.fromkeys(named) if named.count(name) > 1]
    if repeated and repeated[0] in settings.series and repeated[0] in settings.known:
        raise AutoactError(
            f"column {repeated[0]!r} is in data.series and in data.known: what is forecast is not known; keep one"
        )
    if repeated:
        where = "data.series" if repeated[0] in settings.series else "data.known"
        raise AutoactError(f"{where} lists {repeated[0]!r} more than once: list it once")


def _feature_names(settings: DataSettings) -> list[str]:
    """The names of the inputs, each one once: the columns' own names come first.

    Example:
        >>> _feature_names(DataSettings(series=["a", "b"], known=["series", "x"], horizon=7))
        ['series_2', 'series', 'x', 'series in 7 steps', 'x in 7 steps']
    """
    taken = set(settings.known)
    names = [settings.series[0] if len(settings.series) == 1 else unique_name("series", taken), *settings.known]
    taken.update(names)
    for name in settings.known:
        names.append(unique_name(f"{name} in {settings.horizon} steps", taken))
        taken.add(names[-1])
    return names


def _tracks(
    frame: pd.DataFrame, part: np.ndarray, settings: DataSettings
) -> tuple[list[Track], TargetScale, list[str]]:
    """One track for each group and series, standardised by the training steps."""
    train = part == 0
    known_scale = TargetScale.of(frame.loc[train, settings.known].to_numpy(dtype="float64"), list(settings.known))
    known = ((frame[settings.known].to_numpy(dtype="float64") - known_scale.mean) / known_scale.std).T
    tracks: list[Track] = []
    means: list[float] = []
    stds: list[float] = []
    names: list[str] = []
    notes: list[str] = []
    for group, rows_of_group in frame.groupby("group", sort=True).indices.items():
        index = np.asarray(rows_of_group)
        index = index[part[index] >= 0]
        steps = np.diff(frame["order"].to_numpy()[index])
        if len(steps) and not np.allclose(steps, steps[0]):
            notes.append(f"{group or 'the rows'}: the steps in time are not evenly spaced")
        for column in settings.series:
            name = " ".join(filter(None, (str(group), column if len(settings.series) > 1 or not group else "")))
            values = frame[column].to_numpy()[index]
            fitted = values[part[index] == 0]
            if len(fitted) == 0 or np.ptp(fitted) == 0:
                state = "no rows" if len(fitted) == 0 else "a constant value"
                raise AutoactError(f"series {name!r} has {state} in the training part: leave it out")
            mean, std = float(fitted.mean()), float(fitted.std())
            rows = frame["row"].to_numpy()[index]
            tracks.append(Track((values - mean) / std, known[:, index], part[index], rows, len(tracks)))
            means.append(mean)
            stds.append(std)
            names.append(unique_name(name, names))
    return tracks, TargetScale(np.array(means), np.array(stds), names), notes


def _test_hash(frame: pd.DataFrame, settings: DataSettings) -> str:
    """Identity of the test steps, whatever windows are cut from them."""
    pieces = [(name, frame[name].to_numpy()) for name in ("order", *settings.series)]
    return content_hash([*pieces, ("group", frame["group"].to_numpy(dtype=object))])
