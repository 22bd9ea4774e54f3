"""What a user can say about where candidates are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import check_values

INLINE, PROCESSES, RAY = "inline", "processes", "ray"
ENGINES = (INLINE, PROCESSES, RAY)


@dataclass
class EngineSettings:
    """Where candidates are trained, and how many at a time: the schema of ``conf/engine``.

    Attributes:
        name: ``inline`` (this process), ``processes`` (worker processes on this machine) or ``ray`` (a Ray cluster).
        workers: how many jobs run at a time. None: on CPUs one per core of this machine or of the cluster, on GPUs as
            many as ``max_gpus`` and ``gpu_memory_fraction`` allow.
        population: members that train at once in one worker; None: probed.
        deterministic: fix every population's members and order and the threads, so that a search can be repeated bit by
            bit, on any engine.
        address: of a Ray cluster: ``host:port``, ``auto`` or ``ray://host:port``; None: what ``RAY_ADDRESS`` says, else
            a cluster that lives on this machine as long as the search does.
        max_gpus: GPUs used at most, in all; None: all there are.
        gpu_memory_fraction: share of a GPU's memory that one worker may take, above 0 and at most 1: with 0.25 four
            workers share a GPU.

    Example:
        >>> EngineSettings(name="processes", workers=2).check()
        >>> EngineSettings(name="proceses").check()
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown engine 'proceses': did you mean processes? Allowed: ...
    """

    name: str = PROCESSES
    workers: Optional[int] = None
    population: Optional[int] = None
    deterministic: bool = False
    address: Optional[str] = None
    max_gpus: Optional[int] = None
    gpu_memory_fraction: float = 1.0

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            AutoactError: names the setting, what was given and what is allowed.
        """
        check_values(self, "engine")
        if self.name not in ENGINES:
            raise unknown("engine", self.name, ENGINES)
        for name in ("workers", "population", "max_gpus"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise AutoactError(f"engine.{name}={value} must be 1 or more")
        if not 0 < self.gpu_memory_fraction <= 1:
            raise AutoactError(
                f"engine.gpu_memory_fraction={self.gpu_memory_fraction:g} is a share of one GPU: "
                "it must be above 0 and at most 1"
            )
        if self.name == INLINE and (self.workers or 1) > 1:
            raise AutoactError(
                f"engine.workers={self.workers}: engine=inline trains in this process alone, "
                "choose engine=processes or engine=ray"
            )
        if self.name != RAY and self.address is not None:
            raise AutoactError(f"engine.address={self.address} is for engine=ray, but the engine is {self.name}")

    @property
    def per_gpu(self) -> int:
        """Workers that fit on one GPU.

        Example:
            >>> EngineSettings(gpu_memory_fraction=0.3).per_gpu
            3
        """
        return int(1 / self.gpu_memory_fraction + 1e-9)
