"""The queue: places, second chances, cancellation; with workers that end when the test says so."""

import threading
from concurrent.futures import CancelledError, wait
from types import SimpleNamespace

import cloudpickle
import pytest

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.engines.job import Job
from autoact.engines.job_queue import RETRIES, QueueingEngine
from autoact.engines.workers.serialization import reply_of


def numbers_of(ticket):
    return cloudpickle.loads(ticket.payload).numbers


class Engine(QueueingEngine):
    """Jobs run until ``end``, ``die`` or a dismissal."""

    def __init__(self, workers=2):
        super().__init__(workers)
        self.places, self.starting, self.lost = workers, False, 0
        self.started, self.log = [], []

    def _free_place(self):
        if self.places == 0 or self.starting:
            return None
        self.places -= 1
        return True

    def _give_back(self, place):
        self.places += 1

    def _launch(self, ticket, place):
        if self.lost:
            self.lost -= 1
            self._give_back(place)
            return False
        self.started.append(ticket)
        self.log.append(numbers_of(ticket)[0])
        return True

    def _starting(self):
        return self.starting

    def _dismiss(self, wait):
        while self.started:
            ticket = self.started.pop()
            self._give_back(True)
            self._settle(ticket, None, CancelledError())

    def _take(self, number):
        (ticket,) = [ticket for ticket in self.started if numbers_of(ticket) == [number]]
        self.started.remove(ticket)
        self._give_back(True)
        return ticket

    def end(self, number):
        ticket = self._take(number)
        self._settle(ticket, reply_of(lambda: f"outcome {number}"))

    def die(self, number):
        self._died(self._take(number), "killed")

    @property
    def running(self):
        return [numbers_of(ticket)[0] for ticket in self.started]


def job(number):
    return Job(states={str(number): None})


@pytest.fixture
def engine():
    return Engine()


def test_the_oldest_runs_first(engine):
    futures = [engine.submit(job(number)) for number in range(4)]
    assert engine.running == [0, 1]
    engine.end(1)
    engine.end(0)
    assert engine.running == [2, 3]
    assert [future.done() for future in futures] == [True, True, False, False]
    assert futures[1].result() == "outcome 1"


def test_a_job_that_waits_can_be_cancelled(engine):
    futures = [engine.submit(job(number)) for number in range(4)]
    assert futures[2].cancel() and not futures[0].cancel()
    engine.end(0)
    assert engine.running == [1, 3]
    assert wait(futures[2:3], timeout=10).done == {futures[2]}


def test_a_job_whose_worker_died_is_the_next(engine):
    futures = [engine.submit(job(number)) for number in range(4)]
    engine.die(1)
    assert engine.running == [0, 1]
    engine.end(1)
    assert futures[1].result() == "outcome 1"


def test_a_place_that_is_gone_loses_no_job(engine):
    engine.lost = 3
    future = engine.submit(job(0))
    assert engine.running == [0]
    engine.end(0)
    assert future.result() == "outcome 0"


def test_the_last_chance_is_taken_alone(engine):
    first, *others = [engine.submit(job(number)) for number in range(4)]
    for _ in range(RETRIES):
        engine.die(0)
    assert engine.running == [1], "it waits for the others to end"
    engine.end(1)
    assert engine.running == [0], "and they for it"
    engine.end(0)
    assert engine.running == [2, 3]
    assert first.result() == "outcome 0"
    assert [future.done() for future in others] == [True, False, False]


def test_a_job_that_always_kills_falls_with_its_candidates_named(engine):
    tried = Candidate(Assignment({"act": "snake"}), {"learning_rate": 0.25})
    killer = engine.submit(Job(states={"4": {"candidate": tried.to_dict()}}))
    other = engine.submit(job(1))
    for _ in range(RETRIES):
        engine.die(4)
    engine.end(1)
    engine.die(4)
    with pytest.raises(
        AutoactError, match=r"^a worker died 4 times while it trained snake, learning_rate=0.25 \(killed\): "
    ):
        killer.result()
    assert other.result() == "outcome 1"
    assert engine.log == [4, 1, 4, 4, 4]


def test_a_broken_engine_says_why(engine):
    engine.starting = True
    waiting = engine.submit(job(0))
    engine._break(AutoactError("no module named 'mine'"))
    for attempt in (waiting.result, engine.ready, lambda: engine.submit(job(1))):
        with pytest.raises(AutoactError, match=r"^no module named 'mine'$"):
            attempt()


def test_ready_waits_for_the_start(engine):
    engine.starting = True
    waiting = threading.Thread(target=engine.ready)
    waiting.start()
    assert waiting.is_alive()
    engine.starting = False
    engine._fill()
    waiting.join(10)
    assert not waiting.is_alive()


def test_idle_is_when_nothing_runs_waits_or_starts(engine):
    for number in range(3):
        engine.submit(job(number))
    waiting = threading.Thread(target=engine.wait_idle)
    waiting.start()
    for number in (0, 1, 2):
        assert waiting.is_alive()
        engine.end(number)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_shutdown_waits_for_the_jobs(engine):
    futures = [engine.submit(job(number)) for number in range(3)]
    closing = threading.Thread(target=engine.shutdown)
    closing.start()
    while not engine._closed:
        pass
    with pytest.raises(RuntimeError, match=r"shut down"):
        engine.submit(job(9))
    for number in range(3):
        engine.end(number)
    closing.join(10)
    assert not closing.is_alive()
    assert [future.result() for future in futures] == ["outcome 0", "outcome 1", "outcome 2"]


def test_a_shutdown_drops_what_waits_and_what_runs(engine):
    futures = [engine.submit(job(number)) for number in range(4)]
    engine.shutdown(cancel_futures=True)
    assert [future.done() for future in futures] == [True] * 4
    for future in futures:
        with pytest.raises(CancelledError):
            future.result()
    assert engine.log == [0, 1]
    engine.shutdown(cancel_futures=True)


def test_a_worker_that_dies_at_the_end_starts_nothing(engine):
    future = engine.submit(job(0))
    engine._dismissed = True
    engine.die(0)
    with pytest.raises(CancelledError):
        future.result()
    assert engine.running == []


def test_an_error_in_the_block_drops_the_jobs():
    with pytest.raises(KeyError), Engine() as engine:
        future = engine.submit(job(0))
        raise KeyError
    assert isinstance(future.exception(), CancelledError)


def test_a_job_that_cannot_travel_is_refused_at_once(engine):
    with pytest.raises(TypeError, match=r"pickle"):
        engine.submit(SimpleNamespace(numbers=[1], lock=threading.Lock()))
