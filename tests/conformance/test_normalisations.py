"""Every choice for normalisations: formula, models of all kinds, populations, saved, exported and imported."""

from __future__ import annotations

import copy
import dataclasses
import math
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import autoact
from autoact.activations import build, registry
from autoact.activations.normalisation import NormalisationModule
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, Candidate
from autoact.recommendation import Policy, Recommendation
from autoact.recommendation.python_source import to_python
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession

NAMES = [row.name for row in registry.normalisations() if row.searchable]
FORMULAS = {
    "dynamic_tanh": lambda x, alpha: math.tanh(alpha * x),
    "derf": lambda x, alpha, s: math.erf(alpha * x + s),
}
CLOSE = 1e-9


def moved_(model: nn.Module) -> nn.Module:
    """Give every weight of the put-in modules a value of its own, as training does."""
    torch.manual_seed(1)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, NormalisationModule):
                for weight in part.parameters():
                    weight.add_(0.3 * torch.randn_like(weight))
    return model


def encoder(**settings: Any) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, **settings)
    return nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8))


TOKENS = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


def test_these_rows_are_no_activations() -> None:
    assert NAMES == ["dynamic_tanh", "derf"] == list(FORMULAS)
    assert not {"layer_norm", "rms_norm", *NAMES} & set(registry.names())
    with pytest.raises(AutoactError, match=r"stands at normalisations.*autoact\.apply"):
        build("derf", channels=3)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_the_formula_with_the_scale_and_shift_that_stood_there(name: str) -> None:
    norm = nn.LayerNorm(3).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.5, 1.0]))
    module = NormalisationModule(name, norm)
    assert (module.weight is norm.weight) and (module.bias is norm.bias)
    starts = [registry.parameters(name)[p] for p in module.activation.parameter_names]
    assert starts == [0.5, 0.0][: len(starts)]
    assert [tuple(weight.shape) for weight in module.weights()] == [(1,)] * len(starts)
    x = torch.linspace(-4, 4, 12, dtype=torch.float64).reshape(4, 3)
    wanted = [[FORMULAS[name](v, *starts) for v in row] for row in x.tolist()]
    expected = torch.tensor(wanted, dtype=torch.float64) * norm.weight + norm.bias
    torch.testing.assert_close(module(x), expected, rtol=CLOSE, atol=CLOSE)
    assert torch.autograd.gradcheck(lambda *_: module(x), (x.requires_grad_(), *module.parameters()))
    half = module(x.detach().to(torch.bfloat16))
    assert torch.isfinite(half).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", [nn.LayerNorm(4, elementwise_affine=False), nn.RMSNorm(4), nn.LayerNorm((2, 4))])
def test_normalisations_without_shift_or_over_several_axes(name: str, norm: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(4, 4), norm, nn.ReLU(), nn.Linear(4, 1))
    x = torch.randn(3, 2, 4)
    changed = autoact.apply(model, {"1": name}, example_input=x)
    own = {n for n, _ in norm.named_parameters()}
    assert {n for n, _ in changed[1].named_parameters()} == own | set(registry.get(name).parameter_names)
    assert changed(x).shape == (3, 2, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sites", ["*", "layers.1.norm2", "layers.0.norm1"])
@pytest.mark.parametrize("activation", [F.relu, "gelu", nn.GELU()])
def test_encoders_compute_it_in_evaluation_too(name: str, sites: str, activation: Any) -> None:
    model = autoact.apply(encoder(activation=activation), {sites: name}, example_input=TOKENS)
    moved_(model)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5])
    for part in (model, copy.deepcopy(model)):
        for mask in (None, padding):
            trained = part.train()(TOKENS, src_key_padding_mask=mask)
            with torch.no_grad():
                evaluated = part.eval()(TOKENS, src_key_padding_mask=mask)
            keep = ~padding if mask is not None else torch.ones_like(padding)
            torch.testing.assert_close(evaluated[keep], trained[keep])


def test_an_encoder_that_is_put_back_has_its_fused_path_again() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    norm = layer.norm1
    autoact.apply_(layer, {"norm1": "derf"})
    assert layer.activation_relu_or_gelu == 0
    from autoact.sites.tracing.locate import put

    put(layer, ("norm1",), norm)
    assert layer.activation_relu_or_gelu == 1


@pytest.mark.parametrize("name", NAMES)
def test_weights_carry_it_and_come_back(name: str) -> None:
    trained = moved_(autoact.apply(encoder(), {"layers.*": name}, example_input=TOKENS)).eval()
    weights = trained.state_dict()
    assert f"layers.0.norm1.autoact:{name}" in weights
    with pytest.raises(RuntimeError, match="Unexpected key"):
        encoder().load_state_dict(weights)
    restored = autoact.restore_(encoder(), weights).eval()
    torch.testing.assert_close(restored(TOKENS), trained(TOKENS))


