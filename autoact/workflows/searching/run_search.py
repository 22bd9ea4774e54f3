"""How every search runs, from wherever it is started: sites, space, latency table, study, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from autoact.core.output_folder import make_folder
from autoact.engines.job import WorkerContext
from autoact.engines.workers.prestart import settle
from autoact.latency.latency_table import LatencyTable
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.execution.predicted_costs import PredictedCosts, calibrate
from autoact.study.forecast import Expected
from autoact.study.outcome.result import SearchResult
from autoact.study.search import Search
from autoact.study.storage.leases import Leases, driver_id
from autoact.study.storage.optuna_storage import storage_url
from autoact.study.storage.trial_store import TrialStore, peek
from autoact.tracking.store import shown
from autoact.training.population import PopulationSession
from autoact.workflows.searching.interrupt import orderly_stop
from autoact.workflows.searching.lazy_engine import LateEngine
from autoact.workflows.searching.population_size import Shape, shape_of
from autoact.workflows.searching.provenance import about
from autoact.workflows.searching.search_files import SearchFiles
from autoact.workflows.searching.search_setup import PreparedSearch, session_options

LATENCY_TABLE = "latency_table"


def run_search(prepared: PreparedSearch, observers: Sequence[SearchCallback] = ()) -> SearchResult:
    """Calibrate, search, check the finalists, write the files.

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
    task, settings = prepared.task, prepared.settings
    make_folder(prepared.folder, Path(settings.output))
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

    storage, file = storage_url(settings.search, Path(settings.output)), prepared.folder / "latency.json"
    with driver_id(prepared.folder) as driver:
        if (noted := peek(storage, prepared.identity.name, LATENCY_TABLE)) is not None:
            LatencyTable.from_dict(noted).save(file)
        settle()
        known = calibrate(task, prepared.space, settings.hardware, file, progress)
        ledger = TrialStore(
            storage,
            prepared.identity,
            prepared.space.with_costs(known.values),
            prepared.objectives,
            settings.search,
            settings.objectives.limits(task.mode),
        )
        known = _shared(known, Leases(ledger, driver), file)
        shape = shape_of(task, session_options(prepared), settings.engine, settings.search, ledger, preparing)
        preparing(f"  {shape.text()}")
        options = session_options(prepared, shape, stop_asked)
        worker_context = WorkerContext(task, lambda: PopulationSession(task, options), prepared.objectives)
        files = SearchFiles(
            prepared.folder,
            prepared.sites,
            settings.space.rescale,
            about(prepared, known),
            settings.space.activation_rate,
            prepared.networks,
        )
        with LateEngine(settings.engine, worker_context, prepared.device, shape) as engine:
            search = Search(
                task=task,
                space=prepared.space,
                objectives=prepared.objectives,
                predicted=known,
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
    """One latency table for all drivers of a study: the driver that noted its own first has measured for all."""
    table = LatencyTable.from_dict(claims.agreed(LATENCY_TABLE, known.table.to_dict()))
    table.save(file)
    return replace(known, table=table)


def _info(prepared: PreparedSearch, known: PredictedCosts, ledger: TrialStore, shape: Shape) -> SearchInfo:
    settings = prepared.settings
    done = len(ledger.records())
    notes = list(prepared.notes)
    if ledger.seeded:
        notes.append(f"{ledger.seeded} trials of an earlier study with another space fit this one and are reused")
    elif done:
        notes.append(f"the study goes on from {done} trials")
    if ledger.drawn_otherwise:
        rules = "whose initial weights another version of autoact drew, perhaps by other rules"
        notes.append(
            f"{ledger.drawn_otherwise} trials of an earlier study are not reused, {rules}"
            if ledger.new
            else f"the study holds {ledger.drawn_otherwise} trials {rules}: they are compared as they are, and its "
            f"finalists train anew by today's; search.seed={settings.search.seed + 1} begins a study of today's alone"
        )
    notes += filter(None, [shape.note])
    return SearchInfo(
        task=prepared.task.name,
        study=ledger.name,
        storage=shown(ledger.storage),
        folder=str(prepared.folder.absolute()),
        objectives=prepared.objectives,
        simulated=prepared.task.simulated,
        facts={**about(prepared, known), "engine": shape.describe(settings.engine)},
        budget=settings.search.budget,
        minutes=settings.search.minutes,
        done=done,
        reused=done - ledger.spent,
        notes=tuple(map(settings.terms.said, notes)),
        say=settings.terms.said,
    )
