"""A population trains exactly as its members would train one by one, for every recipe and whatever a module holds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torchmetrics.classification import BinaryAccuracy

from autoact.activations import registry
from autoact.core.assignment import Assignment
from autoact.core.trial import COMPLETE, FAILED, Candidate
from autoact.data.datamodule import TensorDataModule
from autoact.data.part import Part
from autoact.data.preparation.cross_validation import fold_of
from autoact.data.prepared_data import PreparedData
from autoact.data.sealed_test import PreparedTest
from autoact.data.settings import HALF
from autoact.recipes.coordinates import HeatEquation, ImageFit
from autoact.recipes.residual import ResidualClassifier, ResidualRegressor
from autoact.recipes.sequence import Forecaster, SequenceClassifier
from autoact.recipes.tabular import TabularClassifier, TabularRegressor
from autoact.sites import find_sites
from autoact.space.candidates import ranged
from autoact.tasks.metrics import METRICS
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.preflight.loaded_weights import sites_of

NAMES = ("relu", "tanh", "gelu", "softplus", "prelu", "snake_learnable", "swish_beta", "elu", "identity")
EPOCHS = 3
ROWS, VALIDATION, BATCH = 70, 30, 16
CLOSE = 1e-9
RARE, MANY = torch.tensor([56, 14]), torch.tensor([40, 20, 10])


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Rows(lightning.LightningDataModule):
    """Shuffled by a DataLoader of torch, which draws from the global generator."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        super().__init__()
        self.x, self.y = x, y

    def train_dataloader(self) -> Any:
        rows = torch.utils.data.TensorDataset(self.x[:ROWS], self.y[:ROWS])
        return torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True)

    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(self.x[ROWS:], self.y[ROWS:]), batch_size=20)


