"""From checked rows to a fitted network: the task, the search as every other, and the final training."""

from __future__ import annotations

import copy
import gc
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import torch
from joblib import effective_n_jobs

from autoact.config.recipe_task import recipe_task
from autoact.config.schema import Config, RecipeSettings, TaskSettings
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate, Role, TrialRecord
from autoact.core.value_holders import PlainData
from autoact.data.preparation.tables import Typed
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings
from autoact.engines.settings import INLINE, PROCESSES, EngineSettings
from autoact.integrations.sklearn.parameters import RECIPE_ARGUMENTS, EstimatorParameters, check_parameters
from autoact.integrations.sklearn.rows import Protocol, prepared, protocol_for, whole
from autoact.latency.hardware import HardwareSettings
from autoact.recommendation import Policy, Recommendation
from autoact.report.terminal import TerminalView
from autoact.space.settings import SpaceSettings
from autoact.study.callbacks import SearchCallback
from autoact.study.outcome.result import SearchResult
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, RungSettings, SearchSettings
from autoact.study.storage.optuna_storage import open_storage, storage_url
from autoact.tasks.objectives import QUALITY
from autoact.tasks.task import Task
from autoact.tracking.factory import make_tracker
from autoact.tracking.settings import TrackingSettings
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.state.random_state import random_state, restore_random_state
from autoact.workflows.searching.run_search import run_search
from autoact.workflows.searching.search_arguments import DEFAULT_CANDIDATES, in_full
from autoact.workflows.searching.search_setup import PreparedSearch, RunSettings, prepare_search
from autoact.workflows.searching.setting_names import estimator_terms

# Kind -> the recipe, which is named and not imported (recipes are leaves), and the metric unless another is given.
RECIPES = {
    "classification": ("autoact.recipes.tabular:TabularClassifier", "log_loss"),
    "regression": ("autoact.recipes.tabular:TabularRegressor", "mse"),
}
# At least so many rows in a batch, at most so many, and between them an eighth of the training rows.
BATCH_ROWS = (32, 128)


@dataclass(frozen=True)
class Fitted:
    """What ``fit`` leaves behind.

    Attributes:
        protocol: what the rows allowed.
        prepared: all rows with their preprocessing, as the network saw them.
        module: the network in evaluation mode, in float64, on the CPU.
        recommendation: of the search.
        policy: what was trained.
        result: of the search; its files are gone where no output folder was given.
        study: Optuna's, in memory.
    """

    protocol: Protocol
    prepared: PreparedData
    module: torch.nn.Module
    recommendation: Recommendation
    policy: Policy
    result: SearchResult
    study: optuna.Study


def search_and_train(rows: Typed, parameters: EstimatorParameters, seed: int) -> Fitted:
    """Search, then train what is recommended, or the kept baseline, on all rows.

    The process is left as it was: its random number generators, and where it imports from.

    One seed is that of the split, the search and the final training.

    Raises:
        AutoactError: something does not fit, in one line.
        KeyboardInterrupt: the user stopped it.
    """
    check_parameters(parameters)
    state, path = random_state(), list(sys.path)
    try:
        name, data = type(parameters).__name__, DataSettings(scaling=parameters.scaling, seed=seed)
        protocol = protocol_for(rows, data)
        with _folder(parameters.output) as folder, _old_objects_aside():
            task = task_on(prepared(rows, protocol.split, data, name), parameters, protocol)
            ready = prepare_search(task, settings_for(parameters, protocol, folder, seed))
            result = run_search(ready, _watching(parameters, ready))
            if result.status != "finished":
                raise KeyboardInterrupt
            recommendation = result.recommendation
            assert recommendation is not None, "a finished search has written one"
            study = _in_memory(ready)
        policy = recommendation.policy(parameters.policy)
        everything = whole(rows, data, name)
        module = train_on_all(everything, policy, parameters, ready.device)
        return Fitted(protocol, everything, module, recommendation, policy, result, study)
    finally:
        restore_random_state(state)
        sys.path[:] = path


