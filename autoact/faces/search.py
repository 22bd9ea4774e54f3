"""``autoact.search``: the whole road for a Lightning module, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning

from autoact.engines.settings import PROCESSES, EngineSettings
from autoact.faces.foreign import lightning_task
from autoact.faces.road import Settings, prepare_search, run_search
from autoact.report.terminal import TerminalView
from autoact.space.settings import SpaceSettings
from autoact.study.events import Observer
from autoact.study.result import SearchResult
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, SearchSettings
from autoact.tasks.metrics import Metric
from autoact.timing.settings import HardwareSettings
from autoact.tracking.choose import make_tracker
from autoact.tracking.settings import TrackingSettings

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
    observers: Sequence[Observer] = (),
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
        space: finer settings of the search space; ``candidates`` and ``granularity`` then come from it.
        hardware: the serving target, by device name (``"cpu"``, ``"cuda"``) or in full, with its price.
        settings: finer settings of the search; ``minutes`` and ``trials`` then come from it.
        confirm: the final check; 3 fresh seeds unless given.
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
    task = lightning_task(
        make_module,
        datamodule,
        monitor=monitor,
        mode=mode,
        name=name,
        metric=None if metric is None else Metric(monitor, monitor.removeprefix("val_"), mode, metric, ()),
        trainer=trainer,
        make_callbacks=callbacks,
    )
    chosen = Settings(
        space=space or SpaceSettings(granularity=granularity, candidates=list(candidates)),
        objectives=ObjectiveSettings(use=list(objectives)),
        hardware=HardwareSettings(device=hardware) if isinstance(hardware, str) else hardware,
        search=settings or SearchSettings(trials=trials, minutes=minutes),
        confirm=confirm or ConfirmSettings(),
        output=Path(output),
        engine=EngineSettings(name=engine) if isinstance(engine, str) else engine,
    )
    prepared = prepare_search(task, chosen)
    logging = TrackingSettings(backend=tracking) if isinstance(tracking, str) else tracking
    logging.check()
    tracker = make_tracker(logging, chosen.output, task.name)
    watching = [*filter(None, [tracker]), *observers, *([] if quiet else [TerminalView()])]
    return run_search(prepared, watching)
