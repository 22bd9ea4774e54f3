"""The latency table: what each activation at each site adds, measured once in the real model on the serving target."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError, unknown
from autoact.core.value_holders import PlainData

FORMAT = 1
NOISY = 0.05  # a relative spread of the replicated baseline above which the machine was not quiet
UNSTEADY = 0.2  # a standard error of a swap, relative to the baseline, above which its time is not known
BATCHES = ("latency", "throughput")


@dataclass(frozen=True)
class Estimate:
    """A time with its standard error, both in ms."""

    ms: float
    error_ms: float


@dataclass(frozen=True)
class BatchTable:
    """What was measured at one batch size.

    Attributes:
        batch: samples per call.
        baseline_p90_ms: 90th percentile of the baseline's calls, in ms. Percentiles do not add: none is predicted.
        difference_error_ms: standard error of the difference of two settings that differ at one site, in ms; never
            less than what two identical baselines differed by.
        spread: largest minus smallest of the replicated baselines' medians, relative to their median.
        deltas: site -> choice -> what the swap adds to the baseline, as measured, however small.
    """

    batch: int
    baseline: Estimate
    baseline_p90_ms: float
    difference_error_ms: float
    spread: float
    deltas: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class LatencyTable:
    """Times of assignments by addition: baseline plus what each swap adds.

    In eager mode the sum predicts the measured median within a few per cent; finalists are measured end to end.

    Attributes:
        device: what the timings depend on, as ``describe`` gave it.
        date: when it was measured (ISO 8601, UTC).
        batches: ``latency``, and ``throughput`` where it was wanted -> what was measured at that batch size.

    Example:
        >>> measured = BatchTable(1, Estimate(2.0, 0.03), 2.5, 0.05, 0.01, {"act": {"tanh": Estimate(0.5, 0.04)}})
        >>> both = {"latency": measured, "throughput": measured}
        >>> table = LatencyTable("server", {"device": "cpu"}, "2026-01-01T00:00:00+00:00", both)
        >>> table.predict({"act": "tanh"})
        Estimate(ms=2.5, error_ms=0.05)
        >>> table.epsilon()
        0.1
    """

    name: str
    device: Mapping[str, str | int | None]
    date: str
    batches: Mapping[str, BatchTable]

    def at(self, batch: str = "latency") -> BatchTable:
        """What was measured at the ``latency`` or the ``throughput`` batch size.

        Raises:
            AutoactError: the name is neither.
        """
        if batch not in self.batches:
            raise unknown("batch", batch, self.batches)
        return self.batches[batch]

    def predict(self, assignment: Mapping[str, str | Choice], batch: str = "latency") -> Estimate:
        """The time of one call with this assignment: the baseline, where it names nothing else, plus what swaps add.

        Savings that lie within the noise (two standard errors) do not add up below the fastest model that was
        measured; those beyond it do, each as a share of what is left. So no prediction is ever zero or less.

        Raises:
            AutoactError: a site or a choice that was not measured.
        """
        measured = self.at(batch)
        parts = [measured.baseline]
        for site, choice in assignment.items():
            if site not in measured.deltas:
                raise unknown("site in the latency table", site, measured.deltas)
            name, choices = str(Choice.parse(choice)), measured.deltas[site]
            if name not in choices:
                raise unknown(f"choice in the latency table at {site}", name, choices)
            parts.append(choices[name])
        ms = max(math.fsum(part.ms for part in parts), _floor(measured, parts[1:]))
        return Estimate(ms, math.hypot(*(part.error_ms for part in parts)))

    def epsilon(self, batch: str = "latency", sites: int = 1) -> float:
        """The difference in ms up to which two settings tie: two standard errors of a difference.

        The errors of several ``sites`` at which they differ add in quadrature.
        """
        return 2.0 * self.at(batch).difference_error_ms * math.sqrt(sites)

    @property
    def quietness(self) -> str | None:
        """A note where the machine was noisy, see ``NOISY`` and ``UNSTEADY``; none where it was quiet."""
        same, swaps = [], []
        for name, table in self.batches.items():
            where = f"at batch {table.batch} ({name})"
            if table.spread > NOISY:
                same.append(f"the same model differed by {table.spread:.0%} {where}")
            most = UNSTEADY * table.baseline.ms
            wild = {choice for site in table.deltas.values() for choice, delta in site.items() if delta.error_ms > most}
            if wild:
                swaps.append(f"the time of {', '.join(sorted(wild))} varied from round to round {where}")
        reasons = "; ".join([*same, *swaps])
        return f"the machine was noisy while timing: {reasons}; time again when it is quiet" if reasons else None

    def to_dict(self) -> PlainData:
        """Plain data for JSON, with the version of the format."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: PlainData) -> LatencyTable:
        """The inverse of ``to_dict``.

        Raises:
            AutoactError: another version of the format, or not a latency table.
        """
        version = data.get("format") if isinstance(data, Mapping) else None
        if version != FORMAT:
            raise AutoactError(f"this is no latency table of format {FORMAT}: its format is {version!r}")
        try:
            measured = [name for name in BATCHES if name in data["batches"]] or BATCHES[:1]
            batches = {name: _batch_from_dict(data["batches"][name]) for name in measured}
            return cls(str(data["name"]), dict(data["device"]), str(data["date"]), batches)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AutoactError(f"the latency table is damaged: {type(error).__name__}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, for use on another machine."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Read what ``save`` wrote, for example on the serving machine.

        Raises:
            AutoactError: no such file, or not a latency table.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise AutoactError(f"cannot read the latency table {str(path)!r}: {error}") from error


def _floor(measured: BatchTable, swaps: Sequence[Estimate]) -> float:
    """The least time in ms that can be predicted of these swaps."""
    baseline = measured.baseline.ms
    every = [delta.ms for choices in measured.deltas.values() for delta in choices.values()]
    fastest = baseline + min([0.0, *every])
    proven = math.prod(1.0 + swap.ms / baseline for swap in swaps if swap.ms < -2.0 * swap.error_ms)
    return min(fastest, baseline * proven)


def _batch_from_dict(data: PlainData) -> BatchTable:
    deltas = {
        str(site): {str(choice): _estimate(value) for choice, value in choices.items()}
        for site, choices in data["deltas"].items()
    }
    return BatchTable(
        batch=int(data["batch"]),
        baseline=_estimate(data["baseline"]),
        baseline_p90_ms=float(data["baseline_p90_ms"]),
        difference_error_ms=float(data["difference_error_ms"]),
        spread=float(data["spread"]),
        deltas=deltas,
    )


def _estimate(data: PlainData) -> Estimate:
    return Estimate(float(data["ms"]), float(data["error_ms"]))
