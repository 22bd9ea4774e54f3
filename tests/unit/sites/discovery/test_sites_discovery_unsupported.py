"""What cannot be replaced is told with its reason; what is no activation is not."""

import pytest
import torch
from torch import Tensor, nn

from autoact.sites import Sites, find_sites


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(3.7 * x)


class Beta(nn.Module):
    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x) + 0.1


class MyReLU(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return torch.relu(input) ** 3


class Times(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x


class Reverse(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flip(-1)


class RMS(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.pow(2).mean(-1, keepdim=True).add(1e-6).sqrt()


class Position(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(x.shape[-1])


class DropPath(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand(len(x), 1) if self.training else x


class OnlySmall(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.abs().max() > 0.5:
            raise ValueError("too large")
        return x**2


def told(model: nn.Module, *shape: int) -> dict[str, tuple[str, str]]:
    sites = find_sites(model, torch.zeros(shape) if shape else None)
    return {item.name: (item.kind, item.reason) for item in sites.unreplaceable}


@pytest.mark.parametrize(
    ("module", "kind", "words"),
    [
        (nn.Softmax(-1), "softmax", "normalises across elements"),
        (nn.LogSoftmax(-1), "softmax", "normalises across elements"),
        (nn.Softmin(-1), "softmax", "normalises across elements"),
        (nn.GLU(), "gated", "halves its input"),
        (nn.LSTM(8, 4), "recurrent", "fused kernel"),
        (nn.GRU(8, 4), "recurrent", "fused kernel"),
        (nn.RNN(8, 4, nonlinearity="relu"), "recurrent", "fused kernel"),
        (nn.GRUCell(8, 4), "recurrent", "fused kernel"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
@pytest.mark.parametrize("run", [True, False])
def test_known_types(module: nn.Module, kind: str, words: str, run: bool) -> None:
    (entry,) = told(nn.Sequential(nn.Linear(8, 8), module), *((3, 8) if run else ())).items()
    assert entry[0] == "1"
    assert entry[1][0] == kind
    assert words in entry[1][1]


def test_softmax2d_and_attention() -> None:
    assert told(nn.Sequential(nn.Softmax2d()), 1, 2, 3, 3)["0"][0] == "softmax"
    assert told(nn.ModuleList([nn.MultiheadAttention(8, 2)]))["0"][0] == "attention"


@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_transformer_layers_with_a_function_outside_the_catalogue(kind: type[nn.Module]) -> None:
    found = told(nn.Sequential(kind(8, 2, 16, activation=torch.cos)))
    assert found["0.activation"] == (
        "transformer",
        f"{kind.__name__} calls the function cos, which is not in the catalogue",
    )
    assert found["0.self_attn"][0] == "attention"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when it scripts
def test_scripted_part_is_told_once_and_the_rest_is_found() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    model = nn.Sequential(scripted, nn.Tanh(), nn.Linear(4, 1))
    sites = find_sites(model, torch.zeros(2, 4))
    assert sites.names == ("1",)
    assert [(item.name, item.kind) for item in sites.unreplaceable] == [("0", "scripted")]


@pytest.mark.parametrize("module", [Swish(), Beta(), Beta(4), MyReLU()], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_own_activations_are_told(module: nn.Module, dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(4, 4), module, nn.Linear(4, 1)).to(dtype)
    found: Sites = find_sites(model, torch.zeros(3, 4, dtype=dtype))
    (entry,) = found.unreplaceable
    assert (entry.name, entry.kind) == ("1", "unknown")
    assert entry.reason.startswith(f"{type(module).__name__} looks like an activation, not in the catalogue")
    assert "autoact.register it" in entry.reason


@pytest.mark.parametrize(
    "module",
    [
        *[Times(), Reverse(), RMS(), Position(), DropPath(), OnlySmall()],
        *[nn.Dropout(), nn.AlphaDropout(), nn.Identity(), nn.LayerNorm(4), nn.LayerNorm(4, elementwise_affine=False)],
        *[nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False), nn.Flatten(), nn.ZeroPad1d(0), nn.Linear(4, 4)],
        *[nn.Unflatten(1, (2, 2)), nn.Upsample(scale_factor=1), nn.MaxPool1d(1)],
    ],
    ids=lambda m: type(m).__name__,
)
def test_other_modules_are_not_told(module: nn.Module) -> None:
    x = torch.rand(3, 4, *((1,) * needs_3d(module))) / 10
    sites = find_sites(nn.ModuleDict({"m": module}), call=lambda: module(x))
    assert (sites.names, sites.unreplaceable) == ((), ())


def needs_3d(module: nn.Module) -> bool:
    return isinstance(module, nn.Upsample | nn.MaxPool1d | nn.BatchNorm1d | nn.ZeroPad1d)


def test_torch_activation_in_a_form_outside_the_catalogue_is_told() -> None:
    assert told(nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(float("nan")))) == {
        "1": ("unknown", "LeakyReLU is not in the catalogue in this form: autoact.register it")
    }


def test_functional_calls_inside_recurrent_and_attention_modules_of_torch_are_not_told() -> None:
    model = nn.Sequential(nn.LSTM(4, 4, batch_first=True))
    assert [(item.name, item.kind) for item in find_sites(model, torch.zeros(2, 3, 4)).unreplaceable] == [
        ("0", "recurrent")
    ]
