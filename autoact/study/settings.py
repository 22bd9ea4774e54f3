"""What a user can say about the search itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import check_values
from autoact.tasks.constraints import Limits
from autoact.tasks.objectives import refuse_misspelt

SAMPLERS = ("tpe", "nsga2", "nsga3", "random", "gp")
BY_REFERENCE = "or an Optuna sampler by its whole name, such as optuna.samplers.QMCSampler"
DEFAULT_TRIALS = 60
# From this budget on, the model as configured is trained under three seeds: what a seed changes is known then.
ENOUGH_FOR_SEEDS = 24
SMALL_BATCH, LARGE_BATCH, ENOUGH_FOR_LARGE = 16, 32, 100
MOST_EXPECTED = 100_000


@dataclass
class RungSettings:
    """Early stops: at each rung, candidates that others beat so far are given up.

    Attributes:
        enabled: false: every candidate is trained to its end.
        reduction: of all candidates at a rung, the best 1/``reduction`` go on; rungs lie this factor apart.
        first: the first rung: epochs, or a share of the epochs if below 1; a ninth of the epochs unless given.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    enabled: bool = True
    reduction: float = 3.0
    first: Optional[float] = None

    def __post_init__(self) -> None:
        check_values(self, "search.rungs")
        if not self.reduction > 1:
            raise AutoactError(f"search.rungs.reduction={self.reduction:g} must be above 1, e.g. 3: a third goes on")
        if self.first is not None and (self.first <= 0 or (self.first >= 1 and self.first != int(self.first))):
            raise AutoactError(
                f"search.rungs.first={self.first:g} must be a whole number of epochs, or a share of them above 0 and "
                "below 1"
            )


@dataclass
class SearchSettings:
    """The budget of a search and how it is spent.

    Attributes:
        trials: trials in all, the baseline's among them; 60 where neither ``trials`` nor ``minutes`` is given.
        minutes: wall-clock minutes for search and final check together.
        seed: seed of the sampler and of every trial's weights and batches.
        sampler: ``tpe``, ``nsga2``, ``nsga3``, ``random``, ``gp``, or a reference of an Optuna sampler, such as
            ``optuna.samplers.GPSampler`` or ``mypkg.mod:MySampler``.
        sampler_options: further arguments of the sampler.
        batch: candidates asked for at a time, however many are trained at once; 16 unless given, 32 from 100 trials on.
        refine: share of the budget, its last part, that changes one dimension at a time around the front.
        rungs: early stops.
        tuning: trials of the baseline's own activations with other training settings; a sixth of all, 12 at most,
            unless given.
        patience: epochs without a better validation value before a training stops; null: never.
        threads: CPU threads of a training; probed unless given.
        storage: Optuna storage URL; an SQLite file in the output folder unless given.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    trials: Optional[int] = None
    minutes: Optional[float] = None
    seed: int = 0
    sampler: str = "tpe"
    sampler_options: dict[str, Any] = field(default_factory=dict)
    batch: Optional[int] = None
    refine: float = 0.7
    rungs: RungSettings = field(default_factory=RungSettings)
    tuning: Optional[int] = None
    patience: Optional[int] = 8
    threads: Optional[int] = None
    storage: Optional[str] = None

    def __post_init__(self) -> None:
        check_values(self, "search")
        if self.sampler not in SAMPLERS and not set(self.sampler) & set(".:"):  # a reference is checked where it loads
            raise unknown("search.sampler", self.sampler, SAMPLERS, advice=BY_REFERENCE)
        least = {"seed": 0, "trials": 1, "minutes": 0, "batch": 1, "tuning": 0, "patience": 1, "threads": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and (value < low or (name == "minutes" and value <= 0)):
                raise AutoactError(
                    f"search.{name}={value} must be {'above 0' if name == 'minutes' else f'{low} or more'}"
                )
        if self.budget is not None and (self.tuning or 0) >= self.budget > 1:
            raise AutoactError(
                f"search.tuning={self.tuning} leaves none of search.trials={self.budget} to other activations: "
                f"search.tuning={replace(self, tuning=None).tuning_trials()} does, and so do more trials"
            )
        if not 0 <= self.refine <= 1:
            raise AutoactError(f"search.refine={self.refine:g} is a share of the budget: it must lie between 0 and 1")

    @property
    def budget(self) -> int | None:
        """The number of trials; None where only minutes bound the search."""
        return self.trials if self.trials or self.minutes else DEFAULT_TRIALS

    @property
    def together(self) -> int:
        """Candidates asked for at a time: large budgets learn enough from larger batches, which train faster."""
        return self.batch or (SMALL_BATCH if (self.budget or DEFAULT_TRIALS) < ENOUGH_FOR_LARGE else LARGE_BATCH)

    def tuning_trials(self, expected: float | None = None) -> int:
        """Trials of the baseline's own activations with other training settings, beside the configured one.

        A sixth of all, 12 at most; two at least, where that leaves others to compare it with. Where no number of trials
        bounds the search, minutes are ``expected`` to hold so many.

        Example:
            >>> [SearchSettings(trials=trials).tuning_trials() for trials in (1, 2, 4, 7, 60, 300)]
            [0, 0, 1, 2, 10, 12]
        """
        if self.tuning is not None:
            return self.tuning
        trials = int(min(self._expected(expected), MOST_EXPECTED))
        return max(min(2, (trials - 1) // 3), min(12, trials // 6))

    def configured_seeds(self, expected: float | None = None) -> int:
        """Seeds under which the model as configured is trained; see ``tuning_trials`` for what is expected."""
        return 3 if self._expected(expected) >= ENOUGH_FOR_SEEDS else 1

    def _expected(self, expected: float | None) -> float:
        return self.budget or expected or DEFAULT_TRIALS


@dataclass
class LatencySettings:
    """Limits of the latency.

    Attributes:
        max_ms: a setting that takes longer, at the latency batch, is neither trained nor recommended.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    max_ms: Optional[float] = None

    def __post_init__(self) -> None:
        check_values(self, "objectives.latency")
        if self.max_ms is not None and not self.max_ms > 0:
            raise AutoactError(f"objectives.latency.max_ms={self.max_ms:g} must be above 0")


