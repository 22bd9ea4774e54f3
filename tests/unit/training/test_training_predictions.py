"""Metrics of predictions, and scores on the test rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED
from autoact.tasks.metrics import Metric
from autoact.training.lightning_session import LightningSession
from autoact.training.predictions import Predictions


def weights(module: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def _spread(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Depends on all rows at once: no mean over batches gives it."""
    return float(np.median(np.abs(y_true - y_score)))


def test_a_metric_of_predictions_sees_all_rows_at_once(train, tiny, candidate, rows):
    metric = Metric("val_spread", "spread", "min", _spread, ())
    run = train(tiny(metric=metric, monitor="val_spread"), candidate("tanh"))
    data = rows()
    with torch.no_grad():
        by_hand = _spread(data.y[16:].numpy(), run.module(data.x[16:])[:, 0].numpy())
    assert run.record().quality == pytest.approx(by_hand, rel=1e-6)
    assert run.record().quality == min(epoch["val_spread"] for epoch in run.record().curve)


def test_a_module_may_hand_out_its_own_scores(train, tiny, candidate, net, rows):
    class Scores(net):
        def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
            return {"score": 2 * self(batch[0])[:, 0], "target": batch[1]}

    run = train(
        tiny(Scores, metric=Metric("val_spread", "spread", "min", _spread, ()), monitor="val_spread"), candidate()
    )
    data = rows()
    with torch.no_grad():
        by_hand = _spread(data.y[16:].numpy(), 2 * run.module(data.x[16:])[:, 0].numpy())
    assert run.record().quality == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda y, s: float("nan"), "spread is nan"),
        (lambda y, s: 1.0, "predictions are not finite in epoch 1"),
    ],
)
def test_nan_metrics_and_predictions_fail_the_candidate(train, tiny, candidate, net, function, reason):
    class Nan(net):
        def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
            factor = 1.0 if "spread" in reason else float("nan")
            return {"score": factor * self(batch[0])[:, 0], "target": batch[1]}

    metric = Metric("val_spread", "spread", "min", function, ())
    record = train(tiny(Nan, metric=metric, monitor="val_spread"), candidate()).record()
    assert (record.status, record.reason) == (FAILED, reason)


