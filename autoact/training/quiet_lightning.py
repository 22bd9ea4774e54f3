"""Lightning's messages, kept out of a search that runs it a hundred times."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# MLflow's model flavour imports the older package name.
_LOGGERS = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning")

# Advice about the user's own loaders and logging, repeated with every trial, and deprecations inside the libraries.
_REPEATED = (
    ".*does not have many workers.*",
    ".*num_workers.*",
    ".*The number of training batches.*",
    ".*`Trainer.fit` stopped.*",
    ".*You defined a `validation_step` but have no `val_dataloader`.*",
    ".*Checkpoint directory.*",
    ".*Trying to infer the `batch_size`.*",
    ".*GPU available but not used.*",
    ".*MPS available but not used.*",
    ".*isinstance.treespec, LeafSpec.*",
)


@contextmanager
def _no_autologging() -> Iterator[None]:
    """No training of ours is written into a run of the user's own by ``mlflow.autolog()``."""
    utils = sys.modules.get("mlflow.utils.autologging_utils")
    if utils is None or utils._AUTOLOGGING_GLOBALLY_DISABLED:  # disabled around this block already
        yield
        return
    with utils.disable_autologging():
        yield


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's information and repeated advice, and MLflow's autologging; every other warning passes.

    Raises:
        KeyboardInterrupt: the process was asked to end (SIGTERM) while a Trainer ran. Lightning catches that signal and
            leaves with exit code 0, as though all had been done.

    Example:
        >>> with quiet_lightning():
        ...     pass
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _REPEATED:
            warnings.filterwarnings("ignore", message=message)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(lightning|torch|torchmetrics)\..*")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(lightning|torch|torchmetrics)\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            with _no_autologging():
                yield
        except SystemExit as ended:
            from lightning.pytorch.utilities.exceptions import SIGTERMException

            if isinstance(ended, SIGTERMException):
                raise KeyboardInterrupt from ended
            raise
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
