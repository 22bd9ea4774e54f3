"""The road that every search takes, whoever starts it: sites, space, latency table, study, files."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from autoact.core.errors import AutoactError
from autoact.report.markdown import to_markdown
from autoact.sites import Sites, find_sites
from autoact.space.settings import SpaceSettings
from autoact.space.space import SearchSpace, build_space
from autoact.study.engine import InlineEngine
from autoact.study.events import Observer, SearchInfo
from autoact.study.identity import Identity, identify
from autoact.study.known import Known, calibrate, describe_hardware
from autoact.study.ledger import Ledger
from autoact.study.recommend import recommendation
from autoact.study.result import SearchResult
from autoact.study.search import Search, storage_url
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, SearchSettings
from autoact.tasks.objectives import Objective, select
from autoact.tasks.task import Task
from autoact.timing.settings import HardwareSettings, resolve_device
from autoact.tracking.store import shown
from autoact.training.configured import configured_settings
from autoact.training.lightning_session import LightningSession, SessionOptions, check_trainer
from autoact.training.threads import fastest_threads

PACKAGES = ("autoact", "torch", "lightning", "optuna", "scikit-learn", "mlflow", "hydra-core", "numpy")


@dataclass(frozen=True)
class Settings:
    """Everything a search needs beside its task."""

    space: SpaceSettings
    objectives: ObjectiveSettings
    hardware: HardwareSettings
    search: SearchSettings
    confirm: ConfirmSettings
    output: Path


@dataclass(frozen=True)
class Prepared:
    """A search that is ready to calibrate: what will be searched, and what it is called."""

    task: Task
    settings: Settings
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


def prepare_search(task: Task, settings: Settings) -> Prepared:
    """Find the sites, build the space, name the study.

    Raises:
        AutoactError: nothing to search, or settings that do not fit.
    """
    settings.search.check()
    settings.objectives.check()
    settings.confirm.check()
    check_trainer(task.trainer)
    device = resolve_device(settings.hardware.device)
    module = task.make_module()
    module.configure_model()
    sites = find_sites(module, task.example_input)
    configured = configured_settings(task, device)
    space = build_space(sites, settings.space, configured)
    objectives, note = select(
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
    unreplaceable = tuple(f"not searched: {item.name}: {item.reason}" for item in sites.unreplaceable)
    notes = tuple(filter(None, (task.warning, note, *task.facts.get("notes", ()), *unreplaceable)))
    return Prepared(task, settings, sites, space, objectives, identity, device, notes)


def run_search(prepared: Prepared, observers: Sequence[Observer] = ()) -> SearchResult:
    """Take the whole road: calibrate, search, check, write files.

    Ctrl-C ends it in order: finished trials are kept and the result so far is returned.
    """
    status = "failed"
    try:
        with orderly_stop() as stop_asked:
            result = _run(prepared, observers, stop_asked)
        status = result.status
        return result
    finally:
        for observer in observers:
            observer.close(status)


def _run(prepared: Prepared, observers: Sequence[Observer], stop_asked: Callable[[], bool]) -> SearchResult:
    """The road between the seals."""
    task, settings = prepared.task, prepared.settings
    _make_folder(prepared.folder)

    def progress(done: int, swaps: int) -> None:
        for observer in observers:
            observer.calibrating(done, swaps)
        if stop_asked():
            raise KeyboardInterrupt  # nothing was started yet

    known = calibrate(task, prepared.space, settings.hardware, prepared.folder / "latency.json", progress)
    storage = storage_url(settings.search, settings.output)
    ledger = Ledger(storage, prepared.identity, prepared.space, prepared.objectives, settings.search, known.values)
    options = SessionOptions(
        prepared.device, settings.search.patience, settings.space.rescale, stop_asked, _threads(prepared, ledger)
    )
    info = _info(prepared, known, ledger)
    search = Search(
        task=task,
        space=prepared.space,
        objectives=prepared.objectives,
        known=known,
        ledger=ledger,
        engine=InlineEngine(lambda: LightningSession(task, options), prepared.objectives),
        settings=settings.search,
        confirm=settings.confirm,
        margin=settings.objectives.margin,
        observers=[_Files(prepared, known), *observers],
        info=info,
        stop_asked=stop_asked,
    )
    return search.run()


def _threads(prepared: Prepared, ledger: Ledger) -> int:
    """CPU threads of every training of the study: given, noted by an earlier run, or probed now."""
    threads = prepared.settings.search.threads or ledger.noted("threads")
    if threads is None:
        threads = fastest_threads(prepared.task, prepared.device)
    ledger.note("threads", threads)
    return int(threads)


def _info(prepared: Prepared, known: Known, ledger: Ledger) -> SearchInfo:
    """What observers are told at the start."""
    settings = prepared.settings
    done = len(ledger.records())
    notes = list(prepared.notes)
    if ledger.seeded:
        notes.append(f"{ledger.seeded} trials of an earlier study with another space fit this one and are reused")
    elif done:
        notes.append(f"the study goes on from {done} trials")
    return SearchInfo(
        task=prepared.task.name,
        study=ledger.name,
        storage=shown(ledger.storage),
        folder=str(prepared.folder),
        objectives=prepared.objectives,
        simulated=prepared.task.simulated,
        facts=about(prepared, known),
        budget=settings.search.budget,
        minutes=settings.search.minutes,
        done=done,
        notes=tuple(notes),
    )


def about(prepared: Prepared, known: Known) -> dict[str, Any]:
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
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name == "autoact":
                from autoact import __version__

                found[name] = __version__
    return found


class _Files(Observer):
    """Writes the study's files: trials, result, recommendation."""

    def __init__(self, prepared: Prepared, known: Known) -> None:
        self.prepared = prepared
        self.known = known

    def search_finished(self, result: SearchResult) -> None:
        """Write them, and tell the result where they are."""
        folder, files = self.prepared.folder, {}
        trials = folder / "trials.jsonl"
        trials.write_text("".join(f"{record.to_json()}\n" for record in result.records), encoding="utf-8")
        files["trials"] = str(trials)
        files["latency table"] = str(folder / "latency.json")
        if result.selection is not None and result.rulings:
            made = recommendation(
                result,
                result.selection,
                self.prepared.sites,
                self.prepared.settings.space.rescale,
                about(self.prepared, self.known),
            )
            files["recommendation"] = str(made.save(folder / "recommended.yaml"))
        report = folder / "report.md"
        files["report"] = str(report)
        result.files.update(files)
        report.write_text(to_markdown(result), encoding="utf-8")


def _make_folder(folder: Path) -> None:
    """Create the study's folder, or say why not, before anything is trained."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise AutoactError(f"output={str(folder.parent)!r} cannot be written: {error.strerror}") from error


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
