"""The verdict in words: recommend, or keep the baseline; with the numbers that led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoact.core.statistics import Interval
from autoact.study.confirmation import Confirmation
from autoact.study.selection import Selection
from autoact.tasks.task import Task

# A cheaper assignment has to be cheaper by more than this, with its measurement error.
CHEAPER = 0.98


@dataclass(frozen=True)
class Ratio:
    """A cost or latency relative to the tuned baseline's, with an upper bound."""

    value: float
    upper: float


@dataclass(frozen=True)
class Ruling:
    """What is recommended under one policy.

    Attributes:
        policy: ``quality``, ``balanced`` or ``economy``.
        recommend: whether the policy's assignment replaces the baseline's.
        reason: why, in one sentence with the numbers.
    """

    policy: str
    recommend: bool
    reason: str


def rule(
    task: Task, selection: Selection, confirmation: Confirmation | None, ratios: Mapping[str, Ratio]
) -> tuple[dict[str, Ruling], str]:
    """A ruling per policy, and the verdict over all.

    Args:
        task: for the unit of the quality.
        selection: the policies' trials and the margin.
        confirmation: the final check; None where there was none.
        ratios: policy -> cheapest of the latency and cost ratios, measured end to end.
    """
    if confirmation is None:
        why = "not confirmed on data the search never saw"
        return {p: Ruling(p, False, why) for p in selection.policies}, f"No recommendation: {why}."
    rulings = {}
    for policy, record in selection.policies.items():
        gain = confirmation.gains.get(policy)
        if record.candidate.assignment == selection.tuned.candidate.assignment:
            rulings[policy] = Ruling(policy, False, "the baseline's own activations are the best under this policy")
        elif gain is None:
            rulings[policy] = Ruling(policy, False, "too few finished trainings for an interval")
        elif policy == "quality":
            rulings[policy] = _by_quality(policy, gain, task)
        else:
            rulings[policy] = _by_economy(policy, gain, ratios.get(policy), selection.margin, task)
    return rulings, _overall(rulings)


def _by_quality(policy: str, gain: Interval, task: Task) -> Ruling:
    """Quality decides: the interval has to lie above zero."""
    text = interval_text(gain, task)
    if gain.low > 0:
        return Ruling(policy, True, f"better than the tuned baseline by {text}")
    return Ruling(policy, False, f"the difference to the tuned baseline, {text}, includes zero")


def _by_economy(policy: str, gain: Interval, ratio: Ratio | None, margin: float, task: Task) -> Ruling:
    """Cheaper and not worse than the margin, or better outright."""
    text = interval_text(gain, task)
    if gain.low > 0:
        return Ruling(policy, True, f"better than the tuned baseline by {text}")
    if ratio is None or ratio.upper >= CHEAPER:
        shown = "unknown" if ratio is None else f"{ratio.value:.2f}, at most {ratio.upper:.2f}"
        return Ruling(policy, False, f"neither better ({text}) nor clearly cheaper (ratio {shown})")
    if gain.low < -margin:
        return Ruling(
            policy, False, f"cheaper (ratio {ratio.value:.2f}), but it may lose more than {margin:.4g}: {text}"
        )
    return Ruling(
        policy,
        True,
        f"cheaper (ratio {ratio.value:.2f}, at most {ratio.upper:.2f}) and within the margin of {margin:.4g}: {text}",
    )


def interval_text(gain: Interval, task: Task) -> str:
    """``+0.0031 ROC AUC (-0.0010 to +0.0072)``: positive is better, whatever the metric's direction."""
    better = "" if task.mode == "max" else " lower"
    return f"{gain.mean:+.4f}{better} {task.quality_unit} ({gain.low:+.4f} to {gain.high:+.4f})"


def _overall(rulings: Mapping[str, Ruling]) -> str:
    """One or two sentences."""
    won = [policy for policy, ruling in rulings.items() if ruling.recommend]
    if not won:
        reason = next(iter(rulings.values())).reason
        return (
            f"Keep the baseline's activations, with its tuned training settings: {reason}. "
            "That is a result: other activations would not have paid."
        )
    texts = [f"{policy}: {rulings[policy].reason}" for policy in won]
    return f"Recommended under {', '.join(won)}. " + "; ".join(texts) + "."
