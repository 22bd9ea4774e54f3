"""Which sites accept layer-level choices, and what the others say."""

import contextlib
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from autoact.core.errors import AutoactError
from autoact.sites import Site, find_sites


class Forward(nn.Module):
    """Layers by name, and a forward that is given."""

    def __init__(self, forward: Callable[["Forward", Tensor], object], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, x: Tensor) -> object:
        return self._forward(self, x)


def parts(width: int = 8) -> dict[str, nn.Module]:
    return {"a": nn.Linear(4, width), "act": nn.ReLU(), "b": nn.Linear(width, 4), "drop": nn.Dropout(0.5)}


def site_of(model: nn.Module, name: str = "act", example: Tensor | None = None) -> Site:
    return find_sites(model, torch.randn(3, 4) if example is None else example)[name]


def forward_of(forward: Callable[[Forward, Tensor], object], **more: nn.Module) -> Site:
    return site_of(Forward(forward, **(parts() | more)))


def frozen(layer: nn.Module) -> nn.Module:
    return layer.requires_grad_(False)


def sequence(model: Forward, x: Tensor) -> Tensor:
    return model.b(model.drop(model.act(model.a(x))))


class Block(nn.Module):
    """A feed-forward block of a Transformer: pre-norm, dropout, residual."""

    def __init__(self, width: int = 16, hidden: int = 64) -> None:
        super().__init__()
        self.norm, self.up, self.act = nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU()
        self.drop, self.down = nn.Dropout(0.1), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.drop(self.act(self.up(self.norm(x)))))


@pytest.mark.parametrize(
    "forward",
    [
        sequence,
        lambda m, x: m.b(F.dropout(m.act(m.drop(m.a(x))), 0.1, m.training)),
        lambda m, x: m.b(m.act(m.a(x))) if m.a2(x).shape else x,
        lambda m, x: x + m.b(m.act(m.a(x))),
        lambda m, x: torch.cat([m.b(m.act(m.a(x))), x], -1),
        lambda m, x: m.b(m.act(m.a(x[..., :4]))) * len(x),
    ],
)
def test_a_site_between_two_linear_layers_is_gateable(forward: Callable[[Forward, Tensor], object]) -> None:
    site = forward_of(forward, a2=nn.Linear(4, 8))
    assert site.gateable, site.not_gateable
    assert site.not_gateable == "" and site.refusal("swiglu") == ""
    assert site.wiring is not None and site.wiring.width == 8
    assert [layer.name for layer in site.wiring.consumers] == ["b"]


@pytest.mark.parametrize("shape", [(3, 16), (3, 5, 16), (2, 3, 5, 16)])
def test_a_transformers_block_accepts_it_at_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    site = site_of(Block(), example=torch.randn(shape))
    assert site.gateable and site.wiring is not None
    assert (site.wiring.producer.name, site.wiring.width) == ("up", 64)
    assert not site.wiring.before, "the norm in front of the layer stays"


def test_several_consumers_and_norms_on_the_way() -> None:
    model = Forward(
        lambda m, x: (lambda h: m.b(h) + m.c(m.drop(h)))(m.after(m.act(m.before(m.a(x))))),
        c=nn.Linear(8, 4, bias=False),
        before=nn.BatchNorm1d(8),
        after=nn.LayerNorm(8, elementwise_affine=False),
        **parts(),
    )
    wiring = site_of(model).wiring
    assert wiring is not None
    assert [(layer.name, layer.inputs, layer.outputs, layer.bias) for layer in wiring.consumers] == [
        ("b", 8, 4, True),
        ("c", 8, 4, False),
    ]
    assert [(norm.name, norm.per_channel) for norm in (*wiring.before, *wiring.after)] == [("before", 2), ("after", 0)]


def test_an_inplace_activation_and_an_rms_norm_are_no_hindrance() -> None:
    site = forward_of(lambda m, x: m.b(m.act(m.norm(m.a(x)))), act=nn.ReLU(inplace=True), norm=nn.RMSNorm(8))
    assert site.gateable, site.not_gateable


