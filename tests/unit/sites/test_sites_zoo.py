"""Models that nobody here wrote: no activation is missed in silence."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autoact.sites import apply, find_sites

# What runs below everything that Python calls, whatever it is called there. Sines and clamps are left out: positions
# are encoded with the ones, norms guarded with the others.
NAMES = """
    relu relu_ gelu silu silu_ sigmoid sigmoid_ tanh tanh_ elu elu_ hardtanh hardtanh_ hardswish hardswish_ hardsigmoid
    hardsigmoid_ leaky_relu leaky_relu_ softplus mish mish_ log_sigmoid_forward
"""
KERNELS = frozenset(NAMES.split())


class Kernels(TorchDispatchMode):
    """Counts the activations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if name in KERNELS and isinstance(args[0], Tensor) and args[0].numel() > 1 and args[0].is_floating_point():
            self.seen[name] += 1
        return function(*args, **(kwargs or {}))


def kernels(model: nn.Module, example: Any) -> Counter[str]:
    model.eval()
    with torch.no_grad(), Kernels() as counter:
        model(**example) if isinstance(example, dict) else model(*example)
    return counter.seen


def check_nothing_is_missed(model: nn.Module, example: Any) -> None:
    """Once every site computes something else, what still runs has to be in the list of what cannot be replaced."""
    torch.manual_seed(0)
    found = find_sites(model, example)
    assert found or found.unreplaceable
    plain = [site.name for site in found if site.current.name != "prelu"]
    changed = apply(model, dict.fromkeys(plain, "arctan"), example_input=example, sites=found) if plain else model
    left = kernels(changed, example)
    told = [item for item in found.unreplaceable if item.kind not in ("softmax", "attention", "unused")]
    assert told or not left, f"missed in silence: {dict(left)}"


IMAGE = (torch.zeros(2, 3, 64, 64),)
TORCHVISION = """
    alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s mnasnet0_5 mobilenet_v2 mobilenet_v3_small
    regnet_y_400mf regnet_x_400mf resnet18 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_1 swin_t swin_v2_t vgg11_bn
    vit_b_16 maxvit_t googlenet inception_v3
"""


@pytest.mark.parametrize("name", TORCHVISION.split())
def test_torchvision(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    size = {"vit_b_16": 224, "maxvit_t": 224, "inception_v3": 128, "swin_t": 64, "alexnet": 96}.get(name, 64)
    named = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    check_nothing_is_missed(getattr(models, name)(weights=None, **named), (torch.zeros(2, 3, size, size),))


def of_lightning(path: str, *args: Any, **kwargs: Any) -> Callable[[], nn.Module]:
    module, _, name = path.rpartition(".")
    return lambda: getattr(importlib.import_module(f"lightning.pytorch.demos.{module}"), name)(*args, **kwargs)


TOKENS = torch.randint(0, 20, (2, 6), generator=torch.Generator().manual_seed(0))
SEQUENCES = torch.zeros(2, 5, 16)


@pytest.mark.parametrize(
    ("make", "example"),
    [
        (
            of_lightning("transformer.Transformer", vocab_size=20, ninp=16, nhead=2, nhid=16, nlayers=1),
            (TOKENS, TOKENS),
        ),
        (of_lightning("transformer.LightningTransformer", vocab_size=20), (TOKENS, TOKENS)),
        (lambda: nn.Transformer(16, 2, 1, 1, 16, batch_first=True), (SEQUENCES, SEQUENCES)),
        (lambda: nn.TransformerEncoderLayer(16, 2, 16, activation="gelu", batch_first=True), (SEQUENCES,)),
        (lambda: nn.TransformerDecoderLayer(16, 2, 16, batch_first=True), (SEQUENCES, SEQUENCES)),
        (lambda: nn.Sequential(nn.Linear(16, 4), nn.Tanhshrink(), nn.Linear(4, 1)), (SEQUENCES,)),
    ],
)
def test_of_torch_and_lightning(make: Callable[[], nn.Module], example: tuple[Tensor, ...]) -> None:
    check_nothing_is_missed(make(), example)


TIMM = """
    resnet18 mobilenetv3_small_050 efficientnet_lite0 convnext_atto vit_tiny_patch16_224 deit_tiny_patch16_224
    ghostnet_050 lcnet_050 mixnet_s tf_efficientnet_b0 hardcorenas_a resnest14d nf_resnet26 gernet_s cspresnet50 dla34
    fbnetc_100 mobilevit_xxs poolformer_s12 edgenext_xx_small
"""


@pytest.mark.parametrize("name", TIMM.split())
def test_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    size = 224 if "patch16" in name else 64
    check_nothing_is_missed(timm.create_model(name, pretrained=False), (torch.zeros(2, 3, size, size),))


TRANSFORMERS = """
    Bert Roberta DistilBert Electra Albert GPT2 OPT Bloom GPTNeoX Llama Mistral Gemma Qwen2 Phi Falcon MPNet XLNet Mamba
    Funnel ConvBert SqueezeBert Nystromformer
"""
SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "word_embed_proj_dim"), 16),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "ffn_dim", "d_inner", "n_inner"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_key_value_heads"), 2),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 1),
    **{"head_dim": 8, "vocab_size": 50, "block_sizes": [1, 1], "d_head": 8},
}


@pytest.mark.parametrize("name", TRANSFORMERS.split())
def test_transformers(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, f"{name}Config")
    known = vars(kind()) | dict.fromkeys(getattr(kind, "attribute_map", {}))
    config = kind(**{key: value for key, value in SMALL.items() if key in known})
    model = getattr(transformers, f"{name}Model")(config)
    check_nothing_is_missed(model, {"input_ids": torch.arange(2, 18).reshape(2, 8), "return_dict": False})


def test_the_check_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(4, 4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.ops.aten.relu(self.fc(x)) + torch.tanh(self.fc(x)))

    check_nothing_is_missed(Net(), (torch.zeros(2, 4),))
    monkeypatch.setattr("autoact.sites.discovery.functional_sites.FUNCTIONS", frozenset({"tanh"}))
    monkeypatch.setattr("autoact.sites.discovery.functional_sites.written_out", lambda function: None)
    monkeypatch.setattr("autoact.sites.discovery.expressions._BENDS", frozenset({"tanh"}))
    with pytest.raises(AssertionError, match="missed in silence"):
        check_nothing_is_missed(Net(), (torch.zeros(2, 4),))
