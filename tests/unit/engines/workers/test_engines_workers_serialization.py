"""Messages: results and errors survive the way; what cannot travel is named."""

import threading
from types import SimpleNamespace

import pytest

from autoact.core.errors import AutoactError
from autoact.engines.job import WorkerContext
from autoact.engines.workers.serialization import RemoteTraceback, packed, reply_of, result_of
from autoact.tasks.objectives import Objective


class Fussy(Exception):  # noqa: N818
    """Cannot be unpickled: its constructor wants more than its arguments."""

    def __init__(self, one, *, two):
        super().__init__(one)


def test_a_result_comes_back():
    assert result_of(reply_of(lambda: {"a": 1})) == {"a": 1}


def test_an_error_comes_back_as_itself():
    def broken():
        raise KeyError("x")

    with pytest.raises(KeyError, match=r"^'x'$") as caught:
        result_of(reply_of(broken))
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in broken" in str(caught.value.__cause__)


def test_an_error_that_cannot_travel_is_told():
    def broken():
        raise Fussy("said", two=2)

    with pytest.raises(RuntimeError, match=r"^Fussy: said$"):
        result_of(reply_of(broken))


def test_a_result_that_cannot_travel_is_an_error():
    with pytest.raises(TypeError, match=r"pickle"):
        result_of(reply_of(threading.Lock))


LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("fields", "objective", "part"),
    [
        ({"make_module": lambda lock=LOCK: lock}, None, "the task's make_module"),
        ({}, lambda model, lock=LOCK: 0.0, "the objective mine"),
    ],
)
def test_what_cannot_travel_is_named(fields, objective, part):
    objectives = (Objective("mine", "", "min", objective),) if objective else ()
    worker_context = WorkerContext(SimpleNamespace(name="x", **fields), dict, objectives)
    with pytest.raises(AutoactError, match=rf"^{part} cannot be sent to a worker \(.*\): use engine=inline"):
        packed(worker_context)


def test_a_session_factory_that_cannot_travel_is_named():
    stop = threading.Event()
    with pytest.raises(AutoactError, match=r"^the session's factory cannot be sent"):
        packed(WorkerContext(SimpleNamespace(name="x"), lambda: stop))