@dataclass
class ObjectiveSettings:
    """What a search trades, and how far.

    Attributes:
        use: any of ``quality``, ``latency``, ``cost`` and the user's own.
        own: ``package.module:function`` references of functions declared with ``autoact.objective``.
        margin: what a cheaper assignment may lose: a share of the tuned baseline's distance to the trivial predictor.
        latency: limits of the latency.
        max_cost: a setting that costs more per million samples is neither trained nor recommended.
        min_quality: a setting that does worse is not recommended; in the metric's unit (for losses: one that is above).

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    use: list[str] = field(default_factory=lambda: ["quality", "latency", "cost"])
    own: list[str] = field(default_factory=list)
    margin: float = 0.05
    latency: LatencySettings = field(default_factory=LatencySettings)
    max_cost: Optional[float] = None
    min_quality: Optional[float] = None

    def limits(self, mode: str) -> Limits:
        """The limits, for a metric of this direction."""
        return Limits(self.latency.max_ms, self.max_cost, self.min_quality, mode)

    def __post_init__(self) -> None:
        check_values(self, "objectives")
        if not self.use:
            raise AutoactError("no objective is left: objectives.use is empty")
        if len(set(self.use)) != len(self.use):
            raise AutoactError(f"objectives.use names an objective twice: {', '.join(self.use)}")
        if not self.own:
            refuse_misspelt(self.use)
        if not 0 <= self.margin < 1:
            raise AutoactError(f"objectives.margin={self.margin} is a share: it must be 0 or more and below 1")
        if self.max_cost is not None and not self.max_cost > 0:
            raise AutoactError(f"objectives.max_cost={self.max_cost:g} must be above 0")


@dataclass
class ConfirmSettings:
    """The final check, in two stages: fresh seeds and validation rows choose, other seeds and the test part claim.

    Attributes:
        seeds: fresh seeds of each stage; 0: no final check.
        finalists: challengers that the first stage chooses from, at most.
        early: end the second stage half way where its verdict cannot change any more; the intervals allow for the look.
        confidence: of all claims that are ever made on one test part, together.
        power: the probability for which the smallest difference that can be told is stated beforehand.
        references: whether reference models (linear, gradient boosting) are fitted for comparison.
        ensemble: so many trainings of a setting are averaged, too, and claimed beside the single models; 0: none.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    seeds: int = 10
    finalists: int = 6
    early: bool = True
    confidence: float = 0.95
    power: float = 0.8
    references: bool = True
    ensemble: int = 0

    def __post_init__(self) -> None:
        check_values(self, "confirm")
        if self.seeds < 0 or self.seeds == 1:
            raise AutoactError(
                f"confirm.seeds={self.seeds} must be 2 or more, since one training says nothing of the noise, "
                "or 0 for no final check"
            )
        if self.ensemble and not self.seeds:
            raise AutoactError(
                f"confirm.ensemble={self.ensemble} averages trainings of the final check, and there is none "
                "(confirm.seeds=0)"
            )
        if self.ensemble and not 2 <= self.ensemble < self.seeds:
            raise AutoactError(
                f"confirm.ensemble={self.ensemble} must be 0 for none, or from 2 to one less than "
                f"confirm.seeds={self.seeds}: what seeds change shows where a training is left out"
            )
        if self.finalists < 1:
            raise AutoactError(f"confirm.finalists={self.finalists} must be 1 or more")
        for name, value, example in (("confidence", self.confidence, 0.95), ("power", self.power, 0.8)):
            if not 0 < value < 1:
                raise AutoactError(f"confirm.{name}={value} must lie between 0 and 1, e.g. {example}")

    def smaller(self, seeds: int, finalists: int) -> ConfirmSettings:
        """The check with fewer seeds and finalists, for which there is time; without a finalist: no first stage."""
        found = copy.copy(self)
        found.seeds, found.finalists = seeds, finalists
        return found
