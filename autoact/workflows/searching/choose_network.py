"""The network chosen before its activations: each that ``space.arguments`` makes, with the baseline's activations.

Networks of different shapes have different sites and latency tables, so one of them is chosen first, on validation
rows, and the search works on it. Each is trained under a few learning rates and two seeds that no trial has.
"""

from __future__ import annotations

import csv
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch.nn.parameter import is_lazy

from autoact.config.schema import Config
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.output_folder import make_folder
from autoact.core.result_table import number
from autoact.core.trial import Candidate, Role
from autoact.core.value_holders import PlainData
from autoact.engines.job import AskedHere, Job, Outcome, WorkerContext
from autoact.latency.hardware import resolve_device
from autoact.space.search_space import LEARNING_RATE
from autoact.study.confirmation.retraining import RetrainedCandidate, Retraining, SeedFold, trainer_to_the_end
from autoact.study.storage.optuna_storage import storage_url
from autoact.study.storage.study_identity import digest
from autoact.study.storage.study_notes import open_notes
from autoact.study.storage.trial_store import peek
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.preflight.settings_in_force import configured_settings
from autoact.workflows.searching.interrupt import orderly_stop
from autoact.workflows.searching.lazy_engine import LateEngine
from autoact.workflows.searching.population_size import shape_of

# Multiples of the configured learning rate: what suits one width does not suit another.
RATES = (1 / 3, 1.0, 3.0)
# Seeds of this choice are none of the search's (0 ...), of the final check (10,000 and 20,000 ...) or of a check.
SEEDS, FIRST_SEED = 2, 40_000
# Of ``search.minutes``, counted from the start of the command, the networks may take so much.
SHARE_OF_MINUTES = 1 / 3
# The setting of a candidate that says which network it trains.
NETWORK = "network"
CHOSEN = "chosen"


@dataclass(frozen=True)
class Network:
    """A network that was, or could be, chosen.

    Attributes:
        arguments: its values of the arguments that ``space.arguments`` names.
        parameters: how many it has.
        score: mean validation score over the seeds, at its best learning rate; None where it was not trained.
        spread: standard deviation over the seeds.
        learning_rate: the best of those tried; None where the optimiser has none.
        reason: why there is no score.
    """

    arguments: Mapping[str, Any]
    parameters: int
    score: float | None = None
    spread: float | None = None
    learning_rate: float | None = None
    reason: str = "not trained"

    def label(self) -> str:
        """Its arguments for people.

        Example:
            >>> Network({"width": 64, "depth": 2}, 100).label()
            'width=64, depth=2'
        """
        return ", ".join(f"{name}={value}" for name, value in self.arguments.items())

    def text(self) -> str:
        """Its score for people.

        Example:
            >>> Network({}, 100, 53.061, 0.512, 0.002).text(), Network({}, 100).text()
            ('53.06 +- 0.512', 'not trained')
        """
        return self.reason if self.score is None else f"{number(self.score)} +- {number(self.spread, 3)}"


@dataclass(frozen=True)
class NetworkChoice:
    """The networks, and which of them is searched.

    Attributes:
        networks: those that were to choose from, the one as configured first.
        index: of the chosen one.
        trainings: how many are left to do before the search; 0 where the choice is made.
        note: what was chosen, in one line.
    """

    networks: Sequence[Network]
    index: int
    trainings: int
    note: str

    def save(self, file: Path) -> None:
        """Write a table with a row for each network."""
        names = list(self.networks[0].arguments)
        with file.open("w", encoding="utf-8", newline="") as out:
            table = csv.writer(out)
            table.writerow([*names, "parameters", "score", "spread", "learning_rate", "chosen", "reason"])
            for index, one in enumerate(self.networks):
                values = [one.arguments[name] for name in names]
                found = ["" if v is None else v for v in (one.score, one.spread, one.learning_rate)]
                table.writerow([*values, one.parameters, *found, int(index == self.index), one.reason])


class NetworksContext(WorkerContext):
    """What every worker holds while a network is chosen: all of them. A job trains candidates of one."""

    def __init__(self, contexts: Sequence[WorkerContext]) -> None:
        super().__init__(contexts[0].task, contexts[0].make_session)
        self.contexts = tuple(contexts)

    def run(self, job: Job) -> Outcome:
        """Train a job's candidates as the network that they name."""
        return self.contexts[_network_of(job.candidates[0][1])].run(job)