def test_models_of_hugging_face_save_and_load(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                                    image_size=4, patch_size=2)  # fmt: skip
    model, x = transformers.ViTModel(config).eval(), torch.randn(2, 3, 4, 4)
    changed = moved_(autoact.apply(model, {"*": "derf"}, example_input=x)).eval()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        changed.save_pretrained(tmp_path)
    assert any("load with autoact.from_pretrained(ViTModel" in str(one.message) for one in told)
    back = autoact.from_pretrained(transformers.ViTModel, tmp_path).eval()
    torch.testing.assert_close(back(x).last_hidden_state, changed(x).last_hidden_state)


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Rows(lightning.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(48, 4, 3, generator=draw), torch.randn(48, generator=draw)

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[:32], self.y[:32]), batch_size=16, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[32:], self.y[32:]), batch_size=16)


class Attention(nn.Module):
    """A block of a transformer. torch's own attention takes no batch of models on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.mix, self.norm2 = nn.LayerNorm(8), nn.Linear(8, 24), nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.mix(self.norm1(x)).chunk(3, -1)
        x = x + (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return x + self.mlp(self.norm2(x))


class Net(lightning.LightningModule):
    """Normalisations of both kinds around activations, or a block with attention behind one."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind == "attention":
            body: nn.Module = Attention()
        else:
            body = nn.Sequential(nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 8), nn.RMSNorm(8), nn.Tanh())
        self.body = nn.Sequential(nn.Linear(3, 8), body)
        self.head = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(1))[:, 0]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.02, weight_decay=0.1)


def task_of(kind: str) -> Task:
    return Task(
        name=kind,
        make_module=lambda: Net(kind),
        make_datamodule=lambda seed: Rows(),
        monitor="val_loss",
        mode="min",
        quality_unit="MSE",
        example_input=torch.zeros(2, 4, 3),
        make_input=lambda size: torch.zeros(size, 4, 3),
        trainer={"max_epochs": 3},
    )


MIXED = {
    "own": [
        {"body.1.0": "layer_norm", "body.1.3": "rms_norm", "body.1.1": "relu"},
        {"body.1.0": "dynamic_tanh", "body.1.3": "rms_norm", "body.1.1": "gelu"},
        {"body.1.0": "derf", "body.1.3": "dynamic_tanh", "body.1.1": "prelu"},
        {"body.1.0": "dynamic_tanh(alpha=0.8)", "body.1.3": "derf", "body.1.1": "relu"},
        {"body.1.0": "layer_norm", "body.1.3": "dynamic_tanh", "body.1.1": "relu"},
    ],
    "attention": [
        {"body.1.norm1": one, "body.1.norm2": other}
        for one, other in (("layer_norm", "layer_norm"), ("dynamic_tanh", "layer_norm"), ("derf", "dynamic_tanh"))
    ],
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", list(MIXED))
@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_populations_train_as_singles_do(kind: str, rate: float) -> None:
    task = task_of(kind)
    given = [(n, Candidate(Assignment(a), {"learning_rate": 0.01 * (n + 1)})) for n, a in enumerate(MIXED[kind])]
    alone, together = (k(task, SessionOptions(activation_rate=rate)) for k in (LightningSession, PopulationSession))
    for session in (alone, together):
        session.start(given)
        session.advance()
    assert together.reason == ""
    for one, other in zip(alone.records(), together.records(), strict=True):
        assert one.status == other.status == COMPLETE, (one.reason, other.reason)
        for a, b in zip(one.curve, other.curve, strict=True):
            assert b == pytest.approx(a, rel=CLOSE, abs=CLOSE)
    for number, module in alone.modules().items():
        mine = together.modules()[number].state_dict()
        assert list(mine) == list(module.state_dict())
        for name, value in module.state_dict().items():
            torch.testing.assert_close(mine[name], value, rtol=CLOSE, atol=CLOSE, msg=f"{number} {name}")
            if name.endswith(".alpha"):
                assert value.item() not in (0.5, 0.8), "it is trained"


@pytest.mark.usefixtures("float64")
def test_a_hook_on_a_normalisation_sees_one_candidate_at_a_time() -> None:
    seen: list[int] = []

    def make() -> Net:
        net = Net("own")
        net.body[1][0].register_forward_hook(lambda module, args, result: seen.append(result.dim()))
        return net

    session = PopulationSession(dataclasses.replace(task_of("own"), make_module=make), SessionOptions())
    session.start([(n, Candidate(Assignment(given))) for n, given in enumerate(MIXED["own"][:2])])
    with pytest.warns(UserWarning, match=r"one by one, not together: body\.1\.0 has a hook, which would see all"):
        session.advance()
    assert [record.status for record in session.records()] == [COMPLETE, COMPLETE]
    assert set(seen) == {3}


def test_the_rate_of_activations_is_for_what_they_bring_alone() -> None:
    model = autoact.apply(encoder(), {"layers.*": "derf"}, example_input=TOKENS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.1)
    autoact.put_activations_apart_(model, optimizer, factor=0.1)
    (rest, apart) = optimizer.param_groups
    named = {id(weight): name for name, weight in model.named_parameters()}
    assert {named[id(weight)].rpartition(".")[2] for weight in apart["params"]} == {"alpha", "s"}
    assert (apart["lr"], apart["weight_decay"], rest["lr"]) == (0.1, 0.0, 1.0)
    assert any(named[id(weight)].endswith("norm1.weight") for weight in rest["params"])


def test_no_weight_around_a_normalisation_is_scaled() -> None:
    plain = nn.Sequential(
        nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 1)
    )
    x = torch.randn(6, 4)
    changed = autoact.apply(plain, {"1": "derf", "4": "dynamic_tanh"}, example_input=x, rescale=True)
    for name, weight in plain.named_parameters():
        assert torch.equal(changed.get_parameter(name), weight), name
    # What is drawn by the rules, and what an activation's change scales, is as with the normalisation itself.
    drawn = [autoact.initialise_(model, x, torch.Generator().manual_seed(0)) for model in (plain, changed)]
    assert drawn[0] == drawn[1]
    scaled = [autoact.apply(model, {"2": "sine"}, example_input=x, rescale=True) for model in (plain, changed)]
    for name, weight in scaled[0].named_parameters():
        assert torch.equal(scaled[1].get_parameter(name), weight), name


