"""``autoact.plan``: the forecast of a search, with its trainings, minutes, money and what will be tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import lightning
import pandas as pd

from autoact.core.result_table import ResultTable, to_html
from autoact.core.trial import Candidate, Role
from autoact.study.budget import Budget, expected_trainings
from autoact.study.forecast import Forecast
from autoact.training.population import PopulationSession
from autoact.workflows.search import prepared_from
from autoact.workflows.searching.choose_network import SHARE_OF_MINUTES
from autoact.workflows.searching.population_size import Shape, shape_of
from autoact.workflows.searching.run_search import expected
from autoact.workflows.searching.search_arguments import MakeModule, SearchArguments
from autoact.workflows.searching.search_setup import PreparedSearch, session_options
from autoact.workflows.task_source import TaskSource

PROBE_EPOCHS = 2


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The forecast of a search; nothing was written.

    Attributes:
        study: what the study will be called.
        minutes: how long the search is expected to take.
        lines: label and value of each line.
    """

    study: str
    minutes: float
    lines: Sequence[tuple[str, str]]

    def to_dataframe(self) -> pd.DataFrame:
        """The lines, with the columns ``name`` and ``value``."""
        return pd.DataFrame(self.lines, columns=["name", "value"])

    def __repr__(self) -> str:
        return f"Plan({self.study!r}, about {self.minutes:.1f} minutes)"

    def _repr_html_(self) -> str:
        """The lines, as notebooks show them."""
        table = ResultTable("", ("of the search", "forecast"), self.lines)
        return to_html(f"{self.study}: about {self.minutes:.1f} minutes", [table])


def plan(
    task: MakeModule | TaskSource | None = None,
    datamodule: lightning.LightningDataModule | None = None,
    *,
    say: Callable[[str], None] = lambda what: None,
    **arguments: Unpack[SearchArguments],
) -> Plan:
    """Forecast a search: trains a population for two epochs, and writes nothing.

    Args:
        task: see ``autoact.search``.
        datamodule: see ``autoact.search``.
        say: takes a line on what takes a while, such as ``print``.
        arguments: those of ``autoact.search``, but for ``observers`` and ``quiet``.

    Raises:
        AutoactError: something does not fit, in one line.

    Example:
        >>> plan("chrun")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown task 'chrun': did you mean churn...
    """
    return forecast(prepared_from(task, datamodule, arguments, say=say, train=False), say)


class _NewStudy:
    """A study of which nothing is noted: a plan is made from the start."""

    @property
    def spent(self) -> int:
        return 0

    def noted(self, key: str) -> None:
        """Nothing."""

    def note(self, key: str, value: object) -> None:
        """A plan leaves no trace."""


def forecast(prepared: PreparedSearch, say: Callable[[str], None] = lambda what: None) -> Plan:
    """The plan of a search that is prepared; trains a population for two epochs to know how long an epoch takes.

    Times come from the same code that a running search forecasts and divides its minutes with.
    """
    settings, space = prepared.settings, prepared.space
    shape = shape_of(prepared.task, session_options(prepared), settings.engine, settings.search, say=say)
    say("Training a population for two epochs ...")
    seconds, most = _probe(prepared, shape)
    shape = replace(shape, seconds_per_epoch=seconds / shape.workers)
    lines: list[tuple[str, str]] = [
        ("study", prepared.identity.name),
        ("data", prepared.task.facts.get("summary", prepared.task.name)),
        ("sites", ", ".join(space.baseline)),
        ("today", space.baseline.summary()),
        ("activations to try", ", ".join(space.candidate_texts) or "none"),
        *([("in place of normalisations", ", ".join(space.normalisation_texts))] if space.normalisations else []),
        (
            "assignments in the space",
            f"{space.size():,}{' by name, each with values of its parameters' * bool(space.ranged)}",
        ),
        ("training settings", _settings(prepared)),
        ("objectives", ", ".join(f"{o.name} ({o.unit}, {o.direction})" for o in prepared.objectives)),
        ("engine", _engine(prepared, shape)),
        ("early stops", _rungs(prepared)),
        ("one training", f"at most {seconds * most:.1f} s of one worker ({most} epochs; most stop earlier)"),
    ]
    first = _choosing(prepared, shape, seconds * most)
    minutes, times = _times(prepared, shape, first)
    if prepared.networks is not None and prepared.networks.trainings:
        at_most = f"at most {first:.1f} minutes at the speed of the one as configured"
        times = [("choosing the network", f"{prepared.networks.trainings} trainings, {at_most}"), *times]
    price, currency = settings.hardware.price_per_hour, settings.hardware.currency
    money = "unknown: this hardware has no price" if price is None else f"about {minutes / 60 * price:.3f} {currency}"
    notes = (("note", note) for note in (*prepared.notes, shape.note) if note)
    return Plan(prepared.identity.name, minutes, [*lines, *times, ("money", money), *notes])


