"""How many CPU threads a training should use: small models are slower on many."""

from __future__ import annotations

import statistics
import time

import torch
from lightning import LightningModule

from autoact.core.value_holders import Batch
from autoact.latency.model_call import call_model
from autoact.latency.timer import fixed_threads
from autoact.sites.tracing.dry_run import tensors_in
from autoact.tasks.task import Task

ROWS, STEPS_PER_ROUND, ROUNDS = 128, 5, 5
# More threads have to pay: everything else on the machine loses them.
FASTER_BELOW = 0.85


def fastest_threads(task: Task, device: torch.device) -> int:
    """The number of threads at which a forward and backward pass of the task's model is fastest.

    Powers of two up to torch's own number are tried in turn, several rounds; on a GPU the CPU only launches kernels, so
    that torch's own number stays.
    """
    most = torch.get_num_threads()
    if device.type != "cpu" or most == 1:
        return most
    options = [1]
    while options[-1] * 2 < most:
        options.append(options[-1] * 2)
    options.append(most)
    module = task.make_module()
    module.configure_model()
    batch = task.make_input(ROWS)
    seconds: dict[int, list[float]] = {threads: [] for threads in options}
    for _ in range(ROUNDS):
        for threads in options:
            with fixed_threads(threads):
                _step(module, batch)
                started = time.perf_counter()
                for _ in range(STEPS_PER_ROUND):
                    _step(module, batch)
                seconds[threads].append(time.perf_counter() - started)
    best = options[0]
    for threads in options[1:]:
        if statistics.median(seconds[threads]) < FASTER_BELOW * statistics.median(seconds[best]):
            best = threads
    return best


def _step(module: LightningModule, batch: Batch) -> None:
    total = sum(out.float().sum() for out in tensors_in(call_model(module, batch)) if out.requires_grad)
    if isinstance(total, torch.Tensor):
        total.backward()
    module.zero_grad(set_to_none=True)
