"""Minutes are used and kept; a check is made smaller before the search is starved."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace
from typing import Any

import pytest

from autoact.core.trial import Candidate
from autoact.study import search as search_module
from autoact.study.budget import Budget, expected_trainings, smaller_checks
from autoact.study.forecast import Expected, Forecast
from autoact.study.settings import ConfirmSettings, SearchSettings

pytestmark = pytest.mark.usefixtures("timed_by_table")


class Clock:
    """A clock that trainings move, and the timing of finalists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kit: Any, seconds: float) -> None:
        self.now, self.kit, self.seconds, self.choosing = 0.0, kit, seconds, 1.0
        self.quality = kit.plant({"tanh": 0.06}, 0.002)
        monkeypatch.setattr(search_module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=time.sleep))

    def engine(self) -> Any:
        def slow(candidate: Candidate) -> float:
            self.now += self.seconds * (self.choosing if candidate.role == "choosing" else 1.0)
            return self.quality(candidate)

        return self.kit.Planted(slow, test_quality=self.quality)


# Minutes, and seconds of one training: what all trainings of a small search and its check take is a part of them.
@pytest.mark.parametrize(
    ("minutes", "seconds"),
    [(0.5, 1.0), (1.0, 1.0), (2.0, 2.0), (4.0, 1.0), (4.0, 5.0), (10.0, 5.0), (10.0, 20.0), (60.0, 30.0)],
)
def test_the_minutes_are_used_and_kept(kit, monkeypatch, minutes, seconds):
    clock = Clock(monkeypatch, kit, seconds)
    engine = clock.engine()
    result = kit.run(kit.Bench(settings=SearchSettings(minutes=minutes)), engine)
    # What the command does after its last training takes no time here, and three seconds are kept for it.
    assert 0.85 * 60 * minutes - 3 <= clock.now <= 1.05 * 60 * minutes
    assert result.status == "finished" and result.seeds >= 3
    others = {r.candidate.assignment for r in result.records} - {kit.space().baseline}
    assert others, "something was compared"
    ruling = result.rulings["quality"]
    # Without a first stage, a baseline whose best learning rate is the largest that was tried is no fair one.
    assert ruling.recommend or "the same command with" in ruling.reason, "the effect is large"


@pytest.mark.parametrize(("minutes", "seconds"), [(0.5, 5.0), (1.0, 5.0), (4.0, 20.0)])
def test_where_no_check_fits_all_time_goes_to_the_search_and_nothing_is_recommended(kit, monkeypatch, minutes, seconds):
    clock = Clock(monkeypatch, kit, seconds)
    engine = clock.engine()
    result = kit.run(kit.Bench(settings=SearchSettings(minutes=minutes)), engine)
    assert 0.85 * 60 * minutes <= clock.now <= 1.05 * 60 * minutes
    assert not engine.scored, "the test part stays sealed"
    assert result.opening == 0 and not any(ruling.recommend for ruling in result.rulings.values())
    assert f"search.minutes={minutes:g} were over after {len(result.records)} trials" in result.verdict
    assert "goes on from here" in result.verdict


def test_advice_to_give_more_minutes_works_when_followed(kit, monkeypatch):
    clock = Clock(monkeypatch, kit, 5.0)
    bench = kit.Bench(settings=SearchSettings(minutes=1.0))
    first = kit.run(bench, clock.engine())
    more = float(first.verdict.partition("with search.minutes=")[2].partition(" ")[0])
    second = kit.run(dataclasses.replace(bench, settings=SearchSettings(minutes=more)), clock.engine())
    assert second.rulings["quality"].recommend
    assert len(second.records) > len(first.records)
    assert clock.now <= 1.05 * 60 * more


def test_minutes_that_end_before_the_first_trial_are_told(kit, monkeypatch):
    clock = Clock(monkeypatch, kit, 1.0)
    search = kit.Bench(settings=SearchSettings(minutes=0.1)).search(clock.engine())
    clock.now += 20.0
    result = search.run()
    assert not result.records
    assert result.verdict.startswith("No verdict: search.minutes=0.1 were over before the first trial (20 s of prep")
    more = float(result.verdict.partition("with search.minutes=")[2].partition(" ")[0])
    assert more * 60 > 2 * 20, "the next run prepares as long"


