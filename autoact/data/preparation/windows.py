"""Cutting windows out of time series: a history to see, a horizon to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from autoact.data.part import Part


@dataclass(frozen=True)
class Track:
    """One series in time order.

    Attributes:
        values: standardised, **Shape** ``[steps]``.
        known: standardised columns known in advance, **Shape** ``[columns, steps]``.
        part: 0 train, 1 validation, 2 test for each step, never falling.
        rows: row number of each step in the source.
        series: number of the series.
    """

    values: np.ndarray
    known: np.ndarray
    part: np.ndarray
    rows: np.ndarray
    series: int


def window_starts(part: np.ndarray, which: int, history: int, horizon: int) -> np.ndarray:
    """First steps of the windows whose whole horizon lies in one part.

    No step is predicted in two parts. A validation or test history may reach back over the border, as the past is
    known in service; a training window lies in the training part as a whole.

    Example:
        >>> window_starts(np.array([0, 0, 0, 0, 1, 1, 2, 2]), which=1, history=2, horizon=2).tolist()
        [2]
    """
    starts = np.arange(max(0, len(part) - history - horizon + 1))
    first, last = part[starts + history], part[starts + history + horizon - 1]
    return starts[(first == which) & (last == which)]


def naive_error(tracks: Sequence[Track], season: int) -> float | None:
    """The mean absolute error of repeating the value of one season ago, over the training steps of all tracks.

    None where no track is longer than a season (Hyndman and Koehler, 2006: the scale of MASE).

    Example:
        >>> steps = np.array([0.0, 1.0, 0.0, 2.0, 9.0])
        >>> part = np.array([0, 0, 0, 0, 1])
        >>> track = Track(steps, np.empty((0, 5)), part, np.arange(5), 0)
        >>> naive_error([track], 2), naive_error([track], 4)
        (0.5, None)
    """
    trained = [track.values[track.part == 0] for track in tracks]
    errors = [np.abs(values[season:] - values[:-season]) for values in trained if len(values) > season]
    return float(np.concatenate(errors).mean()) if errors else None


@dataclass(frozen=True)
class WindowReader:
    """Makes one part's windows when it is called; picklable."""

    tracks: list[Track]
    which: int
    history: int
    horizon: int

    def starts(self) -> list[np.ndarray]:
        """The first steps of the windows of each track."""
        return [window_starts(t.part, self.which, self.history, self.horizon) for t in self.tracks]

    def __len__(self) -> int:
        return sum(len(starts) for starts in self.starts())

    def __call__(self) -> Part:
        """Cut the windows.

        **Shape**: ``x`` ``[windows, 1 + 2 * known, history]``, ``y`` ``[windows, horizon]``. The channels are the
        series itself, each known column at the same step, and each known column ``horizon`` steps ahead.
        """
        xs, ys, rows, series = [], [], [], []
        for track, starts in zip(self.tracks, self.starts(), strict=True):
            past = starts[:, None] + np.arange(self.history)
            future = starts[:, None] + self.history + np.arange(self.horizon)
            channels = [track.values[past]]
            channels += [column[past] for column in track.known]
            channels += [column[past + self.horizon] for column in track.known]
            xs.append(np.stack(channels, axis=1))
            ys.append(track.values[future])
            rows.append(track.rows[starts + self.history])
            series.append(np.full(len(starts), track.series))
        return Part(
            torch.from_numpy(np.concatenate(xs).astype(np.float32)),
            torch.from_numpy(np.concatenate(ys).astype(np.float32)),
            np.concatenate(rows),
            torch.from_numpy(np.concatenate(series)),
        )

    def __repr__(self) -> str:
        return f"WindowReader({len(self)} windows)"
