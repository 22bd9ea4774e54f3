"""Open the engine that the settings name."""

from __future__ import annotations

import torch

from autoact.core.errors import AutoactError
from autoact.core.imports import load_reference
from autoact.engines.engine import Engine
from autoact.engines.inline import InlineEngine
from autoact.engines.job import WorkerContext
from autoact.engines.settings import ENGINES, EngineSettings, OpenEngine


def open_engine(
    settings: EngineSettings, worker_context: WorkerContext, device: torch.device, *, threads: int | None = None
) -> Engine:
    """The engine, with its workers starting.

    Workers see their own GPU as ``cuda:0``. Unless ``threads`` says how many CPU threads a training uses, the cores are
    divided among the workers (one each on Ray).

    Raises:
        AutoactError: settings that cannot be meant, a worker context that cannot travel, a package or a cluster that
            is not there.
    """
    kind = ENGINES[settings.name]
    start: OpenEngine = load_reference(kind.open, "engine") if isinstance(kind.open, str) else kind.open
    engine = start(settings, worker_context, device, threads=threads)
    if not isinstance(engine, Engine):
        raise AutoactError(f"engine={settings.name} opens {type(engine).__name__}: it must be an Engine")
    return engine


def open_inline(
    settings: EngineSettings, worker_context: WorkerContext, device: torch.device, *, threads: int | None
) -> Engine:
    """The engine that trains in this process; see ``open_engine``."""
    return InlineEngine(worker_context)


def open_processes(
    settings: EngineSettings, worker_context: WorkerContext, device: torch.device, *, threads: int | None
) -> Engine:
    """The engine of worker processes on this machine; see ``open_engine``."""
    from autoact.engines.processes import ProcessEngine
    from autoact.engines.resources import gpus_here, threads_each, workers_here

    workers = workers_here(settings, device)
    return ProcessEngine(
        worker_context,
        workers,
        threads=threads or threads_each(workers),
        gpus=gpus_here(settings, device) if device.type == "cuda" and not device.index else (),
        gpu_share=settings.gpu_memory_fraction if device.type == "cuda" else 1.0,
    )


def open_ray(
    settings: EngineSettings, worker_context: WorkerContext, device: torch.device, *, threads: int | None
) -> Engine:
    """The engine of a Ray cluster; see ``open_engine``."""
    from autoact.engines.ray_engine import RayEngine

    return RayEngine(worker_context, settings, device, threads=threads or 1)
