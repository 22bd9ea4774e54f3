"""The verdict in words: recommend, or keep the baseline; with the numbers that led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoact.core.result_table import short
from autoact.study.confirmation.claim_on_test import Confirmation
from autoact.study.confirmation.ensembles import EnsembleClaim, averaged
from autoact.study.paired_statistics import Interval
from autoact.study.selection import ENSEMBLE, Selection
from autoact.tasks.task import Task

# A cheaper assignment has to be cheaper by more than this, with its measurement error.
CHEAPER = 0.98

# The row of the tuned baseline's ensembles.
TUNED = "tuned" + ENSEMBLE
# Why a policy ends at the baseline's own activations before any interval is asked.
_OWN = {
    "quality": "no other assignment{within} did better than the baseline's own on validation rows under fresh seeds",
    "balanced": "the best trade{within} on validation rows under fresh seeds is the baseline's own",
    "economy": "nothing cheaper{within} stayed within the margin of {margin} on validation rows under fresh seeds",
}


@dataclass(frozen=True)
class Ratio:
    """A cost or latency relative to the tuned baseline's, with its 95 % interval."""

    value: float
    lower: float
    upper: float

    @property
    def cheaper(self) -> bool:
        """Whether it is below the baseline's beyond doubt."""
        return self.upper < CHEAPER

    @property
    def dearer(self) -> bool:
        """Whether it is above the baseline's beyond doubt."""
        return self.lower > 1 / CHEAPER


@dataclass(frozen=True)
class Ruling:
    """Whether a policy's assignment replaces the baseline's, and why, in one sentence with the numbers.

    Of ensembles, ``policy`` is the name of their row, and ``recommend`` says whether to average trainings.
    """

    policy: str
    recommend: bool
    reason: str


def rule(
    task: Task,
    selection: Selection,
    confirmation: Confirmation | None,
    ratios: Mapping[str, Mapping[str, Ratio]],
    broken: Mapping[str, str],
) -> tuple[dict[str, Ruling], str]:
    """A ruling per policy, and the verdict over all.

    ``ratios`` hold per policy and traded objective (latency, cost) what was measured end to end; ``broken`` names per
    policy the user's limit that its assignment breaks.
    """
    if confirmation is None:
        why = "not confirmed on data the search never saw"
        return {p: Ruling(p, False, why) for p in selection.policies}, f"No recommendation: {why}."
    rulings = {
        policy: _ruling(policy, task, selection, confirmation, ratios.get(policy, {}), broken.get(policy, ""))
        for policy in selection.policies
    }
    return rulings, _overall(rulings, selection, confirmation)


def _ruling(
    policy: str,
    task: Task,
    selection: Selection,
    confirmation: Confirmation,
    ratios: Mapping[str, Ratio],
    broken: str,
) -> Ruling:
    gain, entry = confirmation.gains.get(policy), confirmation.entries[policy]
    if selection.policies[policy].candidate.assignment == selection.tuned.candidate.assignment:
        within = " within your limits" if selection.limited else ""
        return Ruling(policy, False, _OWN[policy].format(within=within, margin=short(selection.margin)))
    if broken:
        return Ruling(policy, False, broken)
    if entry.failures:
        seeds = len(entry.failures) + len(entry.scores)
        first = next(iter(entry.failures.values()))
        return Ruling(policy, False, f"{len(entry.failures)} of {seeds} trainings of the final check failed: {first}")
    if gain is None:
        return Ruling(policy, False, "too few finished trainings for an interval")
    ruling = (
        _by_quality(policy, gain, task)
        if policy == "quality"
        else _by_economy(policy, gain, ratios, selection.margin, task)
    )
    but = _but(policy, gain, task, selection, confirmation) if ruling.recommend else ""
    return Ruling(policy, False, f"{ruling.reason}; but {but}") if but else ruling


def _but(policy: str, gain: Interval, task: Task, selection: Selection, confirmation: Confirmation) -> str:
    """What forbids a recommendation though the interval allows it; empty where nothing does."""
    if policy in selection.doubts:
        return f"this check cannot tell whether that is the activations' merit: {selection.doubts[policy]}"
    twin = confirmation.over_twins.get(policy)
    if twin is not None and twin.low <= _may_lose(policy, selection):
        same = f"beside the baseline's own activations with the same training settings: {interval_text(twin, task)}"
        if policy == "quality":
            return f"the gain may be that of its training settings, not of its activations: {same}"
        return f"it may lose more than {short(selection.margin)} {same}"
    configured = confirmation.gains.get("configured")
    if configured is not None:
        # Tuning can mislead: what the tuned baseline lost must not count as the challenger's gain.
        allowed = selection.margin if policy != "quality" and gain.low <= 0 else 0.0
        lost = configured.mean - gain.mean
        if lost > allowed:
            return f"the model as configured does better still, by {signed(lost)} {task.quality_unit}"
    return ""


