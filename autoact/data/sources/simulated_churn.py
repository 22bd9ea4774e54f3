"""Simulated telecom churn: the columns of IBM's Telco set, made by a documented process.

No real customer is in it. The columns, their types and their quirks (``TotalCharges`` is text, blank for customers
of month 0) are those of the IBM Telco Customer Churn set, so that what is built on one runs on the other.

How a customer comes to be:

1. Person: gender, senior (16 %), partner, dependents (rare among seniors and singles).
2. Contract: month-to-month 55 %, one year 21 %, two years 24 %. Tenure, 0 to 72 months, given the contract: long
   contracts belong to old customers. 11 of 7,043 have just signed a one- or two-year contract (month 0).
3. Services: fibre is commoner in monthly contracts; a line without phone is always DSL; add-ons and multiple lines
   become commoner with tenure; television and film streaming go together.
4. Billing: paperless and electronic check go with fibre and monthly contracts.
5. Charges: list prices (phone 20, second line 5, DSL 25, fibre 50, add-on 5, streaming 10) plus an individual
   surcharge or discount; total = months x charge with a drift of at most 6 %.
6. Leaving is a latent utility ``systematic(columns) + unobserved + logistic noise``; the 26.54 % of customers with the
   largest utility leave, never those of month 0. The unobserved part (mood, rival offers; standard deviation 1.3) is
   in no column: it bounds what any model can reach.

The systematic part (``leaving_utility``) holds what a linear model cannot hold: a hazard that falls with the
logarithm of tenure and does so faster for monthly contracts; a rise near the end of a yearly term; fibre without
support and security; a price that hurts above 70 a month, more for seniors and monthly contracts; a try-and-leave
effect of new streaming customers; seniors living alone.

The process was set by plausibility and calibrated on two numbers alone, the churn rate of the real set and the best
AUC that any model can reach (about .865). No network was ever trained to shape it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError

CUSTOMERS = 7043
_CHURN_SHARE = 1869 / 7043
_NEW_SHARE = 11 / 7043
_UNOBSERVED = 1.3
_CONTRACTS = ("Month-to-month", "One year", "Two year")
_PAYMENTS = ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)")
_ADD_ONS = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
_STREAMING = ("StreamingTV", "StreamingMovies")


def simulate_churn(customers: int = CUSTOMERS, seed: int = 0) -> pd.DataFrame:
    """Customers with the 21 columns of the IBM Telco set.

    Only uniform numbers are drawn, the most stable part of NumPy's generators (PCG64).

    Raises:
        AutoactError: fewer than 100 customers.

    Example:
        >>> frame = simulate_churn()
        >>> frame.shape, int((frame["Churn"] == "Yes").sum()), int((frame["TotalCharges"] == " ").sum())
        ((7043, 21), 1869, 11)
    """
    if customers < 100:
        raise AutoactError(f"simulated churn needs 100 customers or more, not {customers}")
    random = np.random.Generator(np.random.PCG64(seed))
    frame = pd.DataFrame({"customerID": _identifiers(customers, random)})
    _add_person(frame, random)
    contract = _pick(random, np.tile([0.55, 0.21, 0.24], (customers, 1)))
    frame["tenure"] = _tenure(contract, random)
    _add_services(frame, contract, random)
    frame["Contract"] = np.take(_CONTRACTS, contract)
    _add_billing(frame, random)
    _add_charges(frame, random)
    frame["Churn"] = _leave(frame, random)
    return frame


def leaving_utility(frame: pd.DataFrame) -> np.ndarray:
    """The part of the wish to leave that the columns hold: the best score any model can learn.

    **Shape**: ``[customers]``, in logits up to a constant.

    Example:
        >>> frame = simulate_churn(200, seed=1)
        >>> leaves = frame["Churn"] == "Yes"
        >>> utility = leaving_utility(frame)
        >>> bool(utility[leaves].mean() > utility[~leaves].mean())
        True
    """
    tenure = frame["tenure"].to_numpy(dtype="float64")
    monthly = (frame["Contract"] == "Month-to-month").to_numpy()
    one_year, two_year = ((frame["Contract"] == c).to_numpy() for c in _CONTRACTS[1:])
    senior = frame["SeniorCitizen"].to_numpy() == 1
    alone = (frame["Partner"] == "No").to_numpy()
    fibre = (frame["InternetService"] == "Fiber optic").to_numpy()
    offline = (frame["InternetService"] == "No").to_numpy()
    no_support = (frame["TechSupport"] == "No").to_numpy()
    no_security = (frame["OnlineSecurity"] == "No").to_numpy()
    streams = ((frame["StreamingTV"] == "Yes") & (frame["StreamingMovies"] == "Yes")).to_numpy()
    price = np.maximum(frame["MonthlyCharges"].to_numpy() - 70.0, 0.0) / 10.0

    utility = -0.45 * np.log1p(tenure) * (1.0 + 0.6 * monthly)
    utility += -2.0 * one_year - 3.4 * two_year
    utility += 0.9 * one_year * (tenure % 12 >= 11) + 1.1 * two_year * (tenure % 24 >= 23)
    utility += fibre * (0.5 + 0.7 * no_support + 0.4 * no_security) + 0.25 * no_support - 0.7 * offline
    utility += price * (0.10 + 0.12 * monthly + 0.15 * senior)
    utility += 0.5 * (streams & monthly & (tenure <= 12))
    utility += 0.5 * (senior & alone) - 0.3 * (frame["Dependents"] == "Yes").to_numpy()
    utility += 0.5 * (frame["PaymentMethod"] == "Electronic check").to_numpy()
    utility += 0.25 * (frame["PaperlessBilling"] == "Yes").to_numpy()
    return utility


def _leave(frame: pd.DataFrame, random: np.random.Generator) -> np.ndarray:
    """Those with the largest utility leave, the exact share of the real set."""
    count = len(frame)
    # Twelve uniforms make a nearly normal number without a library's normal generator.
    unobserved = _UNOBSERVED * (random.random((count, 12)).sum(axis=1) - 6.0)
    uniform = np.clip(random.random(count), 1e-12, None)
    utility = leaving_utility(frame) + unobserved + np.log(uniform / (1.0 - uniform))
    utility[frame["tenure"].to_numpy() == 0] = -np.inf
    leaves = np.zeros(count, dtype=bool)
    leaves[np.argsort(-utility, kind="stable")[: round(_CHURN_SHARE * count)]] = True
    return _yes_no(leaves)


def _yes_no(truth: np.ndarray) -> np.ndarray:
    return np.where(truth, "Yes", "No")


def _pick(random: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    edges = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    return (random.random(len(shares))[:, None] >= edges).sum(axis=1)


def _identifiers(count: int, random: np.random.Generator) -> list[str]:
    numbers = (random.random(count) * 10_000).astype(int)
    letters = (random.random((count, 2)) * 26).astype(int)
    # Three letters count the customers, so that no two share an identifier.
    serial = [chr(65 + k // 676 % 26) + chr(65 + k // 26 % 26) + chr(65 + k % 26) for k in range(count)]
    batch = [k // 17_576 for k in range(count)]
    return [
        f"{(n + b) % 10_000:04d}-{chr(65 + a)}{s}{chr(65 + z)}"
        for n, b, (a, z), s in zip(numbers, batch, letters, serial, strict=True)
    ]


def _add_person(frame: pd.DataFrame, random: np.random.Generator) -> None:
    count = len(frame)
    senior = random.random(count) < 0.162
    partner = random.random(count) < np.where(senior, 0.57, 0.465)
    dependents = random.random(count) < np.where(senior, 0.09, np.where(partner, 0.58, 0.12))
    frame["gender"] = np.where(random.random(count) < 0.505, "Male", "Female")
    frame["SeniorCitizen"] = senior.astype("int64")
    frame["Partner"] = _yes_no(partner)
    frame["Dependents"] = _yes_no(dependents)


def _tenure(contract: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Months as a customer, 0 to 72, given the contract."""
    power = np.take([2.4, 0.75, 0.22], contract)
    tenure = np.clip(np.ceil(72.0 * random.random(len(contract)) ** power), 1, 72).astype("int64")
    bound = np.flatnonzero(contract > 0)
    fresh = random.random(len(bound))
    tenure[bound[np.argsort(fresh, kind="stable")[: round(_NEW_SHARE * len(contract))]]] = 0
    return tenure


