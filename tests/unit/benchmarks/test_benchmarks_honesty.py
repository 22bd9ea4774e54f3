"""The honesty benchmark: its draws, its intervals, its tables."""

import numpy as np
import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.tasks.metrics import METRICS
from benchmarks.honesty import __main__ as honesty
from benchmarks.honesty.drawn import Draw, study
from benchmarks.honesty.pool import Pool

ROWS = {"train": 2000, "validation": 500, "test": 1000}


def result_of(better):
    """A study in which one assignment is better by that much, with very little noise."""
    random = np.random.default_rng(0)

    def draw(candidate, test):
        won = str(candidate.assignment["first"]) == "tanh"
        return Draw(0.7 + better * won + 0.001 * float(random.normal()))

    return study(draw, mode="max", trials=20, seeds=6, rows=ROWS)


def test_a_drawn_study_takes_the_whole_road():
    found = result_of(0.05)
    assert found.rulings["quality"].recommend and found.opening == 1
    assert str(found.selection.policies["quality"].candidate.assignment["first"]) == "tanh"
    assert set(found.trainings) == {"choosing", "claim"}
    worse = result_of(-0.05)
    assert not worse.rulings["quality"].recommend


def test_a_pool_gives_each_stage_its_own_seeds_and_rows():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 3000)
    scores = {
        f"{a}/{b}": random.random((30, 3000), dtype=np.float32) for a in ("relu", "tanh") for b in ("relu", "tanh")
    }
    pool = Pool(truth, scores)
    metric = METRICS["roc_auc"]

    def drawn(paired, candidates):
        draws = honesty.PoolDraws(pool, metric, np.random.default_rng(2), (500, 1000), paired=paired)
        assert not set(draws._rows[False]) & set(draws._rows[True])
        return [draws(candidate, test) for candidate, test in candidates]

    relu = Candidate(Assignment({"first": "relu", "second": "relu"}), {}, 0)
    claim = relu.with_seed(20_000, "claim")
    first, again, scored = drawn(True, [(relu, False), (relu, False), (claim, True)])
    assert first == again and first.replicates == ()
    assert len(scored.replicates) == 50 and scored.score != first.score
    every = [(relu.with_seed(seed, "claim"), True) for seed in range(30)]
    assert len({draw.score for draw in drawn(True, every)}) == 30, "a seed is drawn once"
    assert drawn(True, every) != drawn(False, every)


def test_the_exact_interval_of_a_share():
    from scipy.stats import binom

    for hits, count in ((0, 20), (3, 20), (20, 20)):
        low, high = honesty.clopper_pearson(hits, count)
        assert low <= hits / count <= high
        if hits:
            assert binom.sf(hits - 1, count, low) == pytest.approx(0.025)
        if hits < count:
            assert binom.cdf(hits, count, high) == pytest.approx(0.025)


def test_tables_count_what_was_drawn():
    origin = {"date": "2026-01-01"}
    null = [{"paired": paired, "recommended": number < paired} for paired in (True, False) for number in range(100)]
    text = honesty.tables([{"part": "null", "origin": origin, "repetitions": null}])
    assert "| all arms share seeds, as in a search | 100 | 1 | 0.010 |" in text and "| missed |" in text
    assert "| every arm has seeds of its own | 100 | 0 | 0.000 |" in text and "| met |" in text
    planted = [{"effect_sd": e, "recommended": True, "found": e > 1, "seeds": 5} for e in honesty.EFFECTS]
    text = honesty.tables([{"part": "power", "origin": origin, "paired_sd": 0.01, "repetitions": planted}])
    assert "| 1.5 sd (0.015) | 1 | 1.000 | 1.000" in text and "| 1 sd (0.010) | 1 | 1.000 | 0.000" in text
    covered = [{"metric": "mse", "covered": number < 95} for number in range(100)]
    text = honesty.tables([{"part": "coverage", "origin": origin, "repetitions": covered}])
    assert "| mse | 100 | 0.950 |" in text and "| met |" in text