def _may_lose(policy: str, selection: Selection) -> float:
    return 0.0 if policy == "quality" else -selection.margin


def _by_quality(policy: str, gain: Interval, task: Task) -> Ruling:
    text = interval_text(gain, task)
    if gain.low > 0:
        return Ruling(policy, True, f"better than the tuned baseline by {text}")
    finding = "is a loss" if gain.high < 0 else "includes zero"
    return Ruling(policy, False, f"the gain over the tuned baseline, {text}, {finding}")


def _by_economy(policy: str, gain: Interval, ratios: Mapping[str, Ratio], margin: float, task: Task) -> Ruling:
    text = interval_text(gain, task)
    shown = ", ".join(f"{name} ratio {r.value:.2f} ({r.lower:.2f} to {r.upper:.2f})" for name, r in ratios.items())
    if not ratios or not any(r.cheaper for r in ratios.values()):
        return Ruling(policy, False, f"not clearly cheaper ({shown or 'nothing was timed'}); its quality: {text}")
    if not is_cheaper(policy, ratios):
        cheaper = [name for name, r in ratios.items() if r.cheaper]
        dearer = [name for name, r in ratios.items() if r.dearer]
        return Ruling(policy, False, f"cheaper in {' and '.join(cheaper)}, dearer in {' and '.join(dearer)} ({shown})")
    if gain.low < -margin:
        return Ruling(policy, False, f"cheaper ({shown}), but it may lose more than {short(margin)}: {text}")
    return Ruling(policy, True, f"cheaper ({shown}) and within the margin of {short(margin)}: {text}")


def is_cheaper(policy: str, ratios: Mapping[str, Ratio]) -> bool:
    """Whether something is cheaper beyond doubt, and nothing dearer; for ``economy``, cost decides where traded."""
    cheaper = [name for name, ratio in ratios.items() if ratio.cheaper]
    dearer = [name for name, ratio in ratios.items() if ratio.dearer]
    return bool(cheaper) and (not dearer or (policy == "economy" and "cost" in cheaper))


def rule_on_ensembles(
    task: Task,
    selection: Selection,
    confirmation: Confirmation,
    latencies: Mapping[str, Ratio],
    broken: Mapping[str, str],
) -> Ruling | None:
    """Whether averaging trainings is recommended, and of which setting, with the numbers; None where nobody asked.

    Ensembles of ``quality`` have to be better than the single tuned baseline and than as large ensembles of the
    baseline's own activations; those of the tuned baseline, than a single one. ``latencies`` are relative to that one,
    by the names of the ensembles' rows, as ``broken`` names the limits that they break.
    """
    claim = confirmation.ensembles
    if claim is None:
        return None
    if claim.why_not:
        return Ruling(TUNED, False, claim.why_not)

    def against_one(name: str) -> str:
        dearer = f", at {latencies[name + ENSEMBLE].value:.1f} times the latency"
        return f"{interval_text(claim.gains[name], task)} against one of the tuned baseline{dearer}"

    could = [name.removesuffix(ENSEMBLE) for name in hopeful_ensembles(selection, broken)]
    won = [name for name in could if not confirmation.entries[name].failures and _ensemble_won(claim, name)]
    many, own = f"{claim.size} trainings of", f"{claim.size} of the tuned baseline"
    if "quality" in won:
        beside = f"{interval_text(claim.over['tuned'], task)} against {own}"
        return Ruling(
            "quality" + ENSEMBLE, True, f"{many} quality's setting, averaged: {against_one('quality')}; {beside}"
        )
    more = ""
    if "quality" in claim.gains:
        limit = broken.get("quality" + ENSEMBLE) or selection.doubts.get("quality")
        found = limit or f"{interval_text(claim.over['tuned'], task)} against {own}"
        more = f"; those of quality's setting are not recommended: {found}"
    if TUNED in broken:
        return Ruling(TUNED, False, f"{own}: {broken[TUNED]}{more}")
    finding = "" if "tuned" in won else ", a loss" if claim.gains["tuned"].high < 0 else ", which includes zero"
    said = f"{many} the tuned baseline, averaged: {against_one('tuned')}{finding}{more}"
    return Ruling(TUNED, "tuned" in won, said)


