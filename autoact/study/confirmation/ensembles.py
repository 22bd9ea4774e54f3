"""Ensembles of a setting's own trainings: what averaging their predictions scores, and how sure that is."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from autoact.core.value_holders import PlainData
from autoact.study.confirmation.paired_differences import gain_of
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.study.paired_statistics import Interval
from autoact.study.selection import Selection
from autoact.study.tuned_baselines import name_of
from autoact.tasks.metrics import Metric
from autoact.tasks.task import Task
from autoact.training.predictions import RowScores, left_out

# Ensembles that are scored of a setting's trainings, about: all that there are, or as many of them.
DRAWN = 50


@dataclass(frozen=True)
class EnsembleScores:
    """What ensembles of one setting's trainings score.

    Attributes:
        size: trainings in each.
        scored: how many different ensembles were scored.
        sd: standard deviation of their scores; they share trainings.
        entry: the setting with its trainings' pseudo-values in place of their scores; see ``ensemble_scores``.
        others: other metrics -> mean over these ensembles.
    """

    size: int
    scored: int
    sd: float
    entry: RetrainedCandidate
    others: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean score of the ensembles."""
        return self.entry.mean


@dataclass(frozen=True)
class EnsembleClaim:
    """What the claim's trainings say of ensembles of ``size``.

    Attributes:
        scores: setting (``tuned``, ``quality``, the twin of ``quality``) -> what its ensembles score.
        gains: setting that is claimed -> its ensembles' paired difference to the single tuned baseline.
        over: ``tuned``, and the twin of ``quality`` -> paired difference of quality's ensembles to its ensembles: what
            activations bring beside the averaging.
        why_not: why nothing was scored; empty where it was.
    """

    size: int
    scores: Mapping[str, EnsembleScores] = field(default_factory=dict)
    gains: Mapping[str, Interval] = field(default_factory=dict)
    over: Mapping[str, Interval] = field(default_factory=dict)
    why_not: str = ""

    def to_dict(self) -> PlainData:
        """Plain data for JSON."""
        return {
            "size": self.size,
            "scores": {
                name: {
                    "mean": one.mean,
                    "ensembles": one.scored,
                    "sd_over_ensembles": one.sd,
                    "pseudo_values": {str(turn): value for turn, value in one.entry.scores.items()},
                    "others": dict(one.others),
                }
                for name, one in self.scores.items()
            },
            "gains_over_tuned_baseline": {name: asdict(gain) for name, gain in self.gains.items()},
            "gains_of_quality_over_ensembles_of": {name: asdict(gain) for name, gain in self.over.items()},
            **({"why_not": self.why_not} if self.why_not else {}),
        }


def averaged(selection: Selection) -> list[str]:
    """The settings whose ensembles are claimed: the tuned baseline, and ``quality`` where it has other activations."""
    quality, tuned = selection.policies["quality"].candidate, selection.tuned.candidate
    return ["tuned"] if quality.assignment == tuned.assignment else ["tuned", "quality"]


def scored_settings(selection: Selection) -> list[str]:
    """The settings of which ensembles are scored: those that are claimed, and what ``quality`` is compared with."""
    names = averaged(selection)
    twin = selection.twin("quality") if "quality" in names else None
    return names if twin is None else [*names, twin]


def validation_means(
    task: Task, selection: Selection, trained: Mapping[str, RetrainedCandidate], size: int
) -> dict[str, float]:
    """Setting -> the mean score of its ensembles on validation rows; without those of fewer trainings than they need.

    Args:
        task: its metric scores.
        selection: what the first stage chose.
        trained: name of a trial (``trial 12``) -> its trainings, all on the same validation rows.
        size: trainings in an ensemble.
    """
    assert task.metric is not None, "asked of tasks whose predictions are known"
    records = {"tuned": selection.tuned, **selection.policies}
    found = {}
    for name in averaged(selection):
        entry = trained[name_of(records[name])]
        rows = [RowScores.unpacked(one) for one in entry.predictions.values()]
        if len(rows) > size and not unlike(rows):
            drawn = _means(rows, subsets(len(rows), size))
            found[name] = statistics.fmean(task.metric(rows[0].targets, mean) for mean in drawn)
    return found


def unlike(rows: Sequence[RowScores]) -> bool:
    """Whether these are predictions of different rows, or of the same ones in different orders."""
    first = rows[0]
    return any(
        one.scores.shape != first.scores.shape or not np.array_equal(one.targets, first.targets) for one in rows[1:]
    )


