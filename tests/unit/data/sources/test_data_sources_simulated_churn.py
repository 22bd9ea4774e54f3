"""Simulated churn: the Telco set's form, a documented process, a known ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from autoact.core.errors import AutoactError
from autoact.data.sources.simulated_churn import leaving_utility, simulate_churn

COLUMNS = [
    "customerID",
    "gender",
    "SeniorCitizen",
    "Partner",
    "Dependents",
    "tenure",
    "PhoneService",
    "MultipleLines",
    "InternetService",
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
    "Churn",
]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate_churn()


def test_form_is_that_of_the_telco_set(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == COLUMNS and len(frame) == 7043
    numeric = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
    assert numeric == ["SeniorCitizen", "tenure", "MonthlyCharges"]
    assert frame["customerID"].is_unique and frame["customerID"].str.fullmatch(r"\d{4}-[A-Z]{5}").all()
    blank = frame["TotalCharges"] == " "
    assert blank.sum() == 11 and (frame.loc[blank, "tenure"] == 0).all() and (frame.loc[blank, "Churn"] == "No").all()
    assert (frame["Churn"] == "Yes").sum() == 1869
    assert frame["tenure"].between(0, 72).all() and frame["MonthlyCharges"].between(18, 120).all()


def test_services_agree_with_each_other(frame: pd.DataFrame) -> None:
    offline = frame["InternetService"] == "No"
    assert ((frame["TechSupport"] == "No internet service") == offline).all()
    assert ((frame["MultipleLines"] == "No phone service") == (frame["PhoneService"] == "No")).all()
    first = frame[frame["tenure"] == 1]
    assert np.allclose(pd.to_numeric(first["TotalCharges"]), first["MonthlyCharges"])


def test_margins_are_plausible(frame: pd.DataFrame) -> None:
    share = frame["Contract"].value_counts(normalize=True)
    assert abs(share["Month-to-month"] - 0.55) < 0.03 and abs(share["Two year"] - 0.24) < 0.03
    rate = (frame["Churn"] == "Yes").groupby(frame["Contract"]).mean()
    assert rate["Month-to-month"] > 0.35 > 0.2 > rate["One year"] > rate["Two year"]


@pytest.mark.parametrize("seed", [0, 1])
def test_best_auc_that_any_model_can_reach(seed: int) -> None:
    large = simulate_churn(60_000, seed=seed)
    # The noise is independent of the columns, so ranking by the systematic part is the best ranking there is.
    assert 0.85 <= roc_auc_score(large["Churn"] == "Yes", leaving_utility(large)) <= 0.87


def test_the_process_is_fixed_by_its_seed(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(frame, simulate_churn())
    assert not frame["tenure"].equals(simulate_churn(seed=1)["tenure"])


def test_too_few_customers() -> None:
    with pytest.raises(AutoactError, match="needs 100 customers"):
        simulate_churn(99)