@pytest.mark.parametrize(
    ("forward", "more", "reason"),
    [
        (lambda m, x: m.act(m.a(x)), {}, "its output goes into the model's result, not into plain nn.Linear"),
        (lambda m, x: (m.b(h := m.act(m.a(x))), h), {}, "its output goes into the model's result"),
        (lambda m, x: m.b(m.act(x.repeat(1, 2))), {}, "its input comes from repeat(), and only the width of a plain"),
        (lambda m, x: m.b(m.act(x)), {"b": nn.Linear(4, 4)}, "its input comes from the model's input"),
        (lambda m, x: m.b(m.act(m.act2(m.a(x)))), {"act2": nn.Tanh()}, "its input comes from the activation 'act2'"),
        (lambda m, x: m.b(m.act2(m.act(m.a(x)))), {"act2": nn.Tanh()}, "its output goes into the activation 'act2'"),
        (lambda m, x: m.b((h := m.a(x)) + m.act(h)), {}, "the output of 'a' goes into add() as well"),
        (
            lambda m, x: m.b(m.act(h := m.a(x))) + m.c(h),
            {"c": nn.Linear(8, 4)},
            "the output of 'a' goes into c as well",
        ),
        (lambda m, x: m.b(m.act(m.a(x)) * 2), {}, "its output goes into mul()"),
        (lambda m, x: m.b(m.act(m.a(x)).softmax(-1)), {}, "its output goes into softmax()"),
        (lambda m, x: m.b(m.act(m.a(x)).view(-1, 8)), {}, "its output goes into view()"),
        (lambda m, x: m.b(m.act(m.act(m.a(x)))), {}, "it is called 2 times in one forward"),
        (lambda m, x: m.b(m.act(m.a(m.a(x)))), {"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}, "'a' is called 2 times"),
        (lambda m, x: m.b(m.act(m.a(x))) + m.b(x.repeat(1, 2)), {}, "'b' is called 2 times"),
        (sequence, {"a": frozen(nn.Linear(4, 8))}, "the weights of 'a' are frozen"),
        (sequence, {"b": frozen(nn.Linear(8, 4))}, "the weights of 'b' are frozen"),
        (sequence, {"a": weight_norm(nn.Linear(4, 8))}, "its input comes from a linear map that is no plain nn.Linear"),
        (sequence, {"b": weight_norm(nn.Linear(8, 4))}, "goes into a linear map that is no plain nn.Linear"),
        (lambda m, x: m.b(m.act(F.linear(x, m.a.weight))), {}, "a linear map that is no plain nn.Linear"),
        (lambda m, x: m.b(m.act(m.n(m.a(x)))), {"n": nn.GroupNorm(2, 8)}, "its input comes from group_norm()"),
        (
            lambda m, x: m.b(m.act(m.n(m.a(x).unsqueeze(0)))),
            {"n": nn.LayerNorm((3, 8))},
            "its input comes from LayerNorm 'n'",
        ),
        (
            lambda m, x: m.b(m.act(m.n(m.a(x.repeat(2, 1, 1))))),
            {"n": nn.BatchNorm1d(3)},
            "its input comes from BatchNorm1d 'n'",
        ),
    ],
)
def test_what_does_not_allow_it_is_told(
    forward: Callable[[Forward, Tensor], object], more: dict[str, nn.Module], reason: str
) -> None:
    site = forward_of(forward, **more)
    assert not site.gateable and site.wiring is None
    assert reason in site.not_gateable, site.not_gateable
    assert "\n" not in site.not_gateable
    assert site.refusal("swiglu") == f"swiglu cannot stand at act: {site.not_gateable}"
    assert site.refusal("tanh") == ""


def test_a_convolution_is_named() -> None:
    model = nn.Sequential(nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, 2))
    site = site_of(model, "1", torch.randn(2, 1, 4))
    assert site.not_gateable == "its input comes from conv1d(), and only the width of a plain nn.Linear can change"


def test_a_shared_module_and_tied_weights() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 8), act, nn.Linear(8, 8), act, nn.Linear(8, 1))
    assert site_of(model, "1").not_gateable == "it stands at several places: 1, 3"
    tied = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
    tied[4].weight = tied[2].weight
    assert site_of(tied, "1").not_gateable == "the weights of '2' are shared with another layer"


def test_a_subclass_with_a_forward_of_its_own_is_not_resized() -> None:
    class Scaled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    assert "mul()" in forward_of(sequence, a=Scaled(4, 8)).not_gateable
    assert "no plain nn.Linear" in forward_of(sequence, b=Scaled(8, 4)).not_gateable


def test_a_caught_error_makes_it_unsure() -> None:
    def forward(model: Forward, x: Tensor) -> Tensor:
        with contextlib.suppress(RuntimeError):
            model.c(x)
        return sequence(model, x)

    assert "an error" in forward_of(forward, c=nn.Linear(5, 5)).not_gateable


def test_without_a_run_nothing_is_known() -> None:
    site = find_sites(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))["1"]
    assert not site.gateable
    assert site.refusal("swiglu") == "swiglu cannot stand at 1: the model was not run: give an example_input"
    with pytest.raises(AutoactError, match="unknown activation"):
        site.refusal("swigluu")


def test_looking_leaves_no_trace() -> None:
    model = Block()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, state = torch.randn(3, 16), torch.get_rng_state()
    find_sites(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