class Own(lightning.LightningModule):
    """What users write: batch norm, dropout, tied and frozen weights, groups of parameters, metrics, a schedule."""

    def __init__(self, optimizer: str = "adamw") -> None:
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.norm = nn.BatchNorm1d(8)
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(0.3)
        self.tied = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.tied.weight
        self.act2 = nn.Tanh()
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))
        self.head = nn.Linear(8, 1)
        self.train_accuracy, self.val_accuracy = BinaryAccuracy(), BinaryAccuracy()
        self.optimizer = optimizer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.act(self.norm(self.first(x))))
        x = self.act2(self.again(self.act2(self.tied(x))))
        return self.head(self.frozen(x))[:, 0]

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        out = self(batch[0])
        loss = F.binary_cross_entropy_with_logits(out, batch[1])
        self.train_accuracy(out, batch[1].int())
        self.log("train_accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        self.log_dict({"loss": loss, "largest": out.max()}, on_epoch=True, on_step=True)
        return {"loss": loss}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        out = self(batch[0])
        self.val_accuracy(out, batch[1].int())
        self.log("val_accuracy", self.val_accuracy)
        self.log("val_loss", F.binary_cross_entropy_with_logits(out, batch[1]))

    def configure_optimizers(self) -> Any:
        decayed = [p for p in self.parameters() if p.requires_grad and p.dim() > 1]
        others = [p for p in self.parameters() if p.requires_grad and p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0, "lr": 3e-3}]
        if self.optimizer == "sgd":
            made: Any = torch.optim.SGD(groups, lr=1e-2, momentum=0.9, nesterov=True)
            return {"optimizer": made, "lr_scheduler": {"scheduler": plateau(made), "monitor": "val_loss"}}
        if self.optimizer == "adam":
            made = torch.optim.Adam(groups, lr=1e-2, amsgrad=True)
            return [made], [torch.optim.lr_scheduler.CosineAnnealingLR(made, T_max=EPOCHS)]
        made = torch.optim.AdamW(groups, lr=1e-2)
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(made, max_lr=[1e-2, 3e-3], total_steps=steps)
        return {"optimizer": made, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def plateau(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1)


def own_task(optimizer: str = "adamw", **changed: Any) -> Task:
    x = draw(ROWS + VALIDATION, 5)
    y = (x.sum(1) + draw(ROWS + VALIDATION, seed=1) > 0).double()
    given = dict(
        name="own",
        make_module=lambda: Own(optimizer),
        make_datamodule=lambda seed: Rows(x, y),
        monitor="val_loss",
        mode="min",
        quality_unit="loss",
        example_input=x[:2],
        make_input=lambda size: x[:1].expand(size, -1),
        trainer={"max_epochs": EPOCHS},
    )
    return Task(**(given | changed))


def recipe_task(
    make: Callable[[], Any], x: torch.Tensor, y: torch.Tensor, metric: str, threshold: float | str = HALF
) -> Task:
    """A recipe on prepared rows, whose order of batches follows the seed and whose metric is one of all rows."""
    numbers = np.arange(len(x))
    train, validation = [Part(x[s], y[s], numbers[s]) for s in (slice(ROWS), slice(ROWS, None))]
    prepared = PreparedData(
        kind="", name="", description="", simulated=True, train=train, validation=validation,
        test=PreparedTest(lambda: train, 0, "", train=train), input_shape=(), outputs=1, features=[], target="",
        split="random", seed=0, fingerprint="", classes=None if y.is_floating_point() else ["a"],
    )  # fmt: skip
    return Task(
        name="recipe",
        make_module=make,
        make_datamodule=lambda seed: TensorDataModule(prepared, BATCH, seed),
        make_fold=lambda seed, *fold: TensorDataModule(fold_of(prepared, seed, *fold), BATCH, seed),
        monitor=f"val_{metric}",
        mode=METRICS[metric].mode,
        quality_unit=metric,
        example_input=x[:2],
        make_input=lambda size: x[:1].expand(size, *x.shape[1:]),
        metric=METRICS[metric].at(threshold),
        trainer={"max_epochs": EPOCHS},
    )


def tasks() -> dict[str, Callable[[], Task]]:
    """Every recipe, with dropout, and a module of the user's own with three optimisers."""
    count = ROWS + VALIDATION

    def classes(k: int) -> torch.Tensor:
        return torch.arange(count) % k

    return {
        "tabular classification": lambda: recipe_task(
            lambda: TabularClassifier(5, 2, width=12, dropout=0.2), draw(count, 5), classes(2), "roc_auc"
        ),
        "tabular regression": lambda: recipe_task(
            lambda: TabularRegressor(5, 1, width=12, dropout=0.2), draw(count, 5), draw(count, seed=2), "rmse"
        ),
        "residual classification": lambda: recipe_task(
            lambda: ResidualClassifier(5, 2, draw(50, 3, seed=3), width=6, members=2),
            draw(count, 5),
            classes(2),
            "roc_auc",
        ),
        "tabular classification, weights": lambda: recipe_task(
            lambda: TabularClassifier(5, 2, width=12, dropout=0.2, class_counts=RARE, class_weights="balanced"),
            draw(count, 5),
            (torch.arange(count) % 5 == 0).long(),
            "f1",
            "validation",
        ),
        "residual classification, focal": lambda: recipe_task(
            lambda: ResidualClassifier(
                5, 3, width=6, members=2, class_counts=MANY, class_weights="balanced", focal_gamma=2
            ),
            draw(count, 5),
            classes(3),
            "log_loss",
        ),
        "residual regression": lambda: recipe_task(
            lambda: ResidualRegressor(5, 1, draw(50, 3, seed=3), width=6, norm="layer"),
            draw(count, 5),
            draw(count, seed=2),
            "rmse",
        ),
        "sequence classification": lambda: recipe_task(
            lambda: SequenceClassifier(3, 4, width=6, dropout=0.2), draw(count, 3, 9), classes(4), "accuracy"
        ),
        "forecast": lambda: recipe_task(
            lambda: Forecaster(3, 2, width=6, dropout=0.2), draw(count, 3, 9), draw(count, 2, seed=2), "mae"
        ),
        "image": lambda: recipe_task(
            lambda: ImageFit(2, 3, width=12), draw(count, 2), draw(count, 3, seed=2).sigmoid(), "psnr"
        ),
        "own, adamw": own_task,
        "own, sgd": lambda: own_task("sgd"),
        "own, adam": lambda: own_task("adam"),
    }


def candidates(task: Task, count: int, seeds: int = 1) -> list[tuple[int, Candidate]]:
    """Mixed assignments with settings of their own."""
    chosen = random.Random(count)
    sites = [site.name for site in find_sites(task.make_module(), task.example_input).searchable]
    return [
        (
            number,
            Candidate(
                Assignment({site: chosen.choice(NAMES) for site in sites}),
                {"learning_rate": 10 ** chosen.uniform(-3, -2), "weight_decay": chosen.choice((0.0, 0.1))},
                seed=number % seeds,
            ),
        )
        for number in range(count)
    ]


def compare(task: Task, given: list[tuple[int, Candidate]], **options: Any) -> PopulationSession:
    """Train one by one and together; everything has to agree."""
    alone, together = (
        LightningSession(task, SessionOptions(**options)),
        PopulationSession(task, SessionOptions(**options)),
    )
    for session in (alone, together):
        session.start(given)
        session.advance()
    assert together.reason == ""
    assert together._singles.runs == {}
    for one, other in zip(alone.records(), together.records(), strict=True):
        assert (one.number, one.status, one.epochs) == (other.number, other.status, other.epochs)
        assert one.best_epoch == other.best_epoch
        if one.status == FAILED:
            assert other.reason == one.reason
            continue
        assert other.quality == pytest.approx(one.quality, rel=CLOSE, abs=CLOSE)
        assert other.metrics == pytest.approx(one.metrics, rel=CLOSE, abs=CLOSE)
        for a, b in zip(one.curve, other.curve, strict=True):
            assert b == pytest.approx(a, rel=CLOSE, abs=CLOSE)
    for number, module in alone.modules().items():
        if alone.runs[number].finished:
            mine = together.modules()[number].state_dict()
            for name, value in module.state_dict().items():
                torch.testing.assert_close(mine[name], value, rtol=CLOSE, atol=CLOSE, msg=f"{number} {name}")
    return together


@pytest.mark.parametrize("name", tasks())
@pytest.mark.parametrize("count", [1, 2, 7])
def test_members_train_as_if_alone(name, count):
    task = tasks()[name]()
    session = compare(task, candidates(task, count))
    assert len(session._populations) == 1


def test_many_members(name="tabular classification"):
    task = tasks()[name]()
    compare(task, candidates(task, 32), patience=1)


@pytest.mark.parametrize("name", tasks())
def test_seeds_share_a_population_each_with_its_own_batches_and_masks(name):
    task = tasks()[name]()
    session = compare(task, candidates(task, 6, seeds=3))
    assert len(session._populations) == 1
    assert len(session._populations[0].streams) == 3


def with_dropout(given: list[tuple[int, Candidate]]) -> list[tuple[int, Candidate]]:
    """Each seed with every dropout, none of it among them."""
    every = itertools.cycle((0.0, 0.1, 0.5, 0.1))
    return [(n, replace(one, settings={**one.settings, "dropout": next(every)})) for n, one in given]


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("name", tasks())
def test_members_of_different_dropout_share_a_population_each_with_its_own_masks(name, seeds):
    task = tasks()[name]()
    session = compare(task, with_dropout(candidates(task, 8, seeds=seeds)))
    assert len(session._populations) == 1
    assert len(session._populations[0].streams) == (3 if seeds == 1 else 7)


def test_dropout_is_in_force_alone_and_together():
    task = tasks()["own, adamw"]()
    (_, one), *_ = candidates(task, 1)
    given = [(n, replace(one, settings={**one.settings, "dropout": p})) for n, p in enumerate((0.0, 0.3, 0.6))]
    session = compare(task, [*given, (3, one)])
    curves = [[epoch["val_loss"] for epoch in record.curve] for record in session.records()]
    assert curves[1] == pytest.approx(curves[3], rel=CLOSE)  # as it is configured
    assert curves[0] != pytest.approx(curves[1], rel=1e-3)
    assert curves[2] != pytest.approx(curves[1], rel=1e-3)


def test_members_of_different_dropout_pause_and_go_on_elsewhere():
    task = tasks()["own, adamw"]()
    given = with_dropout(candidates(task, 4))
    whole, first, second = PopulationSession(task), PopulationSession(task), PopulationSession(task)
    whole.start(given)
    first.start(given)
    first.advance(1)
    second.resume(first.checkpoint())
    for one, other in zip(whole.advance(), second.advance(), strict=True):
        assert other.candidate == one.candidate
        assert other.quality == pytest.approx(one.quality, rel=CLOSE)


@pytest.mark.parametrize("name", [name for name in tasks() if not name.startswith("own")])
def test_folds_share_a_population_each_with_its_own_rows(name):
    task = tasks()[name]()
    given = [(n, replace(one, fold=(n % 3, 3))) for n, (_, one) in enumerate(candidates(task, 6, seeds=2))]
    session = compare(task, given)
    assert len(session._populations) == 1
    assert len(session._populations[0].streams) == 6
    assert len({record.curve[0]["val_loss"] for record in session.records()}) == 6


def test_folds_pause_and_go_on_elsewhere():
    task = tasks()["tabular classification"]()
    given = [(n, replace(one, fold=(n, 3))) for n, one in candidates(task, 3)]
    whole, first, second = PopulationSession(task), PopulationSession(task), PopulationSession(task)
    whole.start(given)
    first.start(given)
    first.advance(1)
    second.resume(first.checkpoint())
    for one, other in zip(whole.advance(), second.advance(), strict=True):
        assert other.candidate == one.candidate
        assert other.quality == pytest.approx(one.quality, rel=CLOSE)


def test_gated_activations_train_as_if_alone_in_populations_of_their_own():
    task = recipe_task(
        lambda: TabularClassifier(5, 2, width=48, depth=2, dropout=0.1), draw(100, 5), torch.arange(100) % 2, "log_loss"
    )
    pairs = [("swiglu", "tanh"), ("relu", "tanh"), ("swiglu", "gelu"), ("maxout(pieces=3)", "prelu"), ("tanh", "gelu")]
    pairs += [("geglu", "relu"), ("maxout(pieces=3)", "relu"), ("relu", "swiglu")]
    sites = ("layers.0.act", "layers.1.act")
    given = [(n, Candidate(Assignment(dict(zip(sites, pair, strict=True))))) for n, pair in enumerate(pairs)]
    session = compare(task, given)
    numbers = [[member.number for member in population.all] for population in session._populations]
    assert [1, 4] in numbers
    assert len(numbers) > 2


def test_every_rule_of_initialisation_trains_as_if_alone():
    """Constants in biases, other scales before an activation, first and last layers drawn as SIREN's are."""
    task = recipe_task(lambda: TabularRegressor(3, 1, width=12), draw(100, 3), draw(100, seed=2), "rmse")
    rules = ("tanh", "sine(omega=9)", "selu", "tanhshrink", "gaussian", "threshold", "hardshrink", "relu", "sine")
    triples = [*((name, name, name) for name in rules), ("sine(omega=9)", "relu", "tanh"), ("relu", "sine", "selu")]
    sites = [f"layers.{place}.act" for place in range(3)]
    given = [(n, Candidate(Assignment(dict(zip(sites, names, strict=True))))) for n, names in enumerate(triples)]
    assert len(compare(task, given)._populations) == 1


def test_averaged_networks_of_embedded_numbers_train_as_if_alone_with_every_rule_and_searched_numbers():
    """``members=3`` of the residual recipe: shared weights, heads of their own, and embeddings before them."""
    numbers = draw(50, 3, seed=3)
    task = recipe_task(
        lambda: ResidualRegressor(5, 1, numbers, width=6, norm="layer", members=3, embedding_width=4, bins=8),
        draw(100, 5),
        draw(100, seed=2),
        "rmse",
    )
    spans = [ranged(text) for text in ("softplus(beta=0.3..10)", "sine(omega=1..30)")]
    searched = [str(choice) for span in spans for choice in (span.start, *span.spread)]
    rules = {row.initialisation: row.name for row in registry.all() if row.searchable and not row.gated}
    names = [*searched, *rules.values()]
    sites = ("blocks.0.act", "blocks.1.act", "act")
    triples = [[names[(place + shift) % len(names)] for shift in (0, 1, 2)] for place in range(len(names))]
    given = [(n, Candidate(Assignment(dict(zip(sites, triple, strict=True))))) for n, triple in enumerate(triples)]
    assert len(compare(task, given)._populations) == 1


VALUES = (
    *(f"sine(omega={omega})" for omega in (0.3, 2, 4, 7.5)),  # a steep one amplifies the last digit
    "sine",
    *(f"softplus(beta={beta})" for beta in (0.3, 1, 4)),
    "softplus(beta=2, threshold=3)",
    *(f"leaky_relu(negative_slope={slope})" for slope in (0.001, 0.2, 3)),
    *(f"elu(alpha={alpha})" for alpha in (0.1, 1, 3)),
    *(f"snake_learnable(a={a})" for a in (0.2, 0.5, 5)),
    "relu",
    "prelu(weight=0.1)",
)


@pytest.mark.parametrize("name", ["tabular classification", "sequence classification", "own, adamw"])
def test_members_may_differ_in_the_parameters_of_an_activation(name):
    task, chosen = tasks()[name](), random.Random(0)
    sites = [site.name for site in find_sites(task.make_module(), task.example_input).searchable]
    given = [(n, Candidate(Assignment({site: chosen.choice(VALUES) for site in sites}))) for n in range(16)]
    session = compare(task, given)
    assert len(session._populations) == 1


def test_a_trained_prelu_of_the_model_and_one_that_is_tried_keep_weights_of_their_own_shape():
    class Prelu(Own):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.PReLU()

    task = own_task(make_module=Prelu)
    given = [(n, Candidate(Assignment({"act": choice}))) for n, choice in enumerate(("prelu", "prelu(weight=0.1)"))]
    compare(task, given)


def test_mixed_precision_agrees_as_far_as_bf16_goes():
    torch.set_default_dtype(torch.float32)
    task = recipe_task(
        lambda: TabularClassifier(5, 2, width=12, dropout=0.2), draw(100, 5), torch.arange(100) % 2, "log_loss"
    )
    task = replace(task, trainer={"max_epochs": EPOCHS, "precision": "bf16-mixed"})
    given = candidates(task, 5)
    alone, together = LightningSession(task), PopulationSession(task)
    for session in (alone, together):
        session.start(given)
        session.advance()
    assert together.reason == ""
    for one, other in zip(alone.records(), together.records(), strict=True):
        for a, b in zip(one.curve, other.curve, strict=True):
            assert b == pytest.approx(a, rel=2e-2)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_member_by_member(algorithm):
    trainer = {"max_epochs": EPOCHS, "gradient_clip_val": 0.05, "gradient_clip_algorithm": algorithm}
    task = own_task(trainer=trainer)
    compare(task, candidates(task, 5))


@pytest.mark.parametrize(
    "trainer",
    [
        {"accumulate_grad_batches": 2},
        {"check_val_every_n_epoch": 2, "max_epochs": 4},
        {"limit_train_batches": 2, "limit_val_batches": 1},
        {"min_epochs": 3, "num_sanity_val_steps": 2},
    ],
    ids=str,
)
def test_the_trainers_arguments_hold(trainer):
    task = own_task("sgd", trainer={"max_epochs": EPOCHS, **trainer})
    if "check_val_every_n_epoch" in trainer:  # Lightning asks the schedule for a value every epoch
        task = own_task("adam", trainer={"max_epochs": EPOCHS, **trainer})
    compare(task, candidates(task, 4), patience=1)


def test_the_tasks_own_early_stopping_speaks_for_each_member():
    trainer = {"max_epochs": 6}
    task = own_task(trainer=trainer, make_callbacks=lambda: [EarlyStopping("val_loss", patience=1, min_delta=0.01)])
    together = compare(task, candidates(task, 6))
    assert len({record.epochs for record in together.records()}) > 1, "some stop earlier than others"


def test_a_member_that_diverges_fails_alone_with_the_same_reason():
    task = own_task("sgd")
    given = candidates(task, 5)
    given[2] = (2, Candidate(given[2][1].assignment, {"learning_rate": 1e200}))
    together = compare(task, given)
    assert [r.status for r in together.records()] == [COMPLETE, COMPLETE, FAILED, COMPLETE, COMPLETE]


def test_float32_agrees_over_the_first_hundred_steps():
    torch.set_default_dtype(torch.float32)
    count = ROWS + VALIDATION
    task = recipe_task(
        lambda: TabularClassifier(5, 2, width=12, dropout=0.2), draw(count, 5), torch.arange(count) % 2, "log_loss"
    )
    task = Task(**{**vars(task), "trainer": {"max_epochs": 100 // 5}})
    given = candidates(task, 7)
    alone, together = LightningSession(task), PopulationSession(task)
    for session in (alone, together):
        session.start(given)
        session.advance()
    for one, other in zip(alone.records(), together.records(), strict=True):
        for a, b in zip(one.curve, other.curve, strict=True):
            assert b == pytest.approx(a, rel=1e-3, abs=1e-4)


def test_other_shapes_make_populations_of_their_own():
    widths = itertools.cycle([8, 6])
    count = ROWS + VALIDATION
    task = recipe_task(lambda: TabularRegressor(5, 1, width=next(widths)), draw(count, 5), draw(count, seed=2), "rmse")
    sites_of(task)  # makes modules of its own, once
    session = PopulationSession(task, SessionOptions(population=4, alone=""))
    session.start([(n, Candidate(Assignment({"layers.0.act": "tanh"}))) for n in range(4)])
    session.advance()
    assert [[m.number for m in p.all] for p in session._populations] == [[0, 2], [1, 3]]
    assert {record.status for record in session.records()} == {COMPLETE}


def test_a_population_holds_no_more_than_was_asked_for():
    task = own_task()
    session = PopulationSession(task, SessionOptions(population=3))
    session.start(candidates(task, 8))
    session.advance()
    assert [len(population.all) for population in session._populations] == [3, 3, 2]


def test_one_that_does_not_fit_into_memory_is_halved(monkeypatch):
    from autoact.training.population.member_group import Members

    task, stacked = own_task(), Members.losses

    def losses(self: Members, batch: Any, batch_idx: int) -> Any:
        if len(self.active) > 2:
            raise torch.OutOfMemoryError("too many")
        return stacked(self, batch, batch_idx)

    monkeypatch.setattr(Members, "losses", losses)
    compare(task, candidates(task, 7))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_second_derivatives_by_the_inputs_train_as_if_alone(dropout):
    """Of searched numbers, of learnt weights, of functions in pieces, and through a mask of each seed's own."""

    class Damped(HeatEquation):
        def __init__(self) -> None:
            super().__init__(2, 1, width=12)
            self.head = nn.Sequential(nn.Dropout(dropout), self.head)

    x = draw(ROWS + VALIDATION, 2).sigmoid()
    task = recipe_task(Damped, x, draw(len(x), seed=2), "relative_l2")
    names = ["tanh", "sine(omega=2)", "sine(omega=3)", "snake_learnable(a=0.5)", "snake_learnable", "relu", "silu"]
    sites = ("layers.0.act", "layers.1.act")
    pairs = zip(names, reversed(names), strict=True)
    given = [
        (n, Candidate(Assignment(dict(zip(sites, pair, strict=True))), seed=n % 2)) for n, pair in enumerate(pairs)
    ]
    assert len(compare(task, given)._populations) == 1


def test_a_derivative_of_random_numbers_trains_alone_and_it_is_said():
    x = draw(ROWS + VALIDATION, 2).sigmoid()
    task = recipe_task(lambda: HeatEquation(2, 1, width=12), x, draw(len(x), seed=2), "relative_l2")
    session = PopulationSession(task)
    session.start([(0, Candidate(Assignment(dict.fromkeys(("layers.0.act", "layers.1.act"), "rrelu"))))])
    with pytest.warns(UserWarning, match="differentiates"):
        session.advance()
    assert "which draws random numbers" in session.reason
    assert session.records()[0].status == COMPLETE
