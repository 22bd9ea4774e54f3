"""A recommendation measured again: quality, gain, times and input drift, against its stored evidence."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import torch

from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate, Role
from autoact.data.preparation.drift import NOTICEABLE, drift
from autoact.data.raw_table import TABULAR, raw_table
from autoact.latency.hardware import describe
from autoact.recommendation import Policy, Recommendation
from autoact.study.confirmation.alpha_spending import NumberedOpening, number_opening
from autoact.study.confirmation.paired_differences import gain_of
from autoact.study.confirmation.retraining import RetrainedCandidate, same
from autoact.study.confirmation.verdict import Ratio
from autoact.study.paired_statistics import Interval, jackknife_variance, paired_interval
from autoact.study.selection import margin_of
from autoact.study.storage.study_notes import open_notes
from autoact.tasks.task import Task
from autoact.training.predictions import JACKKNIFE_GROUPS
from autoact.workflows.checking.check_result import (
    OK,
    REGRESSION,
    UNCLEAR,
    UNKNOWN,
    CheckResult,
    Finding,
    Tolerances,
    judge,
)
from autoact.workflows.checking.metric_match import same_metric, same_positive_class, within_range
from autoact.workflows.checking.remeasure import retrain, time_ratio

CONFIDENCE = 0.95
# From fewer groups of rows than this, the noise of rows is not known.
LEAST_GROUPS = 10


@dataclass(frozen=True)
class CheckSettings:
    """What a check measures with.

    Attributes:
        config: the whole configuration.
        device: where to train and to time.
        recipe: whether autoact prepares the data; false for a module of the user's own.
        seeds: fresh seeds; 2 or more.
        storage: where an opening of the test part is counted; None: it stays sealed.
        strict: whether what is unclear counts as a regression.
    """

    config: Config
    device: torch.device
    recipe: bool = True
    seeds: int = 5
    storage: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise AutoactError(f"seeds={self.seeds}: an interval needs 2 fresh seeds or more")


def measure_again(
    task: Task, recommendation: Recommendation, policy: str | None, tolerances: Tolerances, means: CheckSettings
) -> CheckResult:
    """Measure quality, gain, latency, cost and input drift of a recommendation on a task's data.

    Raises:
        AutoactError: the recommendation's quality is of another metric, it does not fit the model, or its baseline
            cannot be trained.
    """
    same_metric(recommendation, task)
    same_positive_class(recommendation, task)
    name, chosen = recommendation.named(policy)
    module = task.make_module()
    module.configure_model()
    recommendation.apply(module, policy, example_input=task.example_input)  # names every site that does not fit
    mine, baseline = _candidate(chosen), _candidate(recommendation.baseline)
    notes = _notes(task, recommendation, chosen, means)
    drifted = _drift(recommendation, tolerances, means, notes)
    confidence, test = CONFIDENCE, None
    if means.storage is not None:
        opening = number_check(means.storage, task, [mine, baseline], means.seeds)
        confidence, test = 1 - opening.alpha, opening.reason
        notes.append(f"opening {opening.number} of this test part: quality and gain at {100 * confidence:.4g} %")
    timed = [] if _equal(mine, baseline) else _times(task, chosen, mine, baseline, tolerances, means)
    trained = retrain(
        task,
        {"mine": mine, "baseline": baseline},
        means.seeds,
        device=means.device,
        engine=means.config.engine,
        search=means.config.search,
        rescale=recommendation.rescale,
        activation_rate=recommendation.activation_rate,
        test=test,
    )
    qualities = _qualities(task, recommendation, chosen, trained, tolerances, means, confidence, notes)
    return CheckResult(
        task=task.name,
        policy=name,
        unit=task.quality_unit,
        judged="validation" if test is None else "test",
        seeds=means.seeds,
        findings=[*qualities, *timed, *drifted],
        notes=notes,
        about={
            "recommendation": recommendation.digest,
            "searched": recommendation.about.get("data", {}).get("fingerprint"),
            "data": task.facts.get("fingerprint"),
            "simulated": task.simulated,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
        strict=means.strict,
        confidence=confidence,
    )


def number_check(storage: str, task: Task, candidates: Sequence[Candidate], seeds: int) -> NumberedOpening:
    """Number a check's opening of the test rows, where searches on the same rows will find it.

    ``storage`` is Optuna's URL; ``candidates`` are judged, each under so many fresh ``seeds``.

    Raises:
        AutoactError: the storage cannot be opened or written, or the task has no test rows.
    """
    if task.test is None:
        why = f" ({task.warning})" if task.warning else ""
        raise AutoactError(f"the task {task.name!r} has no test rows to check on{why}: leave out --test")
    notes = open_notes(storage, f"check-{task.name}-{str(task.facts.get('fingerprint', task.test.fingerprint))[:12]}")
    keys = [same(candidate) for candidate in candidates]
    return number_opening(notes, task, keys, seeds, CONFIDENCE, why=f"check of {task.name}", recurring=True)


def _candidate(policy: Policy) -> Candidate:
    return Candidate(policy.assignment, dict(policy.settings), role=Role.CHECK)


def _equal(mine: Candidate, baseline: Candidate) -> bool:
    """Whether both assign the same activations, and so take the same time."""
    return mine.assignment == baseline.assignment


def _notes(task: Task, recommendation: Recommendation, chosen: Policy, means: CheckSettings) -> list[str]:
    """What the reader must know before any number."""
    notes = [task.warning] if task.warning else []
    if not chosen.recommend:
        notes.append("this policy keeps the baseline's activations: there is nothing to compare them with")
    was, now = recommendation.about.get("data", {}).get("fingerprint"), task.facts.get("fingerprint")
    if was is not None and was == now:
        notes.append("these are the data of the search: new data would tell more")
    elif means.recipe:
        notes += task.facts.get("notes", ())
    if means.storage is None:
        notes.append("validation rows judge, which chose the epoch too; the stored quality is that of test rows")
    device = recommendation.about.get("hardware", {}).get("device", {})
    here = describe(means.device)
    for key in ("gpu", "processor"):
        if device.get(key) not in (None, here[key]):
            notes.append(f"the stored times were measured on {device[key]}, these on {here[key]}")
            break
    return notes


def _qualities(
    task: Task,
    recommendation: Recommendation,
    chosen: Policy,
    trained: Mapping[str, RetrainedCandidate],
    tolerances: Tolerances,
    means: CheckSettings,
    confidence: float,
    notes: list[str],
) -> list[Finding]:
    """The quality against the stored one, and the paired gain over the baseline."""
    mine, baseline = trained["mine"], trained["baseline"]
    if len(baseline.scores) < 2:
        raise AutoactError(f"the baseline cannot be trained: {next(iter(baseline.failures.values()), 'no score')}")
    if len(mine.scores) < 2 or mine.failures:
        first = next(iter(mine.failures.values()))
        reason = f"{len(mine.failures)} of {means.seeds} trainings failed: {first}"
        return [Finding("quality", chosen.evidence.get("test_mean"), None, None, None, None, True, REGRESSION, reason)]
    if task.metric is None:
        notes.append("the module logs its metric itself: the noise of rows is not in the intervals of quality")
    margin = margin_of(
        task, recommendation.baseline.evidence.get("test_mean", baseline.mean), means.config.objectives.margin
    )
    found = [_quality(task, recommendation, chosen, mine, tolerances, margin, confidence, means)]
    gain = (
        None
        if same(mine.candidate) == same(baseline.candidate)
        else gain_of(mine, baseline, task.mode, confidence=confidence)
    )
    if gain is not None:
        found.append(_gain(chosen, gain, tolerances, margin))
    few = _too_few_rows(task, mine, baseline, "validation" if means.storage is None else "test")
    if few:
        notes.append(few)
        found = [_unproved(finding) for finding in found]
    return found


def _too_few_rows(task: Task, mine: RetrainedCandidate, baseline: RetrainedCandidate, judged: str) -> str:
    """Why the noise of rows is not known from these rows; empty where it is, and where predictions are unknown."""
    if task.metric is None:
        return ""
    groups = min(len(one) for trained in (mine, baseline) for one in trained.replicates.values())
    rows = f"{task.facts.get('rows', {}).get(judged, 'the')} {judged} rows"
    start = "quality and gain cannot be judged"
    if groups == 0:
        return (
            f"{start}: without some group of {rows}, {task.quality_unit} does not exist; the noise of rows is known "
            f"from {LEAST_GROUPS} groups or more, each of which can be left out"
        )
    if groups < LEAST_GROUPS:
        return (
            f"{start}: {rows} make {groups} groups, and the noise of rows is known from {LEAST_GROUPS} groups or more"
        )
    if groups < JACKKNIFE_GROUPS and all(len(set(one)) == 1 for one in mine.replicates.values()):
        return (
            f"{start}: {task.quality_unit} is the same whichever of {rows} is left out; {JACKKNIFE_GROUPS} rows or "
            "more would tell their noise"
        )
    return ""


def _unproved(finding: Finding) -> Finding:
    """The same, without a verdict that needs the noise of rows."""
    if finding.verdict not in (OK, REGRESSION):
        return finding
    return replace(finding, verdict=UNCLEAR, reason="too few rows")


def _quality(
    task: Task,
    recommendation: Recommendation,
    chosen: Policy,
    mine: RetrainedCandidate,
    tolerances: Tolerances,
    margin: float,
    confidence: float,
    means: CheckSettings,
) -> Finding:
    """The quality now against the stored one; seeds and rows of both count."""
    stored, scores = chosen.evidence.get("test_mean"), list(mine.scores.values())
    center, sign = mine.mean if stored is None else stored, 1.0 if task.mode == "max" else -1.0
    variance, groups = _row_variance(mine)
    rows = recommendation.about.get("data", {}).get("rows", {}).get("test")
    here = task.facts.get("rows", {}).get("validation" if means.storage is None else "test")
    if stored is not None:
        # The stored rows' noise is not in the file: it is that of these rows, scaled by their number.
        variance *= 0.0 if _same_rows(task, recommendation, means) else 1 + (here / rows if rows and here else 1.0)
    seeds = max(chosen.evidence.get("seeds") or 1, 1)
    spread = 0.0 if stored is None else chosen.evidence.get("test_sd_over_seeds", 0.0) ** 2 / seeds
    parts = [(variance, groups - 1), (spread, seeds - 1)]
    interval = paired_interval(
        [sign * (score - center) for score in scores],
        confidence=confidence,
        row_variance=variance + spread,
        row_df=_together(parts),
    )
    low, high = within_range(task, *sorted((center + sign * interval.low, center + sign * interval.high)))
    if stored is None:
        reason = "the recommendation holds no confirmed quality"
        return Finding("quality", None, mine.mean, low, high, None, task.mode == "max", UNKNOWN, reason)
    allowed = tolerances.quality if tolerances.quality is not None else margin
    bound = stored - sign * allowed
    least = task.mode == "max"
    return Finding("quality", stored, mine.mean, low, high, bound, least, judge(low, high, bound, least=least))


def _together(parts: Sequence[tuple[float, int]]) -> float:
    """The degrees of freedom of a sum of variances, each estimated with its own (Satterthwaite, 1946).

    A spread that two seeds told is hardly known: an interval that took it for certain would see regressions in noise.

    Example:
        >>> _together([(2.0, 1)]), _together([(1.0, 4), (1.0, 4)]), _together([(0.0, 0)])
        (1.0, 8.0, inf)
    """
    known = [(variance, df) for variance, df in parts if variance > 0 and df > 0]
    return sum(v for v, _ in known) ** 2 / sum(v**2 / df for v, df in known) if known else math.inf


def _same_rows(task: Task, recommendation: Recommendation, means: CheckSettings) -> bool:
    """Whether the very rows judge that judged in the search: then only seeds differ."""
    was = recommendation.about.get("data", {}).get("fingerprint")
    return means.storage is not None and was is not None and was == task.facts.get("fingerprint")


def _row_variance(mine: RetrainedCandidate) -> tuple[float, int]:
    """The variance of the mean score due to the choice of rows, and the number of groups that it comes from."""
    replicates = list(mine.replicates.values())
    if not replicates or len(replicates[0]) < 2 or len({len(one) for one in replicates}) != 1:
        return 0.0, 0
    return jackknife_variance([statistics.fmean(group) for group in zip(*replicates, strict=True)]), len(replicates[0])


def _gain(chosen: Policy, gain: Interval, tolerances: Tolerances, margin: float) -> Finding:
    """The paired gain over the baseline, better = positive."""
    stored = chosen.evidence.get("gain_over_tuned_baseline")
    bound = tolerances.gain
    if bound is None:
        bound = 0.0 if stored is not None and stored[1] > 0 else -margin
    verdict = judge(gain.low, gain.high, bound, least=True)
    return Finding("gain", None if stored is None else stored[0], gain.mean, gain.low, gain.high, bound, True, verdict)


def _times(
    task: Task, chosen: Policy, mine: Candidate, baseline: Candidate, tolerances: Tolerances, means: CheckSettings
) -> list[Finding]:
    """Latency and cost relative to the baseline's, end to end."""
    hardware, found = means.config.hardware, []
    wanted = [("latency", hardware.latency_batch, tolerances.latency)]
    if hardware.price_per_hour is not None or "cost_ratio_to_tuned_baseline" in chosen.evidence:
        wanted.append(("cost", hardware.throughput_batch, tolerances.cost))
    for name, rows, tolerance in wanted:
        ratio = time_ratio(task, mine, baseline, hardware, means.device, rows)
        found.append(_time(name, chosen.evidence.get(f"{name}_ratio_to_tuned_baseline"), ratio, tolerance))
    return found


