"""The schema of the configuration. Each group's record lives with the code that it steers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from autoact.core.errors import AutoactError
from autoact.core.typed_values import check_values
from autoact.data.settings import DataSettings
from autoact.engines.settings import EngineSettings
from autoact.latency.hardware import HardwareSettings
from autoact.space.settings import SpaceSettings
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, SearchSettings
from autoact.tracking.settings import TrackingSettings


@dataclass
class TaskSettings:
    """What is learnt.

    Attributes:
        name: names the study.
        kind: ``classification``, ``regression``, ``sequence_classification``, ``forecast``, or a registered one.
        metric: decides; see also the top-level ``metric``.
        threshold: of two classes: the probability above which the positive one is predicted; ``validation``: the best
            one for the metric on the validation rows of each training.
    """

    name: Optional[str] = None
    kind: str = "classification"
    metric: str = "roc_auc"
    threshold: Any = 0.5


@dataclass
class RecipeSettings:
    """The network.

    Attributes:
        module: ``package.module:Class`` of a LightningModule that takes ``inputs``, ``outputs`` and ``arguments``.
        arguments: further arguments of the class.
        batch_size: training rows in a batch.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    module: str = "autoact.recipes.tabular:TabularClassifier"
    arguments: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 128

    def __post_init__(self) -> None:
        check_values(self, "recipe")
        if self.batch_size < 1:
            raise AutoactError(f"recipe.batch_size={self.batch_size} must be 1 or more")


@dataclass
class TrainSettings:
    """How ``python -m autoact train`` trains what a search recommends.

    Attributes:
        rows: ``train+validation``: on the rows of both parts, for the confirmed number of epochs, without early
            stopping; ``train``: on the training rows, and the best epoch on the validation rows is kept. Recipes take
            ``train+validation`` unless given, your own module ``train``. The test part stays sealed.
        register: name of the registered model; ``<task>-autoact`` unless given; ``none`` registers nothing.
        ensemble: so many trainings, under seeds from ``search.seed`` on, whose scores the model averages; 0: one.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    rows: Optional[str] = None
    register: Optional[str] = None
    ensemble: int = 0

    def __post_init__(self) -> None:
        check_values(self, "train")
        if self.ensemble < 0 or self.ensemble == 1:
            raise AutoactError(f"train.ensemble={self.ensemble} must be 2 or more, or 0 for a single model")


@dataclass
class Config:
    """The whole configuration.

    Attributes:
        task: what is learnt.
        data: where the data come from.
        recipe: the network.
        space: what may change.
        objectives: what is traded.
        hardware: the serving target.
        engine: where candidates are trained.
        search: the budget.
        confirm: the final check.
        tracking: where results are logged.
        train: how a recommendation is trained.
        trainer: arguments of ``lightning.Trainer``.
        metric: decides instead of ``task.metric``: a name, or your own as ``package.module:function``.
        metric_mode: direction of your own metric: ``max`` or ``min``.
        module: your own LightningModule, ``package.module:Class``, or a file of ``LightningCLI``, ``fit.yaml``.
        module_arguments: arguments of its class.
        datamodule: your own LightningDataModule.
        datamodule_arguments: arguments of its class.
        monitor: the validation value that your module logs and that decides.
        mode: ``max`` or ``min``: which values of ``monitor`` are better.
        callbacks: your own Lightning callbacks, ``package.module:Class`` each; a fresh one per training.
        plugins: your own modules to import first: they register activations, metrics, kinds of task or engines.
        trust: packages whose code may be imported by reference.
        recommendation: to train with: a ``recommended.yaml``, ``runs:/...`` or ``models:/...``.
        policy: which of its policies.
        production_model: it is scored on the same rows: ``models:/name@alias``, or a csv of its predictions.
        output: folder for everything that is written.
    """

    task: TaskSettings = field(default_factory=TaskSettings)
    data: DataSettings = field(default_factory=DataSettings)
    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    space: SpaceSettings = field(default_factory=SpaceSettings)
    objectives: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    hardware: HardwareSettings = field(default_factory=HardwareSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    confirm: ConfirmSettings = field(default_factory=ConfirmSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    trainer: dict[str, Any] = field(default_factory=dict)
    metric: Optional[str] = None
    metric_mode: Optional[str] = None
    module: Optional[str] = None
    module_arguments: dict[str, Any] = field(default_factory=dict)
    datamodule: Optional[str] = None
    datamodule_arguments: dict[str, Any] = field(default_factory=dict)
    monitor: Optional[str] = None
    mode: Optional[str] = None
    callbacks: list[str] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)
    trust: list[str] = field(default_factory=list)
    recommendation: Optional[str] = None
    policy: Optional[str] = None
    production_model: Optional[str] = None
    output: str = "autoact-runs"


# Sub-trees that take any key: their keys are checked where they are used.
FREE = (
    *("trainer", "recipe.arguments", "module_arguments", "datamodule_arguments"),
    *("space.arguments", "search.sampler_options"),
)
