"""Settings of tracking check themselves when they are made."""

from __future__ import annotations

import pytest

from autoact.core.errors import AutoactError
from autoact.tracking.settings import TrackingSettings


@pytest.mark.parametrize(("uri", "near"), [("htp://server:5000", "http"), ("sqllite:///x.db", "sqlite"), ("://x", "")])
def test_an_address_that_nothing_opens_is_refused(uri: str, near: str) -> None:
    with pytest.raises(AutoactError, match=rf"unknown scheme of tracking\.uri '\w*':.*{near}.*Allowed: http, https"):
        TrackingSettings(uri=uri)


@pytest.mark.parametrize(
    "uri",
    ["http://host:5000", "sqlite:///runs/mlflow.db", "postgresql+psycopg2://u:p@h/db", "file:///x", "runs/mlruns",
     "databricks", "databricks://profile", "C:\\\\runs", "HTTPS://host"],
)  # fmt: skip
def test_addresses_that_mlflow_opens(uri: str) -> None:
    assert TrackingSettings(uri=uri).uri == uri
