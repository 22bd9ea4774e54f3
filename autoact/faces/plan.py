"""The forecast of a search: trainings, minutes, money, what will be tried."""

from __future__ import annotations

import time
from typing import Any

from autoact.core.records import Candidate
from autoact.faces.road import Prepared
from autoact.study.planner import CONFIGURED
from autoact.training.lightning_session import LightningSession, SessionOptions

MOST_FINALISTS = 6
PROBE_EPOCHS = 2


def forecast(prepared: Prepared) -> list[tuple[str, Any]]:
    """Label and value of each line; trains the baseline for two epochs to know how long an epoch takes."""
    settings, space = prepared.settings, prepared.space
    seconds, most = _probe(prepared)
    check = MOST_FINALISTS * settings.confirm.seeds
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
        ("one training", f"at most {seconds:.1f} s ({most} epochs; most stop earlier)"),
    ]
    if trials is not None:
        uniform = min(len(space.uniform()), max(0, trials - 1 - settings.search.tuning_trials()))
        lines.append(
            (
                "trainings",
                f"{trials} trials (1 baseline, {settings.search.tuning_trials()} to tune it, {uniform} uniform, "
                f"the rest sampled) and at most {check} in the final check",
            )
        )
        minutes = (trials + check) * seconds / 60
        lines.append(("time", f"at most {minutes:.1f} minutes of training, and about one for the latency table"))
    else:
        minutes = settings.search.minutes or 0.0
        count = int(max(0.0, minutes * 60 / seconds - check))
        lines.append(("time", f"{minutes:g} minutes: at least {count} trials, and {check} more trainings to check"))
    price, currency = settings.hardware.price_per_hour, settings.hardware.currency
    money = "unknown: this hardware has no price" if price is None else f"at most {minutes / 60 * price:.3f} {currency}"
    return [*lines, ("money", money), *(("note", note) for note in prepared.notes)]


def _settings(prepared: Prepared) -> str:
    """What is searched beside activations."""
    space = prepared.space
    parts = []
    if space.rate_range:
        parts.append(f"learning rate {space.rate_range[0]:.3g} to {space.rate_range[1]:.3g}")
    if space.decays:
        parts.append(f"weight decay {', '.join(f'{decay:g}' for decay in space.decays)}")
    return "; ".join(parts) or "as configured"


def _probe(prepared: Prepared) -> tuple[float, int]:
    """Seconds of a full training, from a few epochs of the baseline, and its epochs."""
    options = SessionOptions(prepared.device, prepared.settings.search.patience, prepared.settings.space.rescale)
    session = LightningSession(prepared.task, options)
    session.start([(0, Candidate(prepared.space.baseline, {}, prepared.settings.search.seed, CONFIGURED))])
    budget = session.runs[0].budget or PROBE_EPOCHS
    session.advance(1)  # the first epoch pays for starting up
    started = time.perf_counter()
    session.advance(min(budget, PROBE_EPOCHS))
    seconds = (time.perf_counter() - started) if budget > 1 else session.runs[0].seconds
    return max(seconds, 1e-3) * budget, budget
