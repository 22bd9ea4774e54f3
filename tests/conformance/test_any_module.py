"""Models that nobody here wrote: found, changed like by hand, and still whole for everything that takes a module."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.sites import apply, find_sites, restore_
from autoact.sites.replacement.state_dict_marker import is_marker

transformers = pytest.importorskip("transformers")

IDS = torch.randint(0, 50, (2, 6), generator=torch.Generator().manual_seed(0))
TEXT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
SIZES = {**TEXT, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def image(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def bert() -> nn.Module:
    config = transformers.BertConfig(**SIZES, hidden_act="gelu")
    return transformers.BertForSequenceClassification(config)


def gpt2() -> nn.Module:
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "n_positions": 16}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))


def llama() -> nn.Module:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, num_key_value_heads=2))


def vit() -> nn.Module:
    sizes = {name: TEXT[name] for name in TEXT if name != "vocab_size"}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**sizes, image_size=16, patch_size=8))


def convnext() -> nn.Module:
    config = transformers.ConvNextConfig(hidden_sizes=[4, 4, 8, 8], depths=[1, 1, 1, 1], image_size=32)
    return transformers.ConvNextForImageClassification(config)


def resnet() -> nn.Module:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic")
    return transformers.ResNetForImageClassification(config)


def mobilenet() -> nn.Module:
    config = transformers.MobileNetV2Config(depth_multiplier=0.25, image_size=32)
    return transformers.MobileNetV2ForImageClassification(config)


class Functional(nn.Module):
    """A residual network as in many tutorials: every activation is a call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.more = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.up, self.down = nn.Linear(4, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        x = (x + self.more(x)).relu_()
        x = x.mean((-2, -1))
        return self.down(F.dropout(torch.tanh(self.up(x)), 0.2, self.training))


class Case(NamedTuple):
    """A model, what it takes, and how many sites a search has in it.

    Attributes:
        make: builds it with weights drawn from torch's default generator.
        example: keyword or positional input.
        current: the activation at its sites, apart from the output's.
        sites: how many.
    """

    make: Callable[[], nn.Module]
    example: Any
    current: str
    sites: int


CASES = {
    "bert": Case(bert, {"input_ids": IDS}, "gelu", 2),
    "gpt2": Case(gpt2, {"input_ids": IDS, "use_cache": False}, "gelu_tanh", 2),
    "llama": Case(llama, {"input_ids": IDS, "use_cache": False}, "silu", 2),
    "vit": Case(vit, image(16), "gelu", 2),
    "convnext": Case(convnext, image(32), "gelu", 4),
    "resnet": Case(resnet, image(32), "relu", 5),
    "mobilenet": Case(mobilenet, image(32), "relu6", 35),
    "torch": Case(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu"), 2),
        torch.randn(2, 5, 16, dtype=torch.float64),
        "gelu",
        2,
    ),
}


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = CASES[name].make().double().eval()
    with torch.no_grad():  # as built, some barely depend on their activations
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    return model


def logits(model: Any, example: Any) -> Tensor:
    result = model(**example) if isinstance(example, dict) else model(example)
    return result if isinstance(result, Tensor) else result.logits


def changed(name: str) -> nn.Module:
    sites = find_sites(built(name), CASES[name].example)
    wanted = {site.name: "tanh" for site in sites if str(site.current) == CASES[name].current}
    return apply(built(name), wanted, example_input=CASES[name].example)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Case, nn.Module, nn.Module]]:
    """A case, its model as built, and a changed one."""
    yield CASES[request.param], built(request.param), changed(request.param)


def test_sites_are_found_and_left_alone(case: tuple[Case, nn.Module, nn.Module]) -> None:
    wanted, model, _ = case
    before = [type(module) for module in model.modules()]
    sites = find_sites(model, wanted.example)
    assert sum(str(site.current) == wanted.current for site in sites) == wanted.sites
    assert [type(module) for module in model.modules()] == before
    assert {item.kind for item in sites.unreplaceable} <= {"attention"}


def test_outputs_equal_a_model_changed_by_hand(case: tuple[Case, nn.Module, nn.Module]) -> None:
    wanted, model, new = case
    by_hand = copy.deepcopy(model)
    for site in find_sites(model, wanted.example):
        if str(site.current) == wanted.current:
            parent = by_hand.get_submodule(site.name.rpartition(".")[0])
            setattr(parent, site.name.rpartition(".")[2], nn.Tanh())
            if hasattr(parent, "activation_relu_or_gelu"):
                parent.activation_relu_or_gelu, by_hand.use_nested_tensor = 0, False
    with torch.no_grad():
        assert torch.equal(logits(new, wanted.example), logits(by_hand, wanted.example))
        assert not torch.allclose(logits(new, wanted.example), logits(model, wanted.example), rtol=1e-6, atol=1e-9)


