"""consumers: which weight multiplies what comes from where."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.activations.modules import build
from autoact.sites import WeightSource, consumers


class Net(nn.Module):
    """Modules by name and a forward given as a function."""

    def __init__(self, forward: Callable[["Net", Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def test_mlp() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), build("prelu", channels=6), nn.Linear(6, 1))
    assert consumers(model, torch.zeros(2, 4)) == {
        "0.weight": WeightSource("input"),
        "2.weight": WeightSource("site", "1"),
        "4.weight": WeightSource("site", "3"),
    }


def test_convolutions_with_norms_and_a_shortcut() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        y = m.act(m.bn(m.conv1(x)))
        z = m.act2(m.conv2(y))
        z += y
        z = m.conv3(z)
        return m.head(F.adaptive_avg_pool2d(m.act3(z), 1).flatten(1))

    model = Net(
        forward,
        conv1=nn.Conv2d(1, 4, 3, padding=1),
        bn=nn.BatchNorm2d(4),
        act=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(4, 4, 3, padding=1, groups=2),
        act2=nn.SiLU(),
        conv3=nn.Conv2d(4, 4, 1, bias=False),
        act3=nn.GELU(),
        head=nn.Linear(4, 2),
    )
    found = consumers(model, torch.randn(2, 1, 6, 6))
    assert found == {
        "conv1.weight": WeightSource("input"),
        "conv2.weight": WeightSource("site", "act"),
        "conv3.weight": WeightSource("unknown"),
        "head.weight": WeightSource("site", "act3"),
    }
    assert {name: (source.fan_in, source.bias) for name, source in found.items()} == {
        "conv1.weight": (9, "conv1.bias"),
        "conv2.weight": (18, "conv2.bias"),
        "conv3.weight": (4, None),
        "head.weight": (4, "head.bias"),
    }


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda y: y, WeightSource("site", "act")),
        (lambda y: F.dropout(y, 0.5, True), WeightSource("site", "act")),
        (lambda y: y.reshape(6, 1, 6).squeeze(1).contiguous().clone(), WeightSource("site", "act")),
        (lambda y: y.t().transpose(0, 1).to(torch.float32).float(), WeightSource("site", "act")),
        (lambda y: y[:3], WeightSource("site", "act")),
        (lambda y: F.max_pool1d(y, 1), WeightSource("site", "act")),
        (lambda y: F.max_pool1d(y, 1, return_indices=True)[0], WeightSource("site", "act")),
        (lambda y: F.pad(y, (1, 0))[:, 1:], WeightSource("site", "act")),
        (lambda y: F.layer_norm(y, (6,)), WeightSource("norm")),
        (lambda y: F.batch_norm(y, torch.zeros(6), torch.ones(6)).view(6, 6), WeightSource("norm")),
        (lambda y: F.rms_norm(y, (6,)), WeightSource("norm")),
        (lambda y: y + 1, WeightSource("unknown")),
        (lambda y: y * y, WeightSource("unknown")),
        (lambda y: torch.cat([y, y]), WeightSource("unknown")),
        (lambda y: y.mean(0, keepdim=True), WeightSource("unknown")),
        (lambda y: y.chunk(2)[0], WeightSource("unknown")),
        (lambda y: y.mul_(2), WeightSource("unknown")),
        (lambda y: (y.view(-1).add_(1), y)[1], WeightSource("unknown")),
        (lambda y: F.linear(y, torch.eye(6)), WeightSource("unknown")),
        (lambda y: F.relu(y), WeightSource("unknown")),
    ],
)
def test_what_keeps_a_tag_and_what_clears_it(step: Callable[[Tensor], Tensor], expected: WeightSource) -> None:
    model = Net(lambda m, x: m.fc(step(m.act(x * 1))), act=nn.Tanh(), fc=nn.Linear(6, 2))
    assert consumers(model, torch.randn(6, 6)) == {"fc.weight": expected}


def test_tied_weights_appear_once_and_several_sources_are_unknown() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    alike = nn.Sequential(nn.Tanh(), first, nn.ReLU(), second)
    assert consumers(alike, torch.zeros(2, 4)) == {"1.weight": WeightSource("unknown")}
    same = Net(lambda m, x: m.a(m.act(x)) + m.b(m.act(x)), act=nn.Tanh(), a=first, b=second)
    assert consumers(same, torch.zeros(2, 4)) == {"a.weight": WeightSource("site", "act")}


def test_many_dead_tensors_do_not_pass_their_tags_on() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        for _ in range(200):
            m.act(x + 0)
            y = m.fc(x + 0)
        return y

    model = Net(forward, act=nn.Tanh(), fc=nn.Linear(4, 2))
    assert consumers(model, torch.zeros(2, 4)) == {"fc.weight": WeightSource("unknown")}


def test_functional_weights_of_the_model_count_and_computed_ones_do_not() -> None:
    model = Net(
        lambda m, x: F.linear(m.act(x), weight=m.a.weight) + F.linear(m.act(x), 2 * m.b.weight),
        act=nn.Tanh(),
        a=nn.Linear(4, 2),
        b=nn.Linear(4, 2),
    )
    assert consumers(model, torch.zeros(2, 4)) == {"a.weight": WeightSource("site", "act")}


def test_transformer_layer_and_recurrent_layer_are_unknown_inside() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), layer, nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    found = consumers(model, torch.zeros(2, 5, 3))
    assert found["2.linear1.weight"] == WeightSource("norm")
    assert found["2.linear2.weight"] == WeightSource("unknown")
    assert found["3.weight"] == WeightSource("norm")
    assert found["5.weight"] == WeightSource("site", "4")
    recurrent = Net(lambda m, x: m.fc(m.rnn(m.act(x))[0]), act=nn.Tanh(), rnn=nn.LSTM(4, 6), fc=nn.Linear(6, 1))
    assert consumers(recurrent, torch.zeros(2, 4)) == {"fc.weight": WeightSource("unknown")}


def test_transposed_convolution_counts_its_inputs() -> None:
    model = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(4, 6, 4, stride=2, groups=2))
    (source,) = consumers(model, torch.randn(1, 4, 5, 5)).values()
    assert source == WeightSource("site", "0")
    assert source.fan_in == 2 * 16 // 4


def test_keyword_examples_are_inputs_too() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    assert consumers(model, {"input": torch.zeros(2, 4)}) == {"0.weight": WeightSource("input")}
