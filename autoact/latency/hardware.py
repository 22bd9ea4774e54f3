"""The serving target: which device, what an hour of it costs, and how carefully to time on it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import check_values

if TYPE_CHECKING:  # torch is imported when it is used, so that configurations are read and checked at once
    import torch

_CPUINFO = Path("/proc/cpuinfo")


@dataclass
class HardwareSettings:
    """What serves the model, as plain values: the schema of ``conf/hardware``.

    Attributes:
        name: what reports call this target.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:0`` (or another number) or ``mps``.
        price_per_hour: price of one hour of the whole machine, in ``currency``; without it there is no cost objective.
        currency: of the price, as an ISO 4217 code such as ``USD``.
        price_date: when the price was read (YYYY-MM-DD).
        price_source: where the price was read.
        threads: CPU threads of torch while timing; torch's own number unless given.
        throughput_batch: samples per call where throughput, and so the cost per sample, counts.
        latency_batch: samples per call where the answer to one request counts.
        rounds: how often every variant is timed in turn; 3 or more.
        min_ms: shortest time in ms that a variant is timed in one round.

    Raises:
        AutoactError: a value is out of its range, or a price has no currency.

    Example:
        >>> HardwareSettings(name="server", device="cpu", price_per_hour=0.085, currency="USD").latency_batch
        1
    """

    name: str = "auto"
    device: str = "auto"
    price_per_hour: Optional[float] = None
    currency: Optional[str] = None
    price_date: Optional[str] = None
    price_source: Optional[str] = None
    threads: Optional[int] = None
    throughput_batch: int = 1024
    latency_batch: int = 1
    rounds: int = 15
    min_ms: float = 3.0

    def __post_init__(self) -> None:
        """Check the values, so that a mistake is named before anything is timed."""
        check_values(self, "hardware")
        _check_device(self.device)
        least = {"throughput_batch": 1, "latency_batch": 1, "rounds": 3, "threads": 1, "price_per_hour": 0}
        for field, bound in least.items():
            value = getattr(self, field)
            if value is not None and not value >= bound:
                raise AutoactError(f"hardware.{field} is {value}: it must be {bound} or more")
        if not self.min_ms > 0:
            raise AutoactError(f"hardware.min_ms is {self.min_ms}: it must be more than 0 ms")
        if self.price_per_hour is not None and not self.currency:
            raise AutoactError("hardware.price_per_hour has no currency: set hardware.currency, for example to USD")


def resolve_device(name: str) -> torch.device:
    """The torch device for a name; ``auto`` is the first CUDA GPU if there is one, else the CPU.

    ``mps`` is used only when named: many operations fall back to the CPU there, and timings then mix two devices.

    Raises:
        AutoactError: an unknown name, or a device that this machine does not have.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    present = ["cpu", *(f"cuda:{i}" for i in range(gpus)), *(["mps"] if has_mps else [])]
    if name == "auto":
        return torch.device("cuda:0" if gpus else "cpu")
    _check_device(name)
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        raise AutoactError(f"device {name!r} is not on this machine: there is {', '.join(present)}")
    return torch.device(wanted)


def _check_device(name: str) -> None:
    """Refuse a name that is no device's; whether this machine has it is another question."""
    kind, separator, number = name.partition(":")
    if name != "auto" and (
        kind not in ("cpu", "cuda", "mps") or (separator and (kind != "cuda" or not number.isdecimal()))
    ):
        raise unknown("device", name, ["auto", "cpu", "cuda", "cuda:0", "mps"])


def describe(device: torch.device) -> dict[str, str | int | None]:
    """What timings on ``device`` depend on, as plain data for logs and files; ``gpu`` and ``cuda`` are None on a CPU.

    Example:
        >>> import torch
        >>> sorted(describe(torch.device("cpu")))
        ['cuda', 'device', 'gpu', 'processor', 'system', 'threads', 'torch']
    """
    import torch

    return {
        "device": str(device),
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }


def _processor() -> str:
    """The processor's name, from the kernel where it tells, else from the interpreter."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() in ("model name", "cpu model", "hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()
