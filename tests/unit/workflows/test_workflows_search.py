"""``autoact.search``: how a task is named, what arguments become, and where its runs are seen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoact.cli.config_arguments import read
from autoact.config.compose import settings as typed
from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.space.settings import SpaceSettings
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.search import prepared_from, search, where_runs_are


@pytest.mark.parametrize("output", ["runs", "a folder/of runs", "it's", "100 % (new)", Config().output])
def test_the_command_that_opens_the_store_names_its_folder(output: str) -> None:
    python, dash, module, verb, *words = shlex.split(where_runs_are(TrackingSettings(), Path(output), ""))
    assert (python, dash, module, verb) == ("python", "-m", "autoact", "ui")
    assert typed(read(words).config()).output == output


def test_a_server_has_an_address_instead() -> None:
    address = "http://server/#/runs"
    assert where_runs_are(TrackingSettings(), Path(Config().output), address) == address


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": "quality"}, r"objectives='quality' must be a list, such as \['quality'\]"),
        ({"candidates": "gelu"}, r"candidates='gelu' must be a list, such as \['gelu'\]"),
        ({"candidates": {"gelu"}}, r"candidates=\{'gelu'\} must be a list"),
        ({"trials": "4"}, "trials='4' must be a whole number"),
        ({"output": 3}, "output=3 must name a folder"),
        ({"settings": {"trials": 4}}, r"settings=\{'trials': 4\} must be autoact.SearchSettings"),
        ({"confirm": False}, r"confirm=False must be autoact.ConfirmSettings"),
        ({"engine": {"name": "inline"}}, r"must be a name or autoact.EngineSettings"),
        ({"trainer": 3}, "trainer=int must be arguments"),
        ({"trainer": {"profiler": object()}}, r"trainer.profiler=.* cannot be written into a configuration"),
        ({"overrides": {"output": "runs"}}, r"overrides=\{'output': 'runs'\} must be a list of texts"),
        ({"overrides": [3]}, r"overrides=\[3\] must be a list of texts"),
        ({"trials": 4, "overrides": ["search.trials=9"]}, "trials= and 'search.trials=9' of overrides say different"),
        ({"candidates": ["gelu"], "overrides": ["candidates=[tanh]"]}, "candidates= and .* say different things"),
        ({"confirm": ConfirmSettings(seeds=3), "overrides": ["confirm.seeds=2"]}, "confirm= and .* say different"),
        ({"output": "a", "overrides": ["output=b"]}, "output= and 'output=b' of overrides say different things"),
        (
            {"confirm": ConfirmSettings(), "overrides": ["confirm.seeds=2"]},
            "confirm= and 'confirm.seeds=2' of overrides say different things",
        ),
    ],
)
def test_arguments_beside_a_recipes_task_are_refused_as_beside_a_module(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(AutoactError, match=message):
        prepared_from("churn", None, arguments)  # type: ignore[arg-type]


def test_observers_are_asked_for_before_anything_is_prepared() -> None:
    for observers in (print, [print]):
        with pytest.raises(AutoactError, match="must be a list of"):
            search("churn", observers=observers)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    trials: Any = np.int64(4)
    overrides = ["engine=inline", f"output={tmp_path}"]
    prepared = prepared_from("churn", None, {"trials": trials, "output": str(tmp_path), "overrides": overrides})
    assert prepared.settings.search.trials == 4


def test_networks_to_choose_from_are_for_what_is_made_by_name(tmp_path: Path) -> None:
    space = SpaceSettings(arguments={"widht": [2, 4]})
    with pytest.raises(AutoactError, match=r"unknown argument of space\.arguments 'widht': did you mean width"):
        prepared_from("diabetes", None, {"space": space, "output": str(tmp_path)})
    with pytest.raises(AutoactError, match="has no effect: your function builds its own network"):
        prepared_from(lambda: None, None, {"space": space})  # type: ignore[arg-type,return-value]


def test_names_with_values_in_a_record_of_settings_are_read(tmp_path: Path) -> None:
    settings = SearchSettings(trials=4, sampler_options={"n_startup_trials": 3})
    prepared = prepared_from("diabetes", None, {"settings": settings, "output": str(tmp_path)})
    assert prepared.settings.search.sampler_options == {"n_startup_trials": 3}
