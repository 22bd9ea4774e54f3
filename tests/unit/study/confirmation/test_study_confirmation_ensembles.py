"""Ensembles of a setting's trainings: their scores, intervals that hold, and what they claim in the same opening."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections import Counter
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.confirmation.choose_on_validation import StageOneChoice
from autoact.study.confirmation.claim_on_test import StageTwo
from autoact.study.confirmation.ensembles import ensemble_scores, subsets
from autoact.study.confirmation.paired_differences import gain_of
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.study.confirmation.verdict import Ratio, hopeful_ensembles, rule_on_ensembles, settled
from autoact.study.selection import ENSEMBLE, Selection
from autoact.study.settings import ConfirmSettings
from autoact.tasks.metrics import METRICS, Metric
from autoact.training.predictions import RowScores, left_out

RELU, TANH = Assignment({"a": "relu", "b": "relu"}), Assignment({"a": "tanh", "b": "tanh"})
MSE = Metric("mse", "MSE", "min", lambda y, s: float(((y - s) ** 2).mean()), ("regression",), 0.0)
MAE = Metric("mae", "MAE", "min", lambda y, s: float(abs(y - s).mean()), ("regression",), 0.0)
ROWS = 40


def rows_of(seeds: int, draws: Any, *, bias: float = 0.0, spread: float = 1.0, rows: int = ROWS) -> list[RowScores]:
    """Trainings that are wrong by ``bias`` and by noise of their own, of variance ``spread`` ** 2."""
    targets = draws.normal(size=rows)
    return [RowScores(targets, targets + bias + spread * draws.normal(size=rows)) for _ in range(seeds)]


def trained(rows: list[RowScores]) -> tuple[RetrainedCandidate, dict[SeedFold, RowScores]]:
    turns = {SeedFold(seed): one for seed, one in enumerate(rows)}
    return (
        RetrainedCandidate(
            Candidate(RELU),
            scores={turn: MSE(*one) for turn, one in turns.items()},
            replicates={turn: left_out(MSE, *one, ordered=False) for turn, one in turns.items()},
        ),
        turns,
    )


@pytest.mark.parametrize(("trainings", "size"), [(6, 5), (5, 2), (10, 5), (10, 9), (13, 4), (20, 10), (60, 3)])
def test_every_training_is_in_equally_many_ensembles(trainings, size):
    drawn = subsets(trainings, size)
    assert all(len(set(members)) == size for members in drawn)
    assert set(Counter(itertools.chain(*drawn)).values()) == {len(drawn) * size // trainings}
    assert len(drawn) < 50 + trainings


@pytest.mark.parametrize("size", [0, 3, 4])
def test_an_ensemble_of_all_trainings_leaves_none_out(size):
    with pytest.raises(ValueError, match="need more than"):
        subsets(3, size)


def test_ensembles_of_one_are_the_trainings_themselves():
    entry, rows = trained(rows_of(5, np.random.default_rng(0)))
    found = ensemble_scores(entry, rows, 1, MSE, ordered=False)
    assert list(found.entry.scores.values()) == pytest.approx(list(entry.scores.values()))
    assert found.entry.replicates[SeedFold(2)] == pytest.approx(entry.replicates[SeedFold(2)])


def test_the_mean_is_that_of_every_ensemble():
    entry, rows = trained(rows_of(6, np.random.default_rng(1)))
    found = ensemble_scores(entry, rows, 3, MSE, ordered=False, also=[MAE])
    targets = rows[SeedFold(0)].targets
    means = [
        np.mean([rows[SeedFold(seed)].scores for seed in members], axis=0)
        for members in itertools.combinations(range(6), 3)
    ]
    assert found.scored == len(means) == 20
    assert found.mean == pytest.approx(statistics.fmean(MSE(targets, mean) for mean in means))
    assert found.sd == pytest.approx(statistics.stdev(MSE(targets, mean) for mean in means))
    assert found.others == {"MAE": pytest.approx(statistics.fmean(MAE(targets, mean) for mean in means))}
    # The mean of pseudo-values without a group of rows is the mean score without that group.
    without = statistics.fmean(one[7] for one in found.entry.replicates.values())
    kept = np.arange(ROWS) != 7
    assert without == pytest.approx(statistics.fmean(MSE(targets[kept], mean[kept]) for mean in means))


def test_the_variance_of_pseudo_values_is_the_jackknifes():
    entry, rows = trained(rows_of(6, np.random.default_rng(2)))
    found = ensemble_scores(entry, rows, 2, MSE, ordered=False)
    left = [
        ensemble_scores(entry, {t: r for t, r in rows.items() if t.seed != seed}, 2, MSE, ordered=False).mean
        for seed in range(6)
    ]
    jackknife = 5 / 6 * sum((one - statistics.fmean(left)) ** 2 for one in left)
    assert statistics.variance(found.entry.scores.values()) / 6 == pytest.approx(jackknife)


def test_probabilities_of_classes_are_averaged():
    draws = np.random.default_rng(3)
    targets = draws.integers(0, 3, 30)
    log_loss = Metric("ll", "log loss", "min", lambda y, s: float(-np.log(s[np.arange(len(y)), y]).mean()), ("c",))
    rows = {SeedFold(seed): RowScores(targets, draws.dirichlet(np.ones(3), 30)) for seed in range(3)}
    found = ensemble_scores(RetrainedCandidate(Candidate(RELU)), rows, 2, log_loss, ordered=False)
    pairs = [(rows[SeedFold(a)].scores + rows[SeedFold(b)].scores) / 2 for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found.mean == pytest.approx(statistics.fmean(log_loss(targets, pair) for pair in pairs))


def test_intervals_cover_what_other_seeds_and_other_rows_would_give():
    """MSE of K averaged trainings is bias^2 + noise^2 + seeds^2 / K over all rows and seeds, known beforehand."""
    draws, size, seeds, rows, of_seeds, worlds = np.random.default_rng(4), 5, 10, 40, 0.7, 80
    bias = {"tuned": 0.5, "quality": 0.3}
    true = {"tuned": bias["tuned"] ** 2 - bias["quality"] ** 2 + of_seeds**2 * (1 - 1 / size)}
    true["ensemble"] = bias["tuned"] ** 2 - bias["quality"] ** 2
    covered, narrow = Counter(), 0
    for _ in range(worlds):
        targets, features = draws.normal(size=rows), draws.normal(size=(rows, 8)) / math.sqrt(8)
        shared = draws.normal(size=(seeds, 8))  # seeds share initial weights: settings are compared in pairs
        made = {}
        for name, own in bias.items():
            weights = of_seeds * (0.8 * shared + 0.6 * draws.normal(size=(seeds, 8)))
            made[name] = trained([RowScores(targets, own + 0.9 * targets + features @ one) for one in weights])
        scores = {name: ensemble_scores(*found, size, MSE, ordered=False) for name, found in made.items()}
        against = {"tuned": made["tuned"][0], "ensemble": scores["tuned"].entry}
        for name, other in against.items():
            gain = gain_of(scores["quality"].entry, other, "min")
            covered[name] += gain.low <= true[name] <= gain.high
            if name == "ensemble":
                # Taking the ensembles for independent ones would be far too sure.
                naive = 1.96 * scores["quality"].sd / math.sqrt(scores["quality"].scored)
                narrow += abs(gain.mean - true[name]) > naive
    assert covered["tuned"] >= 0.9 * worlds and covered["ensemble"] >= 0.9 * worlds
    assert narrow > 0.3 * worlds


def selection_of(kit: Any, quality: Assignment = TANH) -> Selection:
    relu = kit.record(Candidate(RELU, {"learning_rate": 0.01}), 0, 0.8)
    tuned = kit.record(Candidate(RELU, {"learning_rate": 0.02}), 1, 0.8)
    other = kit.record(Candidate(quality, {"learning_rate": 0.03 if quality == TANH else 0.02}), 2, 0.8)
    twin = kit.record(Candidate(RELU, {"learning_rate": 0.03}), -1, 0.8)
    twins = {"quality": twin} if quality == TANH else {}
    return Selection(relu, tuned, None, {"quality": other}, (0,), 0.02, twins=twins)


@dataclasses.dataclass
class Trainings:
    """What candidates predict for the test rows: noise of the seed, and tanh's with less bias."""

    bias: float = 0.2
    shuffled: bool = False

    def rows(self, c: Candidate) -> RowScores:
        draws = np.random.default_rng(c.seed + 7 * (c.assignment == TANH))
        targets = np.linspace(-1, 1, ROWS)
        order = draws.permutation(ROWS) if self.shuffled else np.arange(ROWS)
        bias = self.bias * (c.assignment == RELU)
        return RowScores(targets[order], targets[order] + bias + 0.5 * draws.normal(size=ROWS))

    def engine(self, kit: Any, **changes: Any) -> Any:
        return kit.Planted(
            lambda c: MSE(*self.rows(c)),
            replicates=lambda c, score: left_out(MSE, *self.rows(c), ordered=False),
            details=lambda c: {"predictions": self.rows(c).packed()},
            **changes,
        )


