"""How many candidates train fastest together, and on how many CPU threads: tried for a few steps, not guessed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.latency.timer import fixed_threads
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions, connected
from autoact.training.memory import Footprint, free_bytes
from autoact.training.population.eligibility import begin, first_batch, set_up, why_not
from autoact.training.population.member import Member
from autoact.training.population.member_group import Members
from autoact.training.population.seed_streams import Key, Stream
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.random_state import preserved_random_state
from autoact.training.thread_count import fastest_threads
from autoact.training.user_errors import said

SIZES = (1, 4, 16, 64)
TIMED_STEPS, WARM = 6, 2
# A larger population has to pay: results come later, and fewer workers share the candidates of a batch.
LARGER_PAYS_BELOW = 0.9
# Seconds that all tries may take together; one that would take longer is not begun.
MOST_SECONDS = 10.0


@dataclass(frozen=True)
class Probed:
    """The population size and the threads at which candidates train fastest.

    Attributes:
        population: how many candidates train together; 1: one by one.
        threads: CPU threads of each worker.
        reason: why candidates train one by one; empty where they do not.
        seconds_per_step: size of a population -> seconds per step and member; empty where nothing was tried.
        steps: training steps of an epoch; None where unknown.
        ended: why no larger population was tried; empty where all were.
    """

    population: int
    threads: int
    reason: str
    seconds_per_step: dict[int, float]
    steps: int | None = None
    ended: str = ""

    @property
    def largest(self) -> int:
        """The fastest size of all, where results may come late."""
        return min(self.seconds_per_step, key=self.seconds_per_step.__getitem__, default=self.population)

    def seconds_at(self, size: int) -> float | None:
        """Seconds per step and member of a population, by the nearest size that was tried; None where none was."""
        nearest = min(self.seconds_per_step, key=lambda tried: abs(math.log(tried / size)), default=None)
        return None if nearest is None else self.seconds_per_step[nearest]


def probe(
    task: Task,
    options: SessionOptions,
    *,
    workers: int = 1,
    most_seconds: float = MOST_SECONDS,
    free: Callable[[torch.device], int | None] = free_bytes,
) -> Probed:
    """Try a few training steps at several population sizes and thread counts, and keep the fastest.

    Larger sizes are tried as long as they pay, as all tries together stay within ``most_seconds``, and as what a size
    is estimated to need on all ``workers``, which share the CPU's threads, stays within half of the ``free`` bytes of
    memory. Threads that the options give are kept.
    """
    reason = why_not(task, options)
    available = max(1, torch.get_num_threads() // workers)

    def alone(why: str) -> Probed:
        return Probed(1, options.threads or min(available, fastest_threads(task, options.device)), why, {})

    if reason:
        return alone(reason)
    wanted = [options.threads] if options.threads else sorted({1, available})
    limits = _Limits(options.device, workers, most_seconds, free(options.device))
    best: tuple[float, int, int] | None = None
    seconds: dict[int, float] = {}
    ended = ""
    for size in SIZES:
        if ended := limits.refuse(size):
            break
        try:
            with limits.watching(size):
                trials = {threads: _timed(task, options, size, threads, most_seconds) for threads in wanted}
                # Other work on the machine may have slowed this one down.
                if best is not None and min(trials.values()) >= LARGER_PAYS_BELOW * best[0]:
                    trials = {n: min(old, _timed(task, options, size, n, most_seconds)) for n, old in trials.items()}
        except torch.OutOfMemoryError:
            ended = f"memory does not hold {size} candidates"
            break
        except Exception as error:  # a later step than the one that why_not has tried cannot be batched
            return alone(f"{type(task.make_module()).__name__} cannot be batched: {said(error)}")
        threads = min(trials, key=trials.__getitem__)
        seconds[size] = trials[threads]
        if best is not None and trials[threads] >= LARGER_PAYS_BELOW * best[0]:
            ended = f"{size} candidates train no faster together than {best[1]}"
            break
        best = (trials[threads], size, threads)
    steps = steps_per_epoch(task)
    if best is None:
        return Probed(1, wanted[0], "not even one candidate fits into memory", seconds, steps, ended)
    return Probed(best[1], best[2], "", seconds, steps, ended)


class _Limits:
    def __init__(self, device: torch.device, workers: int, most_seconds: float, free: int | None) -> None:
        self._began = time.perf_counter()
        self._memory = Footprint(device)
        self._workers = workers
        self._most_seconds = most_seconds
        self._free = free
        self._last: tuple[int, float] | None = None

    def refuse(self, size: int) -> str:
        """Why a size is not tried; empty where it is."""
        if self._last is not None:
            last, seconds = self._last
            if time.perf_counter() - self._began + seconds * size / last > self._most_seconds:
                return f"to try {size} candidates together would take too long"
        needed = self._memory.expected(size)
        if self._free is None or needed is None or needed * self._workers <= self._free / 2:
            return ""
        on = f" on {self._workers} workers" if self._workers > 1 else ""
        gib = needed * self._workers / 2**30
        return f"{size} candidates would take about {gib:.1f} GiB{on}, over half of what is free"

    @contextmanager
    def watching(self, size: int) -> Iterator[None]:
        began = time.perf_counter()
        with self._memory.watching(size):
            yield
        self._last = (size, time.perf_counter() - began)


def _timed(task: Task, options: SessionOptions, size: int, threads: int, most_seconds: float) -> float:
    """The fastest of a few steps, in seconds per member; fewer steps are taken where they are slow."""
    return min(seconds_per_step(task, options, size, threads, most_seconds=most_seconds / len(SIZES) / 2))


def steps_per_epoch(task: Task) -> int | None:
    """Training steps of an epoch, as the Trainer's arguments bound them; None where a loader has no length."""
    try:
        steps = len(set_up(task).train_dataloader())
    except TypeError:
        return None
    limit = task.trainer.get("limit_train_batches", 1.0)
    return max(1, min(steps, limit) if isinstance(limit, int) else int(steps * limit))


def seconds_per_step(
    task: Task,
    options: SessionOptions,
    size: int,
    threads: int | None,
    steps: int = TIMED_STEPS,
    assignments: Sequence[Assignment] = (Assignment({}),),
    most_seconds: float = math.inf,
) -> list[float]:
    """Seconds that training steps take, per member of a population: forward, backward and the optimisers' step.

    So many ``steps`` are timed, after two that are not. The members, as many as ``size``, get the assignments in turn.
    No further step begins after ``most_seconds``, but one is always timed.

    Raises:
        torch.OutOfMemoryError: memory does not hold them.
    """
    with preserved_random_state(), quiet_lightning(), fixed_threads(threads):
        every = [Candidate(assignments[i % len(assignments)]) for i in range(size)]
        built = [Member(i, candidate, task, options) for i, candidate in enumerate(every)]
        datamodule = set_up(task)
        members = Members(built, [Stream(Key(0), datamodule)])
        with connected(task, options.device, built[0].module, datamodule) as trainer:
            begin(built, trainer, options.device)
            members.stack_up(options.device, trainer)
        for member in built:
            member.schedulers = []  # they may be made for fewer steps than are tried here
        batch = first_batch(datamodule, options.device)
        taken: list[float] = []
        began = time.perf_counter()
        for index in range(WARM + steps):
            if len(taken) > 1 and time.perf_counter() - began > most_seconds:
                break
            _wait(options.device)
            started = time.perf_counter()
            members.stack.zero_grads()
            members.losses(batch, index).loss_k.sum().backward()
            members.step(index)
            _wait(options.device)
            taken.append((time.perf_counter() - started) / size)
    return taken[min(WARM, len(taken) - 1) :]


def _wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
