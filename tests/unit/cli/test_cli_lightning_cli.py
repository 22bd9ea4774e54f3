"""What a file of LightningCLI says and a search does not read is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoact.cli.lightning_cli import CliFile

SAID = {
    "model": {"class_path": "torch.nn.Linear"},
    "data": {"class_path": "torch.nn.Linear"},
    "optimizer": {"class_path": "torch.optim.Adam"},
    "trainer": {"max_epochs": 3},
    "ckpt_path": None,
}


@pytest.mark.parametrize(
    ("serves", "without", "told"),
    [
        (["module", "datamodule"], [], []),
        (["module"], [], ["f.yaml: data is not used"]),
        (["datamodule"], [], ["f.yaml: model, optimizer, trainer is not used"]),
        (["datamodule"], ["model", "optimizer", "trainer"], []),
    ],
)
def test_sections_that_nothing_reads(
    serves: list[str], without: list[str], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text(yaml.safe_dump({k: v for k, v in SAID.items() if k not in without}, sort_keys=False))
    assert CliFile("f.yaml", []).notes(serves) == told


def test_a_schedule_without_its_optimiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text("model: {class_path: torch.nn.Linear}\nlr_scheduler: {class_path: torch.optim.Adam}\n")
    assert CliFile("f.yaml", []).notes(["module"]) == ["f.yaml: lr_scheduler is not used"]
