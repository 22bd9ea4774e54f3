"""The state of every random number generator that a training draws from, so that a paused one goes on as if it ran."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

RandomState = dict[str, Any]
"""What each generator calls its state; only this module looks into it."""


def random_state() -> RandomState:
    """The states of Python's, NumPy's, torch's and CUDA's generators.

    Example:
        >>> state = random_state()
        >>> first = torch.rand(1)
        >>> restore_random_state(state)
        >>> bool(first == torch.rand(1))
        True
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: RandomState) -> None:
    """The inverse of ``random_state``."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """After the block, random numbers go on as if nothing had been drawn inside.

    Example:
        >>> before = random_state()
        >>> with preserved_random_state():
        ...     _ = torch.rand(1)
        >>> same_random_state(before, random_state())
        True
    """
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)


def same_random_state(one: RandomState, other: RandomState) -> bool:
    """Whether nothing was drawn between two states.

    Example:
        >>> before = random_state()
        >>> same_random_state(before, random_state())
        True
        >>> _ = torch.rand(1)
        >>> same_random_state(before, random_state())
        False
    """
    return (
        one["python"] == other["python"]
        and bool(np.array_equal(one["numpy"][1], other["numpy"][1]))
        and one["numpy"][2:] == other["numpy"][2:]
        and bool(torch.equal(one["torch"], other["torch"]))
        and len(one["cuda"]) == len(other["cuda"])
        and all(bool(torch.equal(a, b)) for a, b in zip(one["cuda"], other["cuda"], strict=True))
    )
