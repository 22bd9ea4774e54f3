"""Activations as modules: the thin face of the pure functions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.foreign_learnable import learnable_choice
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError, unknown

_BOUND = ("activation", "_named")
"""Attributes looked up from the choice, left out of pickles: a registered lambda cannot be pickled."""


class ActivationModule(nn.Module):
    """A pointwise activation; holds no weights.

    Pickles and copies keep the canonical choice and look its function up again.

    Shape:
        - Input: any.
        - Output: the input's.

    Example:
        >>> ActivationModule("leaky_relu(negative_slope=0.5)")(torch.tensor([-2.0]))
        tensor([-1.])
    """

    def __init__(self, choice: str | Choice) -> None:
        """Look ``choice`` up.

        Raises:
            AutoactError: it is not in the catalogue.
        """
        super().__init__()
        self.choice = registry.canonical(choice)
        self._bind()

    def _bind(self) -> None:
        self.activation = registry.get(self.choice.name)
        self._named: dict[str, float] = dict(registry.parameters(self.choice))

    def forward(self, x: Tensor) -> Tensor:
        """The activation of each number in ``x``."""
        if self.activation.stochastic:
            return self.activation.function(x, **self._named, training=self.training)
        return self.activation.function(x, **self._named)

    def weights(self) -> list[nn.Parameter]:
        """The weights that it brings along: a normalisation's own scale and shift are none.

        Example:
            >>> len(build("prelu", channels=3).weights()), build("tanh").weights()
            (1, [])
        """
        named = (self._parameters.get(name) for name in self.activation.parameter_names)
        return [weight for weight in named if weight is not None]

    def extra_repr(self) -> str:
        """The choice."""
        return str(self.choice)

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key not in _BOUND}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore, and look the function up again.

        Raises:
            AutoactError: this process has not registered the activation.
        """
        super().__setstate__(state)
        self._bind()


class LearnableActivation(ActivationModule):
    """An activation whose parameters are weights: one set per channel, or one for the whole site.

    Each parameter of the row is an ``nn.Parameter`` of its name that starts at the choice's value.

    Shape:
        - Input: any that has ``channels`` numbers along ``channel_dim``.
        - Output: the input's.

    Example:
        >>> m = LearnableActivation("prelu", channels=3)
        >>> m.weight.shape, m(-torch.ones(2, 3))[0].tolist()
        (torch.Size([3]), [-0.25, -0.25, -0.25])
    """

    def __init__(self, choice: str | Choice, *, channels: int | None = None, channel_dim: int = -1) -> None:
        """Create the weights, one set for all where ``channels`` is None; arguments are those of ``build``."""
        super().__init__(choice)
        self.channels, self.channel_dim = channels, channel_dim
        for name, value in self._named.items():
            self.register_parameter(name, nn.Parameter(torch.full((channels or 1,), value)))

    def theta(self, dim: int) -> tuple[Tensor, ...]:
        """The weights in the order of the function's arguments, shaped to broadcast against ``dim`` axes."""
        weights = tuple(self._parameters[name] for name in self.activation.parameter_names)
        after = (dim if self.channel_dim >= 0 else 0) - self.channel_dim - 1
        if self.channels is None or after == 0:
            return weights  # type: ignore[return-value]
        return tuple(weight.view(-1, *[1] * after) for weight in weights)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """The activation of each number in ``x``.

        Raises:
            AutoactError: ``x`` has another number of channels.
        """
        if self.channels is not None and (
            not -x.dim() <= self.channel_dim < x.dim() or x.shape[self.channel_dim] != self.channels
        ):
            raise AutoactError(
                f"{self.choice} was built for {self.channels} channels along axis {self.channel_dim}, "
                f"got an input of shape {tuple(x.shape)}"
            )
        return self.activation.function(x, *self.theta(x.dim()))

    def extra_repr(self) -> str:
        """The choice and where its weights apply."""
        where = "per=site" if self.channels is None else f"channels={self.channels}, channel_dim={self.channel_dim}"
        return f"{self.choice}, {where}"


