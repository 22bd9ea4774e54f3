"""What MLflow is told, computed as plain data: of a search, of a trial, of a result. Nothing here calls MLflow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from autoact.activations.registry import parameters
from autoact.core.assignment import Assignment
from autoact.core.trial import FAILED, PRUNED, TrialRecord
from autoact.study.callbacks import SearchInfo
from autoact.study.outcome.group_scores import GroupScores
from autoact.study.outcome.result import Row, SearchResult
from autoact.tasks.objectives import COST, LATENCY, QUALITY
from autoact.tracking.mlflow_names import PARAM, TAG, cut, key, slug, unique

NAME = 120
# Metrics of every trial, beside its objectives.
AT_RUNG, COUNTS = "quality_at_rung", ("train_seconds", "best_epoch", "epochs")


class Point(NamedTuple):
    """One value of a metric.

    Attributes:
        key: the metric.
        value: its value.
        step: epoch, trial or seed.
        at: milliseconds since 1970.
    """

    key: str
    value: float
    step: int
    at: int


@dataclass(frozen=True)
class Entries:
    """What one run is told."""

    params: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def metric_names(info: SearchInfo) -> dict[str, str]:
    """Objective -> metric name with its unit: ``latency_ms``, ``cost_usd_per_million``."""
    price = (info.facts.get("hardware") or {}).get("price") or {}
    currency = slug(str(price.get("currency") or ""))
    names = {QUALITY: QUALITY, LATENCY: "latency_ms", COST: "_".join(filter(None, ["cost", currency, "per_million"]))}
    for objective in info.objectives:
        if objective.name not in names:
            text = "_".join(filter(None, [objective.name, slug(objective.unit)]))
            names[objective.name] = unique([text], taken=[*names.values(), AT_RUNG, *COUNTS])[text]
    return names


def flatten(data: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested data as dotted names and text; what is not known is left out.

    Example:
        >>> dict(flatten({"rows": {"train": 70}, "choices": ["relu", "tanh"], "gpu": None}))
        {'rows.train': '70', 'choices': '["relu", "tanh"]'}
    """
    for name, value in data.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{full}.")
        elif value is None or value == "" or value == []:
            continue
        else:
            text = (
                json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, (list, tuple)) else str(value)
            )
            yield full, text


def search_params(info: SearchInfo) -> dict[str, str]:
    """The parent run's parameters: budget, objectives, data, sites, space, hardware, packages."""
    traded = [f"{o.name} ({', '.join(filter(None, [o.unit, o.direction]))})" for o in info.objectives]
    facts = {**info.facts, "space": _short_space(info.facts.get("space") or {})}
    data = {"budget_trials": info.budget, "budget_minutes": info.minutes, "objectives": ", ".join(traded), **facts}
    pairs = dict(flatten(data))
    keys = unique(pairs)
    return {keys[name]: cut(text, PARAM, "facts.json") for name, text in pairs.items()}


def _short_space(space: Mapping[str, object]) -> dict[str, object]:
    """The space without its repetitions: equal choices once, groups of one site not at all."""
    short = dict(space)
    choices, groups = space.get("choices"), space.get("groups")
    if isinstance(choices, Mapping) and len({json.dumps(one, default=str) for one in choices.values()}) == 1:
        short["choices"] = next(iter(choices.values()))
    if isinstance(groups, Mapping):
        short["groups"] = {name: sites for name, sites in groups.items() if list(sites) != [name]}
    return short


def search_tags(info: SearchInfo, storage: str) -> dict[str, str]:
    """The parent run's tags."""
    return {
        "autoact.kind": "search",
        "autoact.study": info.study,
        "autoact.storage": storage,
        "autoact.task": info.task,
        "autoact.simulated": str(info.simulated).lower(),
        "autoact.folder": cut(str(Path(info.folder).resolve()), TAG, "facts.json"),
    }


def trial_name(record: TrialRecord) -> str:
    """A trial's short label: ``trial 12: gelu | tanh | relu``."""
    text = f"trial {record.number}: {record.candidate.assignment.summary()}"
    return text if len(text) <= NAME else f"{text[: NAME - 3]}..."