def _add_services(frame: pd.DataFrame, contract: np.ndarray, random: np.random.Generator) -> None:
    count = len(frame)
    age = frame["tenure"].to_numpy() / 72.0
    by_contract = np.array([[0.32, 0.55, 0.13], [0.39, 0.36, 0.25], [0.37, 0.25, 0.38]])
    internet = _pick(random, by_contract[contract])
    fibre, offline = internet == 1, internet == 2
    phone = ~((internet == 0) & (random.random(count) < 0.28))
    lines = random.random(count) < 0.22 + 0.40 * age + 0.12 * fibre
    frame["PhoneService"] = _yes_no(phone)
    frame["MultipleLines"] = np.where(phone, _yes_no(lines), "No phone service")
    frame["InternetService"] = np.take(["DSL", "Fiber optic", "No"], internet)
    starts = {"OnlineSecurity": 0.18, "OnlineBackup": 0.18, "DeviceProtection": 0.17, "TechSupport": 0.18}
    for name in _ADD_ONS:
        safe = name in ("OnlineSecurity", "TechSupport")
        share = starts[name] + 0.52 * age - (0.08 * fibre if safe else 0.0)
        frame[name] = np.where(offline, "No internet service", _yes_no(random.random(count) < share))
    taste = random.random(count)
    for name in _STREAMING:
        share = 0.05 + 0.55 * taste + 0.30 * age + 0.10 * fibre
        frame[name] = np.where(offline, "No internet service", _yes_no(random.random(count) < share))