def claimed(kit: Any, engine: Any, bench: Any = None, quality: Assignment = TANH, **settings: Any) -> Any:
    selection = selection_of(kit, quality)
    bench = bench or bench_of(kit)
    confirm = ConfirmSettings(**{"seeds": 4, "ensemble": 2, **settings})
    hopeful = ["quality", *hopeful_ensembles(selection, {})] if confirm.ensemble else ["quality"]
    stage = StageTwo(bench.task, bench.space, confirm, hopeful)
    return stage.run(StageOneChoice(selection, {}, ""), bench.ledger(), bench.search(engine)._trainer, [])


def bench_of(kit: Any) -> Any:
    return kit.Bench(task=kit.task("min", metric=MSE))


def test_ensembles_are_claimed_beside_single_models_in_one_opening(kit):
    engine, bench = Trainings().engine(kit), bench_of(kit)
    plain = claimed(kit, Trainings().engine(kit), ensemble=0)
    found = claimed(kit, engine, bench)
    assert plain.ensembles is None and plain.comparisons == 1
    assert found.comparisons == 3, "the single challenger, its ensembles, and those of the tuned baseline"
    assert found.opening.number == plain.opening.number == 1
    assert len(engine.scored) == 4 * 4, "configured, tuned, quality, its twin: nothing more is trained"
    claim = found.ensembles
    assert set(claim.gains) == {"tuned", "quality"} and set(claim.over) == {
        "tuned",
        "quality: baseline with its settings",
    }
    for name in claim.gains:
        again = gain_of(
            claim.scores[name].entry, found.entries["tuned"], "min", confidence=1 - found.alpha, comparisons=3
        )
        assert claim.gains[name] == again
    assert claim.gains["tuned"].mean > 0.05, "averaging helps by itself"
    assert claim.over["tuned"].mean == pytest.approx(claim.gains["quality"].mean - claim.gains["tuned"].mean)


