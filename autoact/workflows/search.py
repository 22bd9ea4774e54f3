"""``autoact.search``: a whole search in one call, of your own Lightning module or of a recipe's task."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral
from pathlib import Path
from typing import cast

import lightning
from lightning import Callback

from autoact.config.command_words import of_python
from autoact.config.effective_keys import SEARCH
from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.engines.settings import EngineSettings
from autoact.engines.warn_once import warned_once
from autoact.latency.hardware import HardwareSettings
from autoact.report.terminal import TerminalView
from autoact.space.settings import SpaceSettings
from autoact.study.callbacks import SearchCallback
from autoact.study.outcome.result import SearchResult
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tasks.task import Task
from autoact.tracking.factory import make_tracker
from autoact.tracking.mlflow_tracker import MlflowTracker
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.searching.run_search import run_search
from autoact.workflows.searching.search_arguments import (
    KEY_OF,
    RECORDS,
    SEARCH_CALL,
    MakeModule,
    SearchArguments,
    check_arguments,
    search_of_module,
)
from autoact.workflows.searching.search_setup import PreparedSearch
from autoact.workflows.task_source import Configured, TaskSource, configured, prepared_search


def search(
    task: MakeModule | TaskSource | None = None,
    datamodule: lightning.LightningDataModule | None = None,
    *,
    overrides: Sequence[str] = (),
    monitor: str | None = None,
    mode: str | None = None,
    minutes: float | None = None,
    trials: int | None = None,
    candidates: Sequence[str] | None = None,
    granularity: str | None = None,
    objectives: Sequence[str] | None = None,
    metric: Callable[..., float] | None = None,
    trainer: Mapping[str, object] | None = None,
    callbacks: Callable[[], Sequence[Callback]] | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    space: SpaceSettings | None = None,
    hardware: HardwareSettings | str | None = None,
    settings: SearchSettings | None = None,
    confirm: ConfirmSettings | None = None,
    engine: EngineSettings | str | None = None,
    tracking: TrackingSettings | str | None = None,
    observers: Sequence[SearchCallback] = (),
    quiet: bool = False,
) -> SearchResult:
    """Search the activations of your own Lightning module, or of a recipe's task.

    Args:
        task: returns a fresh module of your own, e.g. ``lambda: Churn(width=64)``; or a recipe's task by name, a whole
            ``autoact.Config``, or ``autoact.lightning_task(...)``.
        datamodule: your data; its ``test_dataloader`` stays sealed until the final check.
        overrides: settings of a recipe's task, as on the command line: ``["data.path=x.csv"]``.
        monitor: the validation value that your module logs and that decides.
        mode: ``"max"`` or ``"min"``: which values of it are better.
        minutes: wall-clock budget.
        trials: number of trials; 60 where neither is given.
        candidates: activations to try; a dozen unless given.
        granularity: ``"site"`` (unless given), ``"block"`` or ``"model"``.
        objectives: any of ``"quality"``, ``"latency"``, ``"cost"`` and your own (``autoact.objective``).
        metric: ``(y_true, y_score) -> float`` on all validation rows, logged as ``monitor``; instead of your logging.
        trainer: arguments of ``lightning.Trainer``.
        callbacks: returns fresh callbacks for one training.
        name: names the study; the module's class unless given.
        output: folder for everything that is written; ``autoact-runs`` unless given.
        space: finer settings of the search space; what it says of ``candidates`` and ``granularity`` holds.
        hardware: the serving target, by device name (``"cpu"``, ``"cuda"``) or in full, with its price.
        settings: finer settings of the search; may hold ``minutes`` and ``trials``, too.
        confirm: the final check; 10 fresh seeds unless given.
        engine: where candidates are trained: ``"processes"`` (one worker per core), ``"inline"`` (in this process),
            ``"ray"``, or in full.
        tracking: ``"mlflow"`` (a store in the output folder), ``"none"``, or in full.
        observers: watch the search.
        quiet: print nothing.

    Returns:
        The result: ``verdict``, ``rows``, ``records``, ``files`` and ``recommendation``.

    Raises:
        AutoactError: something does not fit, in one line.

    Example:
        >>> search("chrun")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown task 'chrun': did you mean churn...
    """
    given = locals()
    arguments = cast(SearchArguments, {name: given[name] for name in SearchArguments.__annotations__})
    check_observers(observers)
    with warned_once():
        watching = [*observers, *([] if quiet else [TerminalView()])]
        prepared = prepared_from(task, datamodule, arguments, say=lambda what: _preparing(watching, what))
        with prepared.settings.terms.errors():
            return watched_search(prepared, observers, quiet=quiet)


def _preparing(observers: Sequence[SearchCallback], what: str) -> None:
    for observer in observers:
        observer.preparing(what)


def check_observers(observers: object) -> None:
    """Refuse what cannot watch a search, before anything is read or trained.

    Raises:
        AutoactError: says what is allowed.
    """
    if not isinstance(observers, Sequence) or not all(isinstance(one, SearchCallback) for one in observers):
        raise AutoactError(f"observers={observers!r} must be a list of autoact.SearchCallback objects")


def watched_search(prepared: PreparedSearch, observers: Sequence[SearchCallback] = (), *, quiet: bool) -> SearchResult:
    """Run a search that is prepared, with a tracker, a view in the terminal unless quiet, and the user's observers."""
    tracking, output = prepared.settings.tracking, Path(prepared.settings.output)
    tracker = make_tracker(tracking, output, prepared.task.name)
    view = TerminalView()
    result = run_search(prepared, [*filter(None, [tracker]), *observers, *([] if quiet else [view])])
    if isinstance(tracker, MlflowTracker) and not quiet:
        view.out.print(f"  MLflow: {where_runs_are(tracking, output, tracker.address)}", markup=False, soft_wrap=True)
    return result


