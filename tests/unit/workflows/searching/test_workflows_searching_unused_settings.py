"""Notes of a prepared search: what cannot act, and layers that cannot stand at a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoact.cli.config_arguments import read
from autoact.core.errors import AutoactError
from autoact.workflows.searching.unused_settings import why_idle_here
from autoact.workflows.task_source import Configured, prepared_search

MIXED = """
import torch
from torch import nn
from autoact.recipes.tabular import TabularClassifier


class Mixed(TabularClassifier):
    \"\"\"A convolution with an activation, where a gated layer cannot stand, before a perceptron, where it can.\"\"\"

    def __init__(self, inputs, outputs, **arguments):
        super().__init__(inputs=inputs, outputs=outputs, **arguments)
        self.head = nn.Identity()
        self.layers = nn.Identity()
        self.net = nn.Sequential(
            nn.Unflatten(1, (1, inputs)), nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(2 * (inputs - 2), 16), nn.ReLU(), nn.Linear(16, outputs),
        )

    def forward(self, x):
        return self.net(x) if hasattr(self, "net") else super().forward(x)  # the recipe runs itself once
"""


def test_a_gated_layer_that_cannot_stand_at_a_site_is_a_note_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mixed_layers.py").write_text(MIXED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["task=cancer", "recipe.module=mixed_layers:Mixed", "trust=mixed_layers", "hardware.device=cpu"]
    prepared = prepared_search(Configured(read([*words, "candidates=[tanh,swiglu]"]).settings("search")[0]))
    told = [note for note in prepared.notes if note.startswith("not tried everywhere: swiglu cannot stand at ")]
    assert len(told) == 1
    plain = prepared_search(Configured(read([*words, "candidates=[tanh]"]).settings("search")[0]))
    assert not any("not tried everywhere" in note for note in plain.notes)


def test_a_rate_for_weights_that_no_activation_has_is_told() -> None:
    words = ["task=cancer", "hardware.device=cpu", "space.activation_rate=0.3"]
    plain, learnt = (
        prepared_search(Configured(config, given=keys))
        for config, keys, _ in (read([*words, f"candidates=[tanh,{n}]"]).settings("search") for n in ("relu", "prelu"))
    )
    idle = "space.activation_rate=0.3 has no effect: no activation on offer has weights of its own"
    assert why_idle_here("space.activation_rate", plain) and not why_idle_here("space.activation_rate", learnt)
    assert [note for note in plain.notes if note.startswith(idle)]
    said = (
        "prelu: their weights train with 0.3 times the learning rate and without weight decay (space.activation_rate)"
    )
    assert said in learnt.notes and not any(note.startswith(idle) for note in learnt.notes)


def test_a_sampler_by_reference_is_checked_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import optuna\n\n\nclass Mine(optuna.samplers.RandomSampler):\n    pass\n"
    (tmp_path / "my_samplers.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def prepared(*words: str) -> str:
        given = ["task=cancer", "hardware.device=cpu", "candidates=[tanh]", *words]
        return prepared_search(Configured(read(given).settings("search")[0])).settings.search.sampler

    assert prepared("search.sampler=my_samplers:Mine", "trust=my_samplers") == "my_samplers:Mine"
    assert prepared("search.sampler=tpe", "search.sampler_options.n_startup_trials=5") == "tpe"
    with pytest.raises(AutoactError, match="allow it with trust=my_samplers"):
        prepared("search.sampler=my_samplers:Mine")
    with pytest.raises(AutoactError, match="CmaEsSampler cannot propose in this search"):
        prepared("search.sampler=optuna.samplers.CmaEsSampler")
    with pytest.raises(AutoactError, match="'n_startup': did you mean n_startup_trials"):
        prepared("search.sampler=tpe", "search.sampler_options.n_startup=5")
