"""What a worker does with a job, with a session that trains nothing."""

from types import SimpleNamespace

import cloudpickle
import pytest

from autoact.activations import registry
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.engines.inline import InlineEngine
from autoact.engines.job import Job, WorkerContext
from autoact.tasks.objectives import Objective

ONE = Candidate(Assignment({"act": "relu"}))


class Session:
    """Numbers above 10 never complete; above 20 they are interrupted. Records come back in the order of numbers."""

    def __init__(self):
        self.numbers, self.calls = [], []

    def start(self, candidates):
        self.numbers += [number for number, _ in candidates]

    def resume(self, states):
        self.numbers += [int(number) for number in states]

    def advance(self, to=None):
        self.calls.append(("advance", to))
        return self.records()

    def records(self):
        return [self._record(number) for number in sorted(self.numbers)]

    def _record(self, number):
        if number > 20:
            return TrialRecord(number, ONE, STOPPED, reason="interrupted by the user")
        if number > 10:
            return TrialRecord(number, ONE, STOPPED, reason="paused")
        return TrialRecord(number, ONE, COMPLETE, quality=float(number), values={"before": 1.0})

    def score(self, test):
        self.calls.append(("score", test))
        return {number: 0.5 for number in self.numbers if number <= 10}

    def modules(self):
        return {number: SimpleNamespace(number=number, eval=lambda: None) for number in self.numbers}

    def checkpoint(self):
        return {str(number): f"state of {number}" for number in self.numbers if number > 10}


@pytest.fixture
def opened():
    return []


@pytest.fixture
def place(opened):
    """``place(objectives)``: a worker context and the sessions that it made."""

    def make(*objectives, sealed=False):
        sessions = []

        def session():
            sessions.append(Session())
            return sessions[-1]

        def open_test(reason):
            opened.append(reason)
            return f"rows for {reason}"

        task = SimpleNamespace(name="a task", test=None if sealed else SimpleNamespace(open=open_test))
        return WorkerContext(task, session, objectives), sessions

    return make


def own(name, compute):
    return Objective(name, "", "min", compute)


def job(*numbers, **more):
    return Job(tuple((number, ONE) for number in numbers), **more)


def test_records_come_in_the_order_of_the_job(place):
    outcome = place()[0].run(Job(((5, ONE), (1, ONE)), {"9": "a", "3": "b"}))
    assert [record.number for record in outcome.records] == [9, 3, 5, 1]


def test_states_are_those_of_what_is_paused(place):
    worker_context, _ = place()
    outcome = worker_context.run(job(1, 11, 21, to=3))
    assert outcome.states == {"11": "state of 11"}


def test_the_session_is_told_how_far(place):
    worker_context, sessions = place()
    worker_context.run(job(1, to=3))
    worker_context.run(job(1))
    assert [session.calls for session in sessions] == [[("advance", 3)], [("advance", None)]]


def test_own_objectives_are_computed_on_what_is_complete(place):
    worker_context, _ = place(own("number", lambda model: model.number), Objective("quality", "", "max"))
    complete, paused = worker_context.run(job(4, 12)).records
    assert complete.values == {"before": 1.0, "number": 4.0}
    assert paused.values == {}


def test_an_own_objective_that_fails_fails_its_trial(place):
    def broken(model):
        if model.number == 4:
            raise KeyError("nothing there\nsecond line")
        return float("nan")

    failed, undefined, paused = place(own("mine", broken))[0].run(job(4, 5, 12)).records
    assert (failed.status, failed.quality) == (FAILED, None)
    assert failed.reason.startswith("the objective mine failed: KeyError: ") and "\n" not in failed.reason
    assert (undefined.status, undefined.reason) == (FAILED, "the objective mine is nan")
    assert paused.status == STOPPED


def test_an_own_objective_may_refuse(place):
    def refuses(model):
        raise AutoactError("not this model")

    with pytest.raises(AutoactError, match=r"^not this model$"):
        place(own("mine", refuses))[0].run(job(4))


def test_the_test_part_is_opened_once_for_each_reason(place, opened):
    worker_context, sessions = place(own("number", lambda model: model.number))
    outcomes = [worker_context.run(job(4, test=reason)) for reason in ("check", "check", "second check")]
    assert opened == ["check", "second check"]
    assert [session.calls[-1] for session in sessions][::2] == [
        ("score", "rows for check"),
        ("score", "rows for second check"),
    ]
    assert [outcome.scores for outcome in outcomes] == [{4: 0.5}] * 3
    assert outcomes[0].records[0].values == {"before": 1.0}, "own objectives belong to the search"


def test_the_test_part_stays_sealed_where_nothing_is_complete(place, opened):
    assert place()[0].run(job(12, 21, test="check")).scores == {}
    assert opened == []


def test_a_task_without_test_rows_says_so(place):
    with pytest.raises(AutoactError, match=r"^the task 'a task' has no test rows to score on$"):
        place(sealed=True)[0].run(job(4, test="check"))


def test_a_copy_is_sealed_and_brings_activations(place, opened):
    registry.register("job_cube", lambda x: x**3)
    worker_context, _ = place()
    worker_context.run(job(4, test="check"))
    content = cloudpickle.dumps(worker_context)
    registry.unregister("job_cube")
    copy = cloudpickle.loads(content)
    assert float(registry.get("job_cube").function(3.0)) == 27.0
    registry.unregister("job_cube")
    assert copy._opened == {}


def test_inline_hands_back_finished_futures(place):
    worker_context, sessions = place()
    engine = InlineEngine(worker_context)
    future = engine.submit(job(4))
    assert future.done() and len(sessions) == 1
    assert future.result().records[0].number == 4
    sessions.clear()
    refused = engine.submit(job(4, test=" "))
    assert refused.exception() is None


def test_inline_lets_ctrl_c_through():
    def interrupted():
        raise KeyboardInterrupt

    engine = InlineEngine(WorkerContext(SimpleNamespace(test=None), interrupted))
    with pytest.raises(KeyboardInterrupt):
        engine.submit(job(4))


def test_inline_closes():
    with InlineEngine(None) as engine:
        engine.ready()
        engine.wait_idle()
    with pytest.raises(RuntimeError, match=r"shut down"):
        engine.submit(job(4))
