"""The private names of torch that finding sites needs, in one place."""

from autoact.core.imports import private_name_gone

try:
    from torch._C import DisableTorchFunction
    from torch._ops import OpOverload
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._python_dispatch import _disable_current_modes as without_dispatch_modes
except ImportError as error:
    raise private_name_gone("torch", error, needed_for="seeing what a model computes") from error

__all__ = ["DisableTorchFunction", "DispatchMode", "OpOverload", "without_dispatch_modes"]


class DispatchMode(TorchDispatchMode):
    """Sees whatever torch runs, however it was called."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch asks; otherwise it imports its compiler, which takes longer than all else here."""
        return False

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        return self.ran(function, args, kwargs or {})

    def ran(self, function: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Run what torch is about to run; the result is what the model gets."""
        raise NotImplementedError
