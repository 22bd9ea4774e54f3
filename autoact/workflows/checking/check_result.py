"""The result of a check, as plain data: quantities then and now, bounds, verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real

import pandas as pd

from autoact.core.errors import AutoactError
from autoact.core.result_table import ResultTable, number, to_html
from autoact.core.value_holders import PlainData
from autoact.data.preparation.drift import SHIFTED
from autoact.study.confirmation.verdict import signed

OK, UNCLEAR, REGRESSION, UNKNOWN = "ok", "unclear", "regression", "not compared"
# How the columns of input drift are called among the findings.
DRIFT = "drift:"
# So many columns are shown even where none has moved.
QUIET_COLUMNS = 5
TITLES = {"gain": "gain over the baseline", "latency": "latency ratio", "cost": "cost ratio"}


@dataclass(frozen=True)
class Tolerances:
    """How far a measure may be from the stored one.

    Attributes:
        quality: loss against the stored quality, in units of the metric; None: the margin of the search, a share of
            the baseline's distance to the trivial predictor.
        gain: the least gain over the baseline, in units of the metric; None: 0 where the stored gain was above zero
            beyond doubt, else minus the margin.
        latency: by which share the latency ratio may grow.
        cost: by which share the cost ratio may grow.
        drift: the population stability index of a column from which on it counts as changed.
    """

    quality: float | None = None
    gain: float | None = None
    latency: float = 0.1
    cost: float = 0.1
    drift: float = SHIFTED

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
                raise AutoactError(f"tolerance.{name}={value!r} must be a finite number")
        for name in ("quality", "latency", "cost", "drift"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise AutoactError(f"tolerance.{name}={value} must be a finite number, 0 or more")
        if self.gain is not None and not math.isfinite(self.gain):
            raise AutoactError(f"tolerance.gain={self.gain} must be a finite number")


@dataclass(frozen=True)
class Finding:
    """One quantity, then and now.

    Attributes:
        name: ``quality``, ``gain``, ``latency``, ``cost`` or ``drift:COLUMN``.
        stored: in the recommendation; None where it holds none.
        now: measured again.
        low: lower bound of its interval.
        high: upper bound; of drift: what chance alone stays below.
        allowed: the bound that it has to keep.
        least: whether the bound is one from below.
        verdict: ``ok``, ``unclear`` (the interval lies on both sides of the bound), ``regression`` or ``not compared``.
        reason: why, where the numbers do not say it.
    """

    name: str
    stored: float | None
    now: float | None
    low: float | None
    high: float | None
    allowed: float | None
    least: bool
    verdict: str
    reason: str = ""

    @property
    def drifted(self) -> bool:
        """Whether this is the stability index of an input column."""
        return self.name.startswith(DRIFT)

    def title(self, unit: str) -> str:
        """What the quantity is called; ``unit`` is that of the quality."""
        if self.drifted:
            return f"PSI of {self.name.removeprefix(DRIFT)}"
        return unit if self.name == "quality" else TITLES[self.name]

    def cells(self, unit: str) -> list[str]:
        """One row of the table."""

        def text(value: float | None) -> str:
            if value is None:
                return "-"
            return f"{value:.3f}" if self.drifted else signed(value) if self.name == "gain" else number(value)

        interval = "-" if self.low is None else f"{text(self.low)} to {text(self.high)}"
        if self.drifted:
            interval = f"by chance < {text(self.high)}"
        bound = "-" if self.allowed is None else f"{'>=' if self.least else '<='} {text(self.allowed)}"
        verdict = f"{self.verdict}: {self.reason}" if self.reason else self.verdict
        return [self.title(unit), text(self.stored), text(self.now), interval, bound, verdict]


@dataclass(frozen=True, eq=False, repr=False)
class CheckResult:
    """What a check found.

    Attributes:
        task: the task's name.
        policy: what was checked.
        unit: what the quality is.
        judged: which rows judged: ``validation`` or ``test``.
        seeds: fresh seeds.
        findings: one per quantity; drifted columns first.
        notes: what the reader must know.
        about: the recommendation's digest, fingerprints of the data, the time.
        strict: whether what is unclear counts as a regression.
        confidence: of the intervals of quality and gain; those of times are at 95 %.
    """

    task: str
    policy: str
    unit: str
    judged: str
    seeds: int
    findings: Sequence[Finding]
    notes: Sequence[str] = ()
    about: PlainData = field(default_factory=dict)
    strict: bool = False
    confidence: float = 0.95

    @property
    def regressions(self) -> list[Finding]:
        """What lies outside of its tolerance."""
        bad = (REGRESSION, UNCLEAR) if self.strict else (REGRESSION,)
        return [finding for finding in self.findings if finding.verdict in bad]

    @property
    def passed(self) -> bool:
        """Whether nothing does."""
        return not self.regressions

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        if self.regressions:
            return f"Regression: {', '.join(finding.title(self.unit) for finding in self.regressions)}"
        unclear = [finding.title(self.unit) for finding in self.findings if finding.verdict == UNCLEAR]
        more = f" Neither proved nor refuted: {', '.join(unclear)} (more seeds or rows narrow the interval)."
        return f"No regression.{more}" if unclear else "Within the tolerances."

    def table(self) -> ResultTable:
        """The findings as text, without most of the columns that have not moved."""
        quiet = [one for one in self.findings if one.drifted and one.verdict == OK and not one.reason][QUIET_COLUMNS:]
        simulated = " (simulated data)" if self.about.get("simulated") else ""
        return ResultTable(
            f"{self.task}{simulated}: policy {self.policy}, {self.seeds} fresh seeds, {self.judged} rows",
            ("quantity", "stored", "now", "interval", "allowed", "verdict"),
            [finding.cells(self.unit) for finding in self.findings if finding not in quiet],
            [f"{len(quiet)} other columns have moved less."] if quiet else [],
        )

    def to_dataframe(self) -> pd.DataFrame:
        """The findings, one in each row."""
        return pd.DataFrame([asdict(finding) for finding in self.findings])

    def __repr__(self) -> str:
        return f"CheckResult({self.task!r}, {self.policy!r}: {self.verdict})"

    def _repr_html_(self) -> str:
        """The verdict and the findings, as notebooks show them."""
        return to_html(self.verdict, [self.table()], self.notes)

    def to_dict(self) -> PlainData:
        """Plain data for JSON."""
        return {
            "kind": "autoact-check",
            "task": self.task,
            "policy": self.policy,
            "passed": self.passed,
            "regressions": [finding.name for finding in self.regressions],
            "unit": self.unit,
            "judged_on": self.judged,
            "seeds": self.seeds,
            "strict": self.strict,
            "confidence": self.confidence,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
            "about": dict(self.about),
        }


def judge(low: float, high: float, bound: float, *, least: bool) -> str:
    """Whether an interval keeps a bound: all of it, a part of it, or none.

    Example:
        >>> judge(0.1, 0.2, 0.0, least=True), judge(-0.1, 0.2, 0.0, least=True), judge(1.2, 1.3, 1.1, least=False)
        ('ok', 'unclear', 'regression')
    """
    if not least:
        low, high, bound = -high, -low, -bound
    return OK if low >= bound else REGRESSION if high < bound else UNCLEAR
