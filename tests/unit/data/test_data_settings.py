"""Settings: what is refused, and use as an OmegaConf schema."""

from __future__ import annotations

from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from autoact.core.errors import AutoactError
from autoact.data.settings import DataSettings, check_settings, settings_that_matter


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({}, "clasification", "did you mean classification"),
        ({"source": "cvs"}, "regression", "did you mean csv"),
        ({"scaling": "quantiles"}, "regression", "did you mean quantile"),
        ({"validation": 0.0}, "regression", "data.validation=0.0 must be a share"),
        ({"validation": 0.5, "test": 0.5}, "regression", "leave no rows to train on"),
        ({"horizon": 0}, "forecast", "data.horizon=0 must be 1 or more"),
        ({"max_categories": 1}, "regression", "data.max_categories=1 must be 2"),
        ({"seed": -1}, "regression", "data.seed=-1"),
        ({"numeric": ["a"], "categorical": ["a"]}, "regression", "declared in data.numeric and in data.categorical"),
        ({"split": "random"}, "forecast", "the past predicts the future"),
        ({"split": "stratified"}, "regression", "needs classes"),
        ({"split": "group"}, "regression", "data.group=COLUMN"),
        ({"source": "npz"}, "regression", "it is not for regression"),
        ({"delimiter": "||"}, "regression", "must be one character"),
        ({"source": "packaged", "name": "bike", "path": "x.csv"}, "regression", "data.source=csv reads it"),
        ({"source": "sklearn", "name": "iris", "path": "x.pq"}, "classification", "data.source=parquet reads it"),
    ],
)
def test_contradictions_are_refused(changes: dict, kind: str, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        check_settings(replace(DataSettings(), **changes), kind)


def test_an_official_test_file_lifts_the_limit_on_shares() -> None:
    check_settings(DataSettings(validation=0.5, test=0.5, test_path="x.csv"), "regression")


def test_omegaconf_takes_it_as_a_schema_and_gives_it_back() -> None:
    merged = OmegaConf.merge(OmegaConf.structured(DataSettings), {"path": "a.csv", "names": ["x"], "max_rows": 7})
    settings = OmegaConf.to_object(merged)
    assert settings == DataSettings(path="a.csv", names=["x"], max_rows=7)


def test_settings_that_matter_leave_out_where_the_data_lies() -> None:
    base = settings_that_matter(DataSettings())
    assert "path" not in base and "delimiter" not in base
    assert base != settings_that_matter(DataSettings(test=0.3))
