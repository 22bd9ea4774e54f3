"""From a result to the recommendation that the user imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

from autoact.activations import get
from autoact.activations.initialisation import rules_of
from autoact.core.value_holders import PlainData
from autoact.recommendation import Policy, Recommendation
from autoact.sites import Sites
from autoact.study.outcome.result import Row, SearchResult
from autoact.study.selection import Selection


def recommendation(
    result: SearchResult,
    selection: Selection,
    sites: Sites,
    rescale: bool,
    about: Mapping[str, object],
    activation_rate: float = 1.0,
) -> Recommendation:
    """The recommendation of a search: per policy the assignment to use and the evidence for it."""
    tuned = result.kept == "tuned"
    reason = "the tuned baseline" if tuned else "the baseline as configured: tuning it brought nothing"
    baseline = _policy(result, result.kept, recommend=False, reason=reason)
    policies = {}
    for name in selection.policies:
        ruling = result.rulings[name]
        mine = _policy(result, name, recommend=ruling.recommend, reason=ruling.reason)
        if not ruling.recommend:
            challenger = {"assignment": mine.assignment.to_dict(), "settings": mine.settings, **mine.evidence}
            evidence = {**baseline.evidence, "challenger": challenger}
            mine = replace(baseline, reason=f"keep the baseline: {ruling.reason}", evidence=evidence)
        policies[name] = mine
    if (averaging := result.ensemble) is not None and averaging.recommend:
        row = result.row(averaging.policy)
        assert row is not None
        mine = _policy(result, averaging.policy, recommend=True, reason=averaging.reason)
        policies["ensemble"] = replace(mine, ensemble=row.ensemble)
    choices = [choice for policy in [*policies.values(), baseline] for choice in policy.assignment.values()]
    learnt = any(get(choice.name).learnable for choice in choices)
    return Recommendation(
        task=result.info.task,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        verdict=result.verdict,
        metric={"name": result.quality_unit, "mode": result.mode},
        policies=policies,
        baseline=baseline,
        sites={
            site.name: {
                "current": str(site.current),
                "shape": list(site.shape) if site.shape else None,
                "channels": site.channels,
                "channel_dim": site.channel_dim,
            }
            for site in sites.searchable
        },
        rescale=rescale,
        activation_rate=activation_rate if learnt else 1.0,
        initialisation=rules_of([*choices, *(site.current for site in sites.searchable)]) if rescale else {},
        simulated=result.info.simulated,
        about={"study": result.info.study, "opening": result.opening, **about},
        not_searched=tuple(_left_alone(sites)),
    )


def _left_alone(sites: Sites) -> list[str]:
    """Names under which what was kept, such as a model's output, or cannot be replaced may be found again."""
    searched = {name for site in sites.searchable for name in site.names}
    kept = [name for site in sites if site.kept for name in site.names]
    others = [item.name for item in sites.unreplaceable]
    return [name for name in dict.fromkeys([*kept, *others]) if name not in searched]


def _policy(result: SearchResult, name: str, *, recommend: bool, reason: str) -> Policy:
    row = result.row(name)
    assert row is not None and row.candidate is not None
    return Policy(
        recommend=recommend,
        assignment=row.candidate.assignment,
        settings=dict(row.candidate.settings),
        epochs=row.epochs,
        threshold=row.threshold,
        reason=reason,
        evidence=_evidence(result, name, row),
    )


def _evidence(result: SearchResult, name: str, row: Row) -> PlainData:
    """The numbers behind a row, as plain data; what was not measured is left out."""
    gain = result.gains.get(name)
    numbers: PlainData = {
        "validation": row.validation,
        "validation_mean_over_fresh_seeds": row.fresh,
        "test_mean": row.test,
        "test_sd_over_seeds": None if row.ensemble else row.test_sd,
        "seeds": result.seeds or None,
        "latency_ms": row.latency_ms,
        "latency_p90_ms": row.p90_ms,
        "latency_p99_ms": row.p99_ms,
        "latency_table_error": row.table_error,
        "cost_per_million": row.cost,
        "latency_ratio_to_tuned_baseline": row.latency_ratio,
        "cost_ratio_to_tuned_baseline": row.cost_ratio,
        "training_time_ratio_to_tuned_baseline": row.training_ratio,
        "gain_over_tuned_baseline": None if gain is None else [gain.mean, gain.low, gain.high],
        "gain_confidence": None if gain is None else round(result.confidence, 6),
        "error_reduction": row.error_reduction,
    }
    return {key: value for key, value in numbers.items() if value is not None}
