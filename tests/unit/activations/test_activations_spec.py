from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from autoact.activations import registry
from autoact.activations.spec import Activation, Parameter, SearchRange
from autoact.core.errors import AutoactError


def test_a_row_is_frozen() -> None:
    row = registry.get("relu")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.name = "other"  # type: ignore[misc]


def test_values_fill_in_the_defaults_in_order() -> None:
    row = registry.get("hard_tanh")
    assert list(row.values({"max_val": 3.0}).items()) == [("min_val", -1.0), ("max_val", 3.0)]


def test_bounded_and_searchable_follow_from_the_fields() -> None:
    row = Activation("x", torch.sigmoid, output_range=(0.0, 1.0), reason_not_searchable="because")
    assert row.bounded and not row.searchable and not row.learnable
    assert not Activation("x", torch.relu, output_range=(0.0, math.inf)).bounded


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family": "gate"}, "family 'gate' is none of pointwise, learnable"),
        ({"family": "learnable"}, "needs parameters"),
        ({"parameters": (Parameter("a", 3.0, 0.0, 1.0),)}, r"default a=3 is outside 0 .. 1"),
        ({"parameters": (Parameter("a", math.nan),)}, "default a=nan"),
        ({"parameters": (Parameter("a", math.inf),)}, "default a=inf"),
        ({"parameters": (Parameter("a", 3.0, search=SearchRange(4.0, 5.0)),)}, "4 .. 5, log, must hold its default 3"),
        ({"parameters": (Parameter("a", 3.0, 2.0, search=SearchRange(1.0, 5.0)),)}, "lie within 2 .. inf"),
        ({"parameters": (Parameter("a", 3.0, search=SearchRange(-1.0, 5.0)),)}, "-1 .. 5, log, is none"),
        ({"parameters": (Parameter("a", 3.0, whole=True, search=SearchRange(1.0, 5.0)),)}, "must hold its default"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        Activation("x", torch.relu, **fields)
