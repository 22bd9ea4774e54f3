"""What a step of the user's own module hands to ``forward``: the way to call it that no form of the batch tells."""

from __future__ import annotations

import inspect
import warnings
from typing import NoReturn

import lightning
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.core.value_holders import Batch
from autoact.training.quiet_lightning import quiet_lightning

_STEPS = ("training_step", "validation_step", "test_step", "predict_step")


class _Called(BaseException):
    """Ends a step where it calls the model: no handler of the user's own catches it."""

    def __init__(self, args: tuple[Batch, ...], kwargs: dict[str, Batch]) -> None:
        super().__init__()
        self.given, self.named = args, kwargs


def given_by_step(module: lightning.LightningModule, batch: Batch) -> Batch:
    """The arguments that a step calls ``forward`` with, as ``call_model`` takes them; None where no step does.

    Steps run as far as that call: ``training_step``, then the others.

    Example:
        >>> class Net(lightning.LightningModule):
        ...     def forward(self, x): return 2 * x
        ...     def training_step(self, batch, batch_idx): return self(batch["pixels"]).sum()
        >>> given_by_step(Net(), {"label": torch.zeros(1), "pixels": torch.ones(2)})
        tensor([1., 1.])
    """
    if not is_overridden("forward", module, lightning.LightningModule):
        return None
    modes = [(part, part.training) for part in module.modules()]
    own = module.__dict__.get("forward")

    def forward(*args: Batch, **kwargs: Batch) -> NoReturn:
        raise _Called(args, kwargs)

    module.__dict__["forward"] = forward
    try:
        module.eval()
        calls = (_call_of(module, step, batch) for step in _STEPS)
        return next((given for given in calls if given is not None), None)
    finally:
        module.__dict__.pop("forward")
        module.__dict__.update({} if own is None else {"forward": own})
        for part, mode in modes:
            part.training = mode


def _call_of(module: lightning.LightningModule, step: str, batch: Batch) -> Batch:
    """What one step calls ``forward`` with."""
    if not is_overridden(step, module, lightning.LightningModule):
        return None
    # After the batch come its number and its loader's, under whatever names, as far as the step has places for them.
    places = min(len(inspect.signature(getattr(module, step)).parameters) - 1, 2)
    try:
        with quiet_lightning(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that there is no Trainer, to which self.log could write
            getattr(module, step)(batch, *([0] * places))
    except _Called as called:
        if not called.named:
            alone = len(called.given) == 1 and isinstance(called.given[0], torch.Tensor)
            return called.given[0] if alone else called.given
        bound = inspect.signature(type(module).forward).bind(module, *called.given, **called.named).arguments
        return {name: value for name, value in bound.items() if value is not module}
    except Exception:  # of the user's code, which may need a Trainer: perhaps another step does not
        return None
    return None
