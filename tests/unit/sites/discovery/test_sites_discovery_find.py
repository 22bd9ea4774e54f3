"""find_sites: what is found, with which shapes, and that the model is left as it was."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.modules import build
from autoact.core.errors import AutoactError
from autoact.core.registry import Registry
from autoact.sites import apply, find_sites


class Residual(nn.Module):
    """Two convolutions and a shortcut; the last activation works in place on the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.act1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(6, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.act2 = nn.ReLU(inplace=True)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        y += x
        return self.head(self.act2(y).mean((2, 3)))


class Calls(nn.Module):
    """Runs a function with the modules it holds."""

    def __init__(self, forward: Callable[..., object], **modules: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args: Tensor, **kwargs: Tensor) -> object:
        return self.run(self, *args, **kwargs)


def kinds(sites: object) -> dict[str, str]:
    return {item.name: item.kind for item in sites.unreplaceable}  # type: ignore[attr-defined]


def test_mlp_sites_have_shape_channels_and_order() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.GELU(approximate="tanh"), nn.Linear(8, 5), nn.LeakyReLU(0.2), nn.Linear(5, 1)
    )
    sites = find_sites(model, torch.zeros(3, 4))
    assert sites.names == ("1", "3")
    assert [str(site.current) for site in sites] == ["gelu_tanh", "leaky_relu(negative_slope=0.2)"]
    assert [site.shape for site in sites] == [(3, 8), (3, 5)]
    assert [site.channels for site in sites] == [8, 5]
    assert [site.channel_dim for site in sites] == [-1, -1]
    assert [site.uses for site in sites] == [1, 1]
    assert sites.unreplaceable == ()


def test_order_is_that_of_the_calls_not_of_the_definition() -> None:
    model = Calls(lambda m, x: m.out(m.late(m.early(x))), late=nn.Tanh(), early=nn.ReLU(), out=nn.Linear(4, 1))
    assert find_sites(model, torch.zeros(2, 4)).names == ("early", "late")
    assert find_sites(model).names == ("late", "early")


def test_convolutions_put_channels_first_even_behind_a_sum() -> None:
    sites = find_sites(Residual(), torch.zeros(2, 3, 5, 5))
    assert {site.name: (site.channels, site.channel_dim) for site in sites} == {"act1": (6, 1), "act2": (3, 1)}
    assert not any(site.is_output for site in sites)


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([nn.Conv1d(2, 6, 3)], (2, 2, 9), (6, 1)),
        ([nn.ConvTranspose3d(2, 6, 1)], (2, 2, 3, 3, 3), (6, 1)),
        ([nn.BatchNorm1d(6)], (2, 6, 4), (6, 1)),
        ([nn.BatchNorm1d(6)], (2, 6), (6, -1)),
        ([nn.Conv2d(1, 6, 3), nn.MaxPool2d(2), nn.Dropout2d()], (2, 1, 8, 8), (6, 1)),
        ([nn.Conv2d(1, 6, 3), nn.Flatten(2)], (2, 1, 8, 8), (6, 1)),
        ([nn.Conv2d(1, 6, 8), nn.Flatten()], (2, 1, 8, 8), (6, -1)),
        ([nn.Conv2d(1, 6, 3), nn.Linear(6, 7)], (2, 1, 8, 8), (7, -1)),
        ([nn.Conv2d(1, 6, 3), nn.LayerNorm(6)], (2, 1, 8, 8), (6, -1)),
        ([nn.Linear(5, 7)], (2, 3, 5), (7, -1)),
    ],
    ids=str,
)
def test_channel_dim_follows_the_producer(
    layers: list[nn.Module], shape: tuple[int, ...], expected: tuple[int, int]
) -> None:
    model = nn.Sequential(*layers, nn.ReLU(), nn.Dropout(), nn.Softmax(-1)).eval()
    (site,) = find_sites(model, torch.zeros(shape))
    assert (site.channels, site.channel_dim) == expected


def test_channel_dim_goes_through_an_activation_of_ours_and_ends_at_a_permute() -> None:
    acts = {"a": build("prelu", channels=6, channel_dim=1), "b": nn.ReLU(), "c": nn.ReLU()}
    model = Calls(lambda m, x: m.c(m.b(m.a(m.conv(x))).permute(0, 2, 3, 1)).sum(), conv=nn.Conv2d(1, 6, 1), **acts)
    sites = find_sites(model, torch.zeros(2, 1, 4, 5))
    assert [(site.name, site.channels, site.channel_dim) for site in sites] == [
        ("a", 6, 1),
        ("b", 6, 1),
        ("c", 6, -1),
    ]


