"""Values against declared types: one check for every face."""

import math
from dataclasses import dataclass, field, fields

import numpy as np
import pytest

from autoact.config.schema import RecipeSettings
from autoact.core.errors import AutoactError
from autoact.core.typed_values import MOST, check_value, check_values
from autoact.data.settings import DataSettings
from autoact.engines.settings import EngineSettings
from autoact.latency.hardware import HardwareSettings
from autoact.space.settings import SpaceSettings
from autoact.study.settings import ConfirmSettings, LatencySettings, ObjectiveSettings, RungSettings, SearchSettings
from autoact.tracking.settings import TrackingSettings

RECORDS = (
    ConfirmSettings, DataSettings, EngineSettings, HardwareSettings, LatencySettings, ObjectiveSettings, RungSettings,
    RecipeSettings, SearchSettings, SpaceSettings, TrackingSettings,
)  # fmt: skip


@dataclass
class Inner:
    share: float = 0.5


@dataclass
class Outer:
    count: int | None = None
    names: list[str] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("value", "kind", "allowed"),
    [
        (1.0, int, "a whole number"), (True, int, "a whole number"), ("1", int, "a whole number"),
        (math.nan, int, "a whole number"), (MOST + 1, int, f"a whole number, {MOST} at most"),
        (math.nan, float, "a finite number"), (-math.inf, float, "a finite number"),
        ("1", float, "a finite number"),
        (None, float, "a finite number"), (True, float, "a finite number"), (1, bool, "true or false"),
        (3, str, "text"),
        ("relu", list[str], "a list, such as ['relu']"), (None, list[str], "a list"), ([3], list[str], "text"),
        ([0.1, math.inf], list[float], "a finite number"), ("x", int | None, "a whole number"),
        (3, dict[str, int], "names with values, such as {'name': 1}"),
        ({1: 2}, dict[str, int], "names with values, such as {'name': 1}"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_what_is_allowed(value, kind, allowed):
    with pytest.raises(AutoactError) as caught:
        check_value(value, kind, "a.b")
    assert str(caught.value).startswith("a.b=") and str(caught.value).endswith(f"must be {allowed}")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3, float), (np.int64(3), int), (np.float32(0.5), float), (np.str_("x"), str), (None, int | None),
        (("a",), list[str]),
    ],
)  # fmt: skip
def test_what_fits_passes(value, kind):
    check_value(value, kind, "a.b")


def test_records_in_records_are_checked():
    check_values(Outer(), "outer")
    with pytest.raises(AutoactError, match=r"^outer\.inner\.share=inf must be a finite number$"):
        check_values(Outer(inner=Inner(share=math.inf)), "outer")
    with pytest.raises(AutoactError, match=r"^outer\.inner='x' must be settings of its own \(Inner\)$"):
        check_values(Outer(inner="x"), "outer")


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("wrong", [object(), math.nan, 10**12])
def test_every_setting_of_every_group_refuses_what_is_not_meant_in_one_line(record, wrong):
    for one in fields(record):
        if one.type in ("RungSettings", "LatencySettings") or (wrong == 10**12 and "float" in str(one.type)):
            continue
        with pytest.raises(AutoactError, match=rf"\.{one.name}=.* must be ") as caught:
            record(**{one.name: wrong})
        assert "\n" not in str(caught.value)


def test_the_hardware_and_the_rungs_are_checked_too():
    with pytest.raises(AutoactError, match=r"hardware\.price_per_hour=inf must be a finite number"):
        HardwareSettings(price_per_hour=math.inf, currency="USD")
    with pytest.raises(AutoactError, match=r"hardware\.device=None must be text"):
        HardwareSettings(device=None)
    for wrong in (math.nan, math.inf):
        with pytest.raises(AutoactError, match=r"search\.rungs\.first=.* must be a finite number"):
            SearchSettings(rungs=RungSettings(first=wrong))


@pytest.mark.parametrize(("trials", "tuning", "advised"), [(4, 4, 1), (None, 1000, 10), (60, 60, 10)])
def test_tuning_that_leaves_no_trial_to_others_is_refused_and_the_advice_holds(trials, tuning, advised):
    with pytest.raises(AutoactError, match=rf"leaves none of search\.trials=.*: search\.tuning={advised} does"):
        SearchSettings(trials=trials, tuning=tuning)
    SearchSettings(trials=trials, tuning=advised)
    SearchSettings(minutes=1, tuning=tuning)
