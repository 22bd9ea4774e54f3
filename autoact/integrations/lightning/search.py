"""``autoact.search``: the whole road for a Lightning module, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from autoact.core.errors import AutoactError
from autoact.core.typed_values import check_value
from autoact.engines.settings import PROCESSES, EngineSettings
from autoact.engines.warn_once import warned_once
from autoact.integrations.lightning.pytorch_lightning import is_of
from autoact.integrations.lightning.task import lightning_task
from autoact.latency.hardware import HardwareSettings
from autoact.report.terminal import TerminalView
from autoact.space.settings import SpaceSettings
from autoact.study.callbacks import SearchCallback
from autoact.study.outcome.result import SearchResult
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, SearchSettings
from autoact.tasks.metrics import Metric, check_metric
from autoact.tracking.factory import make_tracker
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.search import run_search
from autoact.workflows.searching.search_setup import RunSettings, prepare_search
from autoact.workflows.searching.setting_names import SEARCH_CALL

# The same dozen as conf/candidates/default.yaml, where each has its reason; a test holds them together.
DEFAULT_CANDIDATES = (
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sine",
    "snake",
    "hardswish",
)


def search(
    make_module: Callable[[], lightning.LightningModule],
    datamodule: lightning.LightningDataModule,
    *,
    monitor: str,
    mode: str,
    minutes: float | None = None,
    trials: int | None = None,
    candidates: Sequence[str] = DEFAULT_CANDIDATES,
    granularity: str = "site",
    objectives: Sequence[str] = ("quality", "latency", "cost"),
    metric: Callable[[Any, Any], float] | None = None,
    trainer: Mapping[str, Any] | None = None,
    callbacks: Callable[[], Sequence[Any]] = tuple,
    name: str | None = None,
    output: str | Path = "autoact-runs",
    space: SpaceSettings | None = None,
    hardware: HardwareSettings | str = "auto",
    settings: SearchSettings | None = None,
    confirm: ConfirmSettings | None = None,
    engine: EngineSettings | str = PROCESSES,
    tracking: TrackingSettings | str = "mlflow",
    observers: Sequence[SearchCallback] = (),
    quiet: bool = False,
) -> SearchResult:
    """Search the activations of your own Lightning module.

    Args:
        make_module: returns a fresh module, e.g. ``lambda: Churn(width=64)``.
        datamodule: your data; its ``test_dataloader`` stays sealed until the final check.
        monitor: the validation value that your module logs and that decides.
        mode: ``"max"`` or ``"min"``: which values of it are better.
        minutes: wall-clock budget.
        trials: number of trials; 60 where neither is given.
        candidates: activations to try.
        granularity: ``"site"``, ``"block"`` or ``"model"``.
        objectives: any of ``"quality"``, ``"latency"``, ``"cost"`` and your own (``autoact.objective``).
        metric: ``(y_true, y_score) -> float`` on all validation rows, logged as ``monitor``; instead of your logging.
        trainer: arguments of ``lightning.Trainer``.
        callbacks: returns fresh callbacks for one training.
        name: names the study; the module's class unless given.
        output: folder for everything that is written.
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
    """
    with SEARCH_CALL.errors(), warned_once():
        check_value(objectives, list[str], "objectives")
        chosen = RunSettings(
            space=_space(space, candidates, granularity),
            objectives=ObjectiveSettings(use=list(objectives)),
            hardware=in_full(hardware, HardwareSettings, "hardware", "device"),
            search=_budget(settings, trials, minutes),
            confirm=in_full(confirm or ConfirmSettings(), ConfirmSettings, "confirm"),
            output=_folder(output),
            engine=in_full(engine, EngineSettings, "engine", "name"),
            terms=SEARCH_CALL,
        )
        logging = in_full(tracking, TrackingSettings, "tracking", "backend")
        logging.check()
        _check_parts(make_module, datamodule, trainer, callbacks)
        task = lightning_task(
            make_module,
            datamodule,
            monitor=monitor,
            mode=mode,
            name=name,
            metric=None if metric is None else _metric(metric, monitor, mode),
            trainer=trainer,
            make_callbacks=callbacks,
        )
        prepared = prepare_search(task, chosen)
        tracker = make_tracker(logging, chosen.output, task.name)
        watching = [*filter(None, [tracker]), *observers, *([] if quiet else [TerminalView()])]
        return run_search(prepared, watching)


def in_full(value: Any, record: Any, argument: str, short: str = "") -> Any:
    """Settings in full, from a name where one says enough.

    Args:
        value: a name, or the record.
        record: the class of the settings.
        argument: what the caller calls it.
        short: the field that a name alone sets.

    Raises:
        AutoactError: it is neither.

    Example:
        >>> in_full("inline", EngineSettings, "engine", "name").name
        'inline'
    """
    if isinstance(value, str) and short:
        return record(**{short: value})
    if not isinstance(value, record):
        raise AutoactError(
            f"{argument}={value!r} must be {'a name or ' if short else ''}autoact.{record.__name__}(...)"
        )
    return value


def _space(space: SpaceSettings | None, candidates: Sequence[str], granularity: str) -> SpaceSettings:
    """What may change; nothing that was said beside ``space`` is lost."""
    check_value(candidates, list[str], "candidates")
    if space is None:
        return SpaceSettings(granularity=granularity, candidates=list(candidates))
    space = in_full(space, SpaceSettings, "space")
    if granularity not in ("site", space.granularity):
        raise AutoactError(
            f"granularity={granularity!r} has no effect beside space=: give it as autoact.SpaceSettings(...)"
        )
    if space.candidates and candidates is not DEFAULT_CANDIDATES and list(candidates) != list(space.candidates):
        raise AutoactError(
            "candidates= has no effect beside the candidates of space=autoact.SpaceSettings(...): give one of them"
        )
    return space if space.candidates else replace(space, candidates=list(candidates))


def _budget(settings: SearchSettings | None, trials: int | None, minutes: float | None) -> SearchSettings:
    """How much is tried; nothing that was said beside ``settings`` is lost."""
    if settings is None:
        return SearchSettings(trials=trials, minutes=minutes)
    settings = in_full(settings, SearchSettings, "settings")
    for name, value in (("trials", trials), ("minutes", minutes)):
        if value is not None and getattr(settings, name) not in (None, value):
            raise AutoactError(
                f"{name}={value} and {name}={getattr(settings, name)} of settings=autoact.SearchSettings(...) exclude "
                "each other: give one of them"
            )
    return replace(
        settings,
        trials=settings.trials if trials is None else trials,
        minutes=settings.minutes if minutes is None else minutes,
    )


def _folder(output: str | Path) -> Path:
    """The output folder."""
    if not isinstance(output, str | Path) or not str(output).strip():
        raise AutoactError(f"output={output!r} must name a folder")
    return Path(output)


def _metric(metric: Any, monitor: str, mode: str) -> Metric:
    """The user's own metric, logged as the monitored value."""
    if isinstance(metric, str):
        raise AutoactError(
            f"metric={metric!r} must be a function (y_true, y_score) -> float; "
            "a value that the module logs is named by monitor="
        )
    named = getattr(metric, "__name__", type(metric).__name__)
    return Metric(monitor, monitor.removeprefix("val_"), mode, check_metric(metric, named), ())


def _check_parts(make_module: Any, datamodule: Any, trainer: Any, callbacks: Any) -> None:
    """Refuse objects where functions are meant, and classes where objects are.

    Raises:
        AutoactError: says what to write.
    """
    if isinstance(make_module, torch.nn.Module) or not callable(make_module):
        given = type(make_module).__name__
        name = given if isinstance(make_module, torch.nn.Module) else "Net"
        raise AutoactError(
            f"make_module is a {given}, not a function that returns a fresh module: give lambda: {name}(...)"
        )
    if isinstance(datamodule, type):
        raise AutoactError(f"datamodule is the class {datamodule.__name__}: give an object, {datamodule.__name__}(...)")
    if not is_of(type(datamodule), lightning.LightningDataModule):
        raise AutoactError(f"datamodule is a {type(datamodule).__name__}, not a lightning.LightningDataModule")
    if trainer is not None and not isinstance(trainer, Mapping):
        raise AutoactError(f'trainer={type(trainer).__name__} must be arguments, such as {{"max_epochs": 20}}')
    if not callable(callbacks):
        raise AutoactError("callbacks must be a function that returns fresh ones: callbacks=lambda: [...]")