def task_on(rows: PreparedData, parameters: EstimatorParameters, protocol: Protocol | None = None) -> Task:
    """The task of the tabular recipe on prepared rows.

    Without a protocol it is the task of a training without a search.

    Raises:
        AutoactError: an unknown metric, or one that does not exist on the validation rows.
    """
    recipe, metric = RECIPES[rows.kind]
    config = Config(
        task=TaskSettings(rows.name, rows.kind, metric if parameters.metric is None else parameters.metric),
        data=DataSettings(scaling=parameters.scaling, seed=rows.seed),
        recipe=RecipeSettings(
            recipe,
            {name: getattr(parameters, name) for name in RECIPE_ARGUMENTS},
            batch_rows(len(rows.train), parameters.batch_size),
        ),
        confirm=ConfirmSettings(references=False),
        trainer=_trainer(parameters.max_epochs, once=protocol is not None and not protocol.epochs_chosen),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a metric does not exist scikit-learn warns, and it is refused below
        task = recipe_task(config, rows)
    if task.trivial is None:
        raise AutoactError(f"metric={config.task.metric!r} does not exist on these {len(rows.validation)} rows")
    if protocol is None or not protocol.reduced:
        return task
    return replace(task, test=None, make_fold=None, warning=protocol.note)


def settings_for(parameters: EstimatorParameters, protocol: Protocol, folder: Path, seed: int) -> RunSettings:
    """The settings of the search that the rows allow."""
    trials, seeds, granularity = parameters.trials, parameters.confirm_seeds, parameters.granularity
    candidates = list(DEFAULT_CANDIDATES if parameters.candidates is None else parameters.candidates)
    if protocol.trials is not None:
        # No more activations than can be tried, each at all sites.
        trials, seeds = protocol.trials if trials is None else min(trials, protocol.trials), 0
        candidates, granularity = candidates[: max(2, trials)], "model"
    objectives = list(parameters.objectives)
    hardware, workers = HardwareSettings(device=parameters.device), effective_n_jobs(parameters.n_jobs)
    if objectives == [QUALITY]:
        # Nothing is decided by latency: the table that a study needs is measured in a moment.
        hardware = replace(hardware, rounds=5, min_ms=0.5)
    return RunSettings(
        space=SpaceSettings(granularity=granularity, candidates=candidates),
        objectives=ObjectiveSettings(use=objectives),
        hardware=hardware,
        search=SearchSettings(
            trials=trials,
            minutes=parameters.minutes,
            seed=seed,
            patience=parameters.patience if protocol.epochs_chosen else None,
            rungs=RungSettings(enabled=not protocol.reduced),
        ),
        confirm=ConfirmSettings(seeds=seeds, references=False),
        output=str(folder),
        engine=EngineSettings(name=INLINE if workers == 1 else PROCESSES, workers=workers, deterministic=True),
        tracking=in_full(parameters.tracking, TrackingSettings, "tracking", "backend"),
        terms=estimator_terms(protocol.reduced),
    )


def train_on_all(
    rows: PreparedData, policy: Policy, parameters: EstimatorParameters, device: torch.device
) -> torch.nn.Module:
    """Train a policy's assignment with its settings on all rows, for its number of epochs.

    Raises:
        AutoactError: the training failed.
    """
    epochs = max(1, policy.epochs)
    task = replace(task_on(rows, parameters), trainer=_trainer(epochs, once=True))
    session = LightningSession(
        task, SessionOptions(device, None, threads=1, activation_rate=SpaceSettings().activation_rate)
    )
    session.start([(0, Candidate(policy.assignment, policy.settings, rows.seed, Role.TRAIN))])
    (record,) = session.advance()
    if not record.complete:
        raise AutoactError(f"the training on all rows failed: {record.reason}")
    # A copy leaves the Trainer behind.
    return copy.deepcopy(session.modules()[0]).cpu().double().eval()


def _trainer(epochs: int, *, once: bool) -> dict[str, int]:
    """Arguments of the Trainer; ``once``: validation comes after the last epoch alone, whose weights are kept."""
    return {"max_epochs": epochs, **({"check_val_every_n_epoch": epochs} if once else {})}


def batch_rows(rows: int, given: int | None) -> int:
    """Training rows in a batch.

    Example:
        >>> batch_rows(30, None), batch_rows(800, None), batch_rows(10_000, None), batch_rows(30, 8)
        (32, 100, 128, 8)
    """
    least, most = BATCH_ROWS
    return given or max(least, min(most, rows // 8))


def front_of(result: SearchResult) -> list[PlainData]:
    """The trials that no other beats, as plain data."""
    members = result.selection.front if result.selection is not None else ()
    by_number = {record.number: record for record in result.records}
    return [_trial(by_number[number], [o.name for o in result.info.objectives]) for number in members]


def _trial(record: TrialRecord, objectives: Sequence[str]) -> PlainData:
    """One trial: its number, what was trained, and the values of what is traded."""
    return {
        "trial": record.number,
        "assignment": dict(record.candidate.assignment.to_dict()),
        "settings": dict(record.candidate.settings),
        "values": {name: record.values[name] for name in objectives},
    }


def _watching(parameters: EstimatorParameters, ready: PreparedSearch) -> list[SearchCallback]:
    """The tracker and the terminal view that the parameters ask for."""
    tracker = make_tracker(ready.settings.tracking, Path(ready.settings.output), ready.task.name)
    return [*filter(None, [tracker]), *([TerminalView()] if parameters.verbose else [])]


def _in_memory(ready: PreparedSearch) -> optuna.Study:
    """A copy of the study that needs no file."""
    storage = open_storage(storage_url(ready.settings.search, Path(ready.settings.output)))
    memory = optuna.storages.InMemoryStorage()
    optuna.copy_study(from_study_name=ready.identity.name, from_storage=storage, to_storage=memory)
    return optuna.load_study(study_name=ready.identity.name, storage=memory)


@contextmanager
def _folder(output: str | Path | None) -> Iterator[Path]:
    """The output folder, or a temporary one that goes with everything in it."""
    if output is not None:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory(prefix="autoact-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _old_objects_aside() -> Iterator[None]:
    """Keep what is alive already out of garbage collections.

    Every timing collects garbage first; in a process that has many modules in memory that took longer than the training
    of a small network. Where the user has put objects aside themselves, nothing changes.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
