"""How many candidates train fastest together, and on how many CPU threads: tried for a few steps, not guessed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from autoact.core.choice import Assignment
from autoact.core.records import Candidate
from autoact.tasks.task import Task
from autoact.timing.clock import fixed_threads
from autoact.training.lightning_session import SessionOptions, trainer_for
from autoact.training.population.member import Member
from autoact.training.population.members import Members
from autoact.training.population.streams import Stream
from autoact.training.population.support import first_batch, why_not
from autoact.training.quiet import quiet_lightning
from autoact.training.randomness import random_state, restore_random_state
from autoact.training.threads import fastest_threads

SIZES = (1, 4, 16, 64)
STEPS, WARM = 6, 2
# A larger population has to pay: results come later, and fewer workers share the candidates of a batch.
WORTH = 0.9


@dataclass(frozen=True)
class Probed:
    """What was found.

    Attributes:
        population: how many candidates train together; 1: one by one.
        threads: CPU threads of each worker.
        reason: why candidates train one by one; empty where they do not.
        seconds_per_step: size of a population -> seconds per step and member; empty where nothing was tried.
    """

    population: int
    threads: int
    reason: str
    seconds_per_step: dict[int, float]

    @property
    def largest(self) -> int:
        """The fastest of all, where nobody waits for results."""
        return min(self.seconds_per_step, key=self.seconds_per_step.__getitem__, default=self.population)


def probe(task: Task, options: SessionOptions, *, workers: int = 1) -> Probed:
    """Try a few training steps at several population sizes and thread counts, and keep the fastest.

    Args:
        task: what is trained.
        options: how; its ``threads`` are kept where given.
        workers: how many processes will train at the same time: they share the CPU's threads.
    """
    reason = why_not(task, options)
    available = max(1, torch.get_num_threads() // workers)
    if reason:
        return Probed(1, options.threads or min(available, fastest_threads(task, options.device)), reason, {})
    wanted = [options.threads] if options.threads else sorted({1, available})
    best: tuple[float, int, int] | None = None
    found: dict[int, float] = {}
    for size in SIZES:
        try:
            trials = {threads: min(seconds_per_step(task, options, size, threads)) for threads in wanted}
        except torch.OutOfMemoryError:
            break
        threads = min(trials, key=trials.__getitem__)
        found[size] = trials[threads]
        if best is None or trials[threads] < WORTH * best[0]:
            best = (trials[threads], size, threads)
    if best is None:
        return Probed(1, wanted[0], "not even one candidate fits into memory", found)
    return Probed(best[1], best[2], "", found)


def seconds_per_step(
    task: Task,
    options: SessionOptions,
    size: int,
    threads: int | None,
    steps: int = STEPS,
    assignments: Sequence[Assignment] = (Assignment({}),),
) -> list[float]:
    """Seconds that training steps take, per member of a population: forward, backward and the optimisers' step.

    Args:
        task: what is trained.
        options: how.
        size: members.
        threads: CPU threads.
        steps: how many are timed, after two that are not.
        assignments: handed out to the members in turn.

    Raises:
        torch.OutOfMemoryError: memory does not hold them.
    """
    state = random_state()
    with quiet_lightning(), fixed_threads(threads):
        every = [Candidate(assignments[i % len(assignments)]) for i in range(size)]
        built = [Member(i, candidate, task, options) for i, candidate in enumerate(every)]
        members = Members(built, [Stream((0, None), None)])
        members.stack_up(options.device, trainer_for(task, options.device, []))
        batch = first_batch(task, options)
        taken = []
        for index in range(WARM + steps):
            _wait(options.device)
            started = time.perf_counter()
            members.stack.zero_grads()
            members.losses(batch, index).loss_k.sum().backward()
            members.step(index)
            _wait(options.device)
            taken.append((time.perf_counter() - started) / size)
    restore_random_state(state)
    return taken[WARM:]


def _wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