def test_reused_module_counts_its_calls_and_loses_its_channels_where_they_differ() -> None:
    model = Calls(
        lambda m, x: m.b(m.act(m.a(x))) + m.same(m.same(m.act(m.b(m.act(m.a(x)))))),
        a=nn.Linear(4, 8),
        b=nn.Linear(8, 4),
        act=nn.ReLU(),
        same=nn.Tanh(),
    )
    sites = find_sites(model, torch.zeros(2, 4))
    assert (sites["act"].uses, sites["act"].shape, sites["act"].channels) == (3, (2, 8), None)
    assert (sites["same"].uses, sites["same"].channels) == (2, 4)


def test_shared_module_is_one_site_with_aliases() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 1))
    sites = find_sites(model, torch.zeros(2, 4))
    assert sites.names == ("1",)
    assert (sites["1"].shared_as, sites["1"].uses) == (("3",), 2)
    assert sites["3"] is sites["1"]


def test_shared_block_gives_one_site() -> None:
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    sites = find_sites(nn.ModuleDict({"a": block, "b": block}))
    assert sites.names == ("a.1",)
    assert sites[0].shared_as == ("b.1",)


@pytest.mark.parametrize(
    "finish",
    [
        lambda y: y,
        lambda y: y.squeeze(-1),
        lambda y: {"logits": y, "other": None},
        lambda y: [(y.view(-1),)],
        lambda y: Result(y),
    ],
)
def test_output_is_found_through_views_and_containers(finish: Callable[[Tensor], object]) -> None:
    model = Calls(lambda m, x: finish(m.last(m.fc(m.act(x)))), act=nn.ReLU(), fc=nn.Linear(4, 1), last=nn.Sigmoid())
    sites = find_sites(model, torch.zeros(2, 4))
    assert {site.name: site.is_output for site in sites} == {"act": False, "last": True}


@dataclass
class Result:
    """What some models return."""

    logits: Tensor


def test_a_sum_in_place_and_a_later_activation_do_not_hide_an_output() -> None:
    def forward(m: nn.Module, x: Tensor) -> Tensor:
        y = m.act(x * 1)
        y += x
        return m.hard(y)

    sites = find_sites(Calls(forward, act=nn.ReLU(), hard=nn.Hardtanh(inplace=True)), torch.ones(2, 4))
    assert {site.name: site.is_output for site in sites} == {"act": True, "hard": True}


def test_without_an_example_the_end_of_a_sequential_is_the_output() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid(), nn.Flatten(0)))
    sites = find_sites(model)
    assert [(s.name, s.is_output, s.shape, s.channels, s.uses) for s in sites] == [
        ("1", False, None, None, 0),
        ("2.1", True, None, None, 0),
    ]


def test_what_a_loss_reads_is_the_output_when_call_runs_the_model() -> None:
    net = nn.ModuleDict({"act": nn.ReLU(), "fc": nn.Linear(4, 1), "last": nn.Sigmoid()})

    def step() -> Tensor:
        p = net["last"](net["fc"](net["act"](torch.ones(2, 4)))).squeeze(-1)
        return nn.BCELoss()(p, torch.ones(2))

    sites = find_sites(net, call=step)
    assert {site.name: site.is_output for site in sites} == {"act": False, "last": True}
    assert sites["act"].shape == (2, 4)


def test_what_the_forward_returns_is_the_output_when_call_goes_on_from_it() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    sites = find_sites(net, call=lambda: ((net(torch.ones(2, 4)) - 1) ** 2).mean())
    assert {site.name: site.is_output for site in sites} == {"0": False, "2": True}


def test_channel_dim_goes_through_a_function_that_torch_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * x.abs()

    class Module(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Hidden.apply(x)

    # On a table of its own: the catalogue is shared by all tests of the process.
    own = Registry("activation", registry.ACTIVATIONS.group, registry.Activation, registry.all())
    monkeypatch.setattr(registry, "ACTIVATIONS", own)
    registry.register("test_sites_hidden", lambda x: Hidden.apply(x), torch_type=Module)
    sites = find_sites(nn.Sequential(nn.Conv1d(1, 6, 3), Module(), nn.ReLU(), nn.Flatten()), torch.zeros(2, 1, 9))
    assert [(str(site.current), site.channels, site.channel_dim) for site in sites] == [
        ("test_sites_hidden", 6, 1),
        ("relu", 6, 1),
    ]


def test_example_as_tuple_list_and_dict() -> None:
    model = Calls(lambda m, a, b: m.fc(m.act(a + b)), act=nn.ReLU(), fc=nn.Linear(4, 1))
    a, b = torch.zeros(2, 4), torch.zeros(1, 4)
    for example in ((a, b), [a, b], {"a": a, "b": b}):
        assert find_sites(model, example)["act"].shape == (2, 4)


def test_model_is_left_as_it_was() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))
            self.register_buffer("replaced", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            self.replaced = self.replaced + 1
            random.random()
            return x + torch.rand_like(x)

    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), Counter(), nn.ReLU(inplace=True), nn.Linear(4, 1))
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    held = model[2].replaced
    example = torch.randn(8, 4)
    kept = example.clone()
    torch.manual_seed(7)
    random.seed(7)
    expected = (torch.rand(1), random.random())
    torch.manual_seed(7)
    random.seed(7)
    find_sites(model, example)
    assert (torch.rand(1), random.random()) == expected
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[2].replaced is held
    assert torch.equal(example, kept)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_example_is_not_written_by_an_in_place_activation() -> None:
    example = -torch.ones(2, 4)
    find_sites(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 1)), {"input": example})
    assert torch.equal(example, -torch.ones(2, 4))