def trial_entries(record: TrialRecord, info: SearchInfo, finished: int) -> Entries:
    """A child run's parameters, metrics and tags.

    Values are those of the best epoch, at step 0, so that MLflow compares trials in bars; the same names under
    ``curve/`` are the learning curves, with the epoch as step. ``finished`` is in milliseconds since 1970.
    """
    candidate = record.candidate
    params = {f"act.{site}": str(choice) for site, choice in candidate.assignment.items()}
    params |= _searched_parameters(candidate.assignment, info)
    params |= {name: repr(value) for name, value in candidate.settings.items()}
    params |= {"role": candidate.role, "seed": str(candidate.seed)}
    keys = unique(params)
    tags = {
        "autoact.kind": "trial",
        "autoact.study": info.study,
        "autoact.trial": str(record.number),
        "autoact.role": candidate.role,
        "autoact.status": record.status,
        "autoact.simulated": str(info.simulated).lower(),
    }
    if record.reason:
        tags["autoact.reason"] = cut(record.reason, TAG, "trials.jsonl")
        tags["mlflow.note.content"] = cut(f"{record.status}: {record.reason}", TAG, "trials.jsonl")
    return Entries(
        params={keys[name]: cut(text, PARAM, "trials.jsonl") for name, text in params.items()},
        points=tuple(_trial_points(record, info, finished)),
        tags=tags,
    )


def _searched_parameters(assignment: Assignment, info: SearchInfo) -> dict[str, str]:
    """Searched parameters of activations as numbers, defaults too, by names like ``act.layers.0.act.sine.omega``."""
    space = info.facts.get("space") or {}
    searched = {tuple(name.rsplit(".", 2)[1:]) for name in space.get("parameters") or {}}
    if not searched:
        return {}
    return {
        f"act.{site}.{choice.name}.{name}": f"{value:g}"
        for site, choice in assignment.items()
        for name, value in parameters(choice).items()
        if (choice.name, name) in searched
    }


def trial_keys(record: TrialRecord, info: SearchInfo) -> dict[str, str]:
    """What a module logged -> its metric in MLflow, apart from those that autoact logs of every trial."""
    names = metric_names(info)
    own = [*names.values(), *(names.get(name, key(name)) for name in record.values), AT_RUNG, *COUNTS]
    return unique(record.metrics, own)


def _trial_points(record: TrialRecord, info: SearchInfo, finished: int) -> Iterator[Point]:
    names = metric_names(info)
    keys = trial_keys(record, info)
    best = {keys[name]: value for name, value in record.metrics.items()}
    best |= {names.get(name, key(name)): value for name, value in record.values.items()}
    if record.complete and record.quality is not None:
        best[QUALITY] = record.quality
    for epoch, value in record.rungs.items():
        yield Point(AT_RUNG, float(value), epoch, finished)
    counts = dict(zip(COUNTS, (record.seconds, record.best_epoch, record.epochs), strict=True))
    for name, value in {**best, **counts}.items():
        yield Point(name, float(value), 0, finished)
    curves = unique(f"curve/{name}" for values in record.curve for name in values)
    for epoch, values in enumerate(record.curve, start=1):
        at = finished - round(1000 * record.seconds * (1 - epoch / len(record.curve)))
        for name, value in values.items():
            yield Point(curves[f"curve/{name}"], float(value), epoch, at)


def result_points(result: SearchResult, at: int) -> list[Point]:
    """The parent run's final metrics: the best values, and every row of the final table as ``row/value_unit``."""
    trials = len(result.records)
    # These were logged after each trial, too.
    running: dict[str, float] = {"trials": trials}
    if result.selection is not None:
        running["front_size"] = len(result.selection.front)
    values: dict[str, float] = {
        "failed_trials": sum(record.status == FAILED for record in result.records),
        "stopped_trials": sum(record.status == PRUNED for record in result.records),
    }
    for name, value in result.best.items():
        (running if name == "best_quality" else values)[name] = value
    for row in result.rows:
        values |= {f"{row.name}/{name}": value for name, value in _row_values(row, result).items() if value is not None}
    for groups in result.groups:
        values |= _group_values(groups, slug(result.quality_unit))
    keys = unique(values)
    points = [Point(name, float(value), trials, at) for name, value in running.items()]
    return points + [Point(keys[name], float(value), 0, at) for name, value in values.items()]


def _group_values(groups: GroupScores, unit: str) -> dict[str, float]:
    """Scores, gaps and their growth, as ``row/test_unit_by_column/group``."""
    where = f"test_{unit}_by_{groups.column}"
    values = {f"{n}/{where}/{group}": score for n, means in groups.means.items() for group, score in means.items()}
    values |= {f"{name}/{where}_gap": gap.size for name, gap in groups.gaps.items()}
    for name, growth in groups.growth.items():
        start = f"{name}/{where}_gap_growth"
        values |= {start: growth.mean, f"{start}_low": growth.low, f"{start}_high": growth.high}
    return values


