"""What a file of LightningCLI says and a search does not read is told."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import pytest
import yaml

from autoact.core.errors import AutoactError
from autoact.user_code.lightning_cli_file import CliFile

SCRIPT = """
import lightning
import torch

class Shop(lightning.LightningModule):
    def __init__(self, width: int = 4, rate: float = 0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Linear(3, width)

class Linked(Shop):
    def __init__(self, features: int):
        super().__init__(features)

class Goods(lightning.LightningDataModule):
    def __init__(self, rows: int = 8):
        super().__init__()
        self.rows = rows
"""

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


@pytest.fixture
def shop_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A script's package beside its file, and a function that reads a file."""
    (tmp_path / "shop_cli.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def read(text: str, *trust: str) -> CliFile:
        Path("f.yaml").write_text(textwrap.dedent(text))
        return CliFile("f.yaml", trust or ("shop_cli",))

    yield read
    sys.modules.pop("shop_cli", None)


def test_classes_are_known_by_their_names_alone(shop_cli: Any) -> None:
    file = shop_cli(
        """
        model: {class_path: Shop, init_args: {width: 7}}
        data: Goods
        optimizer: {class_path: AdamW, init_args: {lr: 1e-3}}
        lr_scheduler: {class_path: ReduceLROnPlateau, init_args: {monitor: val_loss}}
        trainer: {callbacks: {class_path: EarlyStopping, init_args: {monitor: val_loss}}}
        """
    )
    module = file.maker("module", {})()
    assert (type(module).__module__, module.hparams.width, file.maker("datamodule", {})().rows) == ("shop_cli", 7, 8)
    made = module.configure_optimizers()
    assert (type(made["optimizer"]).__name__, made["optimizer"].param_groups[0]["lr"]) == ("AdamW", 0.001)
    assert made["lr_scheduler"]["monitor"] == "val_loss"
    assert [type(make()) for make in file.callbacks()] == [lightning.pytorch.callbacks.EarlyStopping]


def test_numbers_are_read_as_lightning_cli_reads_them(shop_cli: Any) -> None:
    assert shop_cli("trainer: {gradient_clip_val: 1e-1}").trainer() == {"gradient_clip_val": 0.1}


def test_a_name_that_no_class_has_is_to_be_written_whole(shop_cli: Any) -> None:
    with pytest.raises(AutoactError, match=r"class_path=Shopp .* write it whole, package.module.Class"):
        shop_cli("model: {class_path: Shopp}").maker("module", {})


def test_what_a_search_does_not_make_needs_no_trust(shop_cli: Any) -> None:
    file = shop_cli("trainer: {logger: {class_path: theirs.Logger}, callbacks: null}")
    assert "trainer.logger=" in file.notes(["module"])[0]
    with pytest.raises(AutoactError, match="trust=theirs"):
        shop_cli("trainer: {callbacks: [{class_path: theirs.Stop}]}")


@pytest.mark.parametrize("path", ["shop_cli.Shop", "shop_cli:Shop", "Shop"])
def test_a_section_without_a_class_holds_its_arguments(shop_cli: Any, path: str) -> None:
    file = shop_cli("model: {width: 5, rate: 5e-2}")
    with pytest.raises(AutoactError, match=r"names no class: .* module_arguments.class_path=package.module.Class"):
        file.maker("module", {})
    module = file.maker("module", {"class_path": path, "rate": 0.3})()
    assert dict(module.hparams) == {"width": 5, "rate": 0.3}


def test_a_class_that_the_command_line_names_is_trusted_there(shop_cli: Any) -> None:
    with pytest.raises(AutoactError, match=r"module_arguments.class_path=theirs.Net .* trust=theirs"):
        shop_cli("model: {width: 5}").maker("module", {"class_path": "theirs.Net"})


def test_an_argument_that_a_script_links_is_asked_for(shop_cli: Any) -> None:
    file = shop_cli("model: {}")
    with pytest.raises(AutoactError, match=r"required: features: give them as module_arguments.NAME=VALUE"):
        file.maker("module", {"class_path": "Linked"})
    assert file.maker("module", {"class_path": "Linked", "features": 6})().net.out_features == 6


def test_what_does_not_fit_is_told_in_its_own_words(shop_cli: Any) -> None:
    make = shop_cli("model: {class_path: Shop, dict_kwargs: {colour: red}}").maker("module", {})
    with pytest.raises(AutoactError, match="unexpected keyword argument 'colour'"):
        make()
