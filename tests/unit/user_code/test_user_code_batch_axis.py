"""Inputs of any number of samples, from batches as other people make them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from autoact.core.errors import AutoactError
from autoact.latency.model_call import to_device
from autoact.sites.tracing.dry_run import tensors_in
from autoact.user_code.batch_axis import batch_axis, input_maker, samples_along


@dataclasses.dataclass
class Batch:
    x: Tensor
    mask: Tensor


class Named(NamedTuple):
    x: Tensor
    scale: float


def net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


LSTM = nn.LSTM(3, 4).eval()
FORMS: dict[str, tuple[Any, Any, int]] = {
    "a tensor": (net(), torch.randn(5, 3), 0),
    "a dataclass": (lambda b: net()(b.x * b.mask), Batch(torch.randn(5, 3), torch.ones(5, 1)), 0),
    "a named tuple": (lambda b: net()(b.x) * b.scale, Named(torch.randn(5, 3), 2.0), 0),
    "a dict beside a constant": (lambda b: net()(b["x"] + b["by"]), {"x": torch.randn(5, 3), "by": torch.ones(3)}, 0),
    "time first": (lambda x: LSTM(x)[0], torch.randn(7, 5, 3), 1),
    "time first, averaged": (lambda x: LSTM(x)[0].mean(0), torch.randn(7, 5, 3), 1),
    "time second": (lambda x: LSTM(x.transpose(0, 1))[0].transpose(0, 1), torch.randn(5, 7, 3), 0),
    "as long as it is wide": (lambda x: LSTM(x)[0][-1], torch.randn(5, 5, 3), 1),
    "one number for all": (lambda x: net()(x).mean(), torch.randn(5, 3), 0),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_samples_lie_where_cutting_them_changes_nothing_else(form: str) -> None:
    run, example, axis = FORMS[form]
    assert batch_axis(run, example) == axis
    make = input_maker(run, example, batch_axis(run, example), lambda batch: batch, None, "Net")
    for size in (1, 2, 12):
        assert samples_along(make(size), axis) == size
        run(make(size))


class Graphs(torch.utils.data.Dataset[Any]):
    """Chains of three nodes."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return torch.full((3, 3), float(index)), torch.tensor([[0, 1], [1, 2]])


def together(graphs: Any) -> Any:
    x = torch.cat([nodes for nodes, _ in graphs])
    edges = torch.cat([each + 3 * k for k, (_, each) in enumerate(graphs)], 1)
    return x, edges, torch.arange(len(graphs)).repeat_interleave(3)


def over_graphs(batch: Any) -> Tensor:
    x, edges, graph = batch
    h = x.index_add(0, edges[1], x[edges[0]])
    return torch.zeros(int(graph.max()) + 1, 3).index_add(0, graph, h)


def test_graphs_are_put_together_by_the_loaders_own_code() -> None:
    loader = DataLoader(Graphs(), batch_size=4, collate_fn=together)
    batch = next(iter(loader))
    assert batch_axis(over_graphs, batch) is None
    make = input_maker(over_graphs, batch, None, lambda batch: batch, loader, "Net")
    assert [over_graphs(make(size)).shape for size in (1, 2, 9)] == [(1, 3), (2, 3), (9, 3)]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield together([Graphs()[0], Graphs()[1]])


def test_where_there_is_no_single_sample_the_reason_and_a_way_out_are_told() -> None:
    loader = DataLoader(Stream(), batch_size=None)
    with pytest.raises(AutoactError, match="where the samples lie in a batch of Net cannot be found, and"):
        input_maker(over_graphs, next(iter(loader)), None, lambda batch: batch, loader, "Net")

    def broken(graphs: Any) -> Any:
        if len(graphs) < 4:
            raise ValueError("four graphs, please")
        return together(graphs)

    loader = DataLoader(Graphs(), batch_size=4, collate_fn=broken)
    with pytest.raises(AutoactError, match="single samples of its loader raise ValueError: four graphs, please"):
        input_maker(over_graphs, next(iter(loader)), None, lambda batch: batch, loader, "Net")


class Held:
    """A batch of graphs as an object, like those of ``torch_geometric``."""

    def __init__(self, **tensors: Tensor) -> None:
        self.__dict__.update(tensors)

    def to_dict(self) -> dict[str, Tensor]:
        return dict(vars(self))

    def to(self, device: Any) -> Held:
        return Held(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def test_an_object_that_holds_tensors_is_put_together_by_the_loader_too() -> None:
    def collate(graphs: Any) -> Held:
        return Held(**dict(zip(("x", "edges", "graph"), together(graphs), strict=True)))

    def run(batch: Held) -> Tensor:
        return over_graphs((batch.x, batch.edges, batch.graph))

    loader = DataLoader(Graphs(), batch_size=4, collate_fn=collate)
    batch = next(iter(loader))
    assert len(list(tensors_in(batch))) == 3 and to_device(batch, torch.device("cpu")).x.equal(batch.x)
    assert batch_axis(run, batch) is None
    make = input_maker(run, batch, None, lambda batch: batch, loader, "Net")
    assert [run(make(size)).shape for size in (1, 2, 9)] == [(1, 3), (2, 3), (9, 3)]