class GatedActivation(ActivationModule):
    """A gated form or maxout: makes each output channel of several input channels; holds no weights.

    The pieces lie one after the other on the last axis, the value before the gate, as in ``torch.nn.GLU``.

    Shape:
        - Input: ``[..., pieces * channels]``.
        - Output: ``[..., channels]``.

    Example:
        >>> GatedActivation("swiglu")(torch.ones(2, 8)).shape
        torch.Size([2, 4])
    """

    def __init__(self, choice: str | Choice) -> None:
        """Look ``choice`` up.

        Raises:
            AutoactError: it is not in the catalogue, or not gated.
        """
        super().__init__(choice)
        if not self.activation.gated:
            raise AutoactError(f"{self.choice} is not gated: use build({str(self.choice)!r})")

    def forward(self, x: Tensor) -> Tensor:
        """The last axis divided by the pieces.

        Raises:
            AutoactError: it does not divide.
        """
        pieces = self.activation.pieces(self._named)
        if x.dim() == 0 or x.shape[-1] % pieces:
            raise AutoactError(
                f"{self.choice} makes 1 channel of {pieces}: the last axis of {tuple(x.shape)} does not divide by it"
            )
        return self.activation.function(x, **self._named)


def build(
    choice: str | Choice, *, channels: int | None = None, channel_dim: int = -1, per: str = "channel"
) -> ActivationModule:
    """The module of ``choice``.

    A learnable one has weights for each of the ``channels`` along ``channel_dim`` (-1 for features last, 1 for
    convolutions), or one set with ``per="site"``. A gated one takes ``pieces`` times as many channels as it returns, on
    the last axis.

    Raises:
        AutoactError: unknown choice, a normalisation's, or a learnable one per channel without ``channels``.

    Example:
        >>> build("tanh")
        ActivationModule(tanh)
        >>> sum(weight.numel() for weight in build("prelu", channels=8, channel_dim=1).parameters())
        8
    """
    if per not in ("channel", "site"):
        raise unknown("value of per", per, ["channel", "site"])
    choice = registry.canonical(choice)
    row = registry.get(choice.name)
    if row.normalisation:
        raise AutoactError(
            f"{choice} stands at normalisations, and has the scale and shift of the one that it replaces: "
            f"autoact.apply(model, {{'norm': {str(choice)!r}}}) puts it in the place of the normalisation 'norm'"
        )
    if row.gated:
        return GatedActivation(choice)
    if not row.learnable:
        return ActivationModule(choice)
    if per == "site":
        return LearnableActivation(choice)
    if channels is None or channels < 1:
        raise AutoactError(f"{choice} learns weights per channel: give channels=<number>, or per='site' for one set")
    return LearnableActivation(choice, channels=channels, channel_dim=channel_dim)


_OURS = (ActivationModule, LearnableActivation, GatedActivation)


def recognise(module: nn.Module) -> Choice | None:
    """The choice that computes what ``module`` computes, or None where the catalogue has none.

    A subclass that overrides ``forward`` is not recognised, unless it has the weights and the values of a learnable
    activation (see ``foreign_learnable``). Of an ``nn.PReLU`` whose weights differ (a trained one)
    only the name is given: no choice holds a weight per channel.

    Example:
        >>> str(recognise(nn.LeakyReLU(0.2)))
        'leaky_relu(negative_slope=0.2)'
        >>> recognise(nn.GELU(approximate="tanh")).name
        'gelu_tanh'
        >>> recognise(nn.Linear(2, 2)) is None
        True
    """
    if "forward" in vars(module):
        return None
    if isinstance(module, ActivationModule):
        return module.choice if type(module) in _OURS else None
    for row in registry.all():
        if row.torch_type is None or not isinstance(module, row.torch_type):
            continue
        if type(module).forward is not row.torch_type.forward:
            continue
        if all(getattr(module, name) == value for name, value in row.torch_fixed.items()):
            named = {p: p for p in row.parameter_names if hasattr(module, p)}
            named |= {p: attribute for attribute, p in row.torch_attributes.items()}
            try:
                values = {p: _number(getattr(module, attribute)) for p, attribute in named.items()}
                given = {name: value for name, value in values.items() if value is not None}
                return registry.canonical(Choice(row.name, tuple(sorted(given.items()))))
            except (AutoactError, TypeError, ValueError):
                return None  # e.g. LeakyReLU(nan): torch builds it, the catalogue does not
    return learnable_choice(module)


def _number(value: float | Tensor) -> float | None:
    """A module's attribute as a number; None for weights that differ among themselves or have no values yet."""
    if not isinstance(value, Tensor):
        return float(value)
    flat = value.detach().flatten()
    if flat.is_meta or flat.numel() == 0 or not bool((flat == flat[0]).all()):
        return None
    return float(f"{flat[0].item():.6g}")  # 0.1 kept in float32 reads 0.10000000149
