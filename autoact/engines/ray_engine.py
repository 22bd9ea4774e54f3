"""The engine that trains on a Ray cluster: an existing one, or one that lives on this machine for the search."""

from __future__ import annotations

import os
import signal
import site
import socket
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import cloudpickle
import torch

import autoact
from autoact.core.errors import AutoactError, first_line
from autoact.core.imports import optional
from autoact.engines.job import WorkerContext
from autoact.engines.job_queue import QueuedJob, QueueingEngine
from autoact.engines.resources import workers_here
from autoact.engines.settings import EngineSettings
from autoact.engines.workers.serialization import packed, reply_of, result_of

CONNECT_SECONDS = 5.0

# In a worker: the worker contexts it has read, by the name of their engine.
_worker_contexts: dict[str, WorkerContext] = {}


def work(name: str, stored: list[Any], payload: bytes | None, gpu_share: float) -> bytes:
    """Run a packed job in a Ray worker, which reads the worker context once; without one, only make ready for it.

    ``stored`` is a list of one reference in the object store, so that Ray does not read it for every job.
    """

    def run() -> object:
        if name not in _worker_contexts:
            import ray

            _worker_contexts[name] = cloudpickle.loads(ray.get(stored[0]))
            if gpu_share < 1 and torch.cuda.is_available():
                torch.cuda.set_per_process_memory_fraction(gpu_share)
        return None if payload is None else _worker_contexts[name].run(cloudpickle.loads(payload))

    return reply_of(run)


class RayEngine(QueueingEngine[bool]):
    """Runs each job as a Ray task; see ``autoact.engines.engine.Engine``.

    A job whose worker or node is lost runs again, elsewhere. A cluster that this engine started listens on the loopback
    address only and ends with it; one that exists already is left as it was found.

    Args:
        worker_context: what every worker holds; put into the object store once.
        settings: the cluster's address, how many jobs at a time, how much of a GPU for each.
        device: where sessions train; on a GPU every job gets its share of one, which it sees as ``cuda:0``.
        threads: CPUs that a job reserves.

    Raises:
        AutoactError: Ray is not installed, no cluster answers, it is too small, or the worker context cannot travel.
    """

    def __init__(
        self, worker_context: WorkerContext, settings: EngineSettings, device: torch.device, *, threads: int = 1
    ) -> None:
        content = packed(worker_context)
        self._ray = _import_ray(local=not _address(settings))
        self._owned = not self._ray.is_initialized()
        self._here = self._owned and not _address(settings)
        if self._owned:
            _connect(self._ray, settings, device, threads)
        self._gpu_share = settings.gpu_memory_fraction if device.type == "cuda" else 0.0
        try:
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            super().__init__(room_on(nodes, settings, self._gpu_share, threads))
        except AutoactError:
            self._leave()
            raise
        self._places = self.workers
        self._name = uuid.uuid4().hex
        self._stored = [self._ray.put(content)]
        # The queue retries: it knows how often a job was in a worker that died.
        options = {"num_cpus": threads, "max_retries": 0, "num_gpus": self._gpu_share}
        self._task = self._ray.remote(**options, **({} if self._owned else {"runtime_env": _environment()}))(work)
        self._refs: dict[QueuedJob, object] = {}
        self._greetings = 0
        with self._changed:
            for _ in range(self.workers if self._here else 1):
                self._greet()

    def _remote(self, payload: bytes | None) -> Any:
        return self._task.remote(self._name, self._stored, payload, self._gpu_share or 1.0)

    def _greet(self) -> None:
        self._greetings += 1
        self._remote(None).future().add_done_callback(self._greeted)

    def _greeted(self, reply: Future[bytes]) -> None:
        """A worker is ready; where it cannot be, no other will."""
        try:
            result_of(reply.result())
        except BaseException as error:
            if not self._closed and not isinstance(error, self._losses()):
                self._break(_without_wrapping(error))
        with self._changed:
            self._greetings -= 1
        self._fill()

    def _starting(self) -> bool:
        return self._greetings > 0

    def _free_place(self) -> bool | None:
        """A share of the cluster; Ray finds where. Jobs need not wait for the first answer of every worker."""
        if self._places < 1:
            return None
        self._places -= 1
        return True

    def _give_back(self, place: bool) -> None:
        self._places += 1

    def _launch(self, ticket: QueuedJob, place: bool) -> bool:
        self._refs[ticket] = ref = self._remote(ticket.payload)
        ref.future().add_done_callback(partial(self._ended, ticket))
        return True

    def _ended(self, ticket: QueuedJob, reply: Future[bytes]) -> None:
        error = reply.exception()
        with self._changed:
            self._refs.pop(ticket, None)
            self._give_back(True)
        if self._dismissed and error is not None:
            self._settle(ticket, None, CancelledError())
        elif isinstance(error, self._losses()):
            self._died(ticket, type(error).__name__)
        elif error is not None:
            self._settle(ticket, None, _without_wrapping(error))
        else:
            self._settle(ticket, reply.result())

    def _losses(self) -> tuple[type[BaseException], ...]:
        """The errors that say that a worker, a node, or what lay there is lost."""
        errors = self._ray.exceptions
        return (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.ObjectLostError)

    def _dismiss(self, wait: bool) -> None:
        """Cancel what runs; end the cluster where it was started for this engine."""
        with self._changed:
            running = list(self._refs.values())
            tickets = list(self._refs)
        for ref in running:
            with suppress(TypeError):  # so Ray says that a job has just ended, and nothing is left to cancel
                self._ray.cancel(ref, force=True)
        self._stored = []
        if running and wait and not self._here:
            with self._changed:
                self._changed.wait_for(lambda: not self._running, timeout=CONNECT_SECONDS)
        self._leave()
        for ticket in tickets:
            if not ticket.future.done():
                self._settle(ticket, None, CancelledError())

    def _leave(self) -> None:
        if self._owned:
            self._ray.shutdown()


