"""``autoact.promote`` and ``autoact.rollback``: which version of a registered model an alias names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoact.core.errors import AutoactError
from autoact.core.result_table import to_html
from autoact.core.typed_values import check_value
from autoact.tracking.models.model_registry import Move, Registry
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.models.deliver_model import TrainResult


@dataclass(frozen=True, repr=False)
class AliasMove(Move):
    """An alias that was moved; ``before`` equals ``after`` where the version had it already.

    Attributes:
        name: of the registered model.
        alias: what moved.
        before: the version that had it; None where none had.
        after: the version that has it now; None where it was taken away.
        trained: what the version holds that has it now; empty where unknown.
    """

    trained: str = ""

    @property
    def uri(self) -> str:
        """What loads the version that has the alias: ``models:/NAME@ALIAS``."""
        return f"models:/{self.name}@{self.alias}"

    @property
    def summary(self) -> str:
        """One sentence."""
        trained = f" ({self.trained})" if self.trained else ""
        return f"{self}{trained}"

    def __repr__(self) -> str:
        return f"AliasMove({self.summary})"

    def _repr_html_(self) -> str:
        """The sentence, as notebooks show it."""
        return to_html(self.summary)


def promote(
    version: str | TrainResult,
    to: str,
    *,
    tracking_uri: str | None = None,
    runs: str | Path = "autoact-runs",
) -> AliasMove:
    """Give a version of a registered model an alias, such as the one that serves; ``rollback`` takes it back.

    Where the version has the alias already, nothing changes, and ``rollback`` takes back the promote before.

    Args:
        version: ``"models:/NAME@candidate"``, ``"models:/NAME/3"``, or what ``autoact.train`` returned.
        to: the alias, such as ``"champion"``.
        tracking_uri: where MLflow is; else ``MLFLOW_TRACKING_URI``, else the SQLite file in ``runs``.
        runs: the folder that trainings write to.

    Raises:
        AutoactError: there is no such version or store, or the alias cannot be given.

    Example:
        >>> promote("models:/churn-autoact@candidate", "champion", runs="nowhere")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: there is no MLflow store ...
    """
    check_value(to, str, "to")
    if isinstance(version, TrainResult):
        if version._store is None or version.model_uri is None:
            raise AutoactError("this model is not registered: train without tracking=none and train.register=none")
        registry, version = Registry(version._store), version.model_uri
    else:
        check_value(version, str, "version")
        registry = Registry.at(TrackingSettings(uri=tracking_uri), runs)
    found = registry.version(version)
    move = registry.planned(found, to)
    registry.carry_out(move)
    return AliasMove(**vars(move), trained=found.tags.get("autoact.summary", "trained elsewhere"))


def rollback(alias: str, *, tracking_uri: str | None = None, runs: str | Path = "autoact-runs") -> AliasMove:
    """Take the last ``promote`` of an alias back; once more takes back the one before.

    Args:
        alias: ``"models:/NAME@champion"``.
        tracking_uri: see ``promote``.
        runs: see ``promote``.

    Raises:
        AutoactError: there is nothing to take back, or the alias was moved by other means since.

    Example:
        >>> rollback("churn-autoact")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: rollback needs an alias: models:/NAME@champion
    """
    if not isinstance(alias, str):
        raise AutoactError(f"alias is a {type(alias).__name__}: rollback needs models:/NAME@champion")
    name, separator, word = alias.removeprefix("models:/").partition("@")
    if not separator or not name or not word:
        raise AutoactError("rollback needs an alias: models:/NAME@champion")
    registry = Registry.at(TrackingSettings(uri=tracking_uri), runs)
    move = registry.planned_back(name, word)
    registry.carry_out(move, back=True)
    return AliasMove(**vars(move))