def _means(rows: Sequence[RowScores], drawn: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """What each of the ensembles predicts, in its members' precision: metrics check that probabilities sum to 1."""
    predicted = np.stack([one.scores for one in rows])
    means = (predicted[list(members)].mean(axis=0, dtype=np.float64) for members in drawn)
    return [mean.astype(np.result_type(predicted, np.float32)) for mean in means]


def claim_ensembles(
    task: Task,
    selection: Selection,
    entries: Mapping[str, RetrainedCandidate],
    size: int,
    *,
    confidence: float,
    comparisons: int,
) -> EnsembleClaim:
    """Score ensembles and compare them with the single tuned baseline, and with as large ensembles of the baseline.

    Ensembles are made of the turns that all of these settings finished. The keyword arguments are those of ``gain_of``.
    """
    assert task.metric is not None, "asked of tasks whose predictions are known"
    names = scored_settings(selection)
    turns = [turn for turn in entries["tuned"].scores if all(turn in entries[name].predictions for name in names)]
    if len(turns) <= size:
        few = f"only {len(turns)} seeds finished, and ensembles of {size} need {size + 1}"
        return EnsembleClaim(
            size, why_not=f"{few}: a smaller confirm.ensemble, or more search.minutes where these bound it"
        )
    rows = {name: {turn: RowScores.unpacked(entries[name].predictions[turn]) for turn in turns} for name in names}
    if unlike([one for of in rows.values() for one in of.values()]):
        why = "trainings were scored on the test rows in different orders: let test_dataloader not shuffle them"
        return EnsembleClaim(size, why_not=why)
    scores = {
        name: ensemble_scores(entries[name], rows[name], size, task.metric, ordered=task.ordered, also=task.also)
        for name in names
    }

    def gain(one: RetrainedCandidate, other: RetrainedCandidate) -> Interval:
        found = gain_of(one, other, task.mode, confidence=confidence, comparisons=comparisons)
        assert found is not None, "there are three turns or more"
        return found

    gains = {name: gain(scores[name].entry, entries["tuned"]) for name in averaged(selection)}
    baselines = [name for name in names if name != "quality"] if "quality" in gains else []
    over = {name: gain(scores["quality"].entry, scores[name].entry) for name in baselines}
    return EnsembleClaim(size, scores, gains, over)


def ensemble_scores(
    entry: RetrainedCandidate,
    rows: Mapping[SeedFold, RowScores],
    size: int,
    metric: Metric,
    *,
    ordered: bool,
    also: Sequence[Metric] = (),
) -> EnsembleScores:
    """Score ensembles of ``size`` of a setting's trainings, each by the mean of its members' predictions.

    The mean score over all ensembles of n trainings is a U-statistic (Hoeffding, 1948). Ensembles share trainings, so
    that their scores do not tell how far it varies; its jackknife does (Arvesen, 1969). The pseudo-value of a training
    is ``size`` x the mean score of the ensembles with it - (``size`` - 1) x that of those without it; for ensembles of
    one it is the training's own score. The pseudo-values' mean is the mean score, and their variance / n estimates its
    variance, on average not too small (Efron and Stein, 1981). So they take the place of scores in paired differences
    (``paired_differences.py``), which add the noise of the test rows: the same pseudo-values with one group of rows
    left out at a time. It is assumed that trainings under different seeds are independent given the training set.

    Where there are many ensembles, about ``DRAWN`` are scored, in which every training is equally often.

    Args:
        entry: the trainings; those of ``rows`` make the ensembles.
        rows: turn -> what this training predicts for the same rows, more than ``size`` of them.
        size: trainings in an ensemble.
        metric: of targets and mean predictions.
        ordered: whether the rows follow each other in time.
        also: further metrics; one that does not exist for these rows is left out.

    Raises:
        ValueError: there are too few trainings.
    """
    turns = list(rows)
    drawn = subsets(len(turns), size)
    targets, means = rows[turns[0]].targets, _means(list(rows.values()), drawn)
    whole = [metric(targets, mean) for mean in means]
    without = [left_out(metric, targets, mean, ordered=ordered) for mean in means]
    known = all(without) and len({len(one) for one in without}) == 1
    groups = [_pseudo_values(column, drawn, len(turns)) for column in zip(*without, strict=True)] if known else []
    return EnsembleScores(
        size,
        len(drawn),
        statistics.stdev(whole),
        RetrainedCandidate(
            entry.candidate,
            scores=dict(zip(turns, _pseudo_values(whole, drawn, len(turns)), strict=True)),
            replicates={turn: tuple(group[place] for group in groups) for place, turn in enumerate(turns)},
        ),
        _others(also, targets, means),
    )


def _others(also: Sequence[Metric], targets: np.ndarray, means: Sequence[np.ndarray]) -> dict[str, float]:
    found = {}
    for metric in also:
        try:
            found[metric.title] = statistics.fmean(metric(targets, mean) for mean in means)
        except (ValueError, ArithmeticError, TypeError):  # said of the single trainings
            continue
    return found


def _pseudo_values(values: Sequence[float], drawn: Sequence[tuple[int, ...]], trainings: int) -> list[float]:
    """One for each training, of one value for each ensemble."""
    size = len(drawn[0])
    found = []
    for training in range(trainings):
        inside = [value for value, members in zip(values, drawn, strict=True) if training in members]
        outside = [value for value, members in zip(values, drawn, strict=True) if training not in members]
        found.append(size * statistics.fmean(inside) - (size - 1) * statistics.fmean(outside))
    return found


def subsets(trainings: int, size: int) -> list[tuple[int, ...]]:
    """The ensembles that are scored: all, or rotations of random orders, which hold every training equally often.

    Raises:
        ValueError: there are not more trainings than an ensemble has members.

    Example:
        >>> subsets(3, 2)
        [(0, 1), (0, 2), (1, 2)]
        >>> len(subsets(10, 5)), len(subsets(20, 5))
        (50, 60)
    """
    if not 1 <= size < trainings:
        raise ValueError(f"ensembles of {size} need more than {size} trainings, got {trainings}")
    if math.comb(trainings, size) <= DRAWN:
        return list(itertools.combinations(range(trainings), size))
    random, found = np.random.default_rng(0), []
    for _ in range(math.ceil(DRAWN / trainings)):
        order = [int(place) for place in random.permutation(trainings)]
        found += [tuple(sorted((order + order)[at : at + size])) for at in range(trainings)]
    return found
