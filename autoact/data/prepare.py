"""The way of the data, from settings to tensors, for every kind of task."""

from __future__ import annotations

from dataclasses import replace

from autoact.core.errors import AutoactError
from autoact.data.coordinates.heat import prepare_heat
from autoact.data.coordinates.image import prepare_image
from autoact.data.preparation.fingerprint import data_fingerprint
from autoact.data.preparation.forecasts import prepare_forecast
from autoact.data.preparation.sequences import prepare_sequences
from autoact.data.preparation.tables import prepare_table
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import KINDS, DataSettings, TaskKind, check_settings
from autoact.data.sources.load import load_table


def prepare(settings: DataSettings, kind: str, *, whole: bool = False) -> PreparedData:
    """Load, check, split, fit preprocessing on the training rows, seal the test rows.

    Args:
        settings: what the user says about their data.
        kind: a name of ``KINDS``.
        whole: learn from the validation rows too, preprocessing included: for the last training, after which nothing
            is chosen. Validation rows are then rows that were learnt from; the test part is the same, and sealed.

    Raises:
        AutoactError: whatever is wrong with settings or data, in one line.

    Example:
        >>> prepared = prepare(DataSettings(source="sklearn", name="breast_cancer"), "classification")
        >>> prepared.sizes, prepared.inputs, prepared.classes
        ({'train': 370, 'validation': 86, 'test': 113}, 30, ['benign', 'malignant'])
    """
    row = KINDS.find(kind)
    check_settings(settings, row.like)
    if row.prepare is not None:
        return _prepared_by(row, settings, whole)
    if kind == "image":
        return prepare_image(settings, whole=whole)
    if kind == "heat":
        return prepare_heat(settings, whole=whole)
    if kind == "sequence_classification":
        return prepare_sequences(settings, whole=whole)
    if kind == "forecast":
        return prepare_forecast(load_table(settings), settings, whole=whole)
    return prepare_table(load_table(settings), settings, kind, whole=whole)


def _prepared_by(row: TaskKind, settings: DataSettings, whole: bool) -> PreparedData:
    """The data of a kind of task that a user or an installed package brought.

    Raises:
        AutoactError: its function gives something else than data of the kind that it is like.
    """
    assert row.prepare is not None
    prepared = row.prepare(settings, whole)
    if not isinstance(prepared, PreparedData) or prepared.kind != row.like:
        got = f"data of kind {prepared.kind}" if isinstance(prepared, PreparedData) else type(prepared).__name__
        raise AutoactError(f"task.kind={row.name} prepares {got}: it must give PreparedData of kind {row.like}")
    # What the function changes after reading a table is not in the fitted transformer: no saved file may claim it.
    note = (
        f"task.kind={row.name} prepares data with its own function: no preprocessing is saved beside a trained model, "
        "so python -m autoact predict cannot score new rows with it"
    )
    return replace(
        prepared,
        fingerprint=data_fingerprint(row.name, prepared.fingerprint, settings),
        preprocessing=None,
        profile={},
        notes=[*prepared.notes, note],
    )