def _address(settings: EngineSettings) -> str | None:
    """The address of the cluster to join; None: start one here."""
    return settings.address or os.environ.get("RAY_ADDRESS") or None


def _import_ray(*, local: bool) -> ModuleType:
    """Import Ray, which then sends no statistics and leaves ``CUDA_VISIBLE_DEVICES`` alone."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if local:
        # On Linux too, a cluster of one machine then listens on the loopback address only: a Ray port lets anyone who
        # reaches it run code.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    return optional("ray", wanted_for="engine=ray", extra="ray")


def _connect(ray: ModuleType, settings: EngineSettings, device: torch.device, threads: int) -> None:
    address = _address(settings)
    arguments: dict[str, object] = {
        "address": address or "local",
        "runtime_env": _environment(),
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    if address is None:
        jobs = workers_here(settings, device)
        arguments |= {"num_cpus": jobs * threads, "include_dashboard": False}
    elif address not in ("auto", "local"):
        _check_reachable(address)
    ended_by = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**arguments)
        _restore_sigterm(ended_by)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise AutoactError(f"engine.address={address or 'null'}: {first_line(error)}") from error


def _restore_sigterm(ended_by: object) -> None:
    """SIGTERM does what it did before Ray, whose handler ends a process where it stands, with the signal's number."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended_by)  # type: ignore[arg-type]


def _check_reachable(address: str) -> None:
    """See that a cluster listens: Ray itself tries for two minutes, then ends the process.

    Raises:
        AutoactError: none does, or this is no address.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise AutoactError(f"engine.address={address} must be host:port, auto or ray://host:port")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise AutoactError(f"engine.address={address}: no Ray cluster answers there ({error})") from error


def _environment() -> dict[str, object]:
    """What workers need to find the driver's own code: this checkout, the script's folder, and ``PYTHONPATH``."""
    installed = {Path(folder).resolve() for folder in [*site.getsitepackages(), site.getusersitepackages()]}
    checkout = Path(autoact.__file__).resolve().parents[1]
    folders = [*([] if checkout in installed else [str(checkout)]), os.path.abspath(sys.path[0]), os.getcwd()]
    folders += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return {"env_vars": {"PYTHONPATH": os.pathsep.join(dict.fromkeys(folders))}}


def room_on(nodes: Sequence[Mapping[str, float]], settings: EngineSettings, gpu_share: float, threads: int) -> int:
    """How many jobs run at a time on nodes with these resources, by Ray's names.

    Each takes ``gpu_share`` of one GPU and ``threads`` CPUs.

    Raises:
        AutoactError: there is no room for one.

    Example:
        >>> room_on([{"CPU": 4.0}, {"CPU": 3.0}], EngineSettings(name="ray"), 0.0, threads=2)
        3
        >>> limits = EngineSettings(name="ray", max_gpus=1, gpu_memory_fraction=0.5)
        >>> room_on([{"CPU": 8.0, "GPU": 2.0}], limits, 0.5, threads=1)
        2
    """
    room = 0
    for node in nodes:
        on_cpus = int(node.get("CPU", 0) // threads)
        room += min(on_cpus, int(node.get("GPU", 0)) * settings.per_gpu) if gpu_share else on_cpus
    if room < 1:
        needs = f"{threads} CPU{'s' * (threads > 1)}" + (f" and {gpu_share:g} of a GPU" if gpu_share else "")
        raise AutoactError(f"no node of the Ray cluster has what a job needs: {needs}")
    if gpu_share and settings.max_gpus is not None:
        room = min(room, settings.max_gpus * settings.per_gpu)
    return min(room, settings.workers or room)


def _without_wrapping(error: BaseException) -> BaseException:
    """An error of Ray's machinery as the user should see it."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error
