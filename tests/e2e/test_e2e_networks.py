"""The network chosen first, on the command line: the search, the same command again, and what follows it."""

import re

import pytest
import torch
from safetensors.torch import load_file

WORDS = [
    "task=diabetes",
    "data.max_rows=120",
    "trainer.max_epochs=2",
    "engine=inline",
    "engine.population=6",
    "search.threads=1",
    "tracking=none",
]
SEARCH = [
    "recipe.arguments={width: 2, depth: 1}",
    "space.arguments={width: [2,64]}",
    "candidates=[tanh]",
    "search.trials=3",
    "confirm=none",
    "hardware.rounds=3",
    "hardware.min_ms=0.1",
]


@pytest.fixture(scope="module")
def found(cli, tmp_path_factory):
    """An output folder after a search that chose its network, and what was printed."""
    folder = tmp_path_factory.mktemp("networks")
    done = cli("search", *WORDS, *SEARCH, f"output={folder}")
    assert done.code == 0, done.err
    return folder, done


def test_the_choice_is_told_and_its_table_lies_in_the_studys_folder(found):
    folder, done = found
    assert "Choosing the network, with the activations as configured: 2 networks x" in done.out
    assert re.search(r"note: network: width=64, the best of 2: \d.*, as configured width=2: \d", done.out)
    (table,) = folder.glob("*/networks.csv")
    assert f"networks: {table}" in done.out and len(table.read_text(encoding="utf-8").splitlines()) == 3
    (report,) = folder.glob("*/report.md")
    assert "network: width=64, the best of 2" in report.read_text(encoding="utf-8")


def test_the_same_command_goes_on_from_there(found, cli):
    folder, _ = found
    again = cli("search", *WORDS, *SEARCH, f"output={folder}", "search.trials=4")
    assert again.code == 0, again.err
    assert "Choosing the network" not in again.out and "the study goes on from 3 trials" in again.out
    assert "note: network: width=64, the best of 2" in again.out


def test_a_recommendation_trains_its_own_network_and_says_so(found, cli, tmp_path):
    (file,) = found[0].glob("*/recommended.yaml")
    done = cli("train", *WORDS, f"recommendation={file}", f"output={tmp_path}")
    assert done.code == 0, done.err
    assert "as the recommendation says: depth=1 (not 3, as configured here)" in done.out
    (weights,) = tmp_path.glob("*/model.safetensors")
    assert load_file(weights)["layers.0.linear.weight"].shape == torch.Size([64, 10])
    own = cli("train", *WORDS, f"recommendation={file}", "recipe.arguments.width=32", f"output={tmp_path / 'own'}")
    assert "recipe.arguments makes another network than that of the search: width=32 (there 64)" in own.out
    (weights,) = tmp_path.glob("own/*/model.safetensors")
    assert load_file(weights)["layers.0.linear.weight"].shape == torch.Size([32, 10])


def test_a_check_measures_the_network_of_the_search(found, cli):
    (file,) = found[0].glob("*/recommended.yaml")
    done = cli("check", str(file), *WORDS, "policy=baseline", "seeds=2", "hardware.rounds=3", "hardware.min_ms=0.1")
    assert done.code in (0, 1), done.err
    assert "the network is that of the search" in done.out
