"""How many workers a machine feeds, and what each of them gets."""

from __future__ import annotations

import os

import torch
from loky import cpu_count

from autoact.engines.settings import INLINE, EngineSettings


def workers_here(settings: EngineSettings, device: torch.device) -> int:
    """Workers on this machine: as asked for, else one per core, or what its GPUs hold.

    Cores are those that this process may use: affinity and container limits count.

    Example:
        >>> workers_here(EngineSettings(workers=3), torch.device("cpu"))
        3
    """
    if settings.name == INLINE:
        return 1
    if settings.workers is not None:
        return settings.workers
    if device.type == "cuda":
        return len(gpus_here(settings, device)) * settings.per_gpu
    return 1 if device.type == "mps" else cpu_count()


def threads_each(workers: int) -> int:
    """CPU threads of each worker: the cores are divided, and each worker has at least one.

    Example:
        >>> threads_each(100_000)
        1
    """
    return max(1, cpu_count() // workers)


def gpus_here(settings: EngineSettings, device: torch.device) -> list[str]:
    """The GPUs that workers are spread over, as ``CUDA_VISIBLE_DEVICES`` names them.

    A device with a number other than 0 is meant alone: nothing is spread.
    """
    if device.index:
        return [_visible()[device.index]]
    return _visible()[: settings.max_gpus]


def _visible() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]
