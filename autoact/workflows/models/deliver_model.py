"""A trained model on its way to where it is used: a run of MLflow and its registry, or a folder of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import lightning
import pandas as pd
import yaml

from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.core.output_folder import make_folder
from autoact.core.result_table import to_html
from autoact.core.trial import TrialRecord
from autoact.data.prepared_data import PreparedData
from autoact.data.preprocessing_file import FILE, SavedPreprocessing
from autoact.data.settings import HALF
from autoact.recommendation import Recommendation
from autoact.tasks.task import Task
from autoact.tracking.abandoned_runs import say_abandoned
from autoact.tracking.mlflow_names import renamed, unique
from autoact.tracking.models.model_artifacts import WEIGHTS, keep_model, log_model
from autoact.tracking.models.model_registry import Registry
from autoact.tracking.store import Store
from autoact.training.ensembles.averaged_networks import AveragedNetworks
from autoact.workflows.load_recommendation import FILE as RECOMMENDED
from autoact.workflows.models.train_recommended import TrainedModel, output_form


@dataclass(frozen=True, eq=False, repr=False)
class TrainResult:
    """What ``autoact.train`` trained, and where it lies now.

    Attributes:
        task: the task's name.
        policy: the policy's name.
        module: the trained module, in evaluation mode on the CPU.
        record: what the training measured, see ``TrialRecord``; of an ensemble, what the first one did.
        rows: ``train+validation`` or ``train``: what was learnt from.
        summary: what was trained and how good it is, a sentence per line.
        notes: what the reader must know.
        delivered: where the model lies, and how it is loaded, a sentence per line.
        files: name -> text of the files beside the model.
        run_id: of the MLflow run; None without MLflow.
        model_uri: ``models:/NAME/3``, or the logged model's address; None where no graph was logged.
        folder: the folder of the files, an absolute path; None with MLflow.
        threshold: of two classes: the probability above which the positive one is predicted.
    """

    task: str
    policy: str
    module: lightning.LightningModule
    record: TrialRecord
    rows: str
    summary: Sequence[str]
    notes: Sequence[str] = ()
    delivered: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    model_uri: str | None = None
    folder: Path | None = None
    threshold: float = HALF
    _store: Store | None = None

    def to_dataframe(self) -> pd.DataFrame:
        """What was logged in each epoch, one in each row, counted from 1; without rows where nothing was."""
        curve = pd.DataFrame(list(self.record.curve))
        return curve.set_axis(pd.RangeIndex(1, len(curve) + 1, name="epoch"))

    def __repr__(self) -> str:
        return f"TrainResult({self.task!r}, {self.policy!r}, {self.model_uri or self.folder})"

    def _repr_html_(self) -> str:
        """What was trained and where it lies, as notebooks show it."""
        return to_html(self.summary[0], lines=[*self.summary[1:], *self.notes, *self.delivered])


@dataclass(frozen=True)
class Delivery:
    """What is delivered, and to where.

    ``source`` is how the recommendation was named. Without a store, the model is written into a folder.
    """

    config: Config
    task: Task
    recommendation: Recommendation
    source: str
    store: Store | None

    @property
    def experiment(self) -> str:
        """The name of MLflow's experiment."""
        return self.config.tracking.experiment or f"autoact-{self.task.name}"

    @property
    def registered(self) -> str:
        """The name of the registered model; ``none``: it is not registered."""
        return self.config.train.register or f"{self.task.name}-autoact"


def opened_store(config: Config) -> Store | None:
    """The store that will take the model, found to answer before anything is trained; None without MLflow.

    Raises:
        AutoactError: the store does not answer; without MLflow, that the output folder cannot be written.
    """
    register, output = config.train.register, Path(config.output)
    if config.tracking.backend == "mlflow":
        store = Store(config.tracking, output)
        say_abandoned(store)
        return store
    if register not in (None, "none"):
        raise AutoactError(f"train.register={register} needs MLflow: leave it out, or leave out tracking=none")
    make_folder(output)
    return None


def check_names(delivery: Delivery) -> None:
    """Refuse names of the experiment or the registered model that the store would refuse, before anything is trained.

    Raises:
        AutoactError: says which.
    """
    if delivery.store is None:
        return
    if delivery.registered != "none":
        Registry(delivery.store).check_name(delivery.registered)
    delivery.store.experiment(delivery.experiment)