def choose_network(
    tasks: Sequence[Task],
    arguments: Sequence[Mapping[str, Any]],
    settings: Config,
    say: Callable[[str], None] = lambda what: None,
    *,
    began: float,
    train: bool = True,
) -> NetworkChoice:
    """Train each network with the baseline's activations, and choose by the mean validation score.

    What was trained, and the choice, is kept in the search's storage: the same command trains none of it again. Where
    ``search.minutes`` bound the search, a third of them at most is spent, and a choice among those that were trained by
    then stands until more minutes are given. The test part stays sealed.

    Args:
        tasks: one for each network, alike in all else; that of the network as configured first.
        arguments: what they differ in, for people.
        settings: of the search.
        say: takes a line on what takes a while.
        began: when the command began, by ``time.monotonic``.
        train: whether to train; else the network as configured stands in where nothing was chosen before.

    Raises:
        AutoactError: a network cannot be built, or none could be trained.
        KeyboardInterrupt: the user asked to stop; what was trained is kept.
    """
    device = resolve_device(settings.hardware.device)
    rates = _rates(settings.space.learning_rate)
    training = [settings.search.seed, settings.search.patience, settings.space.activation_rate, device.type]
    same = [tasks[0].identity, list(arguments), tasks[0].monitor, tasks[0].mode, tasks[0].trainer, training, rates]
    name = f"{tasks[0].name}-networks-{digest([*same, SEEDS])}"
    storage, minutes = storage_url(settings.search, Path(settings.output)), settings.search.minutes
    if train:
        make_folder(Path(settings.output))
    noted = peek(storage, name, CHOSEN) if _exists(storage) else None
    if noted is not None and _stands(noted, minutes):
        return _from_notes(noted, tasks[0])
    counted = [Network(one, _parameters(task, one)) for task, one in zip(tasks, arguments, strict=True)]
    what = f"{len(tasks)} networks x {len(rates)} learning rates x {SEEDS} seeds"
    bound = "" if minutes is None else f", in a third of search.minutes={minutes:g} at most"
    if not train:
        trainings = len(tasks) * len(rates) * SEEDS
        note = (
            f"the network is chosen first: {what} = {trainings} trainings{bound}; what is said here is of the "
            f"network as configured, {counted[0].label()}"
        )
        return NetworkChoice(counted, 0, trainings, note)
    say(f"Choosing the network, with the activations as configured: {what}{bound} ...")
    until = math.inf if minutes is None else began + 60 * SHARE_OF_MINUTES * minutes
    found = list(counted)
    with orderly_stop() as asked:
        retraining = _retraining(tasks, settings, name, storage, rates, lambda: asked() or time.monotonic() > until)
        with retraining.trainer.engine:
            try:
                for index, one in enumerate(counted):
                    mine = [key for key, candidate in retraining.candidates.items() if _network_of(candidate) == index]
                    turns = [SeedFold(FIRST_SEED + settings.search.seed + n) for n in range(SEEDS)]
                    found[index] = _scored(one, list(retraining.run(turns, mine).values()), tasks[0])
                    say(f"  {one.label()}: {found[index].text()}")
            except Interrupted:
                if asked():
                    raise KeyboardInterrupt from None
    left = sum(one == before for one, before in zip(found, counted, strict=True))
    if not left and not ranked(found, tasks[0].mode):
        raise AutoactError(f"none of the networks of space.arguments could be trained: {found[0].reason}")
    # Drivers that share a storage search one network: that of the first to choose.
    choice = retraining.ledger.noted(CHOSEN)
    if choice is None or not _stands(choice, minutes):
        choice = {"networks": [asdict(one) for one in found], "minutes": minutes, "left": left}
        retraining.ledger.note(CHOSEN, choice)
    return _from_notes(choice, tasks[0])


def _retraining(
    tasks: Sequence[Task],
    settings: Config,
    name: str,
    storage: str,
    rates: Sequence[float],
    stop_asked: Callable[[], bool],
) -> Retraining:
    """The trainings of all networks, by the engine of the search."""
    device, search, engine = resolve_device(settings.hardware.device), settings.search, settings.engine
    options = SessionOptions(
        device,
        search.patience,
        settings.space.rescale,
        AskedHere(stop_asked),
        search.threads,
        activation_rate=settings.space.activation_rate,
    )
    shape = shape_of(tasks[0], options, engine, search)
    options = replace(options, threads=shape.threads, population=shape.largest)
    # Whether candidates may share a population, each network finds out by itself.
    own = [replace(options, alone=None if index else shape.alone) for index in range(len(tasks))]
    contexts = [WorkerContext(task, _session(task, one)) for task, one in zip(tasks, own, strict=True)]
    trainer = trainer_to_the_end(
        tasks[0],
        LateEngine(engine, NetworksContext(contexts), device, shape),
        shape.largest,
        repeatable=engine.deterministic,
        stop_asked=stop_asked,
    )
    candidates = {
        f"network {index}, {place}": Candidate(Assignment({}), {NETWORK: float(index), **setting})
        for index, task in enumerate(tasks)
        for place, setting in enumerate(_settings(configured_settings(task, device), rates))
    }
    return Retraining(candidates, open_notes(storage, name), trainer, (), stage=Role.TUNING)


