"""Labelled sequences: digits, npz files, tables whose columns are steps."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from autoact.core.errors import AutoactError
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings

KIND = "sequence_classification"


def _npz(folder: Path, **arrays: Any) -> DataSettings:
    np.savez(folder / "waves.npz", **arrays)
    return DataSettings(source="npz", path=str(folder / "waves.npz"))


def _waves(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(3.0, 2.0, (rows, 2, 9)).astype(np.float32), np.arange(rows) % 3


def test_digits_are_rows_in_time() -> None:
    prepared = prepare(DataSettings(source="sklearn", name="digits", scaling="none"), KIND)
    assert prepared.input_shape == (8, 8) and prepared.outputs == 10
    row = int(prepared.train.rows[0])
    image = load_digits().images[row]
    # Channel c at time t is the pixel in column c of image row t.
    assert np.array_equal(prepared.train.x[0].numpy(), image.T.astype(np.float32))
    assert prepared.classes is not None
    assert prepared.classes[int(prepared.train.y[0])] == str(load_digits().target[row])


def test_channels_are_scaled_by_training_rows(tmp_path: Path) -> None:
    x, y = _waves(90)
    prepared = prepare(_npz(tmp_path, X=x, y=y), KIND)
    assert torch.allclose(prepared.train.x.mean(dim=(0, 2)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(prepared.train.x.std(dim=(0, 2)), torch.ones(2), atol=1e-2)
    assert sum(prepared.sizes.values()) == 90


def test_an_official_split_is_kept(tmp_path: Path) -> None:
    (x, y), (tx, ty) = _waves(60), _waves(30, seed=1)
    prepared = prepare(_npz(tmp_path, X_train=x, y_train=y, X_test=tx, y_test=ty), KIND)
    assert prepared.sizes == {"train": 51, "validation": 9, "test": 30}
    assert pickle.loads(pickle.dumps(prepared)).test.open("try").prepared.validation.y.tolist() == ty.tolist()


def test_one_channel_may_be_left_out_of_the_shape(tmp_path: Path) -> None:
    x, y = _waves(60)
    assert prepare(_npz(tmp_path, X=x[:, 0], y=y), KIND).input_shape == (1, 9)


def test_a_table_is_one_channel(tmp_path: Path) -> None:
    x, y = _waves(60)
    frame = pd.DataFrame(x[:, 0], columns=[f"t{k}" for k in range(9)]).assign(label=y, machine=y + np.arange(60) // 6)
    frame.to_csv(tmp_path / "wide.csv", index=False)
    settings = DataSettings(path=str(tmp_path / "wide.csv"), target="label", split="group", group="machine")
    prepared = prepare(settings, KIND)
    assert prepared.input_shape == (1, 9) and prepared.split == "group"
    machines = [set(frame["machine"][p.rows]) for p in (prepared.train, prepared.validation)]
    assert not machines[0] & machines[1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "has no array 'X' .it has a."),
        ({"X": np.zeros((4, 2, 5)), "y": np.arange(3)}, "one label for each of the 4 rows"),
        ({"X": np.zeros(4), "y": np.arange(4)}, r"X must hold numbers \[rows, channels, time\]"),
        ({"X": np.full((4, 2, 5), np.nan), "y": np.arange(4)}, "missing or infinite value in row 1, channel 0, step 0"),
        ({"X": np.zeros((4, 2, 5)), "y": np.array([0, 0, 0, 1])}, "class '1' has too few rows"),
        ({"X_train": np.zeros((4, 2, 5)), "y_train": np.arange(4)}, "has no array 'X_test'"),
        (
            {
                "X_train": np.zeros((4, 2, 5)),
                "y_train": np.arange(4),
                "X_test": np.zeros((4, 2, 6)),
                "y_test": np.arange(4),
            },
            "X_train and X_test differ",
        ),
        ({"X": np.array([{"a": 1}], dtype=object), "y": np.arange(1)}, "cannot be read as npz"),
    ],
)
def test_bad_archives(tmp_path: Path, arrays: dict, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        prepare(_npz(tmp_path, **arrays), KIND)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("hello")
    with pytest.raises(AutoactError, match="cannot be read as npz"):
        prepare(DataSettings(source="npz", path=str(tmp_path / "x.npz")), KIND)


def test_columns_that_arrays_do_not_have(tmp_path: Path) -> None:
    x, y = _waves(60)
    settings = _npz(tmp_path, X=x, y=y)
    settings.split, settings.group = "group", "machine"
    with pytest.raises(AutoactError, match="name columns of a table"):
        prepare(settings, KIND)


def test_categories_are_no_steps() -> None:
    with pytest.raises(AutoactError, match="the steps of a sequence must be numbers"):
        prepare(DataSettings(source="packaged", name="churn", target="Churn", drop=["customerID"]), KIND)