def _time(name: str, stored: float | None, ratio: Ratio, tolerance: float) -> Finding:
    if stored is None:
        reason = "the recommendation holds no ratio"
        return Finding(name, None, ratio.value, ratio.lower, ratio.upper, None, False, UNKNOWN, reason)
    bound = stored * (1 + tolerance)
    verdict = judge(ratio.lower, ratio.upper, bound, least=False)
    return Finding(name, stored, ratio.value, ratio.lower, ratio.upper, bound, False, verdict)


def _drift(
    recommendation: Recommendation, tolerances: Tolerances, means: CheckSettings, notes: list[str]
) -> list[Finding]:
    """The input columns of the training rows against those that the search saw, by stability index."""
    stored = recommendation.about.get("data", {}).get("profile")
    if not means.recipe or means.config.task.kind not in TABULAR:
        notes.append("no input drift: only the columns of tables of ours are known")
        return []
    if stored is None:
        notes.append("no input drift: the recommendation holds no profile of its columns")
        return []
    found = []
    for one in drift(stored, raw_table(means.config.data, means.config.task.kind).training_columns()):
        verdict, reason = OK, ""
        if one.psi is None:
            verdict, reason = REGRESSION, "the data have no such column"
        elif one.psi >= tolerances.drift:
            verdict = REGRESSION if one.psi > one.chance else UNCLEAR
            reason = "" if verdict == REGRESSION else "too few rows: chance alone can do that"
        elif one.psi >= NOTICEABLE and one.psi > one.chance:
            reason = "moved, within the tolerance"
        found.append(
            Finding(f"drift:{one.name}", None, one.psi, None, one.chance, tolerances.drift, False, verdict, reason)
        )
    return found
