"""The rows of the final table and the recommendation that is made of them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from autoact.core.assignment import Choice
from autoact.latency.timer import Timing
from autoact.sites import Site, Sites
from autoact.study.confirmation.choose_on_validation import FIRST_SEED
from autoact.study.confirmation.end_to_end_timing import Measured
from autoact.study.outcome.result import Row, ensemble_line, final_table
from autoact.study.outcome.table_rows import reference_note
from autoact.study.outcome.to_recommendation import recommendation
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tasks.metrics import Metric
from autoact.training.predictions import RowScores, left_out

pytestmark = pytest.mark.usefixtures("timed_by_table")


def result_of(kit: Any, effect: float = 0.06, configured: float = 0.0, best: str = "tanh", **changes: Any) -> Any:
    """A search in which ``best`` is better by ``effect`` at each site, and the baseline as configured by ``configured``
    under fresh seeds."""

    def validation(c: Any) -> float:
        as_is = c.assignment.summary() == "relu" and dict(c.settings) == kit.configured
        return (
            0.7
            + effect * sum(str(one) == best for one in c.assignment.values())
            + configured * (as_is and c.seed >= FIRST_SEED)
            + 0.001 * kit.draw(c.seed, c.label())
        )

    given = {"settings": SearchSettings(trials=14, tuning=3, refine=0.35), "extra": {"relu": 0.5}, **changes}
    return kit.Bench(**given).search(kit.Planted(validation)).run()


def made(result: Any) -> Any:
    sites = Sites([Site(name, Choice.parse("relu"), (2, 4), 4) for name in "ab"])
    return recommendation(result, result.selection, sites, True, {"packages": {}})


def quality_settings(result: Any, name: str) -> Any:
    return dict(result.row(name).candidate.settings)


def test_every_ratio_and_gain_is_one_number_wherever_it_stands(kit):
    uneven = Timing(2.0, 2.2, 2.3, 0.01, 150, (1.0, 2.0, 4.0)), Timing(1.0, 1.2, 1.3, 0.01, 150, (1.0, 1.9, 3.6))

    def measure(task: Any, candidates: Any, known: Any) -> Any:
        own = candidates["tuned"].assignment
        return {name: Measured(t := uneven[c.assignment == own], t, t.median_ms) for name, c in candidates.items()}

    given = {"settings": SearchSettings(trials=14, tuning=3, refine=0.35), "extra": {"relu": 0.5}}
    planted = kit.Planted(kit.plant({"tanh": 0.06}, 0.001))
    search = kit.Bench(**given).search(planted)
    search.measure = measure
    result = search.run()
    row, text = result.row("economy"), final_table(result)
    evidence = made(result).to_dict()["policies"]["economy"]["evidence"]
    evidence = evidence.get("challenger", evidence)
    cells = " ".join(next(cells for cells in text.rows if cells[0] == row.title))
    reason = result.rulings["economy"].reason
    for name, ratio in (("latency", row.latency_ratio), ("cost", row.cost_ratio)):
        assert ratio == evidence[f"{name}_ratio_to_tuned_baseline"]
        assert f"({ratio:.2f}x)" in cells and f"{name} ratio {ratio:.2f} (" in reason
    assert row.latency_ratio != pytest.approx(2.0, abs=0.5), "not the ratio of the medians"
    assert evidence["gain_over_tuned_baseline"][0] == result.gains["economy"].mean


def test_a_search_that_compared_nothing_says_so_and_recommends_nothing(kit):
    result = kit.Bench(settings=SearchSettings(trials=1)).search(kit.Planted(lambda c: 0.7)).run()
    others = [r for r in result.records if str(r.candidate.assignment["a"]) != "relu"]
    assert not others and result.verdict.startswith("No recommendation: nothing was compared: the only trial ")
    assert "search.trials=20" in result.verdict
    assert not any(ruling.recommend for ruling in result.rulings.values())


def test_rows_tell_what_was_measured(kit):
    result = result_of(kit)
    names = [row.name for row in result.rows]
    twin = "quality: baseline with its settings"
    assert names == ["configured", "tuned", "uniform", "quality", twin, "balanced", "economy"]
    assert result.row(twin).title == "baseline with quality's settings" and result.row(twin).test is not None
    assert quality_settings(result, twin) == quality_settings(result, "quality")
    tuned, quality = result.row("tuned"), result.row("quality")
    assert quality.title == "recommended: quality"
    assert (tuned.latency_ratio, tuned.cost_ratio) == (1.0, 1.0)
    # relu adds half a millisecond at each of two sites to a model of one
    assert quality.latency_ratio == quality.cost_ratio == pytest.approx(0.5)
    assert quality.test == pytest.approx(0.82, abs=0.003)
    assert 0 < quality.test_sd < 0.003
    assert quality.measured
    assert quality.validation == result.selection.policies["quality"].quality
    assert result.row("nothing") is None


def test_an_ensemble_is_a_row_and_a_line(kit):
    accuracy = Metric("auc", "AUC", "max", lambda y, s: 1 - float(abs(y - s).mean()), ("classification",), 1.0)
    targets = np.linspace(0, 1, 40)

    def rows(c: Any) -> RowScores:
        draws = np.random.default_rng(c.seed)
        return RowScores(targets, targets + (0.3 if c.assignment.summary() == "tanh" else 0.4) * draws.normal(size=40))

    engine = kit.Planted(
        kit.plant({"tanh": 0.05}),
        test_quality=lambda c: accuracy(*rows(c)),
        replicates=lambda c, score: left_out(accuracy, *rows(c), ordered=False),
        details=lambda c: {"predictions": rows(c).packed()},
    )
    told = ConfirmSettings(seeds=4, ensemble=3, references=False)
    result = kit.run(kit.Bench(task=kit.task(metric=accuracy), confirm=told), engine)
    assert [row.name for row in result.rows][-2:] == ["tuned: ensemble", "quality: ensemble"]
    row, single = result.row("quality: ensemble"), result.row("quality")
    assert (row.title, row.ensemble, row.finished) == ("ensemble: 3 of quality's setting", 3, 4)
    assert row.candidate == single.candidate
    assert (
        row.test > single.test
        and row.test_sd == result.trainings["ensembles"]["scores"]["quality"]["sd_over_ensembles"]
    )
    four = [rows(single.candidate.with_seed(FIRST_SEED + seed, "choosing")).scores for seed in range(4)]
    averages = [np.mean(three, axis=0) for three in itertools.combinations(four, 3)]
    assert row.fresh == row.validation == pytest.approx(np.mean([accuracy(targets, one) for one in averages]))
    assert (row.latency_ms, row.cost) == (3 * single.latency_ms, 3 * single.cost)
    assert row.latency_ratio == pytest.approx(3 * single.latency_ratio) and row.measured
    assert result.gains["quality: ensemble"].mean > result.gains["quality"].mean
    assert result.ensemble.recommend and ensemble_line(result).startswith("ensemble: recommended: 3 trainings of")
    assert any("over those that were scored" in line for line in final_table(result).footnotes)
    made_of = made(result).policies["ensemble"]
    assert (made_of.recommend, made_of.ensemble, made_of.reason) == (True, 3, result.ensemble.reason)
    assert made_of.assignment == result.row(result.ensemble.policy).candidate.assignment
    assert set(result.trainings["ensembles"]["scores"]) >= {"tuned", "quality"}
    assert "predictions" not in str(result.trainings)
    plain = kit.run(kit.Bench(task=kit.task(metric=accuracy), confirm=dataclasses.replace(told, ensemble=0)), engine)
    assert plain.ensemble is None and ensemble_line(plain) == ""
    assert not any(one.ensemble for one in plain.rows)


def test_rows_without_a_final_check_show_validation_alone(kit):
    result = result_of(kit, confirm=ConfirmSettings(seeds=0))
    assert all(row.test is None and row.test_sd is None for row in result.rows)
    assert all(row.validation is not None for row in result.rows)
    assert result.row("quality").title == "challenger: quality"


def test_a_policy_that_ends_at_the_baseline_says_so(kit):
    result = result_of(kit, effect=-0.2, space=kit.space(candidates=("relu", "tanh")))
    assert result.row("quality").title == "quality: the baseline's own"


def test_an_interrupted_search_without_a_baseline_has_no_rows(kit):
    result = kit.Bench().search(kit.Planted(lambda c: 0.5, stop_after=0)).run()
    assert (result.rows, result.selection, result.best) == ([], None, {})
    assert result.status == "interrupted"


def test_a_recommendation_holds_the_evidence(kit):
    result = result_of(kit)
    found = made(result)
    policy = found.policies["quality"]
    assert policy.recommend
    assert policy.assignment == result.selection.policies["quality"].candidate.assignment
    assert policy.evidence["gain_over_tuned_baseline"][0] == result.gains["quality"].mean
    assert policy.evidence["gain_confidence"] == result.confidence == 0.995  # of the look half way
    assert policy.evidence["latency_ratio_to_tuned_baseline"] == pytest.approx(0.5)
    assert policy.evidence["seeds"] == result.seeds in (5, 10)
    assert found.baseline.assignment.summary() == "relu"
    assert found.sites["a"] == {"current": "relu", "shape": [2, 4], "channels": 4, "channel_dim": -1}
    assert (found.metric, found.rescale, found.simulated) == ({"name": "AUC", "mode": "max"}, True, False)


def test_a_recommendation_says_how_weights_of_activations_trained_where_there_are_some(kit):
    sites = Sites([Site(name, Choice.parse("relu"), (2, 4), 4) for name in "ab"])
    for best, rate in (("tanh", 1.0), ("prelu", 0.1)):
        result = result_of(kit, best=best, space=kit.space(candidates=("relu", best)))
        found = recommendation(result, result.selection, sites, True, {}, 0.1)
        assert found.policies["quality"].recommend and found.activation_rate == rate


def test_keeping_the_baseline_still_shows_the_challenger(kit):
    # Better on validation rows by luck, not on test rows.
    result = result_of(kit, effect=0.00005, extra={})
    found = made(result)
    policy = found.policies["quality"]
    assert not policy.recommend
    assert policy.assignment.summary() == "relu"
    assert policy.reason.startswith("keep the baseline: ")
    assert "challenger" in policy.evidence


@pytest.mark.parametrize(("configured", "reason"), [(-0.01, "tuned"), (0.01, "as configured")])
def test_the_baseline_to_keep_is_the_one_that_does_better_under_fresh_seeds(kit, configured, reason):
    result = result_of(kit, effect=-0.2, configured=configured, extra={})
    found = made(result)
    name = "tuned" if configured < 0 else "configured"
    assert reason in found.baseline.reason
    assert found.baseline.settings == dict(result.row(name).candidate.settings)
    assert found.policies["quality"].settings == found.baseline.settings
    assert (result.row("tuned").candidate.settings == result.row("configured").candidate.settings) is (configured > 0)
    assert reason in result.verdict


def row(name: str, test: float | None, network: bool = True) -> Row:
    candidate: Any = "anything" if network else None
    return Row(name, name, candidate, 0.5, test)


@pytest.mark.parametrize(
    ("mode", "network", "reference", "said"),
    [
        ("max", 0.8, 0.9, True),
        ("max", 0.9, 0.8, False),
        ("max", 0.9, 0.9, False),
        ("min", 0.8, 0.9, False),
        ("min", 0.9, 0.8, True),
        ("max", None, 0.9, False),
        ("max", 0.8, None, False),
    ],
)
def test_a_reference_that_beats_every_network_is_named(mode, network, reference, said):
    rows = [row("tuned", network), row("ridge", reference, network=False)]
    note = reference_note(rows, mode, "AUC")
    if said:
        assert note.startswith(f"ridge (AUC {reference:.4g}) does better on the test rows than every network")
        assert f"(at best {network:.4g})" in note
    else:
        assert note == ""


def test_the_best_values(kit):
    result = result_of(kit)
    assert result.best["best_quality"] == max(record.quality for record in result.records)
    assert result.best["tuned_baseline_quality"] == result.selection.tuned.quality
    assert dataclasses.replace(result, selection=None).best == {}


def detailed(kit: Any, groups: bool = True) -> Any:
    """A search whose final check scores groups: m gains from tanh, and f does not."""

    class Detailed(kit.Planted):  # type: ignore[misc, name-defined]
        def run(self, job: Any) -> Any:
            outcome = super().run(job)
            if job.test is None:
                return outcome
            return dataclasses.replace(outcome, records=tuple(self.with_details(one) for one in outcome.records))

        def with_details(self, record: Any) -> Any:
            candidate = record.candidate
            gain = 0.1 * ("tanh" in candidate.assignment.summary())
            noise = [0.001 * kit.draw(candidate.seed, candidate.label(), group) for group in "fm"]
            scores = {"f": 0.7 + noise[0], "m": 0.7 + gain + noise[1]}
            of = {name: {"rows": 50, "score": value, "replicates": []} for name, value in scores.items()}
            of["x"] = {"rows": 4, "why": "fewer than 30 rows"}
            details = {"metrics": {"F1": 0.5 + gain}, "absent": {"ECE": "no reason"}, "groups": {"gender": of}}
            return dataclasses.replace(record, details=details)

    given = {"settings": SearchSettings(trials=14, tuning=3, refine=0.35), "extra": {"relu": 0.5}}
    task = kit.task(groups=("gender",) if groups else ())
    return kit.Bench(**given, task=task).search(Detailed(kit.plant({"tanh": 0.06}, 0.001))).run()


def test_a_gap_between_groups_that_grows_with_what_is_recommended_is_one_note(kit):
    result = detailed(kit)
    assert result.rulings["quality"].recommend
    (groups,) = result.groups
    assert groups.column == "gender" and groups.growth["quality"].mean == pytest.approx(0.1, abs=0.01)
    lines = [note for note in result.notes if "gender" in note]
    assert len([one for one in lines if "less alike than the tuned baseline" in one]) == 1
    assert "groups of gender without a score of their own: 'x' (4 test rows: fewer than 30 rows)" in lines
    assert result.trainings["groups"] == [groups.to_dict()]


def test_other_metrics_are_means_over_the_seeds_and_one_that_does_not_exist_is_said(kit):
    result = detailed(kit, groups=False)
    assert result.row("tuned").others == {"F1": pytest.approx(0.5)}
    assert result.row("quality").others == {"F1": pytest.approx(0.6)}
    assert "ECE does not exist on these test rows: no reason" in result.notes
    assert not result.groups and "groups" not in result.trainings


def test_groups_without_a_final_check_are_said_not_to_be_scored(kit):
    result = result_of(kit, task=kit.task(groups=("gender",)), confirm=ConfirmSettings(seeds=0, references=False))
    assert "the groups of gender are scored by the final check, which was not made" in result.notes
