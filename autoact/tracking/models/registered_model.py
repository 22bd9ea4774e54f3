"""A model of MLflow's, of whatever flavour, that predicts beside ours."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoact.data.columns.column_types import as_text, numbers
from autoact.tracking.models.model_registry import Registry, using
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import failing, reach, shown

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel
    from mlflow.types import Schema


class RegisteredModel:
    """A model by its address; an alias is resolved once, so that all rows are scored by one version.

    A copy that travels to another process loads the model again where it is asked.

    Args:
        address: ``models:/name@alias``, ``models:/name/3``, ``runs:/id/path`` or a folder with an ``MLmodel`` file.
        output: the output folder, beside which the store is unless the settings name another.

    Raises:
        AutoactError: there is no such model, or it cannot be loaded here.
    """

    def __init__(self, address: str, settings: TrackingSettings, output: Path) -> None:
        self.title = address.removeprefix("models:/")
        store = Registry.at(settings, output).store
        self._uri = store.uri
        self._address = address
        if (named := re.fullmatch(r"models:/([^/@]+)@(.+)", address)) is not None:
            with self._loading(), reach():
                version = store.client.get_model_version_by_alias(named[1], named[2]).version
            self.title, self._address = f"{self.title} (version {version})", f"models:/{named[1]}/{version}"
        self._loaded: PyFuncModel | None = None

    def _loading(self) -> AbstractContextManager[None]:
        return failing(f"production_model={self.title} cannot be loaded from MLflow at {shown(self._uri)}")

    def _model(self) -> PyFuncModel:
        if self._loaded is None:
            with self._loading(), using(self._uri) as mlflow:
                self._loaded = mlflow.pyfunc.load_model(self._address)
        return self._loaded

    @property
    def columns(self) -> list[str] | None:
        """The columns of its signature; None where it has none, or names none."""
        schema = self._model().metadata.get_input_schema()
        return None if schema is None or not schema.has_input_names() else [str(n) for n in schema.input_names()]

    def predict(self, frame: pd.DataFrame) -> tuple[Any, list[str] | None]:
        """Probabilities where the model can give them, else what ``predict`` gives; and the classes where known.

        Raises:
            AutoactError: the model does not take these rows.
        """
        model = self._model()
        frame = _typed(frame, model.metadata.get_input_schema())
        try:
            raw = model.get_raw_model()
        except NotImplementedError:  # a model in plain Python
            raw = None
        classes = getattr(raw, "classes_", None)
        with failing(f"production_model={self.title} cannot score the rows"), reach():
            if raw is not None and hasattr(raw, "predict_proba"):
                return raw.predict_proba(frame), None if classes is None else [str(label) for label in classes]
            return model.predict(frame), None

    def __getstate__(self) -> dict[str, object]:
        """What travels: where the model is, and not the model."""
        return {**self.__dict__, "_loaded": None}


def _typed(frame: pd.DataFrame, schema: Schema | None) -> pd.DataFrame:
    """The columns with the types of a signature, where it has some: a file does not tell whole numbers from others."""
    if schema is None or not schema.has_input_names():
        return frame
    frame = frame.copy(deep=False)
    for name, kind in zip(schema.input_names(), schema.input_types(), strict=True):
        column, wanted = frame[name], str(getattr(kind, "name", kind))
        if wanted == "string":
            column = as_text(column)
        elif wanted in ("double", "float"):
            column = numbers(column).astype("float64" if wanted == "double" else "float32")
        elif wanted in ("long", "integer") and column.notna().all():
            column = numbers(column).astype("int64" if wanted == "long" else "int32")
        frame[name] = column
    return frame
