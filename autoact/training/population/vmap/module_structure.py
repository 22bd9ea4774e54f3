"""What modules are made of beside tensors: layers, hooks on them and modes, which members' own code may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.population.vmap.stacked_parameters import names_of
from autoact.training.state.module_state import hooks_of


class Structure:
    """The layers of the members' modules when the template, whose module is ``base``, was copied from one of them.

    A layer that a member's own hook puts in the place of another, or a hook that it registers, would not reach the
    template. Modes do, where they are equal: layers that a hook sets to evaluation.

    Example:
        >>> base, member = nn.Sequential(nn.Dropout()), nn.Sequential(nn.Dropout())
        >>> structure = Structure(base, [member])
        >>> member[0] = member[0].eval()
        >>> structure.follow([member], "on_train_start")
        >>> base[0].training
        False
        >>> member[0] = nn.Identity()
        >>> structure.follow([member], "on_train_start")
        Traceback (most recent call last):
        ...
        autoact.training.population.vmap.errors.CannotBatchError: on_train_start replaces layers
    """

    def __init__(self, base: nn.Module, modules: Sequence[nn.Module]) -> None:
        self._base = base
        self._layers = {id(module): _layers(module) for module in modules}
        self._tensors = {id(module): names_of(module) for module in modules}
        self._hooks = {id(module): hooks_of(module) for module in modules}

    def follow(self, modules: Sequence[nn.Module], name: str) -> None:
        """The members' own ``name`` has run: the template takes over modes.

        Raises:
            CannotBatchError: layers, tensors or hooks on them have changed, or modes differ between members.
        """
        for module in modules:
            if _layers(module) != self._layers[id(module)] or names_of(module) != self._tensors[id(module)]:
                raise CannotBatchError(f"{name} replaces layers")
            if hooks_of(module) != self._hooks[id(module)]:
                raise CannotBatchError(f"{name} registers hooks on layers or weights")
        parts = [dict(module.named_modules()) for module in modules]
        for path, part in self._base.named_modules():
            modes = {mine[path].training for mine in parts if path in mine}
            if len(modes) > 1:
                where = f"self.{path}.training".replace("..", ".")
                raise CannotBatchError(f"{where} differs between candidates after {name}")
            part.training = modes.pop() if modes else part.training


def _layers(module: nn.Module) -> Mapping[str, nn.Module]:
    """Every layer by every path: as long as it is here, no other one gets its address."""
    return dict(module.named_modules(remove_duplicate=False))
