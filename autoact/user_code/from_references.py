"""The user's own module from the command line: references become objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import lightning

from autoact.config.schema import Config
from autoact.config.trusted_code import load_trusted
from autoact.core.errors import AutoactError, nearest
from autoact.tasks.metrics import Metric, check_metric
from autoact.tasks.task import Task
from autoact.user_code.callbacks import callbacks_in
from autoact.user_code.lightning_cli_file import CliFile, is_file
from autoact.user_code.lightning_task import lightning_task
from autoact.user_code.pytorch_lightning import adopted


def own_task(config: Config) -> Task:
    """The task of ``module=... datamodule=... monitor=... mode=...``.

    Raises:
        AutoactError: something is missing, not trusted, or does not fit.
    """
    assert config.module is not None
    if config.task.name is not None:
        raise AutoactError(f"task={config.task.name} and module={config.module} exclude each other: name one")
    if config.datamodule is None and not is_file(config.module):
        raise AutoactError("module=... needs datamodule=package.module:Class")
    if config.production_model is not None:
        raise AutoactError(
            "production_model=... needs a task of ours: with module=... autoact does not know which row of your "
            "data is which"
        )
    files = {name: CliFile(name, config.trust) for name in (config.module, config.datamodule) if name and is_file(name)}
    given, data_given = config.module_arguments, config.datamodule_arguments
    data = config.datamodule or config.module
    make_module = _maker(config, "module", config.module, given, lightning.LightningModule, files)
    make_data = _maker(config, "datamodule", data, data_given, lightning.LightningDataModule, files)
    metric = _metric(config)
    if metric is None and (config.monitor is None or config.mode is None):
        raise AutoactError("module=... needs monitor=NAME and mode=max or mode=min: the validation value that decides")
    file = files.get(config.module)
    callbacks = [_callbacks_of(reference, config.trust) for reference in config.callbacks]
    callbacks += file.callbacks() if file else []
    task = lightning_task(
        make_module,
        make_data(),
        monitor=config.monitor or f"val_{metric.name if metric else ''}",
        mode=config.mode or (metric.mode if metric else ""),
        metric=metric,
        trainer={**(file.trainer() if file else {}), **config.trainer},
        make_callbacks=lambda: [one for make in callbacks for one in callbacks_in(make())],
        seed=config.data.seed,
    )
    serves = {"module": config.module, "datamodule": data}
    said = [line for name, one in files.items() for line in one.notes([k for k, v in serves.items() if v == name])]
    facts = {"module": config.module, "arguments": dict(given), "notes": (*task.facts["notes"], *said)}
    return replace(task, facts={**task.facts, **facts})


def _maker(
    config: Config, key: str, reference: str, arguments: Mapping[str, Any], wanted: Any, files: Mapping[str, CliFile]
) -> Callable[[], Any]:
    """A function that makes what ``module=`` or ``datamodule=`` names.

    Raises:
        AutoactError: it is not trusted, not there, or does not fit.
    """
    if reference in files:
        make = files[reference].maker(key, arguments)
        return lambda: _checked(make(), key, reference, wanted)
    named = load_trusted(reference, key, config.trust)
    return lambda: _build(named, arguments, key, reference, wanted)


def _callbacks_of(reference: str, trust: Sequence[str]) -> Callable[[], Any]:
    """A function that makes what one entry of ``callbacks=`` names: a callback, or several that a function returns.

    Raises:
        AutoactError: it is not trusted, not there, needs arguments, or makes something else.
    """
    named = load_trusted(reference, "callbacks", trust)
    if not callable(named):
        raise AutoactError(
            f"callbacks={reference} is an object, which all trainings would share: name its class, or a function "
            "without arguments that returns a fresh one"
        )
    where, advice = f"callbacks={reference}", "name a function without arguments that returns it"

    def make() -> Any:
        return _call(named, {}, where, advice)

    callbacks_in(make(), where)  # what does not fit is known before anything is read
    return make


def _call(kind: Any, arguments: Mapping[str, Any], where: str, advice: str) -> Any:
    """What a class, or a function, makes of its arguments; what their code raises stays as it is.

    Raises:
        AutoactError: the arguments do not fit.
    """
    name = getattr(kind, "__qualname__", type(kind).__name__)
    try:
        takes = inspect.signature(kind)
    except (TypeError, ValueError):
        return kind(**arguments)  # it has no signature that can be read
    known = [p.name for p in takes.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    try:
        takes.bind(**arguments)
    except TypeError as error:
        unknown = next((one for one in arguments if one not in known), None)
        close = nearest(unknown, known) if unknown is not None else []
        hint = f": did you mean {' or '.join(close)}?" if close else ""
        raise AutoactError(
            f"{where}: {name}: {error}{hint}. It takes {', '.join(known) or 'none'} ({advice})"
        ) from error
    try:
        return kind(**arguments)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise AutoactError(f"{where}: {error} ({advice})") from error  # of the class behind its **kwargs


def _metric(config: Config) -> Metric | None:
    """The user's own metric; None where the module logs the value that decides."""
    if config.metric is None:
        return None
    if ":" not in config.metric:
        raise AutoactError(
            f"metric={config.metric}: with module=... the module logs what decides (monitor=...); "
            "or give a function, metric=package.module:function metric_mode=max|min"
        )
    function = check_metric(load_trusted(config.metric, "metric", config.trust), config.metric)
    mode = config.metric_mode or config.mode
    if mode not in ("max", "min"):
        raise AutoactError(f"metric={config.metric} needs its direction: metric_mode=max or metric_mode=min")
    own = config.metric.rpartition(":")[2]
    return Metric(own, own, mode, function, ())


def _build(kind: object, arguments: Mapping[str, object], key: str, reference: str, wanted: type) -> object:
    """An object of the user's class, or what their function returns.

    Raises:
        AutoactError: the arguments do not fit, or it is something else than Lightning's.
    """
    if isinstance(kind, wanted):
        raise AutoactError(
            f"{key}={reference} is an object, which all trainings would share: name its class, or a function that "
            "returns a fresh one"
        )
    made = _call(kind, arguments, f"{key}={reference}", f"give arguments as {key}_arguments.NAME=VALUE")
    return _checked(made, key, reference, wanted)


def _checked(made: object, key: str, reference: str, wanted: type) -> object:
    """What was made, as Lightning's.

    Raises:
        AutoactError: it is something else.
    """
    made = adopted(made, wanted)
    if not isinstance(made, wanted):
        raise AutoactError(f"{key}={reference} gives {type(made).__name__}, not a lightning.{wanted.__name__}")
    return made
