"""Fresh modules of the user's own with all their layers, wherever their code makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import lightning
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.core.errors import AutoactError, first_line
from autoact.sites.tracing.torch_transformer import copied_model
from autoact.training.lightning_session import attached, trainer_from
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.random_state import random_state, restore_random_state
from autoact.user_code.pytorch_lightning import adopted

MakeModule: TypeAlias = Callable[[], lightning.LightningModule]

_CPU = torch.device("cpu")


def maker_of(
    make_module: MakeModule, datamodule: lightning.LightningDataModule, trainer: Mapping[str, object]
) -> tuple[MakeModule, Exception | None]:
    """A function that returns fresh modules which can be called, changed and trained.

    ``fit`` runs ``setup`` and ``configure_model`` before it makes the optimiser, and some code makes layers there, as
    many as ``self.trainer.datamodule`` asks for. Activations are changed before ``fit``, so such code is run here,
    under a Trainer that knows the data; ``fit`` does not run it again, which could put fresh layers in the place of
    changed ones. A ``setup`` that makes no layers is left to ``fit``.

    Modules that hold one network between them (made outside of the function, or as the default of an argument) are
    copied: a training would otherwise go on with the weights of the one before.

    Returns:
        The function, and what ``setup`` raised outside of ``fit``, where it did: then it is left to ``fit``.

    Raises:
        AutoactError: ``make_module`` returns something else.
    """
    first = adopted(make_module(), lightning.LightningModule)
    fresh = _copied(make_module) if _share(first, make_module) else make_module

    def whole(*, with_setup: bool = False) -> lightning.LightningModule:
        module = adopted(fresh(), lightning.LightningModule)
        if not isinstance(module, lightning.LightningModule):
            raise AutoactError(f"make_module returns a {type(module).__name__}, not a lightning.LightningModule")
        hooks: dict[str, tuple[str, ...]] = {"setup": ("fit",)} if with_setup else {}
        hooks |= {"configure_model": ()} if _own(module, "configure_model") else {}
        if not hooks:
            return module
        with quiet_lightning(), attached(trainer_from(trainer, _CPU, []), module, datamodule):
            for name, arguments in hooks.items():
                getattr(module, name)(*arguments)
                module.__dict__[name] = _done
        module.trainer = None
        return module

    first = first if fresh is make_module else adopted(fresh(), lightning.LightningModule)
    makes_layers, problem = _setup_makes_layers(first, datamodule, trainer)
    return (lambda: whole(with_setup=True)) if makes_layers else whole, problem


def _share(one: object, make_module: MakeModule) -> bool:
    """Whether what a function returned first has layers or weights in common with what it returns next."""
    if not isinstance(one, torch.nn.Module):
        return False
    state = random_state()
    other = make_module()
    restore_random_state(state)
    return not {*map(id, _parts(one))}.isdisjoint(map(id, _parts(other)))


def _parts(module: torch.nn.Module) -> list[torch.nn.Module | torch.Tensor]:
    """All that a training of a module changes."""
    return [*module.modules(), *module.parameters(), *module.buffers()]


def _copied(make_module: MakeModule) -> MakeModule:
    """A function that returns copies of what another one returns.

    Raises:
        AutoactError: it cannot be copied.
    """

    def copied() -> lightning.LightningModule:
        made = make_module()
        try:
            return copied_model(made)
        except Exception as error:  # of the user's code, or of tensors that are results
            raise AutoactError(
                f"the modules that make_module returns share layers, which cannot be copied ({type(error).__name__}: "
                f"{first_line(error)}): make all layers inside of the function, for each module its own"
            ) from error

    return copied


def _setup_makes_layers(
    module: object, datamodule: lightning.LightningDataModule, trainer: Mapping[str, object]
) -> tuple[bool, Exception | None]:
    """Whether a module's ``setup`` makes layers, tried on it; and what it raised. Wrapping what is there makes none."""
    if not isinstance(module, lightning.LightningModule) or not _own(module, "setup"):
        return False, None
    before = _layers(module)
    try:
        with quiet_lightning(), attached(trainer_from(trainer, _CPU, []), module, datamodule):
            module.setup("fit")
    except Exception as error:  # of the user's code, which may need more than a Trainer that only knows the data
        return False, error
    # The objects of before are still referred to: none of the new ones can have the address of one of them.
    return not {*map(id, _layers(module))} <= {*map(id, before)}, None


def _layers(module: torch.nn.Module) -> list[torch.nn.Module | torch.Tensor]:
    return [*(part for part in module.modules() if not any(part.children())), *module.parameters()]


def _own(module: lightning.LightningModule, hook: str) -> bool:
    return is_overridden(hook, module, lightning.LightningModule)


def _done(stage: str | None = None) -> None:
    """Stands in the place of a hook that has been run."""
