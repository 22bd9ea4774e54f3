"""The forecast of a search: trainings, minutes, money, what will be tried."""

from __future__ import annotations

import time
from typing import Any

from autoact.core.records import Candidate
from autoact.faces.road import Prepared, session_options
from autoact.faces.shape import Shape, shape_of
from autoact.study.planner import CONFIGURED
from autoact.study.shortlist import most_trainings
from autoact.training.population import PopulationSession

PROBE_EPOCHS = 2


def forecast(prepared: Prepared) -> list[tuple[str, Any]]:
    """Label and value of each line; trains a population for two epochs to know how long an epoch takes."""
    settings, space = prepared.settings, prepared.space
    shape = shape_of(prepared.task, session_options(prepared), settings.engine, settings.search)
    seconds, most = _probe(prepared, shape)
    check = most_trainings(settings.confirm)
    trials = settings.search.budget
    lines: list[tuple[str, Any]] = [
        ("study", prepared.identity.name),
        ("data", prepared.task.facts.get("summary", prepared.task.name)),
        ("sites", ", ".join(space.baseline)),
        ("today", space.baseline.summary()),
        ("activations to try", ", ".join(map(str, space.candidates))),
        ("assignments in the space", f"{space.size():,}"),
        ("training settings", _settings(prepared)),
        ("objectives", ", ".join(f"{o.name} ({o.unit}, {o.direction})" for o in prepared.objectives)),
        ("engine", _engine(prepared, shape)),
        ("early stops", _rungs(prepared)),
        ("one training", f"at most {seconds:.1f} s of one worker ({most} epochs; most stop earlier)"),
    ]
    each = seconds / shape.workers
    if trials is not None:
        lines.append(("trainings", f"{_trainings(prepared, trials)} and at most {check} in the final check"))
        minutes = (trials + check) * each / 60
        lines.append(("time", f"at most {minutes:.1f} minutes of training, and about one for the latency table"))
    else:
        minutes = settings.search.minutes or 0.0
        count = int(max(0.0, minutes * 60 / each - check))
        lines.append(("time", f"{minutes:g} minutes: at least {count} trials, and {check} more trainings to check"))
    price, currency = settings.hardware.price_per_hour, settings.hardware.currency
    money = "unknown: this hardware has no price" if price is None else f"at most {minutes / 60 * price:.3f} {currency}"
    return [*lines, ("money", money), *(("note", note) for note in (*prepared.notes, shape.note) if note)]


def _trainings(prepared: Prepared, trials: int) -> str:
    """The trials by their role."""
    search = prepared.settings.search
    seeds, tuning = min(trials, search.configured_seeds), search.tuning_trials()
    uniform = min(len(prepared.space.uniform()), max(0, trials - seeds - tuning))
    baseline = "1 baseline" if seeds == 1 else f"1 baseline under {seeds} seeds"
    return (
        f"{trials} trials ({baseline}, {tuning} to tune it, {uniform} uniform, the rest proposed in batches of "
        f"{search.together})"
    )


def _engine(prepared: Prepared, shape: Shape) -> str:
    """Where candidates are trained."""
    settings = prepared.settings.engine
    workers = f"{shape.workers} worker{'s' * (shape.workers != 1)}"
    together = f"populations of up to {shape.population}" if shape.population > 1 else "one candidate at a time"
    threads = f"{shape.threads} thread{'s' * (shape.threads != 1)} each"
    return ", ".join(
        [settings.name, workers, together, threads, *(["deterministic"] if settings.deterministic else [])]
    )


def _rungs(prepared: Prepared) -> str:
    """Where trainings are compared and given up."""
    if not prepared.rungs:
        return "none: every trial is trained to its end"
    reduction = prepared.settings.search.rungs.reduction
    return f"after {', '.join(map(str, prepared.rungs))} epochs the best 1/{reduction:g} of all so far go on"


def _settings(prepared: Prepared) -> str:
    """What is searched beside activations."""
    space = prepared.space
    parts = []
    if space.rate_range:
        parts.append(f"learning rate {space.rate_range[0]:.3g} to {space.rate_range[1]:.3g}")
    if space.decays:
        parts.append(f"weight decay {', '.join(f'{decay:g}' for decay in space.decays)}")
    return "; ".join(parts) or "as configured"


def _probe(prepared: Prepared, shape: Shape) -> tuple[float, int]:
    """Seconds of a worker for a full training, from a few epochs of a population, and a training's epochs."""
    session = PopulationSession(prepared.task, session_options(prepared, shape))
    seed = prepared.settings.search.seed
    session.start([(n, Candidate(prepared.space.baseline, {}, seed, CONFIGURED)) for n in range(shape.population)])
    budget = prepared.epochs or PROBE_EPOCHS
    session.advance(1)  # the first epoch pays for starting up
    started = time.perf_counter()
    records = session.advance(min(budget, PROBE_EPOCHS))
    seconds = (time.perf_counter() - started) / shape.population if budget > 1 else records[0].seconds
    return max(seconds, 1e-3) * budget, budget
