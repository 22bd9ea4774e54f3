"""What a step is made of, and the tables of the population and overhead benchmarks."""

import pytest
import torch
from torch import nn

from benchmarks import floor, overhead, population
from benchmarks.machine import judged, markdown_table, middle

CPU = torch.device("cpu")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 3, dilation=2)
        self.act = nn.ReLU()
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean(2))


def test_layers_shapes_and_operations_are_read_off_a_forward_pass():
    found = floor.dissect(Small(), torch.zeros(5, 2, 8), ["act"])
    assert [layer.shape for layer in found.layers] == [(5, 2, 8), (5, 3)] and found.sites == {"act": (5, 3, 4)}
    # 3 x 2 x 3 weights at 5 x 4 places, forward and the weights' gradient; 3 weights at 5 rows, three products.
    assert [layer.flops for layer in found.layers] == [2 * 18 * 20 * 2, 2 * 3 * 5 * 3]


def test_every_operation_of_the_floor_runs():
    anatomy = floor.dissect(Small(), torch.zeros(5, 2, 8), ["act"])
    choices = population.mixture(["act"], ["relu", "tanh"], 3)
    parts = [
        floor.products(anatomy, 3, CPU),
        floor.activations(anatomy, choices, CPU),
        floor.optimiser(anatomy, 3, CPU),
    ]
    assert [len(part) for part in parts] == [5, 2, 1]
    for ways in (ways for part in parts for ways in part):
        for way in ways:
            way()
    convolved = [way() for way in parts[0][0]]
    assert torch.allclose(convolved[0], torch.cat(convolved[1], 1), atol=1e-5)


def test_a_verdict_names_the_fastest_size_and_the_bar_at_width_64_only():
    slow = population.Measured("forecast", 1, 1.0, (1.0, 1.0), 0.2, 0.1, 0.1, 5.0)
    fast = population.Measured("forecast", 8, 0.5, (0.4, 0.6), 0.2, 0.05, 0.05, 10.0)
    assert "fastest at 8 members, 2.0x faster than 1" in population.verdict([slow, fast], 64)
    assert "met: 1.67x (bar: at most 2x)" in population.verdict([slow, fast], 64)
    assert "bar" not in population.verdict([slow, fast], 32)
    assert "| 8 | 0.500 (0.400-0.600) | 0.200 | 0.050 | 0.050 | 0.300 | 1.67 | 10 % |" in population.table(
        [fast], 100.0
    )


def test_the_model_written_by_hand_computes_what_the_applied_one_does():
    import autoact

    hand = overhead.write_by_hand(8, 4, ["gelu", "tanh", "silu"])
    plain = overhead.write_by_hand(8, 4, ["relu"] * 3)
    plain.load_state_dict(hand.state_dict())
    x = torch.randn(2, 4)
    sites = autoact.find_sites(plain, x).names
    applied = autoact.apply(plain, dict(zip(sites, ["gelu", "tanh", "silu"], strict=True)), example_input=x)
    assert torch.equal(applied.eval()(x), hand(x))


@pytest.mark.parametrize(
    ("value", "least", "wanted"),
    [
        (20.0, True, "met"),
        (19.9, True, "missed"),
        (20.0, False, "met"),
        (20.1, False, "missed"),
        (None, True, "missed"),
    ],
)
def test_bars(value, least, wanted):
    assert judged(value, 20.0, least=least).startswith(wanted)


def test_tables_and_spreads():
    assert middle([2.0, 1.0, 4.0], ".1f") == "2.0 (1.0-4.0)"
    assert markdown_table(["a", "b"], [["x", "1"]]).splitlines()[1] == "| --- | ---: |"
