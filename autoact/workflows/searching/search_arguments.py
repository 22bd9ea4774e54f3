"""The arguments of ``autoact.search``: settings in full, from names and numbers where those say enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

import lightning
import torch
from lightning import Callback

from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.core.typed_values import check_value
from autoact.engines.settings import PROCESSES, EngineSettings
from autoact.latency.hardware import HardwareSettings
from autoact.space.settings import SpaceSettings
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, SearchSettings
from autoact.tasks.metrics import Metric, check_metric
from autoact.tracking.settings import TrackingSettings
from autoact.user_code.lightning_task import lightning_task
from autoact.user_code.pytorch_lightning import is_of
from autoact.workflows.searching.search_setup import PreparedSearch, RunSettings, prepare_search
from autoact.workflows.searching.setting_names import SENTENCES_OF_CALL, Terms

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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


MakeModule = Callable[[], lightning.LightningModule]
# What holds of a module of the user's own, unless given.
_UNLESS_GIVEN: dict[str, Any] = {
    "objectives": ("quality", "latency", "cost"),
    "hardware": "auto",
    "confirm": ConfirmSettings(),
    "output": Config().output,
    "engine": PROCESSES,
    "tracking": "mlflow",
    "callbacks": tuple,
}


class Record(NamedTuple):
    """What an argument of ``autoact.search`` holds in full.

    Attributes:
        section: of the configuration.
        kind: the class of the settings.
        short: the field that a name alone sets; empty where a name is not enough.
    """

    section: str
    kind: type[DataclassInstance]
    short: str = ""


# The arguments of ``autoact.search``: what the plain ones hold, the key that an argument sets, and the records.
_KINDS: Mapping[str, object] = {
    **dict.fromkeys(("candidates", "objectives"), list[str]),
    **dict.fromkeys(("monitor", "mode", "granularity", "name"), str),
    "trials": int,
    "minutes": float,
}
RECORDS: Mapping[str, Record] = {
    "space": Record("space", SpaceSettings),
    "settings": Record("search", SearchSettings),
    "confirm": Record("confirm", ConfirmSettings),
    "hardware": Record("hardware", HardwareSettings, "device"),
    "engine": Record("engine", EngineSettings, "name"),
    "tracking": Record("tracking", TrackingSettings, "backend"),
}
KEY_OF: Mapping[str, str] = {
    "trials": "search.trials",
    "minutes": "search.minutes",
    "candidates": "space.candidates",
    "granularity": "space.granularity",
    "objectives": "objectives.use",
    "name": "task.name",
    "output": "output",
    **{argument: f"{record.section}.{record.short}" for argument, record in RECORDS.items() if record.short},
}
SEARCH_CALL = Terms(
    {key: argument for argument, key in KEY_OF.items()},
    {one.section: (argument, f"autoact.{one.kind.__name__}") for argument, one in RECORDS.items()}
    | {"trainer": ("trainer", "dict")},
    SENTENCES_OF_CALL,
)
_Settings = TypeVar("_Settings", bound="DataclassInstance")


class SearchArguments(TypedDict, total=False):
    """What ``autoact.search`` and ``autoact.plan`` take; see there."""

    overrides: Sequence[str]
    monitor: str | None
    mode: str | None
    minutes: float | None
    trials: int | None
    candidates: Sequence[str] | None
    granularity: str | None
    objectives: Sequence[str] | None
    metric: Callable[..., float] | None
    trainer: Mapping[str, object] | None
    callbacks: Callable[[], Sequence[Callback]] | None
    name: str | None
    output: str | Path | None
    space: SpaceSettings | None
    hardware: HardwareSettings | str | None
    settings: SearchSettings | None
    confirm: ConfirmSettings | None
    engine: EngineSettings | str | None
    tracking: TrackingSettings | str | None


def search_of_module(
    make_module: object, datamodule: lightning.LightningDataModule | None, given: SearchArguments
) -> PreparedSearch:
    """The search of a Lightning module of the user's own.

    Raises:
        AutoactError: something does not fit, or says the same thing twice.
    """
    said = {**_UNLESS_GIVEN, **{name: value for name, value in given.items() if value is not None}}
    check_value(said["objectives"], list[str], "objectives")
    chosen = RunSettings(
        space=_space(given.get("space"), given.get("candidates"), given.get("granularity")),
        objectives=ObjectiveSettings(use=list(said["objectives"])),
        hardware=in_full(said["hardware"], HardwareSettings, "hardware", "device"),
        search=_budget(given.get("settings"), given.get("trials"), given.get("minutes")),
        confirm=in_full(said["confirm"], ConfirmSettings, "confirm"),
        output=str(_folder(said["output"])),
        engine=in_full(said["engine"], EngineSettings, "engine", "name"),
        tracking=in_full(said["tracking"], TrackingSettings, "tracking", "backend"),
        terms=SEARCH_CALL,
    )
    trainer, callbacks, metric = given.get("trainer"), said["callbacks"], given.get("metric")
    made = _own_parts(make_module, datamodule, trainer, callbacks)
    monitor, mode = given.get("monitor"), given.get("mode")
    if monitor is None or mode is None:
        raise AutoactError(
            'your own module needs monitor="NAME" and mode="max" or mode="min": the validation value that decides'
        )
    task = lightning_task(
        *made,
        monitor=monitor,
        mode=mode,
        name=given.get("name"),
        metric=None if metric is None else _metric(metric, monitor, mode),
        trainer=trainer,
        make_callbacks=callbacks,
    )
    return prepare_search(task, chosen)


def check_arguments(given: SearchArguments) -> None:
    """Refuse arguments of another kind than ``autoact.search`` takes beside any task.

    Raises:
        AutoactError: names the argument, what was given and what is allowed.

    Example:
        >>> check_arguments({"objectives": "quality"})
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: objectives='quality' must be a list, such as ['quality']
    """
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, value in said.items():
        if name in _KINDS:
            check_value(value, _KINDS[name], name)
        if name in RECORDS:
            record = RECORDS[name]
            if not (record.short and isinstance(value, str)):
                in_full(value, record.kind, name, record.short)
    if "output" in said:
        _folder(said["output"])
    _check_trainer(given.get("trainer"))


def in_full(value: _Settings | str, record: type[_Settings], argument: str, short: str = "") -> _Settings:
    """Settings in full, from a name where one says enough.

    ``argument`` is what the caller calls it; ``short`` is the field that a name alone sets.

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
    return replace(value)  # which checks again what may have been set since it was made


