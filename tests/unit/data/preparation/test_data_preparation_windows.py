"""Windows: no step is predicted in two parts, and nothing of the future is seen."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from autoact.data.preparation.windows import Track, WindowReader, naive_error, window_starts

STEPS, HISTORY, HORIZON = 60, 6, 3


@pytest.fixture
def track() -> Track:
    part = np.repeat([0, 1, 2], [36, 12, 12])
    values = np.arange(float(STEPS))
    return Track(values, np.stack([values + 1000.0]), part, np.arange(STEPS) + 5, 0)


def test_predicted_steps_are_disjoint_between_parts(track: Track) -> None:
    predicted = []
    for which in range(3):
        part = WindowReader([track], which, HISTORY, HORIZON)()
        steps = set(part.y.numpy().ravel().astype(int).tolist())
        assert all(track.part[step] == which for step in steps)
        predicted.append(steps)
    assert not (predicted[0] & predicted[1] or predicted[1] & predicted[2])


def test_training_windows_lie_in_the_training_part_as_a_whole(track: Track) -> None:
    part = WindowReader([track], 0, HISTORY, HORIZON)()
    assert part.x[:, 0].max() < 36 and part.y.max() == 35 and len(part) == 36 - HISTORY - HORIZON + 1


def test_channels_are_history_known_and_known_ahead(track: Track) -> None:
    part = WindowReader([track], 1, HISTORY, HORIZON)()
    assert part.x.shape == (10, 3, HISTORY) and part.y.shape == (10, HORIZON)
    own, now, ahead = part.x[0]
    assert own.tolist() == [30, 31, 32, 33, 34, 35] and part.y[0].tolist() == [36, 37, 38]
    assert (now - 1000).tolist() == own.tolist()
    assert (ahead[-HORIZON:] - 1000).tolist() == part.y[0].tolist()
    assert part.rows[0] == 36 + 5


def test_series_are_told_apart(track: Track) -> None:
    other = Track(track.values, track.known, track.part, track.rows, 1)
    part = WindowReader([track, other], 2, HISTORY, HORIZON)()
    assert part.series is not None and part.series.tolist() == [0] * 10 + [1] * 10


def test_too_short_gives_no_window() -> None:
    assert window_starts(np.zeros(5, dtype=int), 0, 4, 2).tolist() == []
    assert window_starts(np.zeros(6, dtype=int), 0, 4, 2).tolist() == [0]


def test_readers_survive_pickling_and_hide_their_data(track: Track) -> None:
    reader = WindowReader([track], 2, HISTORY, HORIZON)
    assert len(pickle.loads(pickle.dumps(reader))()) == len(reader) == 10
    assert repr(reader) == "WindowReader(10 windows)"


def test_the_naive_forecast_repeats_one_season_inside_the_training_part_of_each_track(track: Track) -> None:
    other = Track(np.tile([0.0, 1.0], STEPS // 2), track.known, track.part, track.rows, 1)
    assert naive_error([track], 1) == 1.0 and naive_error([track], 7) == 7.0
    assert naive_error([track, other], 2) == pytest.approx((2.0 + 0.0) / 2)
    later = track.values + np.where(track.part > 0, 100.0 * np.arange(STEPS), 0.0)  # what comes later is not looked at
    assert naive_error([Track(later, track.known, track.part, track.rows, 0)], 1) == 1.0
    assert naive_error([track], 36) is None