def recommendation(choice: str) -> Recommendation:
    searched = {"layers.0.norm1": "layer_norm", "layers.1.norm2": "layer_norm", "layers.0.activation": "relu"}
    sites = {n: {"current": c, "shape": [3, 5, 8], "channels": 8, "channel_dim": -1} for n, c in searched.items()}
    kept = Policy(False, Assignment(searched), {}, 3, "kept")
    better = dataclasses.replace(kept, recommend=True, assignment=Assignment({**searched, "layers.0.norm1": choice}))
    others = ("layers.0.norm2", "layers.1.norm1", "layers.1.activation", "norm")
    return Recommendation(
        "demo", "2026-01-01T00:00:00+00:00", "Take it.", {}, {"quality": better}, kept, sites, not_searched=others
    )


def test_a_recommendation_puts_it_into_a_model_in_production(tmp_path: Path) -> None:
    file = recommendation("dynamic_tanh(alpha=0.8)").save(tmp_path / "found.yaml")
    made = autoact.load_recommendation(file).apply(encoder())
    assert str(made.layers[0].norm1.choice) == "dynamic_tanh(alpha=0.8)"
    assert isinstance(made.layers[1].norm2, nn.LayerNorm)
    callback = autoact.ApplyActivations(file)
    assert str(callback.assignment["layers.0.norm1"]) == "dynamic_tanh(alpha=0.8)"
    with pytest.raises(AutoactError, match=r"missing 'layers\.0\.norm1'"):
        autoact.load_recommendation(file).apply(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_python_source_computes_the_same_without_autoact(name: str, tmp_path: Path) -> None:
    (tmp_path / "emitted.py").write_text(to_python(recommendation(name)), encoding="utf-8")
    model = moved_(autoact.apply(encoder(), {"layers.0.norm1": name}, example_input=TOKENS)).eval()
    weights = {key: value for key, value in model.state_dict().items() if "autoact:" not in key}
    torch.save((encoder(), weights, TOKENS), tmp_path / "given.pt")
    script = (
        "import torch; from emitted import apply_\n"
        "model, weights, x = torch.load('given.pt', weights_only=False)\n"
        "apply_(model).load_state_dict(weights)\n"
        "padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5])\n"
        "with torch.no_grad(): torch.save(model.eval()(x, src_key_padding_mask=padding), 'found.pt')\n"
        "assert not any(name.startswith('autoact') for name in __import__('sys').modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5])
    with torch.no_grad():
        wanted = model(TOKENS, src_key_padding_mask=padding)
    torch.testing.assert_close(torch.load(tmp_path / "found.pt")[~padding], wanted[~padding])


@pytest.mark.parametrize("name", NAMES)
def test_onnx_computes_the_same(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net = nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(4, 3)
    model = moved_(autoact.apply(net, {"1": name}, example_input=x)).eval()
    file = str(tmp_path / "net.onnx")
    torch.onnx.export(model, (x,), file, input_names=["x"], dynamo=True, verbose=False)
    (found,) = onnxruntime.InferenceSession(file).run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), model(x).detach(), rtol=1e-4, atol=1e-5)
