"""What every table says of itself: machine, date, versions, command; and how tables and bars are written."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "lightning", "optuna", "mlflow", "ray")


def origin(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Machine, date, versions and command of this run, as plain data."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores{_gpu()}",
        "load": f"{os.getloadavg()[0]:.2f} when the table was written",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": ", ".join(f"{name} {_version(name)}" for name in ("python", *packages)),
        "command": f"python -m {_module()} {' '.join(sys.argv[1:])}".strip(),
    }


def origin_lines(found: dict[str, str] | None = None) -> str:
    """The same as Markdown."""
    return "\n".join(
        f"- {name}: {f'`{text}`' if name == 'command' else text}" for name, text in (found or origin()).items()
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right.

    Example:
        >>> print(markdown_table(["arm", "s"], [["plain", "1.0"]]))
        | arm | s |
        | --- | ---: |
        | plain | 1.0 |
    """
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def middle(values: Sequence[float], form: str = ".3g") -> str:
    """The median with the range of all values: ``1.2 (1.1-1.4)``; a dash where there are none.

    Example:
        >>> middle([3.0, 1.0, 2.0], ".1f"), middle([2.0]), middle([])
        ('2.0 (1.0-3.0)', '2', '-')
    """
    if not values:
        return "-"
    text = format(statistics.median(values), form)
    return text if len(values) == 1 else f"{text} ({min(values):{form}}-{max(values):{form}})"


def judged(value: float | None, bar: float, *, least: bool, unit: str = "") -> str:
    """A measurement beside its bar.

    Args:
        value: measured; None: it could not be.
        bar: what is wanted.
        least: whether the value must reach the bar; else it must not exceed it.
        unit: of both.

    Example:
        >>> judged(21.0, 20.0, least=True, unit="x")
        'met: 21x (bar: at least 20x)'
        >>> judged(31.0, 30.0, least=False, unit=" ms")
        'missed: 31 ms (bar: at most 30 ms)'
    """
    wanted = f"bar: at {'least' if least else 'most'} {bar:g}{unit}"
    if value is None:
        return f"missed: not reached ({wanted})"
    met = value >= bar if least else value <= bar
    return f"{'met' if met else 'missed'}: {value:.3g}{unit} ({wanted})"


def _module() -> str:
    """The dotted name under which this program was started."""
    file = Path(sys.argv[0])
    return f"{file.parent.name}.{file.stem}"


def _version(name: str) -> str:
    """A package's version."""
    if name == "python":
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name."""
    import torch

    from autoact.latency.hardware import describe

    return str(describe(torch.device("cpu"))["processor"])


def _gpu() -> str:
    """The GPU's name, where there is one."""
    import torch

    return f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
