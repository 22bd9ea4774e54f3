"""Drivers that share a study: nobody takes another's work, nothing is lost, nobody waits for the dead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.storage import leases as claims_module
from autoact.study.storage.leases import BEAT, LAPSE, Leases, driver_id, living


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def candidate(name: str) -> Candidate:
    return Candidate(Assignment({"a": name, "b": name}), {"learning_rate": 0.01, "weight_decay": 0.01})


RELU, GELU, TANH = map(candidate, ("relu", "gelu", "tanh"))


@pytest.fixture
def drivers(kit: Any) -> Callable[..., Any]:
    """Claims of drivers on one study, with one clock."""
    bench, clock = kit.Bench(), Clock()

    def make(name: str) -> Leases:
        found = Leases(bench.ledger(), name, lambda one: one.label(), clock)
        found.now = clock  # type: ignore[attr-defined]
        return found

    return make


def test_what_one_holds_another_sees_and_cannot_take(drivers):
    one, two = drivers("1"), drivers("2")
    assert one.take([RELU, GELU])
    assert two.of_others() == [RELU, GELU]
    assert one.of_others() == []
    assert not two.take([GELU, TANH]), "not even a part of it"
    assert one.of_others() == [], "who gave way holds nothing"
    assert two.take([TANH])
    assert one.of_others() == [TANH]


def test_what_is_released_is_free_and_what_is_left_waits_for_its_driver(drivers):
    one, two = drivers("1"), drivers("2")
    one.take([RELU, GELU])
    one.release([GELU])
    assert two.of_others() == []
    assert two.take([GELU])
    again = drivers("1")
    assert again.left_behind() == [GELU]
    again.release()
    assert drivers("1").left_behind() == []


def test_a_killed_driver_finds_its_batch_again(drivers):
    drivers("1").take([RELU, GELU])
    assert drivers("1").left_behind() == [RELU, GELU]
    assert drivers("2").left_behind() == []


def test_claims_of_the_silent_lapse_and_those_of_the_living_do_not(drivers):
    one, two = drivers("1"), drivers("2")
    one.take([RELU])
    one.now.now += LAPSE
    assert two.of_others() == [RELU]
    one.beat()
    one.now.now += LAPSE
    assert two.of_others() == [RELU]
    one.now.now += 1
    assert two.of_others() == []
    assert two.take([RELU])
    assert BEAT < LAPSE / 5


def test_a_beat_holds_nothing_that_was_released(drivers):
    one, two = drivers("1"), drivers("2")
    one.take([RELU])
    one.release()
    one.beat()
    assert two.of_others() == []


def test_of_two_that_choose_at_once_one_holds(drivers, monkeypatch):
    # Each writes what it wants before either reads: the one with the larger name gives way, the other waits for that.
    one, two = drivers("1"), drivers("2")
    two._write("choosing", [RELU.to_dict()])
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert not two._agree([RELU.to_dict()], "", {RELU.label()}), "driver 2 reads, and gives way"

    monkeypatch.setattr(claims_module.time, "sleep", sleep)
    assert one.take([RELU])
    assert len(slept) == 1
    assert two.of_others() == [RELU]


def test_who_read_before_the_other_wrote_holds(drivers, monkeypatch):
    one, two = drivers("1"), drivers("2")
    two._write("choosing", [RELU.to_dict()])  # it has read already, and will hold
    monkeypatch.setattr(claims_module.time, "sleep", lambda _: two._write("held", [RELU.to_dict()]))
    assert not one.take([RELU])
    assert one.of_others() == [RELU]


def test_many_at_once_share_without_overlap(kit, tmp_path):
    bench = kit.Bench(storage=f"sqlite:///{tmp_path / 'study.db'}")
    bench.ledger()
    names = ["relu", "gelu", "tanh", "silu", "mish", "elu"]
    taken: dict[str, list[str]] = {}

    def work(driver: str) -> None:
        mine = Leases(bench.ledger(), driver, lambda one: one.label())
        taken[driver] = []
        for name in names:
            if mine.take([*(candidate(one) for one in taken[driver]), candidate(name)]):
                taken[driver].append(name)
            else:
                mine.take([candidate(one) for one in taken[driver]])

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Who gives way lets go for a moment, so that a name may be missed; none is held twice at the end.
    held = [name for driver in taken for name in _held(bench, driver)]
    assert len(held) == len(set(held)) > 0


def test_all_go_by_one_value_also_when_they_start_at_once(kit, tmp_path):
    bench = kit.Bench(storage=f"sqlite:///{tmp_path / 'study.db'}")
    claims = [Leases(bench.ledger(), str(number), lambda one: one.label()) for number in range(3)]
    claims[2].take([RELU])
    claims[2].release([RELU])
    start, heard = threading.Barrier(len(claims)), []

    def work(mine: Leases) -> None:
        start.wait()
        heard.extend(mine.agreed(key, mine.driver) for key in ("a", "b", "c", "d", "e", "f"))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    noted = [bench.ledger().noted(key) for key in ("a", "b", "c", "d", "e", "f")]
    assert sorted(heard) == sorted(noted * 3)
    assert claims[2].left_behind() == [RELU], "what waits for a driver still does"
    assert claims[0].agreed("a", "late") == noted[0]


def _held(bench: Any, driver: str) -> list[str]:
    claim = bench.ledger().noted(f"pending:{driver}")
    return [c["assignment"]["a"] for c in claim["batch"]] if claim["state"] == "held" else []


def test_the_final_check_waits_until_nobody_trains(drivers, monkeypatch):
    one, two = drivers("1"), drivers("2")
    one.take([RELU])
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            one.release()

    monkeypatch.setattr(claims_module.time, "sleep", sleep)
    assert two.take_final_check(lambda: False)
    assert len(waited) == 3
    stop = iter([False, True])
    assert not one.take_final_check(lambda: next(stop)), "another driver makes it"
    assert not two.take_final_check(lambda: True)


def test_a_driver_keeps_its_id_and_shares_it_with_none_that_lives(tmp_path):
    with driver_id(tmp_path) as first:
        with driver_id(tmp_path) as second:
            assert first != second
        (tmp_path / "other").mkdir()
        with driver_id(tmp_path / "other") as other:
            assert other not in (first, second)
    with driver_id(tmp_path) as again:
        assert again == first


@pytest.mark.usefixtures("timed_by_table")
def test_what_another_driver_ended_while_this_one_chose_is_not_trained_again(kit, monkeypatch):
    bench, quality = kit.Bench(), kit.plant({"tanh": 0.06})
    engine, other, told = kit.Planted(quality), bench.ledger(), []
    take = Leases.take

    def in_between(mine: Leases, batch: Any) -> bool:
        if len(told) < 12:
            told.append(batch[0])
            other.tell(kit.record(batch[0], 0, quality(batch[0]), latency=1.0, cost=1.0))
        return take(mine, batch)

    monkeypatch.setattr(Leases, "take", in_between)
    result = kit.run(bench, engine)
    assert len(told) == 12
    assert not [candidate for candidate in engine.trained if candidate in told]
    assert len(set(kit.labels(result))) == len(result.records) == 20


def test_a_driver_lives_while_it_holds_its_lock(tmp_path, monkeypatch):
    assert not living(tmp_path)
    with driver_id(tmp_path) as first, driver_id(tmp_path) as second:
        assert first != second and living(tmp_path)
    (tmp_path / ".driver-1.lock").touch()
    assert not living(tmp_path), "what a killed driver leaves is a file that nobody holds"
    with driver_id(tmp_path) as again:
        assert again == first, "to look takes nothing away from the same command"

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", forbidden)
    assert living(tmp_path), "another user's lock says nothing: it is left alone"