def _space(space: SpaceSettings | None, candidates: Sequence[str] | None, granularity: str | None) -> SpaceSettings:
    """What may change; nothing that was said beside ``space`` is lost."""
    if candidates is not None:
        check_value(candidates, list[str], "candidates")
    tried = list(DEFAULT_CANDIDATES if candidates is None else candidates)
    if space is None:
        return SpaceSettings(granularity=granularity or "site", candidates=tried)
    space = in_full(space, SpaceSettings, "space")
    if space.arguments:
        raise AutoactError(
            f"space.arguments={dict(space.arguments)} has no effect: your function builds its own network; name it by "
            "overrides=['module=package.module:Class', ...]"
        )
    if granularity not in (None, "site", space.granularity):
        raise AutoactError(
            f"granularity={granularity!r} has no effect beside space=: give it as autoact.SpaceSettings(...)"
        )
    if space.candidates and candidates is not None and list(candidates) != list(space.candidates):
        raise AutoactError(
            "candidates= has no effect beside the candidates of space=autoact.SpaceSettings(...): give one of them"
        )
    return space if space.candidates else replace(space, candidates=tried)


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
    if not isinstance(output, str | Path) or not str(output).strip():
        raise AutoactError(f"output={output!r} must name a folder")
    return Path(output)


def _metric(metric: Callable[..., float], monitor: str, mode: str) -> Metric:
    """The user's own metric, logged as the monitored value."""
    if isinstance(metric, str):
        raise AutoactError(
            f"metric={metric!r} must be a function (y_true, y_score) -> float; "
            "a value that the module logs is named by monitor="
        )
    named = getattr(metric, "__name__", type(metric).__name__)
    return Metric(monitor, monitor.removeprefix("val_"), mode, check_metric(metric, named), ())


def _own_parts(
    make_module: object, datamodule: object, trainer: object, callbacks: object
) -> tuple[MakeModule, lightning.LightningDataModule]:
    """The user's own module and data; objects where functions are meant are refused, and classes where objects are.

    Raises:
        AutoactError: says what to write.
    """
    if isinstance(make_module, torch.nn.Module) or not callable(make_module):
        given, own = type(make_module).__name__, isinstance(make_module, torch.nn.Module)
        name, others = (given, "") if own else ("Net", ", the name of a recipe's task, or an autoact.Config")
        raise AutoactError(
            f"task is a {given}, not a function that returns a fresh module: give lambda: {name}(...){others}"
        )
    if make_module is Config:
        raise AutoactError("task is the class Config: give an object, autoact.Config(...)")
    if datamodule is None:
        raise AutoactError("a module of your own needs its data: give datamodule=, a lightning.LightningDataModule")
    if isinstance(datamodule, type):
        raise AutoactError(f"datamodule is the class {datamodule.__name__}: give an object, {datamodule.__name__}(...)")
    if not is_of(type(datamodule), lightning.LightningDataModule):
        raise AutoactError(f"datamodule is a {type(datamodule).__name__}, not a lightning.LightningDataModule")
    _check_trainer(trainer)
    if not callable(callbacks):
        raise AutoactError("callbacks must be a function that returns fresh ones: callbacks=lambda: [...]")
    return make_module, datamodule  # type: ignore[return-value]  # of pytorch_lightning too: adopted later


def _check_trainer(trainer: object) -> None:
    if trainer is not None and not isinstance(trainer, Mapping):
        raise AutoactError(f'trainer={type(trainer).__name__} must be arguments, such as {{"max_epochs": 20}}')
