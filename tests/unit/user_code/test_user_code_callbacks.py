"""Callbacks of the user's own: one or several, and which of them have nothing to do in a search."""

from __future__ import annotations

import lightning
import pytest
from lightning.pytorch import callbacks

from autoact.core.errors import AutoactError
from autoact.user_code.callbacks import callbacks_in, unseen


class Bar(callbacks.TQDMProgressBar):
    """A bar of the user's own."""


class Rates(callbacks.LearningRateMonitor):
    """May do more than Lightning's."""


def test_one_or_several() -> None:
    one = lightning.Callback()
    assert callbacks_in(one) == callbacks_in([one]) == callbacks_in((one,)) == [one]
    with pytest.raises(AutoactError, match=r"callbacks gives int, not a lightning\.Callback"):
        callbacks_in([one, 3])


@pytest.mark.parametrize(
    ("callback", "trainer", "left_out"),
    [
        (Bar(), {}, True),
        (Bar(), {"enable_progress_bar": True}, False),
        (callbacks.RichModelSummary(), {}, True),
        (callbacks.ModelSummary(), {"enable_model_summary": True}, False),
        (callbacks.DeviceStatsMonitor(), {}, True),
        (callbacks.LearningRateMonitor(), {"logger": False}, True),
        (Rates(), {}, False),
        (callbacks.EarlyStopping("x"), {}, False),
        (callbacks.ModelCheckpoint(), {}, False),
    ],
)
def test_what_only_shows_or_logs(callback: lightning.Callback, trainer: dict[str, bool], left_out: bool) -> None:
    assert unseen(callback, trainer) is left_out