def test_forward_that_raises_is_told_with_its_cause_and_leaves_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(
        AutoactError, match=r"RuntimeError.*example_input that model\(example_input\) accepts"
    ) as caught:
        find_sites(model, torch.zeros(2, 5))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "\n" not in str(caught.value)
    assert model.training
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when its compiler is imported
def test_models_that_cannot_be_walked_are_refused() -> None:
    with pytest.raises(AutoactError, match="the class ReLU"):
        find_sites(nn.ReLU)  # type: ignore[arg-type]
    with pytest.raises(AutoactError, match=r"before torch\.compile"):
        find_sites(torch.compile(nn.Sequential(nn.ReLU())))  # type: ignore[arg-type]
    inside = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    inside.compile()
    with pytest.raises(AutoactError, match=r"before torch\.compile"):
        find_sites(inside)
    with pytest.raises(AutoactError, match="run the model once first"):
        find_sites(nn.Sequential(nn.LazyLinear(3), nn.ReLU()), torch.zeros(2, 4))


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act, self.out = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(nn.functional.gelu(self.act(self.layer(x))))


class WithCompiledPart(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.body, self.out = Body(), nn.Linear(4, 1)
        if how == "function":
            self.body = torch.compile(self.body, backend="eager")  # type: ignore[assignment]
        else:
            self.body.compile(backend="eager")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.body(x)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when its compiler is imported
@pytest.mark.parametrize(("how", "part"), [("function", "body._orig_mod"), ("method", "body")])
def test_sites_in_and_around_compiled_parts_are_found_and_replaced(how: str, part: str) -> None:
    model, x = WithCompiledPart(how), torch.randn(3, 4)
    found = find_sites(model, x)
    assert found.names == (f"{part}.act", f"{part}.forward_gelu_1", "forward_tanh_1")
    assert found.unreplaceable == ()
    changed = apply(model, {f"{part}.act": "sine", f"{part}.forward_gelu_1": "softsign"}, example_input=x)
    body = model.body if how == "method" else model.body._orig_mod
    inner = body.out(nn.functional.softsign(torch.sin(body.layer(x))))  # type: ignore[union-attr, operator]
    assert torch.allclose(changed(x), model.out(torch.tanh(inner)))


class CompiledForward(Body):
    @torch.compile(backend="eager")
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(nn.functional.gelu(self.act(self.layer(x))))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forward_that_is_compiled_by_a_decorator_is_read_as_it_is_written() -> None:
    assert find_sites(CompiledForward(), torch.randn(3, 4)).names == ("act", "forward_gelu_1")


def test_identity_placeholders_are_no_sites_but_ours_are() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Identity(), nn.Linear(4, 4), build("identity"), nn.Linear(4, 1))
    sites = find_sites(model, torch.zeros(2, 4))
    assert [(site.name, str(site.current)) for site in sites] == [("3", "identity")]
    assert sites.unreplaceable == ()


def test_unused_modules_are_told() -> None:
    model = Calls(lambda m, x: m.fc(m.used(x)), used=nn.ReLU(), spare=nn.Tanh(), fc=nn.Linear(4, 1))
    sites = find_sites(model, torch.zeros(2, 4))
    assert sites.names == ("used",)
    assert kinds(sites) == {"spare": "unused"}
    with pytest.raises(AutoactError, match="not called with this example input"):
        sites["spare"]


def test_inference_mode_and_dead_tensors_do_not_confuse() -> None:
    def forward(m: nn.Module, x: Tensor) -> Tensor:
        with torch.inference_mode():
            for _ in range(50):
                x = m.fc(m.act(x))
            return x

    sites = find_sites(Calls(forward, act=nn.ReLU(), fc=nn.Linear(4, 4)), torch.zeros(2, 4))
    assert (sites["act"].uses, sites["act"].is_output) == (50, False)


def test_root_activation_is_a_site_without_a_name() -> None:
    (site,) = find_sites(nn.ReLU(), torch.zeros(2, 4))
    assert (site.name, site.is_output) == ("", True)