def test_a_metric_without_predictions_says_what_to_do(train, tiny, candidate, net, rows):
    class Mappings(rows):
        def val_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(
                [{"x": x, "y": y} for x, y in zip(self.x[16:], self.y[16:], strict=True)]
            )

    class Silent(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            pass

    task = tiny(Silent, monitor="val_spread", make_datamodule=lambda _: Mappings())
    task = dataclasses.replace(task, metric=Metric("val_spread", "spread", "min", _spread, ()))
    with pytest.raises(AutoactError, match="the metric needs predictions"):
        train(task, candidate())


def test_the_score_is_that_of_the_best_weights(tiny, candidate, net, rows):
    class Worse(net):  # scripted while searching, honest on other rows
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            scripted = [1.0, 2.0, 3.0][self.current_epoch] if self.trainer.state.fn == "fit" else None
            if scripted is None:
                super().validation_step(batch, batch_idx)
            else:
                self.log("val_loss", torch.tensor(scripted))

    session = LightningSession(tiny(Worse))
    session.start([(4, candidate("tanh"))])
    session.advance()
    module = session.modules()[4]
    before = weights(module)
    test = rows(part=9)
    scores = session.score(test)
    with torch.no_grad():
        by_hand = ((module(test.x[16:])[:, 0] - test.y[16:]) ** 2).mean()
    assert scores == {4: pytest.approx(float(by_hand), rel=1e-5)}
    assert same(weights(module), before)
    assert session.score(test) == scores
    assert session.records()[0].quality == 1.0


def test_the_users_limit_on_validation_does_not_hold_on_the_test_rows(tiny, candidate, rows):
    session = LightningSession(tiny(trainer={"limit_val_batches": 1}))
    session.start([(0, candidate())])
    session.advance()
    test, module = rows(part=9), session.modules()[0]
    with torch.no_grad():
        by_hand = ((module(test.x[16:])[:, 0] - test.y[16:]) ** 2).mean()
    assert session.score(test)[0] == pytest.approx(float(by_hand), rel=1e-5)


def test_a_score_that_is_not_finite_is_a_failure(tiny, candidate, rows):
    test = rows()
    test.x = test.x * float("inf")
    metric = Metric("val_spread", "spread", "min", _spread, ())
    session = LightningSession(tiny(metric=metric, monitor="val_spread"))
    session.start([(0, candidate())])
    session.advance()
    assert session.score(test) == {}
    record = session.records()[0]
    assert (record.status, record.quality) == (FAILED, None)
    assert record.reason.startswith("on the test rows: predictions are not finite")


def test_a_metric_waits_for_the_sanity_check_to_end(train, tiny, candidate, rows):
    def needs_all(y: Any, s: Any) -> float:
        return _spread(y, s) if len(y) == 12 else float("nan")

    metric = Metric("val_spread", "spread", "min", needs_all, ())
    task = tiny(metric=metric, monitor="val_spread", trainer={"num_sanity_val_steps": 1})
    assert train(task, candidate()).record().status == COMPLETE


@pytest.mark.parametrize("ordered", [False, True])
def test_scores_are_repeated_without_a_group_of_rows_each(tiny, candidate, rows, ordered):
    class Many(rows):
        def __init__(self) -> None:
            super().__init__(part=9)
            draw = torch.Generator().manual_seed(1)
            self.x, self.y = torch.randn(116, 3, generator=draw), torch.randn(116, generator=draw)

    metric = Metric("val_spread", "spread", "min", _spread, ())
    session = LightningSession(tiny(metric=metric, monitor="val_spread", ordered=ordered))
    session.start([(0, candidate())])
    assert session.advance()[0].replicates == ()
    test = Many()
    session.score(test)
    found = session.records()[0].replicates
    y = test.y[16:].numpy()
    with torch.no_grad():
        score = session.modules()[0](test.x[16:])[:, 0].numpy()
    groups = np.repeat(range(50), 2) if ordered else np.tile(range(50), 2)
    assert found == pytest.approx([_spread(y[groups != g], score[groups != g]) for g in range(50)], rel=1e-5)


def test_a_group_without_which_there_is_no_metric_leaves_no_repeats(tiny, candidate, rows):
    def needs_all(y: Any, s: Any) -> float:
        return 1.0 if len(y) == 12 else float("nan")

    session = LightningSession(tiny(metric=Metric("val_n", "n", "min", needs_all, ()), monitor="val_n"))
    session.start([(0, candidate())])
    session.advance()
    assert session.score(rows(part=9)) == {0: 1.0}
    assert session.records()[0].replicates == ()


@pytest.mark.parametrize("ordered", [False, True])
def test_replicates_leave_one_group_of_rows_out_at_a_time(ordered):
    rows = 103
    targets, scores = torch.arange(float(rows)), torch.linspace(0, 50, rows)
    metric = Metric("mae", "MAE", "min", lambda y, s: float(abs(y - s).mean()), ("regression",))
    predictions = Predictions(metric)
    for part in (slice(40), slice(40, None)):
        predictions.add(torch.nn.Identity(), {"score": scores[part], "target": targets[part]}, None)
    found = predictions.replicates(ordered=ordered)
    group = [row * 50 // rows if ordered else row % 50 for row in range(rows)]
    for number, value in enumerate(found):
        kept = [row for row in range(rows) if group[row] != number]
        assert value == pytest.approx(float((targets[kept] - scores[kept]).abs().mean()))
    assert len(found) == 50 and (not ordered or group == sorted(group))


def test_a_metric_that_needs_every_group_has_no_replicates():
    def needs_both(y, s):
        if len(set(y.tolist())) < 2:
            raise ValueError("one class")
        return 0.5

    predictions = Predictions(Metric("auc", "AUC", "max", needs_both, ("classification",)))
    scores = torch.tensor([0.1, 0.2, 0.3, 0.9])
    predictions.add(torch.nn.Identity(), {"score": scores, "target": torch.tensor([0, 0, 0, 1])}, None)
    assert predictions.replicates(ordered=False) == ()
