"""The user's own callbacks."""

from __future__ import annotations

from collections.abc import Mapping

import lightning
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor, ModelSummary, ProgressBar

from autoact.core.errors import AutoactError
from autoact.user_code.pytorch_lightning import adopted

UNSEEN = "callbacks left out, since a search shows no bars and keeps no logs of single trainings: {}"


def callbacks_in(made: object, where: str = "callbacks") -> list[lightning.Callback]:
    """What a function that makes callbacks returned, one or several, as ``lightning``'s.

    Messages say ``where`` it is set.

    Raises:
        AutoactError: something among them is no callback.

    Example:
        >>> len(callbacks_in(lightning.Callback())), len(callbacks_in([lightning.Callback()]))
        (1, 1)
    """
    several = made if isinstance(made, (list, tuple)) else [made]
    found = []
    for one in several:
        callback = adopted(one, lightning.Callback)
        if not isinstance(callback, lightning.Callback):
            raise AutoactError(f"{where} gives {type(one).__name__}, not a lightning.Callback")
        found.append(callback)
    return found


def unseen(callback: lightning.Callback, trainer: Mapping[str, object]) -> bool:
    """Whether a callback only shows or logs what a search shows and logs nowhere.

    Lightning refuses its bars where bars are off; the others would make candidates train one by one for nothing.

    Example:
        >>> unseen(LearningRateMonitor(), {}), unseen(LearningRateMonitor(), {"logger": True})
        (True, False)
    """
    if isinstance(callback, ProgressBar):
        return not trainer.get("enable_progress_bar")
    if isinstance(callback, ModelSummary):
        return not trainer.get("enable_model_summary")
    # Of others than Lightning's own classes it is not known that they do nothing else.
    return type(callback) in (LearningRateMonitor, DeviceStatsMonitor) and not trainer.get("logger")
