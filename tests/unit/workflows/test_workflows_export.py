"""Export to ONNX: what ONNX Runtime computes is what PyTorch computes, or nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import autoact
from autoact.core.errors import AutoactError
from autoact.tracking.models.model_artifacts import FetchedModel
from autoact.workflows.export import to_onnx

pytestmark = pytest.mark.filterwarnings("ignore")


def fetched(assignment: dict[str, str], example: torch.Tensor) -> FetchedModel:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    changed = autoact.apply(model, assignment, example_input=example).eval()
    rows = torch.export.Dim("rows")
    graph = torch.export.export(changed, (example,), dynamic_shapes=({0: rows},))
    return FetchedModel(graph.module(), graph, {}, None, example.numpy())


@pytest.fixture(scope="module")
def model() -> FetchedModel:
    pytest.importorskip("onnxruntime")
    return fetched({"1": "prelu", "4": "snake(a=2)"}, torch.randn(4, 4))


def test_it_computes_the_same_for_any_number_of_rows(model: FetchedModel, tmp_path: Path) -> None:
    import onnxruntime

    made = to_onnx(model, tmp_path / "model.onnx")
    assert made.shape == (4,) and made.difference < 1e-5 < made.largest
    session = onnxruntime.InferenceSession(str(made.file), providers=["CPUExecutionProvider"])
    for rows in (1, 3, 1000):
        x = torch.randn(rows, 4)
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), model.module(x))


def test_one_that_computes_something_else_is_not_written(model: FetchedModel, tmp_path: Path) -> None:
    other = FetchedModel(lambda x: model.module(x) + 0.1, model.graph, {}, None, model.example)
    with pytest.raises(AutoactError, match=r"computes something else than PyTorch: the largest difference is 0\.1"):
        to_onnx(other, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_tokens(model: FetchedModel, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 1)).eval()
    example = torch.randint(0, 9, (4, 3))
    graph = torch.export.export(net, (example,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    tokens = FetchedModel(graph.module(), graph, {}, None, example.numpy())
    made = to_onnx(tokens, tmp_path / "model.onnx")
    assert made.shape == (3,) and made.difference < 1e-5 < made.largest


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, raw = self.net(x).chunk(2, -1)
        return mean, nn.functional.softplus(raw)


def test_a_model_of_two_outputs(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    net, example = Two().eval(), torch.randn(4, 4)
    graph = torch.export.export(net, (example,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    made = to_onnx(FetchedModel(graph.module(), graph, {}, None, example.numpy()), tmp_path / "model.onnx")
    assert made.difference < 1e-5 < made.largest
    session = onnxruntime.InferenceSession(str(made.file), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["out_0", "out_1"]
    x = torch.randn(3, 4)
    for found, wanted in zip(session.run(None, {"x": x.numpy()}), net(x), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), wanted.detach())


class Sampling(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x)


def test_a_model_that_draws_random_numbers_is_told(model: FetchedModel, tmp_path: Path) -> None:
    drawing = FetchedModel(Sampling(), model.graph, {}, None, model.example)
    with pytest.raises(AutoactError, match="draws random numbers when it is called"):
        to_onnx(drawing, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_it_says_what_to_install(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    nothing = FetchedModel(None, None, {}, None, None)
    with pytest.raises(
        AutoactError,
        match=r"format=onnx needs the package onnxruntime: pip install '.\[onnx\]' in a checkout of autoact",
    ):
        to_onnx(nothing, tmp_path / "model.onnx")


def test_a_folder_that_is_not_there(model: FetchedModel, tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match=r"cannot be written: No such file"):
        to_onnx(model, tmp_path / "none" / "model.onnx")
