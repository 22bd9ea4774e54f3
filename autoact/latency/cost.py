"""What a prediction costs, from the time of a batch and the price of an hour."""

from __future__ import annotations

from autoact.core.errors import AutoactError

_MS_PER_HOUR = 3_600_000.0
_MILLION = 1_000_000


def cost_per_million(batch_ms: float, batch: int, price_per_hour: float) -> float:
    """The cost of one million samples on a machine that is always busy, in the price's currency.

    cost = ``batch_ms`` / 3,600,000 ms x ``price_per_hour`` / ``batch`` x 1,000,000, for ``batch`` samples in a batch

    Raises:
        AutoactError: the batch is empty, or the price is negative.

    Example:
        A batch of 1,024 that takes 2 ms, on a machine for 0.526 per hour:

        >>> round(cost_per_million(2.0, 1024, 0.526), 6)
        0.000285
    """
    if batch < 1:
        raise AutoactError(f"a batch of {batch} samples has no cost per sample: give 1 or more")
    if not price_per_hour >= 0:
        raise AutoactError(f"the price per hour is {price_per_hour}: it must be 0 or more")
    return batch_ms / _MS_PER_HOUR * price_per_hour / batch * _MILLION