def _add_billing(frame: pd.DataFrame, random: np.random.Generator) -> None:
    count = len(frame)
    fibre = (frame["InternetService"] == "Fiber optic").to_numpy()
    offline = (frame["InternetService"] == "No").to_numpy()
    monthly = (frame["Contract"] == "Month-to-month").to_numpy()
    frame["PaperlessBilling"] = _yes_no(random.random(count) < 0.45 + 0.25 * fibre - 0.2 * offline + 0.08 * monthly)
    electronic = 0.16 + 0.22 * fibre + 0.18 * monthly - 0.10 * offline
    mailed = 0.20 + 0.22 * offline + 0.06 * monthly - 0.08 * fibre
    automatic = (1.0 - electronic - mailed) / 2.0
    frame["PaymentMethod"] = np.take(_PAYMENTS, _pick(random, np.stack([electronic, mailed, automatic, automatic], 1)))


def _add_charges(frame: pd.DataFrame, random: np.random.Generator) -> None:
    """List prices with an individual surcharge; the total is text, blank where nothing was billed yet."""
    count = len(frame)
    price = 20.0 * (frame["PhoneService"] == "Yes") + 5.0 * (frame["MultipleLines"] == "Yes")
    price = price + frame["InternetService"].map({"DSL": 25.0, "Fiber optic": 50.0, "No": 0.0}).astype("float64")
    for name in _ADD_ONS:
        price = price + 5.0 * (frame[name] == "Yes")
    for name in _STREAMING:
        price = price + 10.0 * (frame[name] == "Yes")
    cents = np.round((price.to_numpy() + 3.0 * (random.random(count) - 0.5)) * 20.0) * 5.0
    months = frame["tenure"].to_numpy()
    drift = np.where(months > 1, 1.0 + 0.12 * (random.random(count) - 0.5), 1.0)
    total = np.round(cents * months * drift / 5.0) * 5.0 / 100.0
    frame["MonthlyCharges"] = cents / 100.0
    frame["TotalCharges"] = [
        " " if m == 0 else f"{t:.2f}".rstrip("0").rstrip(".") for m, t in zip(months, total, strict=True)
    ]
