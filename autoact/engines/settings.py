"""What a user can say about where candidates are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Protocol

from autoact.core.errors import AutoactError
from autoact.core.registry import Registry
from autoact.core.typed_values import check_values, takes

if TYPE_CHECKING:
    import torch

    from autoact.engines.engine import Engine
    from autoact.engines.job import WorkerContext

INLINE, PROCESSES, RAY = "inline", "processes", "ray"


class OpenEngine(Protocol):
    """A function that starts an engine."""

    def __call__(
        self, settings: EngineSettings, worker_context: WorkerContext, device: torch.device, *, threads: int | None
    ) -> Engine:
        """See ``autoact.engines.factory.open_engine``."""
        ...


@dataclass(frozen=True)
class EngineKind:
    """An engine that can be chosen by name, and the function that opens it.

    A reference, ``package.module:function``, is imported when the engine is first used.
    """

    name: str
    open: OpenEngine | str

    def __post_init__(self) -> None:
        """Check that it can be started."""
        opens = callable(self.open) and takes(self.open, None, None, None, threads=None)
        if not isinstance(self.open, str) and not opens:
            raise AutoactError(
                f"engine.name={self.name} needs a function (settings, worker_context, device, *, threads) -> Engine, "
                f"or its reference package.module:function, got {self.open!r}"
            )


ENGINES: Registry[EngineKind] = Registry(
    "engine",
    "autoact.engines",
    EngineKind,
    [
        EngineKind(INLINE, "autoact.engines.factory:open_inline"),
        EngineKind(PROCESSES, "autoact.engines.factory:open_processes"),
        EngineKind(RAY, "autoact.engines.factory:open_ray"),
    ],
)


def register_engine(name: str, open: OpenEngine | str, *, replace: bool = False) -> EngineKind:
    """Make an engine known by name.

    Args:
        name: as ``engine.name`` names it.
        open: ``(settings, worker_context, device, *, threads) -> Engine``, or its reference,
            ``package.module:function``.
        replace: put it in the place of one registered before under this name.

    Raises:
        AutoactError: the name is taken, or ``open`` is no function.

    Example:
        >>> kind = register_engine("doctest", "autoact.engines.factory:open_inline")
        >>> EngineSettings(name="doctest").name
        'doctest'
        >>> ENGINES.remove("doctest")
    """
    kind = EngineKind(name, open)
    ENGINES.add(kind, replace=replace)
    return kind


@dataclass
class EngineSettings:
    """Where candidates are trained, and how many at a time: the schema of ``conf/engine``.

    Attributes:
        name: ``inline`` (this process), ``processes`` (worker processes on this machine), ``ray`` (a Ray
            cluster), or a registered one.
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

    Raises:
        AutoactError: names the setting, what was given and what is allowed.

    Example:
        >>> EngineSettings(name="processes", workers=2).workers
        2
        >>> EngineSettings(name="proceses")
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

    def __post_init__(self) -> None:
        check_values(self, "engine")
        ENGINES.find(self.name)
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