def _session(task: Task, options: SessionOptions) -> Callable[[], PopulationSession]:
    return lambda: PopulationSession(task, options)


def _rates(searched: Sequence[float]) -> list[float]:
    """Multiples of the configured learning rate within those that are searched.

    Example:
        >>> [round(rate, 2) for rate in _rates([0.5, 10])], _rates([])
        ([1.0, 3.0], [1.0])
    """
    return [rate for rate in RATES if searched and searched[0] <= rate <= searched[1]] or [1.0]


def _settings(configured: Mapping[str, float], rates: Sequence[float]) -> list[dict[str, float]]:
    rate = configured.get(LEARNING_RATE)
    return [{}] if rate is None else [{LEARNING_RATE: rate * multiple} for multiple in rates]


def _network_of(candidate: Candidate) -> int:
    return int(candidate.settings[NETWORK])


def _parameters(task: Task, arguments: Mapping[str, Any]) -> int:
    """How many parameters a network has, once it is built."""
    try:
        module = task.make_module()
    except AutoactError as error:
        raise AutoactError(f"space.arguments with {Network(arguments, 0).label()}: {error}") from error
    return sum(one.numel() for one in module.parameters() if not is_lazy(one))


def _scored(network: Network, trained: Sequence[RetrainedCandidate], task: Task) -> Network:
    """A network with the mean score of its best learning rate, of those that trained under every seed."""
    whole = [one for one in trained if len(one.scores) == SEEDS]
    if not whole:
        return replace(network, reason=next(why for one in trained for why in one.failures.values()))
    best = max(whole, key=lambda one: one.mean if task.mode == "max" else -one.mean)
    rate = best.candidate.settings.get(LEARNING_RATE)
    return replace(
        network, score=best.mean, spread=statistics.stdev(best.scores.values()), learning_rate=rate, reason=""
    )


def ranked(networks: Sequence[Network], mode: str) -> list[int]:
    """The networks that have a score, the best first; the smaller of equal ones.

    Example:
        >>> large, small, other = Network({}, 300, 0.8), Network({}, 100, 0.8), Network({}, 50, 0.7)
        >>> ranked([large, small, other, Network({}, 1)], "max"), ranked([large, small, other], "min")
        ([1, 0, 2], [2, 1, 0])
    """
    sign = -1.0 if mode == "max" else 1.0
    keys = [(sign * one.score, one.parameters, index) for index, one in enumerate(networks) if one.score is not None]
    return [index for _, _, index in sorted(keys)]


def _stands(noted: PlainData, minutes: float | None) -> bool:
    """Whether a choice was among all networks, or there is no more time now for those that it left out."""
    return not noted["left"] or (minutes is not None and minutes <= noted["minutes"])


def _from_notes(noted: PlainData, task: Task) -> NetworkChoice:
    networks, left = [Network(**one) for one in noted["networks"]], noted["left"]
    order = ranked(networks, task.mode)
    index, short = order[0] if order else 0, ""
    if left:
        wanted = math.ceil(2 * noted["minutes"] * len(networks) / max(1, len(networks) - left))
        short = (
            f"a third of search.minutes={noted['minutes']:g} left {left} of {len(networks)} networks untrained: "
            f"the same command with search.minutes={wanted} trains them"
        )
    if not order:
        return NetworkChoice(networks, 0, 0, f"network: as configured, {networks[0].label()}: {short}")
    note = f"network: {networks[index].label()}{' (as configured)' * (not index)}, the best of {len(networks) - left}: "
    note += networks[index].text()
    other = next((networks[place] for place in ([0] if index else order[1:])), None)
    if other is not None:
        close = " (closer than seeds tell apart)" if _close(networks[index], other) else ""
        note += f", {'as configured' if index else 'next'} {other.label()}: {other.text()}{close}"
    note += f": validation {task.quality_unit}, mean +- standard deviation of {SEEDS} seeds at the best learning rate"
    return NetworkChoice(networks, index, 0, "; ".join(filter(None, [note, "all in networks.csv", short])))


def _close(one: Network, other: Network) -> bool:
    """Whether two scores differ by less than the standard error of their difference."""
    if one.score is None or other.score is None or one.spread is None or other.spread is None:
        return False
    return abs(one.score - other.score) < math.hypot(one.spread, other.spread) / math.sqrt(SEEDS)


def _exists(storage: str) -> bool:
    """Whether a storage can be looked into without being made: a plan writes nothing."""
    file = storage.removeprefix("sqlite:///")
    return file == storage or Path(file).exists()