def _ensemble_won(claim: EnsembleClaim, name: str) -> bool:
    over = claim.over.values() if name == "quality" else ()
    return all(gain.low > 0 for gain in (claim.gains[name], *over))


def _ensemble_lost(claim: EnsembleClaim, name: str) -> bool:
    over = claim.over.values() if name == "quality" else ()
    return any(gain.high <= 0 for gain in (claim.gains[name], *over))


def hopeful_ensembles(selection: Selection, broken: Mapping[str, str]) -> list[str]:
    """The settings whose ensembles could be recommended, by the names of their rows."""
    names = [name for name in averaged(selection) if name == "tuned" or name not in selection.doubts]
    return [name + ENSEMBLE for name in names if name + ENSEMBLE not in broken]


def hopeful(selection: Selection, ratios: Mapping[str, Mapping[str, Ratio]], broken: Mapping[str, str]) -> list[str]:
    """The policies that could be recommended, whatever their quality on test rows: times are measured before."""
    return [
        policy
        for policy in selection.policies
        if policy not in broken
        and policy not in selection.doubts
        and (policy == "quality" or is_cheaper(policy, ratios.get(policy, {})))
    ]


def settled(
    task: Task,
    selection: Selection,
    confirmation: Confirmation,
    ratios: Mapping[str, Mapping[str, Ratio]],
    broken: Mapping[str, str],
) -> bool:
    """Whether more seeds could not change the verdict: every policy is recommended, or lies beyond hope."""
    rulings, _ = rule(task, selection, confirmation, ratios, broken)
    could = hopeful(selection, ratios, broken)
    for policy, ruling in rulings.items():
        gain = confirmation.gains.get(policy)
        own = selection.policies[policy].candidate.assignment == selection.tuned.candidate.assignment
        if ruling.recommend or own or policy not in could or confirmation.entries[policy].failures:
            continue
        lost, twin = _may_lose(policy, selection), confirmation.over_twins.get(policy)
        if gain is None or (gain.high > lost and (twin is None or twin.high > lost)):
            return False
    claim = confirmation.ensembles
    if claim is None:
        return True
    names = [name.removesuffix(ENSEMBLE) for name in hopeful_ensembles(selection, broken)]
    return all(name in claim.gains and (_ensemble_won(claim, name) or _ensemble_lost(claim, name)) for name in names)


def interval_text(gain: Interval, task: Task) -> str:
    """``+0.0031 ROC AUC (-0.0010 to +0.0072)``: positive is better, whatever the metric's direction."""
    return f"{signed(gain.mean)} {task.quality_unit} ({signed(gain.low)} to {signed(gain.high)})"


def signed(value: float) -> str:
    """A gain with its sign: four decimals, fewer for large numbers, more where four would show nothing."""
    size = abs(value)
    if size >= 1000:
        return f"{value:+,.0f}"
    return f"{value:+.2f}" if size >= 10 else f"{value:+.4f}" if size >= 0.001 or value == 0 else f"{value:+.3g}"


def kept(selection: Selection | None) -> str:
    """Which baseline is kept, ``tuned`` or ``configured``: the first stage may find that tuning brought nothing."""
    same = selection is not None and dict(selection.tuned.candidate.settings) == dict(
        selection.configured.candidate.settings
    )
    return "configured" if same else "tuned"


def _overall(rulings: Mapping[str, Ruling], selection: Selection, confirmation: Confirmation) -> str:
    won = [policy for policy, ruling in rulings.items() if ruling.recommend]
    if not won:
        reason = next(iter(rulings.values())).reason
        tuned = kept(selection) == "tuned"
        settings = "its tuned training settings" if tuned else "its settings as configured"
        more = ""
        foresight = confirmation.foresight
        if "zero" in reason and (foresight is None or foresight.seeds_help):
            more = f" More seeds narrow the interval: confirm.seeds={max(10, 2 * confirmation.planned)}."
        return f"Keep the baseline's activations, with {settings}: {reason}.{more}"
    reasons = dict.fromkeys(rulings[policy].reason for policy in won)
    groups = [([policy for policy in won if rulings[policy].reason == reason], reason) for reason in reasons]
    return " ".join(f"Recommended under {', '.join(policies)}: {reason}." for policies, reason in groups)
