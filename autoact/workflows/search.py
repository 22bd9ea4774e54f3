"""The road that every search takes, whoever starts it: sites, space, latency table, study, files."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from autoact.core.errors import AutoactError
from autoact.core.imports import DISTRIBUTION
from autoact.core.trial import Candidate
from autoact.engines.job import AskedHere, WorkerContext
from autoact.engines.settings import EngineSettings
from autoact.engines.workers.prestart import settle
from autoact.latency.hardware import HardwareSettings, resolve_device
from autoact.latency.latency_table import LatencyTable
from autoact.sites import Sites
from autoact.sites.discovery.model_copies import check_hidden_copies, copies_told
from autoact.space.search_space import SearchSpace, build_space
from autoact.space.settings import SpaceSettings
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.execution.predicted_costs import PredictedCosts, calibrate, describe_hardware
from autoact.study.execution.successive_halving import rungs_of
from autoact.study.forecast import Expected
from autoact.study.outcome.result import SearchResult
from autoact.study.search import Search
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, SearchSettings
from autoact.study.storage.leases import Leases, driver_id
from autoact.study.storage.optuna_storage import storage_url
from autoact.study.storage.study_identity import Identity, identify
from autoact.study.storage.trial_store import TrialStore, peek
from autoact.tasks.objectives import QUALITY, Objective, choose_objectives
from autoact.tasks.task import Task
from autoact.tracking.store import shown
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.population.eligibility import set_up
from autoact.training.preflight.configured_settings import configured_settings
from autoact.training.preflight.loaded_weights import loaded_told, loaded_weights, sites_of
from autoact.training.preflight.sanity_check import rehearse
from autoact.training.trainer_arguments import TRAINER_DEFAULTS, check_trainer
from autoact.workflows.searching.activation_summary import what_is_searched
from autoact.workflows.searching.dataloaders import check_validation
from autoact.workflows.searching.lazy_engine import LateEngine
from autoact.workflows.searching.population_size import Shape, shape_of
from autoact.workflows.searching.restrict_space import narrowed
from autoact.workflows.searching.search_files import SearchFiles, make_folder
from autoact.workflows.searching.setting_names import Terms

LATENCY_TABLE = "latency_table"
LONGEST_NAME = 100
RAW = "confirmation.json"
PACKAGES = ("torch", "lightning", "optuna", "scikit-learn", "mlflow", "hydra-core", "numpy")


@dataclass(frozen=True)
class RunSettings:
    """Everything a search needs beside its task.

    Attributes:
        space: what may change.
        objectives: what is traded.
        hardware: the serving target.
        search: the budget.
        confirm: the final check.
        output: folder for everything that is written.
        engine: where candidates are trained.
        included: candidates that are tried first, whatever a sampler would propose.
        command: what the command line said, kept in the study's folder.
        began: when the command began, by ``time.monotonic``: minutes count from there.
        terms: how messages name settings: by the command line's keys unless given.
    """

    space: SpaceSettings
    objectives: ObjectiveSettings
    hardware: HardwareSettings
    search: SearchSettings
    confirm: ConfirmSettings
    output: Path
    engine: EngineSettings = field(default_factory=EngineSettings)
    included: tuple[Candidate, ...] = ()
    command: Mapping[str, Any] | None = None
    began: float = field(default_factory=time.monotonic)
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True)
class PreparedSearch:
    """A search that is ready to calibrate: what will be searched, and what it is called."""

    task: Task
    settings: RunSettings
    sites: Sites
    space: SearchSpace
    objectives: tuple[Objective, ...]
    identity: Identity
    device: torch.device
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the study's files lie."""
        return self.settings.output / self.identity.name

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trainings are compared and given up; none where quality is not traded."""
        if not any(objective.name == QUALITY for objective in self.objectives):
            return ()
        return rungs_of(self.settings.search.rungs, self.epochs, self.settings.search.patience)

    @property
    def epochs(self) -> int | None:
        """The most epochs of a training; None where only its own callbacks end it."""
        most = {**TRAINER_DEFAULTS, **self.task.trainer}["max_epochs"]
        return most if most is not None and most > 0 else None


def prepare_search(task: Task, settings: RunSettings) -> PreparedSearch:
    """Find the sites, build the space, name the study.

    Raises:
        AutoactError: nothing to search, or settings that do not fit.
    """
    settings.search.check()
    settings.space.check()
    settings.engine.check()
    settings.objectives.check()
    settings.confirm.check()
    check_trainer(task.trainer)
    check_name(task.name)
    device = resolve_device(settings.hardware.device)
    module = task.make_module()
    module.configure_model()
    loaded = loaded_weights(task)
    sites = sites_of(task).named(settings.space.include)
    check_hidden_copies(module, sites)
    check_validation(set_up(task))
    configured = configured_settings(task, device)
    rehearse(task, device)
    space, narrow = narrowed(task, build_space(sites, settings.space, configured), device, type(module).__name__)
    objectives, note = choose_objectives(
        settings.objectives.use,
        quality_unit=task.quality_unit,
        quality_mode=task.mode,
        currency=settings.hardware.currency if settings.hardware.price_per_hour is not None else None,
    )
    training = {
        "seed": settings.search.seed,
        "patience": settings.search.patience,
        "rescale": settings.space.rescale,
        "device": device.type,
    }
    hardware = {
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "price": settings.hardware.price_per_hour,
        "batches": [settings.hardware.latency_batch, settings.hardware.throughput_batch],
        "threads": settings.hardware.threads,
    }
    identity = identify(task, space, objectives, training, hardware)
    told = (
        *task.facts.get("notes", ()),
        *what_is_searched(sites, space),
        *copies_told(sites),
        *space.notes,
        *narrow,
        loaded_told(loaded) if settings.space.rescale else "",
    )
    notes = tuple(filter(None, (task.warning, note, *told)))
    return PreparedSearch(task, settings, sites, space, objectives, identity, device, notes)


def check_name(name: str) -> None:
    """Refuse a task's name that could not be part of a folder's name.

    Raises:
        AutoactError: says what is allowed.

    Example:
        >>> check_name("../elsewhere")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: task.name='../elsewhere' becomes part of a folder's name: ...
    """
    if not name.strip() or name.startswith(".") or set(name) & set('/\\:*?"<>|\0\n\t') or len(name) > LONGEST_NAME:
        raise AutoactError(
            f"task.name={name!r} becomes part of a folder's name: use letters, digits, blanks, '-', '_' and '.', "
            f"{LONGEST_NAME} at most, and no '.' at the start"
        )


def run_search(prepared: PreparedSearch, observers: Sequence[SearchCallback] = ()) -> SearchResult:
    """Take the whole road: calibrate, search, check, write files.

    Ctrl-C ends it in order: finished trials are kept and the result so far is returned.
    """
    status = "failed"
    try:
        with orderly_stop() as stop_asked:
            result = _run(prepared, observers, stop_asked)
        status = result.status
        return result
    except KeyboardInterrupt:  # a second Ctrl-C, or one before anything was started
        status = "interrupted"
        raise
    finally:
        for observer in observers:
            observer.close(status)


def _run(prepared: PreparedSearch, observers: Sequence[SearchCallback], stop_asked: Callable[[], bool]) -> SearchResult:
    """The road between the seals."""
    task, settings = prepared.task, prepared.settings
    make_folder(prepared.folder)
    if settings.command is not None:
        (prepared.folder / "command.json").write_text(json.dumps(settings.command, indent=1), encoding="utf-8")

    def progress(done: int, swaps: int) -> None:
        for observer in observers:
            observer.calibrating(done, swaps)
        if stop_asked():
            raise KeyboardInterrupt  # nothing was started yet

    def preparing(what: str) -> None:
        for observer in observers:
            observer.preparing(what)

    storage, file = storage_url(settings.search, settings.output), prepared.folder / "latency.json"
    with driver_id(prepared.folder) as driver:
        if (noted := peek(storage, prepared.identity.name, LATENCY_TABLE)) is not None:
            LatencyTable.from_dict(noted).save(file)
        settle()
        known = calibrate(task, prepared.space, settings.hardware, file, progress)
        ledger = TrialStore(
            storage,
            prepared.identity,
            prepared.space,
            prepared.objectives,
            settings.search,
            known.values,
            settings.objectives.limits(task.mode),
        )
        known = _shared(known, Leases(ledger, driver), file)
        shape = shape_of(task, session_options(prepared), settings.engine, settings.search, ledger, preparing)
        preparing(f"  {shape.text()}")
        options = session_options(prepared, shape, stop_asked)
        workplace = WorkerContext(task, lambda: PopulationSession(task, options), prepared.objectives)
        files = SearchFiles(prepared.folder, prepared.sites, settings.space.rescale, about(prepared, known))
        with LateEngine(settings.engine, workplace, prepared.device, shape) as engine:
            search = Search(
                task=task,
                space=prepared.space,
                objectives=prepared.objectives,
                known=known,
                ledger=ledger,
                engine=engine,
                settings=settings.search,
                confirm=settings.confirm,
                margin=settings.objectives.margin,
                observers=[files, *observers],
                info=_info(prepared, known, ledger, shape),
                stop_asked=stop_asked,
                rungs=prepared.rungs,
                population=shape.population,
                largest=shape.largest,
                repeatable=settings.engine.deterministic,
                driver=driver,
                included=settings.included,
                limits=settings.objectives.limits(task.mode),
                expected=expected(prepared, shape),
                began=settings.began,
            )
            return search.run()


def expected(prepared: PreparedSearch, shape: Shape) -> Expected:
    """What is known of the speed of trainings before there is one."""
    return Expected(shape.seconds_per_epoch, prepared.epochs, shape.speed_up, bool(prepared.rungs))


def _shared(known: PredictedCosts, claims: Leases, file: Path) -> PredictedCosts:
    """One latency table for all drivers of a study: whoever noted theirs first has measured for all."""
    table = LatencyTable.from_dict(claims.agreed(LATENCY_TABLE, known.table.to_dict()))
    table.save(file)
    return replace(known, table=table)


def session_options(
    prepared: PreparedSearch, shape: Shape | None = None, stop_asked: Callable[[], bool] = lambda: False
) -> SessionOptions:
    """How every session of a search trains."""
    search = prepared.settings.search
    return SessionOptions(
        prepared.device,
        search.patience,
        prepared.settings.space.rescale,
        AskedHere(stop_asked),
        search.threads if shape is None else shape.threads,
        None if shape is None else shape.largest,
        None if shape is None else shape.alone,
    )


def _info(prepared: PreparedSearch, known: PredictedCosts, ledger: TrialStore, shape: Shape) -> SearchInfo:
    """What observers are told at the start."""
    settings = prepared.settings
    done = len(ledger.records())
    notes = list(prepared.notes)
    if ledger.seeded:
        notes.append(f"{ledger.seeded} trials of an earlier study with another space fit this one and are reused")
    elif done:
        notes.append(f"the study goes on from {done} trials")
    notes += filter(None, [shape.note])
    return SearchInfo(
        task=prepared.task.name,
        study=ledger.name,
        storage=shown(ledger.storage),
        folder=str(prepared.folder),
        objectives=prepared.objectives,
        simulated=prepared.task.simulated,
        facts={**about(prepared, known), "engine": shape.describe(settings.engine)},
        budget=settings.search.budget,
        minutes=settings.search.minutes,
        done=done,
        notes=tuple(map(settings.terms.said, notes)),
        say=settings.terms.said,
    )


def about(prepared: PreparedSearch, known: PredictedCosts) -> dict[str, Any]:
    """Plain data on a search's task, model, hardware and packages."""
    return {
        "data": {k: v for k, v in prepared.task.facts.items() if k != "settings"},
        "sites": {site.name: str(site.current) for site in prepared.sites.searchable},
        "space": prepared.space.describe(),
        "hardware": describe_hardware(known),
        "training": {"device": str(prepared.device), "trainer": {k: str(v) for k, v in prepared.task.trainer.items()}},
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """Versions of what results depend on."""
    from autoact import __version__

    # Of the code that runs: what pip has installed under a name like ours may be an older copy, or somebody else's.
    found = {DISTRIBUTION: __version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@contextmanager
def orderly_stop() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks to stop; a second one stops at once."""
    asked = threading.Event()

    def on_signal(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