def files_beside(trained: TrainedModel, delivery: Delivery, prepared: PreparedData | None) -> dict[str, str]:
    """The files that lie beside the model: what was trained, why, and how rows become inputs."""
    config, task = delivery.config, delivery.task
    files = {
        RECOMMENDED: delivery.recommendation.to_yaml(),
        "assignment.yaml": yaml.safe_dump(trained.record.candidate.to_dict(), sort_keys=False),
    }
    if prepared is not None and prepared.preprocessing is not None:
        form = output_form(trained.module, task.example_input, config.task.kind)
        if form:
            files[FILE] = SavedPreprocessing.of(prepared, config.data, form, trained.threshold).to_json()
    return files


def deliver(trained: TrainResult, delivery: Delivery) -> TrainResult:
    """Hand the model to the store; without one, or where it fails by now, write it into a folder.

    Returns:
        The same, with what is known of where it lies.

    Raises:
        AutoactError: the store did not take it; says where the model is kept.
    """

    def keep() -> tuple[Path, str]:
        folder = keep_model(trained.module, trained.files, Path(delivery.config.output), trained.task)
        module = "module"
        if isinstance(trained.module, AveragedNetworks):
            count, form = len(trained.module), trained.module.form
            module = f"autoact.AveragedNetworks([make_module() for _ in range({count})], {form!r})"
        loading = f"autoact.restore_({module}, safetensors.torch.load_file({str(folder / WEIGHTS)!r}), example_input=x)"
        return folder, f"{folder}: load it with {loading}"

    if delivery.store is None:
        folder, where = keep()
        return replace(trained, delivered=[f"written to {where}"], folder=folder.absolute())
    try:
        return _log(trained, delivery, delivery.store)
    except AutoactError as error:
        raise AutoactError(f"{error}; the trained model is kept in {keep()[1]}") from error
    except Exception as error:  # a bug must not cost the training either
        error.add_note(f"the trained model is kept in {keep()[1]}")
        raise


def _log(trained: TrainResult, delivery: Delivery, store: Store) -> TrainResult:
    """Log and register the model, and say how to load it."""
    record, task, recommendation = trained.record, delivery.task, delivery.recommendation
    size = len(trained.module) if isinstance(trained.module, AveragedNetworks) else 0
    many = f", {size} averaged" if size else ""
    summary, lines = f"{trained.policy}: {record.candidate.assignment.summary()}{many}", []
    metrics = {"epochs": float(record.best_epoch), "train_seconds": record.seconds}
    if record.quality is not None and not size:  # a single training's value is not the ensemble's
        keys = unique([task.monitor], taken=metrics)
        metrics[keys[task.monitor]] = record.quality
        if note := renamed(keys):
            lines.append(f"note: {note}")
    logged = log_model(
        store,
        delivery.experiment,
        trained.module,
        task.example_input,
        name=f"train {summary}",
        params={
            **{f"act.{site}": choice for site, choice in record.candidate.assignment.to_dict().items()},
            **record.candidate.settings,
            "policy": trained.policy,
            "rows": trained.rows,
            **({} if trained.threshold == HALF else {"threshold": trained.threshold}),
            **({"ensemble": size} if size else {}),
        },
        metrics=metrics,
        tags={
            "autoact.kind": "train",
            "autoact.simulated": str(task.simulated).lower(),
            "autoact.summary": summary,
            "autoact.recommendation": recommendation.source.get("resolved") or delivery.source,
            "autoact.recommendation_digest": recommendation.digest,
        },
        files=trained.files,
        register=None if delivery.registered == "none" else delivery.registered,
        task=task.name,
    )
    lines.append(f"logged to MLflow run {logged.run_id} in {logged.store}")
    if logged.note:
        lines.append(f"note: {logged.note}")
    uri = logged.version.uri if logged.version else logged.model_uri
    if logged.model_uri:
        alias = f" ({logged.version.alias})" if logged.version else ""
        lines.append(f"load it{alias}: mlflow.{logged.flavor}.load_model({uri!r})")
    uri = uri if logged.model_uri else None
    return replace(trained, delivered=lines, run_id=logged.run_id, model_uri=uri, _store=store)
