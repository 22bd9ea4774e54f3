"""The training settings that a search may change, by name, and the values on offer beside the configured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoact.core.errors import AutoactError

LEARNING_RATE, WEIGHT_DECAY, DROPOUT = "learning_rate", "weight_decay", "dropout"


def rates_offered(factors: Sequence[float], configured: Mapping[str, float]) -> tuple[float, float] | None:
    """Lowest and highest learning rate; None where none is searched, or the optimisers have none of their own.

    Raises:
        AutoactError: the configured learning rate is 0.

    Example:
        >>> rates_offered([0.1, 10], {LEARNING_RATE: 1e-2})
        (0.001, 0.1)
    """
    if not factors or LEARNING_RATE not in configured:
        return None
    if not configured[LEARNING_RATE] > 0:
        raise AutoactError(f"the configured learning rate is {configured[LEARNING_RATE]:g}: it must be above 0")
    return configured[LEARNING_RATE] * factors[0], configured[LEARNING_RATE] * factors[1]


def decays_offered(values: Sequence[float], configured: Mapping[str, float]) -> tuple[float, ...]:
    """Weight decays, the configured one among them; none where none is searched, or the optimisers take none.

    Example:
        >>> decays_offered([0.0, 0.1], {WEIGHT_DECAY: 0.01})
        (0.0, 0.01, 0.1)
    """
    if not values or WEIGHT_DECAY not in configured:
        return ()
    return tuple(sorted({*map(float, values), configured[WEIGHT_DECAY]}))


def dropouts_offered(values: Sequence[float], configured: Mapping[str, float]) -> tuple[float, ...]:
    """Values of the dropout, the configured one among them; none where it is not searched.

    Raises:
        AutoactError: the network has no layer where it could be set, or there is nothing to choose from.

    Example:
        >>> dropouts_offered([0, 0.3], {DROPOUT: 0.1})
        (0.0, 0.1, 0.3)
    """
    if not values:
        return ()
    if DROPOUT not in configured:
        raise AutoactError(
            f"space.dropout={list(values)} has no effect: the network has no nn.Dropout layer (calls of F.dropout, and "
            "dropout of other kinds, stay as they are); leave space.dropout out, or give the network nn.Dropout layers"
        )
    offered = tuple(sorted({*map(float, values), configured[DROPOUT]}))
    if len(offered) == 1:
        raise AutoactError(
            f"space.dropout={list(values)} has no effect: it is the configured dropout; name others, e.g. [0, 0.1, 0.3]"
        )
    return offered
