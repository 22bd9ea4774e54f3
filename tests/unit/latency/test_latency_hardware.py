"""Hardware settings, devices, and the shipped targets."""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from autoact.core.errors import AutoactError
from autoact.latency import hardware
from autoact.latency.hardware import HardwareSettings, describe, resolve_device

CONF = Path(__file__).parents[3] / "conf" / "hardware"
FILES = sorted(CONF.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_targets_fit_the_schema(path: Path) -> None:
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(plain) == [field.name for field in dataclasses.fields(HardwareSettings)]
    merged = OmegaConf.merge(OmegaConf.structured(HardwareSettings), OmegaConf.create(plain))
    target = OmegaConf.to_object(merged)
    assert isinstance(target, HardwareSettings)
    assert target.name == path.stem
    priced = [target.price_per_hour, target.currency, target.price_date, target.price_source]
    if path.stem.startswith("aws-"):
        assert target.price_per_hour > 0 and target.currency == "USD"
        datetime.date.fromisoformat(target.price_date)
        assert target.price_source.startswith("https://")
        assert "Check the price" in path.read_text(encoding="utf-8")
    else:
        assert priced == [None] * 4


def test_targets_are_shipped() -> None:
    names = {path.stem for path in FILES}
    assert {"auto", "cpu", "cuda", "mps", "aws-g4dn-xlarge", "aws-c6i-large"} <= names


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rounds", 2),
        ("latency_batch", 0),
        ("throughput_batch", -1),
        ("threads", 0),
        ("min_ms", 0.0),
        ("price_per_hour", -1.0),
        ("price_per_hour", float("nan")),
    ],
)
def test_values_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(AutoactError, match=f"hardware.{field}( is |=){value}"):
        HardwareSettings(**{field: value, "currency": "USD"})


def test_a_price_needs_a_currency() -> None:
    with pytest.raises(AutoactError, match=r"set hardware\.currency"):
        HardwareSettings(price_per_hour=1.0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend that the machine has so many GPUs, and MPS or not."""

    def pretend(gpus: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


def test_auto_is_the_first_gpu_else_the_cpu(machine) -> None:
    machine(gpus=0, mps=True)
    assert resolve_device("auto") == torch.device("cpu")
    machine(gpus=2)
    assert resolve_device("auto") == torch.device("cuda:0")
    assert resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    machine(mps=True)
    assert resolve_device("mps") == torch.device("mps")


@pytest.mark.parametrize(("gpus", "name", "there"), [(0, "cuda", "cpu"), (2, "cuda:2", "cpu, cuda:0, cuda:1")])
def test_an_absent_device_names_what_there_is(machine, gpus: int, name: str, there: str) -> None:
    machine(gpus=gpus)
    with pytest.raises(AutoactError, match=f"device '{name}' is not on this machine: there is {there}$"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cdua", "cuda:x", "cuda:-1", "cpu:0", "tpu", "", "mps:0"])
def test_an_unknown_device_is_named(name: str) -> None:
    with pytest.raises(AutoactError, match="unknown device"):
        resolve_device(name)


def test_describe_reads_the_processor_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nmodel name\t: Fast Chip 9000\n", encoding="utf-8")
    monkeypatch.setattr(hardware, "_CPUINFO", listing)
    got = describe(torch.device("cpu"))
    assert got["processor"] == "Fast Chip 9000"
    assert got["threads"] == torch.get_num_threads()
    assert got["torch"] == torch.__version__
    assert got["gpu"] is None and got["cuda"] is None
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "absent")
    monkeypatch.setattr(hardware.platform, "processor", lambda: "")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "riscv64")
    assert describe(torch.device("cpu"))["processor"] == "riscv64"


def test_settings_are_read_without_torch() -> None:
    code = "import sys; import autoact.latency.hardware, autoact.latency.cost; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:", "mps:0", "CUDA", ""])
def test_a_device_that_no_machine_has_is_refused_where_it_is_written(device: str) -> None:
    with pytest.raises(AutoactError, match=f"unknown device '{device}'"):
        HardwareSettings(device=device)


def test_a_device_of_another_machine_can_be_written() -> None:
    assert HardwareSettings(device="cuda:7").device == "cuda:7"