def test_the_baselines_own_ensembles_are_claimed_where_nothing_beats_it(kit):
    found = claimed(kit, Trainings().engine(kit), quality=RELU)
    assert set(found.ensembles.gains) == {"tuned"} and not found.ensembles.over
    assert found.comparisons == 1


def test_what_was_predicted_is_noted_and_not_trained_again(kit):
    bench = bench_of(kit)
    first = claimed(kit, Trainings().engine(kit), bench)
    engine = Trainings().engine(kit)
    again = claimed(kit, engine, bench)
    assert engine.scored == []
    assert again.ensembles == first.ensembles and again.opening.number == 1


def test_ensembles_that_are_asked_for_later_open_the_test_part_once_more(kit):
    bench = bench_of(kit)
    assert claimed(kit, Trainings().engine(kit), bench, ensemble=0).opening.number == 1
    engine = Trainings().engine(kit)
    found = claimed(kit, engine, bench)
    assert (found.opening.number, found.opening.used) == (2, False)
    assert len(engine.scored) == 3 * 4, "what was predicted was not kept; the model as configured makes no ensemble"
    assert claimed(kit, Trainings().engine(kit), bench, ensemble=3).opening.number == 3


def test_rows_in_another_order_cannot_be_averaged(kit):
    found = claimed(kit, Trainings(shuffled=True).engine(kit))
    assert found.ensembles.gains == {}
    assert "let test_dataloader not shuffle" in found.ensembles.why_not