def _row_values(row: Row, result: SearchResult) -> dict[str, float | None]:
    unit, names = slug(result.quality_unit), metric_names(result.info)
    gain = result.gains.get(row.name)
    values: dict[str, float | None] = {
        f"validation_{unit}": row.validation,
        f"validation_{unit}_over_fresh_seeds": row.fresh,
        f"test_{unit}": row.test,
        f"test_{unit}_sd_over_{'ensembles' if row.ensemble else 'seeds'}": row.test_sd,
        "latency_ms": row.latency_ms,
        "latency_p90_ms": row.p90_ms,
        "latency_p99_ms": row.p99_ms,
        "training_step_ratio": row.training_ratio,
        "error_reduction": row.error_reduction,
        "latency_ratio": row.latency_ratio,
        names[COST]: row.cost,
        "cost_ratio": row.cost_ratio,
        **{names.get(name, key(name)): value for name, value in row.own.items()},
        **{f"test_{slug(name)}": value for name, value in row.others.items()},
    }
    if gain is not None:
        values |= {"gain_on_test": gain.mean, "gain_on_test_low": gain.low, "gain_on_test_high": gain.high}
    return values


def result_tags(result: SearchResult, report: str) -> dict[str, str]:
    """The parent run's final tags: verdict, what is recommended, and the report as its description."""
    won = [policy for policy, ruling in result.rulings.items() if ruling.recommend]
    return {
        "autoact.status": result.status,
        "autoact.verdict": cut(result.verdict, TAG, "report.md"),
        "autoact.recommended": ", ".join(won) or "none",
        "autoact.test_part_opening": str(result.opening),
        "mlflow.note.content": cut(report, TAG, "report.md"),
    }


def chosen_tags(result: SearchResult) -> dict[int, dict[str, str]]:
    """Trial -> tags of the trials that matter at the end: on the front, and what they were chosen as."""
    if result.selection is None:
        return {}
    chosen = result.selection
    roles = {"configured": chosen.configured, "tuned": chosen.tuned, "uniform": chosen.uniform, **chosen.policies}
    tags: dict[int, dict[str, str]] = {number: {"autoact.front": "true"} for number in chosen.front}
    for role, record in roles.items():
        if record is not None:
            of_trial = tags.setdefault(record.number, {})
            before = of_trial.get("autoact.chosen_as")
            of_trial["autoact.chosen_as"] = f"{before}, {role}" if before else role
    return tags


def summary(result: SearchResult) -> dict[str, object]:
    """The final table as plain data."""
    return {
        "task": result.info.task,
        "study": result.info.study,
        "simulated": result.info.simulated,
        "status": result.status,
        "verdict": result.verdict,
        "quality": {"unit": result.quality_unit, "mode": result.mode},
        "trials": len(result.records),
        "seconds": result.seconds,
        "seeds": result.seeds,
        "test_part_opening": result.opening,
        "rows": [_plain_row(row) for row in result.rows],
        "gains_over_tuned_baseline": {name: asdict(gain) for name, gain in result.gains.items()},
        "groups": [one.to_dict() for one in result.groups],
        "rulings": {policy: asdict(ruling) for policy, ruling in result.rulings.items()},
        **({} if result.ensemble is None else {"ensemble": asdict(result.ensemble)}),
        "notes": list(result.notes),
    }


def as_json(data: object) -> str:
    """JSON that every reader takes: numbers that are not finite are written as text.

    Example:
        >>> print(as_json([float("inf")]))
        [
          "inf"
        ]
    """
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, default=str)


def _finite(data: object) -> object:
    """The same data with text for infinities and NaN."""
    if isinstance(data, Mapping):
        return {str(name): _finite(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data


def _plain_row(row: Row) -> dict[str, object]:
    plain = {name: value for name, value in vars(row).items() if name != "candidate"}
    return {
        **plain,
        "own": dict(row.own),
        "others": dict(row.others),
        "candidate": row.candidate.to_dict() if row.candidate else None,
    }


def front_trials(result: SearchResult) -> list[dict[str, object]]:
    """The trials that no other beats, as plain data."""
    members = set(result.selection.front) if result.selection else set()
    return [
        {"trial": record.number, **record.candidate.to_dict(), "values": dict(record.values)}
        for record in result.records
        if record.number in members
    ]