def _choosing(prepared: PreparedSearch, shape: Shape, seconds: float) -> float:
    """The minutes that choosing the network takes at most, by the seconds of one training."""
    if prepared.networks is None:
        return 0.0
    needed, minutes = prepared.networks.trainings * seconds / shape.workers / 60, prepared.settings.search.minutes
    return needed if minutes is None else min(needed, SHARE_OF_MINUTES * minutes)


def _times(prepared: PreparedSearch, shape: Shape, first: float) -> tuple[float, list[tuple[str, str]]]:
    """The minutes that a search is expected to take, the ``first`` of them without it, and the lines on both."""
    settings = prepared.settings
    search = settings.search
    if search.minutes is not None:
        search = replace(search, minutes=search.minutes - first)
    checked = prepared.task.test is not None and settings.confirm.seeds > 0
    known = Forecast(expected(prepared, shape))
    # A forecast of a whole command: what was spent on the plan itself does not count.
    budget = Budget(search, settings.confirm, known, _NewStudy(), checked=checked)
    if settings.search.minutes is None:
        trials = settings.search.budget or 0
        minutes = (budget.seconds_left([]) or 0.0) / 60 + first
        check = f" and about {expected_trainings(settings.confirm):.0f} in the final check" if checked else ""
        text = f"about {max(0.1, minutes):.1f} minutes, and one or so to prepare and for the latency table"
        return minutes, [("trainings", f"{_trainings(prepared, trials)}{check}"), ("time", text)]
    room = budget.trials_left([], 0, shape.workers)
    affordable = budget.affordable([]) if checked else None
    check = "no final check"
    if affordable is not None:
        kind = f"{affordable.seeds} seeds, {max(1, affordable.finalists)} challengers"
        check = f"about {expected_trainings(affordable):.0f} trainings in the final check ({kind} at most)"
    elif checked:
        check = "too short for a final check, so that nothing could be recommended"
    text = f"{settings.search.minutes:g} minutes: about {room:,.0f} trials, {check}"
    return settings.search.minutes, [("time", text)]


def _trainings(prepared: PreparedSearch, trials: int) -> str:
    search = prepared.settings.search
    seeds, tuning = min(trials, search.configured_seeds()), search.tuning_trials()
    uniform = min(len(prepared.space.uniform()), max(0, trials - seeds - tuning))
    baseline = "1 baseline" if seeds == 1 else f"1 baseline under {seeds} seeds"
    return (
        f"{trials} trials ({baseline}, {tuning} to tune it, {uniform} uniform, the rest proposed in batches of "
        f"{search.together})"
    )


def _engine(prepared: PreparedSearch, shape: Shape) -> str:
    settings = prepared.settings.engine
    workers = f"{shape.workers} worker{'s' * (shape.workers != 1)}"
    together = f"populations of up to {shape.population}" if shape.population > 1 else "one candidate at a time"
    threads = f"{shape.threads} thread{'s' * (shape.threads != 1)} each"
    return ", ".join(
        [settings.name, workers, together, threads, *(["deterministic"] if settings.deterministic else [])]
    )


def _rungs(prepared: PreparedSearch) -> str:
    if not prepared.rungs:
        return "none: every trial is trained to its end"
    reduction = prepared.settings.search.rungs.reduction
    return f"after {', '.join(map(str, prepared.rungs))} epochs the best 1/{reduction:g} of all so far go on"


def _settings(prepared: PreparedSearch) -> str:
    space = prepared.space
    parts = []
    if space.rate_range:
        parts.append(f"learning rate {space.rate_range[0]:.3g} to {space.rate_range[1]:.3g}")
    for name, values in space.listed_settings.items():
        parts.append(f"{name.replace('_', ' ')} {', '.join(f'{value:g}' for value in values)}")
    return "; ".join(parts) or "as configured"


def _probe(prepared: PreparedSearch, shape: Shape) -> tuple[float, int]:
    """Seconds of a worker for an epoch of one candidate, from a few epochs of a population; a training's epochs."""
    session = PopulationSession(prepared.task, session_options(prepared, shape))
    seed = prepared.settings.search.seed
    session.start([(n, Candidate(prepared.space.baseline, {}, seed, Role.CONFIGURED)) for n in range(shape.population)])
    budget = prepared.epochs or PROBE_EPOCHS
    session.advance(1)  # the first epoch pays for starting up
    started = time.perf_counter()
    records = session.advance(min(budget, PROBE_EPOCHS))
    seconds = (time.perf_counter() - started) / shape.population if budget > 1 else records[0].seconds
    return max(seconds, 1e-6), budget
