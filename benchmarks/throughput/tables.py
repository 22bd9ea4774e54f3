"""The tables of the throughput benchmark, from what its checkpoint holds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import judged, markdown_table, middle, origin_lines
from benchmarks.throughput.problem import Run
from benchmarks.throughput.rescoring import Judge, curve, seconds_to

RIVALS = ("plain", "plain2", "ray")
OWN, FULL = "autoact", "autoact-full"
BAR_WIDTH = 64
FASTER = {"plain": 20.0, "ray": 10.0}
MORE_TRIALS = {"cpu": 6.0, "cuda": 100.0}


@dataclass(frozen=True)
class Race:
    """autoact against one rival in one repetition.

    Attributes:
        rival: seconds of the rival's trials.
        rival_first: when the rival first had its final hypervolume.
        own: when autoact first had it; None: never.
    """

    rival: float
    rival_first: float
    own: float | None

    @property
    def ratio(self) -> float:
        """How many times fewer seconds autoact needed than all the rival's trials; 0 where it never got there."""
        return 0.0 if self.own is None else self.rival / self.own

    @property
    def ratio_first(self) -> float:
        """The same, from when the rival first had that hypervolume."""
        return 0.0 if self.own is None else self.rival_first / self.own


def race(rival: Run, own: Run, judge: Judge) -> Race:
    """Seconds to the hypervolume that the rival has after its trials."""
    theirs = curve(rival.trials, judge)
    goal = theirs[-1][1]
    first = seconds_to(theirs, goal)
    assert first is not None, "a curve reaches its own end"
    return Race(rival.seconds, first, seconds_to(curve(own.trials, judge), goal))


def trials_per_minute(run: Run) -> float:
    """Full-budget trials per minute, from the start of the clock, calibration included.

    Example:
        >>> from benchmarks.throughput.problem import Problem, Trial
        >>> trials = (Trial(1.0, {}, 0.8, 2.0), Trial(2.0, {}, None, 2.0), Trial(30.0, {}, 0.8, 2.0))
        >>> trials_per_minute(Run("plain", Problem("telco", 64, 0, 3), trials, 30.0))
        4.0
    """
    return 60.0 * sum(trial.complete for trial in run.trials) / run.seconds


def tables(entries: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    runs = [Run.from_dict(value) for name, value in entries.items() if name.startswith("run ")]
    parts = ["### Throughput: seconds to equal hypervolume, trials per minute", ""]
    if "origin" in entries:
        parts += [origin_lines(entries["origin"]), ""]
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.problem.data, run.problem.width)):
        groups.setdefault((run.problem.data, run.problem.width), []).append(run)
    for (data, width), members in groups.items():
        parts += [_setting(members, _judge(entries, f"{data} {width}"), width), ""]
    if not groups:
        parts.append("Nothing has been run yet.")
    return "\n".join(parts)


def _judge(entries: Mapping[str, Any], name: str) -> Judge | None:
    """What the points of a setting are worth; None before they were judged."""
    fixed = entries.get(f"judge {name}")
    if fixed is None:
        return None
    start = f"point {name} "
    points = {key[len(start) :]: value for key, value in entries.items() if key.startswith(start)}
    return Judge(
        tuple(fixed["directions"]),
        tuple(fixed["reference"]),
        {key: value["qualities"] for key, value in points.items()},
        {key: value["latency"] for key, value in points.items()},
    )


def _setting(runs: Sequence[Run], judge: Judge | None, width: int) -> str:
    """One data set at one width: the competitors, the races, the bars."""
    title = f"#### {runs[0].problem.data}, width {width}"
    parts = [title, "", _competitors(runs, judge)]
    notes = _notes(runs)
    races = {rival: _races(runs, rival, judge) for rival in RIVALS} if judge else {}
    if judge is not None:
        parts.append(f"\nReference point: quality {judge.reference[0]:.5g}, latency {judge.reference[1]:.4g} ms.")
        if any(races.values()):
            parts += ["", _race_table(races)]
    else:
        parts.append("\nHypervolumes are missing: the fronts have not been re-scored yet.")
    bars = _bars(runs, races) if width == BAR_WIDTH else []
    return "\n".join([*parts, "", *(f"- {line}" for line in (*bars, *notes))])