def test_keys_stay_and_weights_carry_the_assignment(case: tuple[Case, nn.Module, nn.Module]) -> None:
    wanted, model, new = case
    assert [key for key in new.state_dict() if not is_marker(key)] == list(model.state_dict())
    assert sum(map(is_marker, new.state_dict())) == wanted.sites
    restored = restore_(copy.deepcopy(model), new.state_dict(), example_input=wanted.example)
    assert torch.equal(logits(restored, wanted.example), logits(new, wanted.example))


def test_copies_and_pickles(case: tuple[Case, nn.Module, nn.Module]) -> None:
    wanted, _, new = case
    assert torch.equal(logits(copy.deepcopy(new), wanted.example), logits(new, wanted.example))
    assert torch.equal(logits(pickle.loads(pickle.dumps(new)), wanted.example), logits(new, wanted.example))


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own parts
def test_compiled(case: tuple[Case, nn.Module, nn.Module]) -> None:
    wanted, _, new = case
    with torch.no_grad():
        compiled = torch.compile(copy.deepcopy(new), backend="eager")
        assert torch.allclose(logits(compiled, wanted.example), logits(new, wanted.example), atol=1e-12)
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own parts
def test_exported(case: tuple[Case, nn.Module, nn.Module]) -> None:
    wanted, _, new = case
    args, kwargs = ((), wanted.example) if isinstance(wanted.example, dict) else ((wanted.example,), {})
    with torch.no_grad():
        program = torch.export.export(copy.deepcopy(new), args, kwargs).module()
        assert torch.allclose(logits(program, wanted.example), logits(new, wanted.example), atol=1e-12)


IMAGE = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
CALLS = {"forward_relu_1": "gelu", "forward_relu_2": "silu", "forward_tanh_1": "prelu"}


def functional() -> nn.Module:
    torch.manual_seed(0)
    return apply(Functional(), CALLS, example_input=IMAGE)


def by_hand(model: Any, x: Tensor) -> Tensor:
    """What the changed ``Functional`` computes in evaluation."""
    x = F.gelu(model.bn(model.conv(x)))
    x = F.silu(x + model.more(x)).mean((-2, -1))
    return model.down(F.prelu(model.up(x), model.forward_tanh_1.weight))


def test_calls_equal_a_model_written_by_hand() -> None:
    model = functional().double().eval()
    assert torch.allclose(model(IMAGE.double()), by_hand(model, IMAGE.double()), atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # torch's compiler and exporter warn of their own parts
def test_calls_are_compiled_and_exported() -> None:
    model = functional().eval()
    with torch.no_grad():
        wanted = by_hand(model, IMAGE)
        assert torch.allclose(torch.compile(model, backend="eager", fullgraph=True)(IMAGE), wanted, atol=1e-6)
        batch = {"x": {0: torch.export.Dim("batch", min=2)}}
        program = torch.export.export(model, (IMAGE,), dynamic_shapes=batch)
        assert torch.allclose(program.module()(IMAGE[:2]), by_hand(model, IMAGE[:2]), atol=1e-6)
    torch._dynamo.reset()


def test_calls_train_under_autocast() -> None:
    model = functional()
    before = copy.deepcopy(model.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(IMAGE)
    assert out.dtype == torch.bfloat16
    F.mse_loss(out.float(), torch.ones(3, 2)).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


# In a process of its own that ends without clearing up: torch's gloo group can wait for ever for the thread that it
# keeps, when it is destroyed while Python's lock is held.
PARALLEL = """
import os, sys, torch
from torch import nn
import torch.nn.functional as F
from autoact.sites import apply

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 2)
    def forward(self, x):
        return self.down(F.relu(self.up(x)).tanh_())

torch.manual_seed(0)
x = torch.randn(6, 4)
model = apply(Net(), {"forward_relu_1": "prelu", "forward_tanh_1": "gelu"}, example_input=x)
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=0, world_size=1)
wrapped = nn.parallel.DistributedDataParallel(model)
wrapped(x).sum().backward()
wanted = model.down(F.gelu(F.prelu(model.up(x), model.forward_relu_1.weight)))
assert torch.allclose(wrapped(x), wanted)
assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
print("ok", [key for key in wrapped.state_dict() if "autoact" in key], flush=True)
os._exit(0)
"""


def test_calls_work_in_data_parallel(tmp_path: Path) -> None:
    (tmp_path / "parallel.py").write_text(PARALLEL, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "parallel.py", tmp_path / "meet"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        check=False,
    )
    keys = ["module.forward_relu_1.autoact:prelu", "module.forward_tanh_1.autoact:gelu"]
    assert done.stdout.strip() == f"ok {keys}", done.stderr
