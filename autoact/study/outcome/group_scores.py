"""Scores of named groups of test rows, such as each gender: how far apart they lie, and what the choice changes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoact.core.result_table import ResultTable, number
from autoact.core.value_holders import PlainData
from autoact.study.confirmation.paired_differences import pairs_of
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.study.paired_statistics import Interval

CONFIDENCE = 0.95
TUNED = "tuned"


@dataclass(frozen=True)
class GroupGap:
    """The groups that are best and worst on average, and how far apart their means are."""

    best: str
    worst: str
    size: float


@dataclass(frozen=True)
class GroupScores:
    """The groups of one column, under the final check's seeds.

    Attributes:
        column: of ``data.groups``.
        rows: group -> test rows.
        unscored: group -> why it has no score.
        means: row of the final table -> group -> mean score over the seeds.
        gaps: row of the final table -> its gap; none where fewer than two groups are scored.
        growth: row of the final table -> by how much its gap is larger than the tuned baseline's, over seeds and test
            rows; for the groups that are best and worst for each, and not corrected for how many are looked at.
    """

    column: str
    rows: Mapping[str, int]
    unscored: Mapping[str, str] = field(default_factory=dict)
    means: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gaps: Mapping[str, GroupGap] = field(default_factory=dict)
    growth: Mapping[str, Interval] = field(default_factory=dict)

    def notes(self, unit: str, titles: Mapping[str, str]) -> list[str]:
        """What the reader must know: groups without a score, and gaps that grow by more than their interval.

        ``titles`` are those of the rows of the final table that are recommended: others grow for nobody.
        """
        said = [f"{group!r} ({self.rows[group]} test rows: {why})" for group, why in self.unscored.items()]
        found = [f"groups of {self.column} without a score of their own: {', '.join(said)}"] if said else []
        for name, growth in self.growth.items():
            if growth.low > 0 and name in titles:
                before, after = self.gaps[TUNED], self.gaps[name]
                found.append(
                    f"{titles[name]} treats the groups of {self.column} less alike than the tuned baseline: the gap in "
                    f"{unit} grows from {number(before.size)} ({before.best} over {before.worst}) to "
                    f"{number(after.size)} ({after.best} over {after.worst}), by {number(growth.mean)} "
                    f"({growth.low:+.4g} to {growth.high:+.4g} with 95 %)"
                )
        return found

    def to_dict(self) -> PlainData:
        """Plain data for JSON."""
        return {
            "column": self.column,
            "rows": dict(self.rows),
            "unscored": dict(self.unscored),
            "means": {name: dict(means) for name, means in self.means.items()},
            "gaps": {name: vars(gap) for name, gap in self.gaps.items()},
            "growth_over_tuned_baseline": {
                name: {"mean": one.mean, "low": one.low, "high": one.high, "confidence": CONFIDENCE}
                for name, one in self.growth.items()
            },
        }


def group_scores(
    entries: Mapping[str, RetrainedCandidate], names: Sequence[str], columns: Sequence[str], mode: str
) -> list[GroupScores]:
    """The groups of each column, of those rows of the final table that differ from the ones before.

    Columns of which no training holds scores are left out.
    """
    wanted = [name for name in dict.fromkeys([TUNED, *names]) if name in entries]
    distinct = [n for i, n in enumerate(wanted) if all(entries[n] is not entries[other] for other in wanted[:i])]
    found = (_of_column({name: entries[name] for name in distinct}, column, mode) for column in columns)
    return [one for one in found if one is not None]


def _of_column(entries: Mapping[str, RetrainedCandidate], column: str, mode: str) -> GroupScores | None:
    held = {
        name: {turn: entry.details[turn]["groups"][column] for turn in entry.scores if _has(entry, turn, column)}
        for name, entry in entries.items()
    }
    held = {name: turns for name, turns in held.items() if turns}
    if not held:
        return None
    trainings = [groups for turns in held.values() for groups in turns.values()]
    rows = {group: one["rows"] for group, one in trainings[0].items()}
    unscored = {
        group: why for groups in trainings for group, one in groups.items() if (why := one.get("why")) is not None
    }
    scored = [group for group in rows if group not in unscored]
    means = {
        name: {group: statistics.fmean(groups[group]["score"] for groups in turns.values()) for group in scored}
        for name, turns in held.items()
    }
    gaps = {name: _gap(of, mode) for name, of in means.items()} if len(scored) > 1 else {}
    growth = {}
    if TUNED in gaps:
        apart = {name: _apart(entries[name], held[name], gap, mode) for name, gap in gaps.items()}
        pairs = {name: pairs_of(one, apart[TUNED]) for name, one in apart.items() if name != TUNED}
        growth = {
            name: found
            for name, one in pairs.items()
            if (found := one.interval(1.0, confidence=CONFIDENCE)) is not None
        }
    return GroupScores(column, rows, unscored, means, gaps, growth)


def _has(entry: RetrainedCandidate, turn: SeedFold, column: str) -> bool:
    return column in entry.details.get(turn, {}).get("groups", {})


def _gap(means: Mapping[str, float], mode: str) -> GroupGap:
    high, low = max(means, key=lambda group: means[group]), min(means, key=lambda group: means[group])
    best, worst = (high, low) if mode == "max" else (low, high)
    return GroupGap(best, worst, abs(means[best] - means[worst]))


def _apart(
    entry: RetrainedCandidate, held: Mapping[SeedFold, Mapping[str, Any]], gap: GroupGap, mode: str
) -> RetrainedCandidate:
    """The gap as the score of each training, with its jackknife replicates, so that gaps are compared as scores are."""
    sign = 1.0 if mode == "max" else -1.0
    ends = {turn: (groups[gap.best], groups[gap.worst]) for turn, groups in held.items()}
    return RetrainedCandidate(
        entry.candidate,
        scores={turn: sign * (best["score"] - worst["score"]) for turn, (best, worst) in ends.items()},
        replicates={
            turn: tuple(sign * (b - w) for b, w in zip(best["replicates"], worst["replicates"], strict=False))
            for turn, (best, worst) in ends.items()
        },
    )


def group_table(groups: GroupScores, unit: str, titles: Mapping[str, str]) -> ResultTable:
    """The groups as a table: a row for each, then the gap."""
    names = list(groups.means)
    rows = [
        [group, f"{count:,}", *(number(groups.means[name].get(group)) for name in names)]
        for group, count in groups.rows.items()
    ]
    if groups.gaps:
        rows.append(["gap, best to worst", "", *(number(groups.gaps[name].size) for name in names)])
    if groups.growth:
        grown = [groups.growth.get(name) for name in names]
        rows.append(
            [
                "gap, more than the tuned baseline's (95 %)",
                "",
                *("-" if g is None else f"{g.mean:+.4f} ({g.low:+.4f} to {g.high:+.4f})" for g in grown),
            ]
        )
    title = f"{unit} by {groups.column}, on test rows"
    return ResultTable(title, [groups.column, "test rows", *(titles.get(name, name) for name in names)], rows)
