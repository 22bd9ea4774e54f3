"""Settings that messages print: pasted into a shell, through Hydra, they mean what was meant."""

from __future__ import annotations

import shlex

import pytest
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from autoact.config.override_syntax import read_override
from autoact.core.override_text import override
from autoact.data.settings import DataSettings

NAMES = [
    "id",
    "",
    " ",
    "Unnamed: 0",
    "a,b",
    "it's",
    'say "so"',
    "price (EUR)",
    "x[0]",
    "{a}",
    "a=b",
    "Größe in m²",
    "名前",
    "true",
    "null",
    "inf",
    "12",
    "1e5",
    "0.5",
    "$1500",
    "${data.path}",
    "$(date)",
    "`date`",
    "100 %",
    "C:\\",
    "a\\b",
    "\\'",
    "wow!",
    "#1",
    "a*b?",
    "~x",
    "-x",
    "a;b|c&d",
    "a\tb",
    "_target_",
]


def through_hydra(pasted: str, key: str) -> object:
    (word,) = shlex.split(pasted)
    read = read_override(word, {"data.drop": list[str], "data.time": str}, (), {})
    ConfigStore.instance().store("advice", {"data": OmegaConf.structured(DataSettings)})
    with initialize(version_base=None):
        found = compose("advice", [read])
    return OmegaConf.to_container(found, resolve=True)["data"][key]  # type: ignore[index, call-overload]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_column_is_called_advice_can_be_pasted(name: str) -> None:
    assert through_hydra(override("data.drop", [name]), "drop") == [name]
    assert through_hydra(override("data.drop", ["id", name]), "drop") == ["id", name]
    assert through_hydra(override("data.time", name), "time") == name


def test_plain_names_are_written_plainly() -> None:
    assert override("data.drop", ["id", "customer_id"]) == "data.drop=[id,customer_id]"
    assert override("data.time", "date") == "data.time=date"
