"""The Trainer that a datamodule sees before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping

import lightning
import torch

from autoact.training.lightning_session import trainer_from
from autoact.training.state.random_state import random_state, restore_random_state
from autoact.user_code.make_module import MakeModule
from autoact.user_code.pytorch_lightning import adopted


class _Model:
    """A module that is made when it is first asked for, which most datamodules never do."""

    def __init__(self, make_module: MakeModule) -> None:
        self._make = make_module
        self._made: lightning.LightningModule | None = None

    def __call__(self) -> lightning.LightningModule:
        if self._made is None:
            state = random_state()  # the split that setup draws does not depend on who asks for the module
            self._made = adopted(self._make(), lightning.LightningModule)
            restore_random_state(state)
        return self._made

    def __getstate__(self) -> dict[str, object]:
        return {"_make": self._make, "_made": None}


def unfitted(make_module: MakeModule, trainer: Mapping[str, object]) -> lightning.Trainer:
    """A Trainer whose ``lightning_module`` is there, as it is in ``fit`` when the datamodule is set up.

    Example:
        >>> unfitted(lightning.LightningModule, {"max_epochs": 2}).lightning_module
        LightningModule()
    """
    made = trainer_from(trainer, torch.device("cpu"), [])
    own, model = type(made.strategy), _Model(make_module)
    known = {"lightning_module": property(lambda self: self._lightning_module or model())}
    made.strategy.__class__ = type(own.__name__, (own,), known)
    return made
