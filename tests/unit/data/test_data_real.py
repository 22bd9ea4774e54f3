"""Real public sets, where they are at hand: sizes, classes and features as known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings

ROOT = Path(os.environ.get("AUTOACT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not ROOT.is_dir(), reason="real data are absent: set AUTOACT_SHARED_DATA to their folder"
)

ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
]


def _at(path: str) -> str:
    return str(ROOT / path)


def test_telco() -> None:
    settings = DataSettings(path=_at("telco_churn/Telco-Customer-Churn.csv"), drop=["customerID"], target="Churn")
    prepared = prepare(settings, "classification")
    assert prepared.sizes == {"train": 4578, "validation": 1056, "test": 1409}
    assert prepared.inputs == 46 and prepared.frame_schema["TotalCharges"] == "numeric"
    assert abs(float(prepared.train.y.float().mean()) - 0.265) < 0.001


def test_adult_with_its_official_test_file() -> None:
    settings = DataSettings(
        path=_at("adult/adult-train.csv"),
        test_path=_at("adult/adult-test.csv"),
        header=False,
        names=ADULT,
        target="income",
        positive=">50K",
        label_strip=".",
    )
    prepared = prepare(settings, "classification")
    assert prepared.classes == ["<=50K", ">50K"]
    assert sum(prepared.sizes.values()) - prepared.sizes["test"] == 32561 and prepared.sizes["test"] == 16281
    assert "workclass_missing" in prepared.features
    assert int(prepared.test.open("try").prepared.validation.y.sum()) == 3846


def test_california_housing() -> None:
    prepared = prepare(
        DataSettings(path=_at("california_housing/housing.csv"), target="median_house_value"), "regression"
    )
    assert sum(prepared.sizes.values()) == 20640
    assert prepared.inputs == 14 and "missingindicator_total_bedrooms" in prepared.features
    assert prepared.target_scale is not None and 205_000 < prepared.target_scale.mean[0] < 209_000


def test_credit_and_bike() -> None:
    credit = prepare(DataSettings(path=_at("credit_default/credit.csv"), target="default"), "classification")
    assert credit.classes == ["0", "1"] and sum(credit.sizes.values()) == 24000 and credit.inputs == 23
    bike = prepare(
        DataSettings(path=_at("bike_sharing/bike.csv"), target="cnt", time="dteday", split="time", drop=["instant"]),
        "regression",
    )
    assert bike.inputs == 12 and bike.train.rows.max() < bike.validation.rows.min()


@pytest.mark.parametrize(
    ("name", "file", "what"),
    [
        ("churn", "telco_churn/Telco-Customer-Churn.csv", {"target": "Churn", "drop": ["customerID"]}),
        ("credit", "credit_default/credit.csv", {"target": "default"}),
        ("bike", "bike_sharing/bike.csv", {"target": "cnt", "time": "instant", "drop": ["dteday"]}),
    ],
)
def test_a_set_that_comes_along_is_the_same_data_as_its_file(name: str, file: str, what: dict) -> None:
    kind = "regression" if name == "bike" else "classification"
    packaged = prepare(DataSettings(source="packaged", name=name, **what), kind)
    assert packaged.fingerprint == prepare(DataSettings(path=_at(file), **what), kind).fingerprint


def test_ett_windows_of_the_usual_split() -> None:
    settings = DataSettings(
        path=_at("ett/ETTh1.csv"), series=["OT"], time="date", history=96, horizon=96, max_rows=14400
    )
    settings.validation = settings.test = 0.2
    prepared = prepare(settings, "forecast")
    assert prepared.sizes == {"train": 8449, "validation": 2785, "test": 2785}
    # Repeating the last value is a published yardstick: far from perfect, better than nothing.
    part = prepared.validation
    assert torch.mean((part.y - part.x[:, 0, -1:]) ** 2) < torch.mean(part.y**2) * 3


def test_time_series_classification_archives() -> None:
    sizes = {}
    for name in ("ItalyPowerDemand", "GunPoint", "BasicMotions"):
        prepared = prepare(DataSettings(source="npz", path=_at(f"tsc/{name}.npz")), "sequence_classification")
        sizes[name] = (prepared.input_shape, prepared.sizes["test"], prepared.outputs)
    assert sizes == {
        "ItalyPowerDemand": ((1, 24), 1029, 2),
        "GunPoint": ((1, 150), 150, 2),
        "BasicMotions": ((6, 100), 40, 4),
    }