def where_runs_are(tracking: TrackingSettings, output: Path, address: str) -> str:
    """How to see the runs: an address, or the command that opens the store.

    Example:
        >>> where_runs_are(TrackingSettings(), Path("my runs"), "")
        "python -m autoact ui 'output=my runs'"
    """
    options = [f"output={output}"] if str(output) != Config().output else []
    if tracking.uri:
        options.append(f"tracking.uri={tracking.uri}")
    return address or f"python -m autoact ui {shlex.join(options)}".rstrip()


def prepared_from(
    task: MakeModule | TaskSource | None,
    datamodule: lightning.LightningDataModule | None,
    given: SearchArguments,
    *,
    say: Callable[[str], None] = lambda what: None,
    train: bool = True,
) -> PreparedSearch:
    """A search that is ready to run; ``say`` and ``train`` are those of ``prepared_search``.

    Raises:
        AutoactError: something does not fit, or an argument cannot act beside this task.
    """
    overrides = given.get("overrides", ())
    if not (task is None or isinstance(task, str | Config | Task | Configured)):
        if overrides:
            raise AutoactError(
                "overrides have no effect beside a module of your own: give arguments, or "
                "task=autoact.lightning_task(...)"
            )
        with SEARCH_CALL.errors():
            return search_of_module(task, datamodule, given)
    if datamodule is not None:
        raise AutoactError("datamodule has no effect beside a task that holds its data")
    check_arguments(given)
    said = {name: value for name, value in given.items() if name != "overrides" and value is not None}
    before = of_python(None, overrides).overrides
    words = []
    for name, value in said.items():
        _check_said_once(name, _words(name, value, every=True), before)
        words += _words(name, value)
    return prepared_search(configured(task, [*before, *words], SEARCH), say=say, train=train)


# Keys that overrides may write shorter.
_SHORT = {"space.candidates": "candidates", "engine.name": "engine", "tracking.backend": "tracking"}


def _check_said_once(argument: str, words: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse an override that the words of an argument would silently replace."""
    for word in words:
        key, _, value = word.partition("=")
        for other in overrides:
            theirs, _, its_value = other.partition("=")
            if theirs.lstrip("+") in (key, _SHORT.get(key)) and its_value.strip("\"'") != value.strip('"'):
                raise AutoactError(f"{argument}= and {other!r} of overrides say different things: give one of them")


def _words(argument: str, value: object, *, every: bool = False) -> list[str]:
    """An argument of ``search`` as words of the command line, for a task that the configuration makes.

    With ``every``, a record of settings says its defaults too.
    """
    if is_dataclass(value):
        return [f"{RECORDS[argument].section}.{word}" for word in _fields_as_words(value, every)]
    if argument == "trainer" and isinstance(value, Mapping):
        return [f"trainer.{name}={_as_text(f'trainer.{name}', one)}" for name, one in value.items()]
    if argument not in KEY_OF:
        raise AutoactError(
            f"{argument} has no effect beside a task that the configuration makes: see python -m autoact search --help "
            "for the settings that overrides take"
        )
    return [f"{KEY_OF[argument]}={_as_text(argument, value)}"]


def _as_text(name: str, value: object) -> str:
    """A value as the command line writes it; numbers of NumPy are plain ones there."""

    def plain(one: object) -> object:
        if isinstance(one, Integral):
            return int(one)
        if isinstance(one, Path):
            return str(one)
        raise AutoactError(
            f"{name}={value!r} cannot be written into a configuration: beside a task that it makes, give text, "
            "numbers, or lists and mappings of them"
        )

    return json.dumps(value, default=plain)


def _fields_as_words(record: object, every: bool) -> list[str]:
    """What a record of settings says, beside its defaults unless ``every``."""
    words = []
    for one in fields(record):  # type: ignore[arg-type]  # the callers ask is_dataclass
        value, default = getattr(record, one.name), getattr(type(record)(), one.name)
        if is_dataclass(value):
            words += [f"{one.name}.{word}" for word in _fields_as_words(value, every)]
        elif isinstance(value, Mapping) and value:  # Hydra takes no quoted names
            words += [f"{one.name}.{name}={_as_text(f'{one.name}.{name}', item)}" for name, item in value.items()]
        elif every or value != default:
            words.append(f"{one.name}={_as_text(one.name, value)}")
    return words
