"""Inputs of any number of samples, made from a batch of the user's: the axis of its samples is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from autoact.core.errors import AutoactError, first_line
from autoact.core.value_holders import Batch
from autoact.sites.tracing.dry_run import tensors_in

Run = Callable[[Batch], Batch]
"""Runs a model on an input, in evaluation mode and without gradients."""

# Axes that may hold the samples of a batch: the first, or the second behind time.
AXES = (0, 1)
# How well an axis fits: the model runs; its result has as many samples; each of them is what it was in the batch.
_RUNS, _SCALES, _INDEPENDENT = 0, 1, 2


def samples_along(value: Batch, axis: int) -> int:
    """How many samples a batch has along an axis: the size of its first tensor that has this axis, else 0."""
    return next((tensor.shape[axis] for tensor in tensors_in(value) if tensor.ndim > axis), 0)


def taken(value: Batch, axis: int, samples: int, index: Tensor) -> Batch:
    """The samples of a batch that an index names; tensors of another size along the axis stay as they are."""
    if isinstance(value, Tensor):
        fits = value.ndim > axis and value.shape[axis] == samples
        return value.index_select(axis, index.to(value.device)) if fits else value
    if isinstance(value, Mapping):
        return {key: taken(item, axis, samples, index) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(taken(item, axis, samples, index) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(taken(item, axis, samples, index) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value) if item.init]
        return dataclasses.replace(value, **{n: taken(getattr(value, n), axis, samples, index) for n in names})
    return value


def batch_axis(run: Run, example: Batch) -> int | None:
    """The axis along which a batch holds its samples, by running the model on one and on two of them.

    The example has two samples or more.

    Returns:
        The axis that fits best, the first of equal ones; None where the model runs with fewer samples along none.

    Example:
        >>> layer = torch.nn.LSTM(3, 4)
        >>> batch_axis(layer, torch.randn(5, 2, 3)), batch_axis(torch.nn.Linear(3, 4), torch.randn(5, 3))
        (1, 0)
    """
    whole = list(tensors_in(run(example)))
    fits = {axis: fit for axis in AXES if (fit := _fit(run, example, axis, whole)) is not None}
    return max(fits, key=fits.__getitem__, default=None)


def _fit(run: Run, example: Batch, axis: int, whole: list[Tensor]) -> int | None:
    """How well an axis fits; None where the model raises with fewer samples along it."""
    samples = samples_along(example, axis)
    if samples < 1:
        return None
    found = _INDEPENDENT
    for chosen in ([samples - 1], [samples - 1, 0]):
        index = torch.tensor(chosen)
        cut = taken(example, axis, samples, index)
        if samples_along(cut, axis) != len(index):
            return None  # it cannot be cut
        try:
            part = list(tensors_in(run(cut)))
        except Exception:  # whatever the user's forward raises: samples do not lie here
            return None
        found = min(found, _agreement(whole, part, samples, index))
    return found


def _agreement(whole: list[Tensor], part: list[Tensor], samples: int, index: Tensor) -> int:
    """How a result for some samples stands to that for all."""
    scales = False
    for one, other in zip(whole, part, strict=False):
        places = [a for a in range(min(one.ndim, 2)) if one.shape[a] == samples and other.ndim == one.ndim]
        for place in [a for a in places if other.shape[a] == len(index)]:
            scales = True
            mine = one.index_select(place, index.to(one.device))
            if mine.shape == other.shape and torch.allclose(mine.double(), other.double(), rtol=1e-3, atol=1e-4):
                return _INDEPENDENT
    return _SCALES if scales else _RUNS


def input_maker(
    run: Run, example: Batch, axis: int | None, pick: Callable[[Batch], Batch], loader: object, name: str
) -> Callable[[int], Batch]:
    """A function that makes inputs of any number of samples.

    Samples are taken from the example along its batch axis, over and over where there are too few. Where there is none,
    as in a batch of graphs, single samples of the loader's are put together by the loader's own code.

    ``axis`` is that of ``batch_axis``; ``pick`` finds in a batch of the loader what the model takes.

    Raises:
        AutoactError: there is neither, so that nothing can be said of one sample.
    """
    if axis is not None:
        samples = samples_along(example, axis)
        return lambda size: taken(example, axis, samples, torch.arange(size) % samples)
    why = "its loader is no DataLoader over single samples"
    if isinstance(loader, DataLoader) and loader.batch_size and not isinstance(loader.dataset, IterableDataset):
        data: Any = loader.dataset
        collate = loader.collate_fn

        def make(size: int) -> Batch:
            return pick(collate([data[k % len(data)] for k in range(size)]))

        try:
            run(make(1))
            return make
        except Exception as error:  # of the user's code
            why = f"single samples of its loader raise {type(error).__name__}: {first_line(error)}"
    raise AutoactError(
        f"where the samples lie in a batch of {name} cannot be found, and {why}: latency is told for one sample. Give "
        "batches with the samples along the first axis, or set self.example_input_array to such an input"
    )
