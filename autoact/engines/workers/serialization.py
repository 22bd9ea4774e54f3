"""Messages between the driver and a worker: bytes both ways, errors with their tracebacks among them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import cloudpickle

from autoact.core.errors import AutoactError, first_line
from autoact.engines.job import WorkerContext
from autoact.training.quiet_lightning import quiet_lightning


class RemoteTraceback(Exception):  # noqa: N818  (the cause of an error, never raised alone)
    """The traceback of an error in a worker, as text; the cause of the error that arrives here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def packed(worker_context: WorkerContext) -> bytes:
    """A worker context as it travels.

    Raises:
        AutoactError: something in it cannot leave this process; names the part.
    """
    try:
        return bytes(cloudpickle.dumps(worker_context))
    except Exception as error:  # each object refuses in its own way
        raise AutoactError(
            f"{_culprit(worker_context)} cannot be sent to a worker ({first_line(error)}): use engine=inline, or make "
            "it there"
        ) from error


def _culprit(worker_context: WorkerContext) -> str:
    parts = {f"the task's {name}": value for name, value in vars(worker_context.task).items()}
    parts["the session's factory"] = worker_context.make_session
    parts |= {f"the objective {objective.name}": objective for objective in worker_context.own}
    return next((name for name, value in parts.items() if not _can_be_packed(value)), "an activation of your own")


def _can_be_packed(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True


def reply_of(work: Callable[[], object]) -> bytes:
    """Do the work in a worker; the reply holds its result, or the error that it ended in."""
    try:
        with quiet_lightning():
            return bytes(cloudpickle.dumps((work(), None, "")))
    except Exception as error:
        return bytes(cloudpickle.dumps((None, _portable(error), traceback.format_exc())))


def _portable(error: Exception) -> Exception:
    """The error itself where it can be packed and unpacked, else one that says the same."""
    try:
        if type(cloudpickle.loads(cloudpickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


def result_of(reply: bytes) -> Any:
    """The result in a reply; an error in it is raised as itself, with the worker's traceback as its cause."""
    result, error, trace = cloudpickle.loads(reply)
    if error is not None:
        raise error from RemoteTraceback(trace)
    return result
