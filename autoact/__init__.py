"""autoact chooses activation functions for neural networks, and proves its choice.

Names are imported when they are used, so that ``import autoact`` takes no time.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from autoact.core.moved_modules import find_moved_modules

# The public names, each said here and nowhere else: type checkers read these lines, and so does the code below them.
if TYPE_CHECKING:
    from autoact.activations import Activation as Activation
    from autoact.activations import Initialisation as Initialisation
    from autoact.activations import Parameter as Parameter
    from autoact.activations import SearchRange as SearchRange
    from autoact.activations import register as register
    from autoact.config.effective_keys import Given as Given
    from autoact.config.schema import Config as Config
    from autoact.config.schema import RecipeSettings as RecipeSettings
    from autoact.config.schema import TaskSettings as TaskSettings
    from autoact.config.schema import TrainSettings as TrainSettings
    from autoact.core.assignment import Assignment as Assignment
    from autoact.core.assignment import Choice as Choice
    from autoact.core.errors import AutoactError as AutoactError
    from autoact.core.result_table import ResultTable as ResultTable
    from autoact.core.trial import Candidate as Candidate
    from autoact.core.trial import Role as Role
    from autoact.core.trial import TrialRecord as TrialRecord
    from autoact.data.sealed_test import Opening as Opening
    from autoact.data.sealed_test import TestSet as TestSet
    from autoact.data.settings import DataSettings as DataSettings
    from autoact.data.settings import TaskKind as TaskKind
    from autoact.data.settings import register_task_kind as register_task_kind
    from autoact.engines.settings import EngineKind as EngineKind
    from autoact.engines.settings import EngineSettings as EngineSettings
    from autoact.engines.settings import OpenEngine as OpenEngine
    from autoact.engines.settings import register_engine as register_engine
    from autoact.integrations.huggingface import from_pretrained as from_pretrained
    from autoact.integrations.lightning.callback import ApplyActivations as ApplyActivations
    from autoact.integrations.lightning.callback import load_from_checkpoint as load_from_checkpoint
    from autoact.integrations.optuna import assignment_from as assignment_from
    from autoact.integrations.optuna import suggest as suggest
    from autoact.integrations.sklearn.estimators import AutoActClassifier as AutoActClassifier
    from autoact.integrations.sklearn.estimators import AutoActRegressor as AutoActRegressor
    from autoact.latency.hardware import HardwareSettings as HardwareSettings
    from autoact.recommendation import Policy as Policy
    from autoact.recommendation import Recommendation as Recommendation
    from autoact.sites import Site as Site
    from autoact.sites import Sites as Sites
    from autoact.sites import apply as apply
    from autoact.sites import apply_ as apply_
    from autoact.sites import assignment_in as assignment_in
    from autoact.sites import find_sites as find_sites
    from autoact.sites import initialise_ as initialise_
    from autoact.sites import rescale_ as rescale_
    from autoact.sites import restore_ as restore_
    from autoact.sites.replacement.dropout import set_dropout_ as set_dropout_
    from autoact.sites.replacement.parameter_groups import put_activations_apart_ as put_activations_apart_
    from autoact.sites.rewriting.method_rewrite import MethodCall as MethodCall
    from autoact.sites.site import LinearLayer as LinearLayer
    from autoact.sites.site import NormLayer as NormLayer
    from autoact.sites.site import Unreplaceable as Unreplaceable
    from autoact.sites.site import Wiring as Wiring
    from autoact.space.settings import SpaceSettings as SpaceSettings
    from autoact.study.callbacks import SearchCallback as SearchCallback
    from autoact.study.callbacks import SearchInfo as SearchInfo
    from autoact.study.confirmation.verdict import Ruling as Ruling
    from autoact.study.outcome.group_scores import GroupGap as GroupGap
    from autoact.study.outcome.group_scores import GroupScores as GroupScores
    from autoact.study.outcome.result import Row as Row
    from autoact.study.outcome.result import SearchResult as SearchResult
    from autoact.study.paired_statistics import Interval as Interval
    from autoact.study.proposal.activation_sampler import ActivationSampler as ActivationSampler
    from autoact.study.selection import Selection as Selection
    from autoact.study.settings import ConfirmSettings as ConfirmSettings
    from autoact.study.settings import LatencySettings as LatencySettings
    from autoact.study.settings import ObjectiveSettings as ObjectiveSettings
    from autoact.study.settings import RungSettings as RungSettings
    from autoact.study.settings import SearchSettings as SearchSettings
    from autoact.tasks.constraints import Limits as Limits
    from autoact.tasks.known_results import KnownResult as KnownResult
    from autoact.tasks.metrics import Metric as Metric
    from autoact.tasks.metrics import register_metric as register_metric
    from autoact.tasks.objectives import Objective as Objective
    from autoact.tasks.objectives import objective as objective
    from autoact.tasks.task import Task as Task
    from autoact.tracking.settings import TrackingSettings as TrackingSettings
    from autoact.training.ensembles.averaged_networks import AveragedNetworks as AveragedNetworks
    from autoact.user_code.lightning_task import lightning_task as lightning_task
    from autoact.workflows.check import check as check
    from autoact.workflows.checking.check_result import CheckResult as CheckResult
    from autoact.workflows.checking.check_result import Finding as Finding
    from autoact.workflows.checking.check_result import Tolerances as Tolerances
    from autoact.workflows.confirm import confirm as confirm
    from autoact.workflows.export import ExportResult as ExportResult
    from autoact.workflows.export import export as export
    from autoact.workflows.list_tasks import ListedTask as ListedTask
    from autoact.workflows.list_tasks import TaskList as TaskList
    from autoact.workflows.list_tasks import list_tasks as list_tasks
    from autoact.workflows.load_recommendation import load_recommendation as load_recommendation
    from autoact.workflows.measure import MeasuredModel as MeasuredModel
    from autoact.workflows.measure import Measurement as Measurement
    from autoact.workflows.measure import measure as measure
    from autoact.workflows.models.deliver_model import TrainResult as TrainResult
    from autoact.workflows.plan import Plan as Plan
    from autoact.workflows.plan import plan as plan
    from autoact.workflows.predict import PredictResult as PredictResult
    from autoact.workflows.predict import predict as predict
    from autoact.workflows.promote import AliasMove as AliasMove
    from autoact.workflows.promote import promote as promote
    from autoact.workflows.promote import rollback as rollback
    from autoact.workflows.search import search as search
    from autoact.workflows.searching.search_arguments import SearchArguments as SearchArguments
    from autoact.workflows.task_source import Configured as Configured
    from autoact.workflows.task_source import load_task as load_task
    from autoact.workflows.train import train as train

__version__ = "0.1.0"


# Public name -> the module that holds it.
_HOMES = {
    name: module
    for module, name in re.findall(
        r"^    from (autoact\S*) import (\w+) as", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE
    )
}
__all__ = sorted(_HOMES)

# In a wheel conf/ and recipes/ lie inside this package; in a checkout they lie beside it.
_CHECKOUT = Path(__file__).resolve().parent.parent
if not (Path(__file__).resolve().parent / "recipes").is_dir() and (_CHECKOUT / "recipes").is_dir():
    __path__.append(str(_CHECKOUT))

find_moved_modules()


if not TYPE_CHECKING:  # type checkers know the names, and so the ones that there are not

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _HOMES:
            raise AttributeError(f"module 'autoact' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
