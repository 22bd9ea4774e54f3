"""What data is it? A sha256 over content and the settings that matter, the same in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np
import pandas as pd

from autoact.data.settings import DataSettings, settings_that_matter


def content_hash(pieces: Iterable[tuple[str, np.ndarray]]) -> str:
    """sha256 over named arrays of numbers or text.

    Numbers are hashed as little-endian float64 with one form of nan, text as UTF-8 with missing marked apart, so
    that neither the machine nor the way a column was stored shows.

    Example:
        >>> content_hash([("a", np.array([1, 2]))]) == content_hash([("a", np.array([1.0, 2.0], dtype="float32"))])
        True
    """
    digest = hashlib.sha256()
    for name, values in pieces:
        digest.update(json.dumps([name, list(values.shape)]).encode())
        if values.dtype == object:
            # json quotes every text, so no value can pass for a border between two.
            gaps = pd.isna(pd.Series(values.ravel(), dtype=object)).to_numpy()
            plain_text = [None if gap else str(v) for v, gap in zip(values.ravel(), gaps, strict=True)]
            digest.update(json.dumps(plain_text).encode())
        else:
            plain = np.ascontiguousarray(values, dtype="<f8") + 0.0
            digest.update(np.where(np.isnan(plain), np.nan, plain).astype("<f8").tobytes())
    return digest.hexdigest()


def frame_pieces(frame: pd.DataFrame, prefix: str = "") -> list[tuple[str, np.ndarray]]:
    """The columns of a table for ``content_hash``."""
    pieces = []
    for name in frame.columns:
        column = frame[name]
        number = pd.api.types.is_numeric_dtype(column.dtype)
        values = column.to_numpy(dtype="float64") if number else column.astype(object).to_numpy()
        pieces.append((f"{prefix}{name}", values))
    return pieces


def data_fingerprint(kind: str, content: str, settings: DataSettings) -> str:
    """sha256 over the task's kind, the content's hash and the settings that matter.

    Example:
        >>> a, b = DataSettings(path="x.csv"), DataSettings(path="y.csv")
        >>> data_fingerprint("regression", "c0ffee", a) == data_fingerprint("regression", "c0ffee", b)
        True
    """
    text = json.dumps([kind, content, settings_that_matter(settings)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