def _competitors(runs: Sequence[Run], judge: Judge | None) -> str:
    """One line per competitor: medians over repetitions, with their range."""
    rows = []
    for arm in dict.fromkeys(run.arm for run in runs):
        mine = [run for run in runs if run.arm == arm]
        volumes = [curve(run.trials, judge)[-1][1] for run in mine] if judge else []
        rows.append(
            [
                arm,
                str(len(mine)),
                middle([len(run.trials) for run in mine], ".0f"),
                middle([sum(trial.complete for trial in run.trials) for run in mine], ".0f"),
                middle([run.seconds for run in mine], ".1f"),
                middle([trials_per_minute(run) for run in mine], ".1f"),
                middle(volumes, ".4g"),
            ]
        )
    header = ["competitor", "runs", "trials", "full budget", "seconds", "full-budget trials / minute", "hypervolume"]
    return markdown_table(header, rows)


def _races(runs: Sequence[Run], rival: str, judge: Judge | None) -> list[Race]:
    """Races with a rival, repetition by repetition."""
    theirs = {run.problem.seed: run for run in runs if run.arm == rival}
    own = {run.problem.seed: run for run in runs if run.arm == OWN}
    return [race(theirs[seed], own[seed], judge) for seed in sorted(theirs.keys() & own.keys())] if judge else []


def _race_table(races: Mapping[str, Sequence[Race]]) -> str:
    """Seconds to the hypervolume that each rival has after its trials."""
    rows = []
    for rival, found in races.items():
        if found:
            reached = [one.own for one in found if one.own is not None]
            rows.append(
                [
                    rival,
                    middle([one.rival for one in found], ".1f"),
                    middle([one.rival_first for one in found], ".1f"),
                    middle(reached, ".1f"),
                    f"{len(reached)} of {len(found)}",
                    middle([one.ratio for one in found]),
                    middle([one.ratio_first for one in found]),
                ]
            )
    header = [
        "to the hypervolume of",
        "its seconds for all trials",
        "its seconds until it first had it",
        "autoact's seconds",
        "reached",
        "ratio",
        "ratio to its first",
    ]
    return markdown_table(header, rows)


def _bars(runs: Sequence[Run], races: Mapping[str, Sequence[Race]]) -> list[str]:
    """Measurements beside their bars, by medians over repetitions."""
    lines = []
    for rival, bar in FASTER.items():
        found = races.get(rival) or []
        if found:
            strict = statistics.median(one.ratio_first for one in found)
            ratio = statistics.median(one.ratio for one in found)
            said = judged(ratio, bar, least=True, unit="x")
            lines.append(
                f"fewer seconds than {rival} to its hypervolume: {said}; from when it first had it {strict:.3g}x"
            )
    speeds = {arm: [trials_per_minute(run) for run in runs if run.arm == arm] for arm in ("plain", FULL)}
    if all(speeds.values()):
        ratio = statistics.median(speeds[FULL]) / statistics.median(speeds["plain"])
        bar = MORE_TRIALS[runs[0].problem.device]
        lines.append(
            f"full-budget trials per minute against plain, rungs off: {judged(ratio, bar, least=True, unit='x')}"
        )
    return lines


def _notes(runs: Sequence[Run]) -> list[str]:
    """What the runs said of themselves, once per competitor."""
    lines = []
    for arm in dict.fromkeys(run.arm for run in runs):
        mine = [run for run in runs if run.arm == arm]
        calibration = [run.notes["calibration_s"] for run in mine if run.notes.get("calibration_s")]
        ready = [run.notes["until_first_job_s"] for run in mine if run.notes.get("until_first_job_s")]
        stopped = [run.notes["stopped_at_rungs"] for run in mine if "stopped_at_rungs" in run.notes]
        failed = sum(run.notes.get("failed", 0) for run in mine)
        epochs = [statistics.mean(trial.epochs for trial in run.trials) for run in mine]
        text = f"{arm}: {middle(epochs, '.1f')} epochs per trial"
        text += f", {middle(ready, '.1f')} s until the first job" if ready else ""
        text += f", {middle(calibration, '.1f')} s of them for the latency table" if calibration else ""
        text += f", {middle(stopped, '.0f')} trials stopped at rungs" if any(stopped) else ""
        lines.append(text + (f", {failed} trials failed" if failed else ""))
    return lines