def test_one_slow_cold_training_does_not_end_a_search(kit, monkeypatch):
    """What the first training takes once, starting up, says little of those that follow."""
    clock = Clock(monkeypatch, kit, 1.0)
    engine = clock.engine()
    run, cold = engine.run, [30.0]

    def started(job: Any) -> Any:
        clock.now += cold.pop() if cold else 0.0
        return run(job)

    engine.run = started
    result = kit.run(kit.Bench(settings=SearchSettings(minutes=10.0)), engine)
    assert len(result.records) > 100
    assert 0.85 * 600 <= clock.now <= 1.05 * 600


def test_a_whole_check_is_made_where_there_is_time(kit, monkeypatch):
    clock = Clock(monkeypatch, kit, 1.0)
    engine = clock.engine()
    kit.run(kit.Bench(settings=SearchSettings(minutes=30.0, trials=80)), engine)
    assert {c.seed for c in engine.chosen} == set(range(10_000, 10_010)), "trials end it, not the minutes"


def test_a_choice_that_ended_early_leaves_time_to_search_on(kit, monkeypatch):
    clock = Clock(monkeypatch, kit, 1.0)
    clock.choosing = 0.1
    engine = clock.engine()
    kit.run(kit.Bench(settings=SearchSettings(minutes=10.0)), engine)
    roles = [
        "check" if job.test else "choosing" if job.candidates[0][1].role == "choosing" else "trial"
        for job in engine.jobs
    ]
    order = [role for n, role in enumerate(roles) if n == 0 or role != roles[n - 1]]
    assert order[:3] == ["trial", "choosing", "trial"]
    assert order.count("check") == 1 and order[-1] == "check", "the test part opens once, at the end"
    trained = [(c.assignment, tuple(sorted(c.settings.items())), c.seed) for c in engine.chosen]
    assert len(trained) == len(set(trained)), "nothing is trained twice"


def test_checks_get_smaller_step_by_step_down_to_one_challenger(kit):
    sizes = smaller_checks(ConfirmSettings(seeds=2, finalists=1))
    assert [(one.seeds, one.finalists) for one in sizes] == [(2, 1), (2, 0)]
    every = [expected_trainings(one) for one in smaller_checks(ConfirmSettings())]
    assert every == sorted(every, reverse=True)


class Notes:
    """What a ledger keeps."""

    spent = 0

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def noted(self, key: str) -> Any:
        return self.kept.get(key)

    def note(self, key: str, value: Any) -> None:
        self.kept[key] = value


def budget_of(
    minutes: float | None, seconds_per_epoch: float | None, notes: Notes | None = None, **given: Any
) -> Budget:
    settings = SearchSettings(minutes=minutes, trials=given.pop("trials", None))
    expected = Expected(seconds_per_epoch, epochs=10)
    return Budget(
        settings, ConfirmSettings(), Forecast(expected), notes or Notes(), checked=True, clock=lambda: 0.0, **given
    )


def test_half_of_the_minutes_at_most_is_kept_back():
    for minutes in (0.5, 1.0, 5.0, 30.0):
        room = budget_of(minutes, 0.1).trials_left([], 0, 1)
        assert room >= (0.95 - 0.5) * 60 * minutes / 0.6 - 6, "six epochs of a tenth of a second each"


def test_nothing_known_is_found_out_on_all_workers():
    assert budget_of(5.0, None).trials_left([], 0, 4) == 4


def test_a_check_stays_as_it_was_begun_until_trials_are_added():
    notes = Notes()
    budget = budget_of(1.0, 0.1, notes)
    first = budget.affordable([])
    assert first is not None and first.seeds < 10
    notes.kept["seconds"] = 30.0
    assert budget_of(1.0, 0.1, notes).affordable([]) == first


def test_what_is_left_out_of_a_check_is_said():
    budget = budget_of(1.0, 0.1)
    small, whole = budget.affordable([]), ConfirmSettings()
    assert small is not None
    said = budget.about_check([], small)
    assert f"with {small.seeds} of 10 seeds and {small.finalists or 1} of 6 challengers" in said
    assert "of 10" not in budget.about_check([], whole)
