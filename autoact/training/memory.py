"""How much memory is free, and how much populations take: measured while some are tried, then extrapolated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

# Seconds between two looks at what this process holds.
MEMORY_POLL_SECONDS = 0.005
_MEMORY, _STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
# A container's own limit, where there is one (control groups, version 2).
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that are free on a device, within a container's limit; None where this system does not tell.

    Example:
        >>> free = free_bytes(torch.device("cpu"))
        >>> free is None or free > 0
        True
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    sizes = [_field(_MEMORY, "MemAvailable")]
    with suppress(OSError, ValueError):  # no limit ("max"), or no control groups
        sizes.append(int(_LIMIT.read_text()) - int(_USED.read_text()))
    return min((size for size in sizes if size is not None), default=None)


def _field(file: Path, name: str) -> int | None:
    """A field of a file of the kernel's, in bytes."""
    try:
        line = next(line for line in file.read_text().splitlines() if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024


class Footprint:
    """What populations need beyond what was held before: the highest of each size that was tried, in bytes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._peaks: dict[int, int] = {}
        self._before = self._held()

    def _held(self) -> int:
        """Bytes held now; 0 where this system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return _field(_STATUS, "VmRSS") or 0

    @contextmanager
    def watching(self, size: int) -> Iterator[None]:
        """Watch what is held while a population of a size is tried inside."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            yield
            self._peaks[size] = torch.cuda.max_memory_allocated(self._device) - self._before
            return
        highest, ended = [self._held()], threading.Event()

        def look() -> None:
            while not ended.wait(MEMORY_POLL_SECONDS):
                highest.append(max(highest.pop(), self._held()))

        thread = threading.Thread(target=look, name="autoact-memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        self._peaks[size] = max(0, max(highest[0], self._held()) - self._before)

    def expected(self, size: int) -> int | None:
        """Bytes that a larger population is expected to take, by the last two that were tried; None before any.

        Example:
            >>> footprint = Footprint(torch.device("cpu"))
            >>> footprint.expected(4) is None
            True
            >>> footprint._peaks = {1: 100, 4: 160}
            >>> footprint.expected(16)
            400
        """
        if not self._peaks:
            return None
        tried = sorted(self._peaks)[-2:]
        last = self._peaks[tried[-1]]
        if len(tried) == 1:
            return last * size // tried[0]
        each = max(0, last - self._peaks[tried[0]]) // (tried[1] - tried[0])
        return last + each * (size - tried[1])