def test_too_few_seeds_say_so(kit):
    planted = Trainings().engine(kit)
    whole = planted.quality
    planted.quality = lambda c: None if c.seed in (20_000, 20_001) and c.assignment == TANH else whole(c)
    found = claimed(kit, planted)
    assert found.ensembles.why_not.startswith("only 2 seeds finished, and ensembles of 2 need 3: a smaller confirm.")
    ruling = rule_on_ensembles(kit.task("min"), selection_of(kit), found, {}, {})
    assert not ruling.recommend and ruling.reason == found.ensembles.why_not


DEARER = {name + ENSEMBLE: Ratio(2.0, 1.9, 2.1) for name in ("tuned", "quality")}


def ruled(kit: Any, found: Any, quality: Assignment = TANH, broken: Any = None, **changes: Any) -> Any:
    selection = dataclasses.replace(selection_of(kit, quality), **changes)
    return rule_on_ensembles(kit.task("min"), selection, found, DEARER, broken or {})


def test_the_ruling_asks_for_both_averaging_and_activations(kit):
    both = claimed(kit, Trainings(bias=1.0).engine(kit), seeds=8, early=False)
    assert ruled(kit, both).recommend
    assert ruled(kit, both).reason.startswith("2 trainings of quality's setting, averaged: +")
    assert "at 2.0 times the latency" in ruled(kit, both).reason
    averaging = claimed(kit, Trainings(bias=0.0).engine(kit), seeds=8, early=False)
    ruling = ruled(kit, averaging)
    assert ruling.recommend and ruling.reason.startswith("2 trainings of the tuned baseline, averaged: +")
    assert "those of quality's setting are not recommended" in ruling.reason
    doubted = ruled(kit, both, doubts={"quality": "the baseline lies at an edge"})
    assert "not recommended: the baseline lies at an edge" in doubted.reason
    limits = {name: "it takes 9 ms, more than objectives.latency.max_ms=5" for name in DEARER}
    assert not ruled(kit, both, broken=limits).recommend
    assert "takes 9 ms" in ruled(kit, both, broken=limits).reason


def test_the_check_goes_on_while_ensembles_are_undecided(kit):
    selection = selection_of(kit)
    found = claimed(kit, Trainings(bias=0.0).engine(kit), seeds=8, early=False)
    lost = dataclasses.replace(found.gains["quality"], low=-2.0, high=-1.0)
    decided = dataclasses.replace(found, gains={**found.gains, "quality": lost})
    assert not settled(kit.task("min"), selection, decided, {}, {})
    over = {name: dataclasses.replace(gain, low=-2.0, high=-1.0) for name, gain in found.ensembles.over.items()}
    beyond = dataclasses.replace(decided, ensembles=dataclasses.replace(found.ensembles, over=over))
    assert settled(kit.task("min"), selection, beyond, {}, {})


@pytest.mark.filterwarnings("error")
def test_averaged_probabilities_of_several_classes_are_probabilities_in_their_own_precision():
    draws = np.random.default_rng(0)
    targets = draws.integers(0, 3, 200)
    shares = [draws.dirichlet(np.ones(3), 200).astype("float32") for _ in range(4)]
    turns = {SeedFold(seed): RowScores(targets, share) for seed, share in enumerate(shares)}
    found = ensemble_scores(RetrainedCandidate(Candidate(RELU)), turns, 2, METRICS["log_loss"], ordered=False)
    pairs = [log_loss(targets, (a.astype(float) + b) / 2) for a, b in itertools.combinations(_normed(shares), 2)]
    assert found.mean == pytest.approx(statistics.fmean(pairs), rel=1e-5)


def _normed(shares: list[np.ndarray]) -> list[np.ndarray]:
    return [one / one.astype(float).sum(1, keepdims=True) for one in shares]
