"""Fresh modules of the user's own with all their layers, wherever their code makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.core.errors import AutoactError
from autoact.faces.adopted import adopted
from autoact.training.lightning_session import attached, trainer_from
from autoact.training.quiet import quiet_lightning

_CPU = torch.device("cpu")


def maker_of(
    make_module: Callable[[], Any], datamodule: Any, trainer: Mapping[str, Any]
) -> tuple[Callable[[], Any], Exception | None]:
    """A function that returns fresh modules which can be called, changed and trained.

    ``fit`` runs ``setup`` and ``configure_model`` before it makes the optimiser, and some code makes layers there, as
    many as ``self.trainer.datamodule`` asks for. Activations are changed before ``fit``, so such code is run here,
    under a Trainer that knows the data; ``fit`` does not run it again, which could put fresh layers in the place of
    changed ones. A ``setup`` that makes no layers is left to ``fit``.

    Args:
        make_module: the user's own.
        datamodule: set up.
        trainer: arguments of ``lightning.Trainer``.

    Returns:
        The function, and what ``setup`` raised outside of ``fit``, where it did: then it is left to ``fit``.

    Raises:
        AutoactError: ``make_module`` returns something else.
    """

    def whole(*, with_setup: bool = False) -> Any:
        module = adopted(make_module(), lightning.LightningModule)
        if not isinstance(module, lightning.LightningModule):
            raise AutoactError(f"make_module returns a {type(module).__name__}, not a lightning.LightningModule")
        hooks: dict[str, tuple[Any, ...]] = {"setup": ("fit",)} if with_setup else {}
        hooks |= {"configure_model": ()} if _own(module, "configure_model") else {}
        if not hooks:
            return module
        with quiet_lightning(), attached(trainer_from(trainer, _CPU, []), module, datamodule):
            for name, arguments in hooks.items():
                getattr(module, name)(*arguments)
                module.__dict__[name] = _done
        module.trainer = None
        return module

    makes_layers, problem = _setup_makes_layers(adopted(make_module(), lightning.LightningModule), datamodule, trainer)
    return (lambda: whole(with_setup=True)) if makes_layers else whole, problem


def _setup_makes_layers(module: Any, datamodule: Any, trainer: Mapping[str, Any]) -> tuple[bool, Exception | None]:
    """Whether a module's ``setup`` makes layers, tried on it; and what it raised. Wrapping what is there makes none."""
    if not isinstance(module, lightning.LightningModule) or not _own(module, "setup"):
        return False, None
    before = _layers(module)
    try:
        with quiet_lightning(), attached(trainer_from(trainer, _CPU, []), module, datamodule):
            module.setup("fit")
    except Exception as error:  # of the user's code, which may need more than a Trainer that only knows the data
        return False, error
    # The objects of before are held on to: none of the new ones can have the address of one of them.
    return not {*map(id, _layers(module))} <= {*map(id, before)}, None


def _layers(module: torch.nn.Module) -> list[Any]:
    """The innermost modules, and the weights."""
    return [*(part for part in module.modules() if not any(part.children())), *module.parameters()]


def _own(module: Any, hook: str) -> bool:
    """Whether the user wrote a hook."""
    return is_overridden(hook, module, lightning.LightningModule)


def _done(stage: str | None = None) -> None:
    """Stands in the place of a hook that has been run."""
