"""Searches whose candidates really train: Ctrl-C in mid-training, divergence, objectives of one's own."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autoact.core.trial import Candidate
from autoact.engines.inline import InlineEngine
from autoact.engines.job import WorkerContext
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tasks.objectives import Objective
from autoact.training.lightning_session import LightningSession, SessionOptions

pytestmark = pytest.mark.usefixtures("timed_by_table")


class Net(lightning.LightningModule):
    """Sites ``a`` and ``b``; settings as the bench configures them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.a, self.b = nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.b(self.second(self.a(self.first(x)))))[:, 0]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        factor = float("nan") if str(getattr(self.a, "choice", "relu")) == "gelu" else 1.0
        return factor * F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=0.01)


class Rows(lightning.LightningDataModule):
    def __init__(self, part: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(part)
        x = torch.randn(16, 2, generator=draw)
        self.rows = TensorDataset(x, torch.tanh(x.sum(1)))

    def train_dataloader(self) -> Any:
        return DataLoader(self.rows, batch_size=8, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.rows, batch_size=16)


class Stop:
    """Ctrl-C: true from the given number of batches on."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.batches = after, 0

    def asked_in_training(self) -> bool:
        self.batches += 1
        return self.asked()

    def asked(self) -> bool:
        return self.after is not None and self.batches >= self.after


def bench_of(kit: Any, **changes: Any) -> Any:
    task = kit.task(
        "min",
        make_module=Net,
        make_datamodule=lambda seed: Rows(),
        monitor="val_loss",
        example_input=torch.zeros(2, 2),
        make_input=lambda rows: torch.zeros(rows, 2),
        test=kit.GivenTest(Rows(part=9)),
        trainer={"max_epochs": 2},
        trivial=None,
    )
    given = {
        "task": task,
        "settings": SearchSettings(trials=7, tuning=2),
        "confirm": ConfirmSettings(seeds=2, references=False),
    }
    return kit.Bench(**{**given, **changes})


def run(bench: Any, stop: Stop | None = None) -> Any:
    stop = stop or Stop()
    options = SessionOptions(stop_asked=stop.asked_in_training)
    worker_context = WorkerContext(bench.task, lambda: LightningSession(bench.task, options), bench.objectives)
    search = bench.search(InlineEngine(worker_context))
    search.stop_asked = stop.asked
    return search.run()


def told(result: Any) -> list[Any]:
    return [(r.candidate, r.status, r.quality, r.curve) for r in result.records]


def test_a_search_ends_with_a_verdict(kit):
    result = run(bench_of(kit))
    assert result.status == "finished"
    assert len(result.records) == 7
    assert result.verdict
    assert all(len(entry.curve) == 2 for entry in result.records if entry.complete)
    failed = [record for record in result.records if not record.complete]
    assert failed
    assert all("gelu" in r.candidate.assignment.summary() for r in failed)
    assert {record.reason for record in failed} == {"val_loss is nan in epoch 1"}


@pytest.mark.parametrize("batches", [1, 6, 19])
def test_a_stop_in_mid_training_loses_nothing(kit, batches):
    straight = run(bench_of(kit))
    bench = bench_of(kit)
    result = run(bench, Stop(after=batches))
    assert result.status == "interrupted"
    assert len(result.records) < 7
    (pending,) = bench.ledger().noted_under("pending:").values()
    left = [Candidate.from_dict(data) for data in pending["batch"]]
    assert len(left) > len(result.records) or result.records[-1].candidate not in left
    resumed = run(bench)
    assert resumed.status == "finished"
    assert told(resumed) == told(straight)
    assert bench.ledger().noted_under("pending:")["main"]["batch"] == []
    assert resumed.gains == straight.gains


def test_a_stop_in_the_final_check_goes_on_there(kit):
    straight = run(bench_of(kit))
    bench = bench_of(kit)
    stop = Stop(after=7 * 6 - 1)  # six looks at the flag in a training of two epochs; some trials end sooner
    result = run(bench, stop)
    assert result.status == "interrupted"
    assert len(result.records) == 7
    assert bench.ledger().noted_under("pending:")["main"]["batch"] == []
    resumed = run(bench)
    assert (resumed.gains, resumed.opening) == (straight.gains, 1)


def test_an_objective_that_raises_fails_its_trial_only(kit):
    def slope(module: Any) -> torch.Tensor:
        if str(getattr(module.a, "choice", "relu")) == "tanh":
            raise RuntimeError("no slope\nin this model")
        return module.head.weight.abs().sum()

    own = Objective("slope", "1", "min", slope)
    result = run(
        bench_of(kit, own=(own,), names=("quality", "latency"), space=kit.space(candidates=("relu", "tanh", "elu")))
    )
    by_tanh = [r for r in result.records if str(r.candidate.assignment["a"]) == "tanh"]
    assert by_tanh
    assert {r.reason for r in by_tanh} == {"the objective slope failed: RuntimeError: no slope"}
    others = [r for r in result.records if r not in by_tanh]
    assert all(r.complete and r.values["slope"] > 0 for r in others)
