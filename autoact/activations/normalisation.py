"""What stands in the place of a normalisation: a function of each number, with the scale and shift that stood there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.modules import ActivationModule
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError


class NormalisationModule(ActivationModule):
    """``weight * f(x, *parameters) + bias`` in the place of a normalisation, whose weight and bias it has.

    ``f`` is the function of a row of the family ``normalisation``, such as ``tanh(alpha x)`` (Zhu et al., Transformers
    without Normalization, 2025). Each of its parameters is an ``nn.Parameter`` of one number that starts at the
    choice's value. ``weight`` and ``bias`` are the very parameters of what stood there, under their names; where it had
    none (``elementwise_affine=False``, ``nn.RMSNorm``), there is none.

    Shape:
        - Input: ``[..., *normalized_shape]``.
        - Output: the input's.

    Example:
        >>> norm = nn.LayerNorm(3)
        >>> new = NormalisationModule("dynamic_tanh", norm)
        >>> new(torch.tensor([[0.0, 2.0, -2.0]])).detach().round(decimals=4)
        tensor([[ 0.0000,  0.7616, -0.7616]])
        >>> new.weight is norm.weight, list(new.state_dict())
        (True, ['weight', 'bias', 'alpha'])
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, choice: str | Choice, replaced: nn.Module) -> None:
        """Take over what ``replaced`` holds, and create the parameters.

        Raises:
            AutoactError: the choice is none that can stand in the place of a normalisation.
        """
        super().__init__(choice)
        if not (self.activation.normalisation and self.activation.learnable):
            raise AutoactError(f"{self.choice} cannot be put in the place of a normalisation: {_allowed()}")
        self.normalized_shape = tuple(replaced.normalized_shape)  # type: ignore[arg-type]
        # Transformer layers of torch compare the eps of their two normalisations.
        self.eps = replaced.eps
        for name in ("weight", "bias"):
            self.register_parameter(name, getattr(replaced, name, None))
        like = self.weight if self.weight is not None else torch.empty(0)
        for name, value in self._named.items():
            self.register_parameter(name, nn.Parameter(torch.full((1,), value, dtype=like.dtype, device=like.device)))

    def reset_parameters(self) -> None:
        """Scale 1 and shift 0, as torch's normalisations begin."""
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            if self._parameters[name] is not None:
                nn.init.constant_(self._parameters[name], value)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """The function of each number in ``x``, scaled and shifted along the last axes."""
        y = self.activation.function(x, *(self._parameters[name] for name in self.activation.parameter_names))
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """The choice, and the axes that it scales."""
        return f"{self.choice}, {self.normalized_shape}"


def recognise_normalisation(module: nn.Module) -> Choice | None:
    """The normalisation of the catalogue that ``module`` computes, or what stands in its place; None for all else.

    Subclasses of ``nn.LayerNorm`` and ``nn.RMSNorm`` with a forward of their own count where its values are torch's.

    Example:
        >>> str(recognise_normalisation(nn.LayerNorm(4))), recognise_normalisation(nn.BatchNorm1d(4)) is None
        ('layer_norm', True)
    """
    if isinstance(module, NormalisationModule):
        return module.choice
    for row in registry.normalisations():
        if row.torch_type is not None and isinstance(module, row.torch_type):
            plain = type(module).forward is row.torch_type.forward and "forward" not in vars(module)
            return Choice(row.name) if plain or _agree(module, row.torch_type) else None
    return None


def _agree(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a subclass gives what its class in torch gives, with three axes before the normalised ones."""
    try:
        like = next(iter(module.parameters()), torch.empty(0))
        shape = (2, 3, 5, *module.normalized_shape)  # type: ignore[misc]
        x = torch.arange(torch.Size(shape).numel(), device=like.device).sin().to(like.dtype).reshape(shape)
        with torch.no_grad():
            y, wanted = module.forward(x.clone()), kind.forward(module, x)
    except Exception:  # it wants another layout, or its weights have no values yet
        return False
    return isinstance(y, Tensor) and y.shape == x.shape and torch.allclose(y.float(), wanted.float(), 1e-3, 1e-4)


def _allowed() -> str:
    return f"choose {' or '.join(row.name for row in registry.normalisations() if row.learnable)}"
