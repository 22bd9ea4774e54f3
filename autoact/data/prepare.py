"""The way of the data, from settings to tensors."""

from __future__ import annotations

from autoact.data.preparation.forecasts import prepare_forecast
from autoact.data.preparation.sequences import prepare_sequences
from autoact.data.preparation.tables import prepare_table
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings, check_settings
from autoact.data.sources.load import load_table


def prepare(settings: DataSettings, kind: str, *, whole: bool = False) -> PreparedData:
    """Load, check, split, fit preprocessing on the training rows, seal the test rows.

    Args:
        settings: what the user says about his data.
        kind: ``classification``, ``regression``, ``sequence_classification`` or ``forecast``.
        whole: learn from the validation rows too, preprocessing included: for the last training, after which nothing
            is chosen. Validation rows are then rows that were learnt from; the test part is the same, and sealed.

    Raises:
        AutoactError: whatever is wrong with settings or data, in one line.

    Example:
        >>> prepared = prepare(DataSettings(source="sklearn", name="breast_cancer"), "classification")
        >>> prepared.sizes, prepared.inputs, prepared.classes
        ({'train': 370, 'validation': 86, 'test': 113}, 30, ['benign', 'malignant'])
    """
    check_settings(settings, kind)
    if kind == "sequence_classification":
        return prepare_sequences(settings, whole=whole)
    if kind == "forecast":
        return prepare_forecast(load_table(settings), settings, whole=whole)
    return prepare_table(load_table(settings), settings, kind, whole=whole)
