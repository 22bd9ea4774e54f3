"""Losses of rare classes: class weights, the focal loss, and probabilities that stay frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from autoact.config.compose import compose, settings
from autoact.config.recipe_task import recipe_task
from autoact.core.errors import AutoactError
from autoact.recipes.residual import ResidualClassifier
from autoact.recipes.sequence import SequenceClassifier
from autoact.recipes.tabular import TabularClassifier

Y = torch.tensor([0] * 90 + [1] * 10)
THREE = torch.tensor([0] * 80 + [1] * 15 + [2] * 5)


def classifier(y: Tensor, **arguments: object) -> TabularClassifier:
    counts = torch.bincount(y)
    return TabularClassifier(2, len(counts), class_counts=counts, **arguments)


def probabilities(out: Tensor) -> Tensor:
    """Of every class, two classes included."""
    return out.softmax(1) if out.shape[1] > 1 else torch.cat([1 - out.sigmoid(), out.sigmoid()], 1)


@pytest.mark.parametrize("y", [Y, THREE])
def test_balanced_weights_are_those_of_scikit_learn(y):
    wanted = compute_class_weight("balanced", classes=np.unique(y), y=y.numpy())
    np.testing.assert_allclose(classifier(y, class_weights="balanced").weights_of_classes, wanted, rtol=1e-6)


@pytest.mark.parametrize("y", [Y, THREE])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_the_loss_is_the_papers(y, gamma, weights):
    model = classifier(
        y, class_weights=weights, focal_gamma=gamma, prior_correction=None if weights == "none" else False
    )
    out = 3 * torch.randn(len(y), 1 if y is Y else 3, generator=torch.Generator().manual_seed(0))
    p = probabilities(out)[torch.arange(len(y)), y]
    w = 1.0 if weights == "none" else len(y) / (y.max() + 1) / torch.bincount(y)[y]
    assert model.loss(out, y).item() == pytest.approx((w * (1 - p) ** gamma * -p.log()).mean().item(), rel=1e-4)


@pytest.mark.parametrize("y", [Y, THREE])
def test_what_is_well_told_has_a_gradient_that_is_a_number(y):
    model = classifier(y, focal_gamma=0.5)
    out = torch.full((len(y), 1 if y is Y else 3), -200.0, requires_grad=True)
    model.loss(out, torch.zeros_like(y)).backward()
    assert out.grad is not None and out.grad.isfinite().all()


@pytest.mark.parametrize("y", [Y, THREE])
def test_corrected_outputs_learn_the_frequencies_and_others_those_of_balanced_classes(y):
    frequencies = torch.bincount(y) / len(y)
    for correction, wanted in ((None, frequencies), (False, torch.ones_like(frequencies) / len(frequencies))):
        model = classifier(y, class_weights="balanced", prior_correction=correction)
        out = torch.zeros(1, 1 if y is Y else 3, requires_grad=True)
        optimizer = torch.optim.LBFGS([out], max_iter=200, line_search_fn="strong_wolfe")

        def closure(model: TabularClassifier = model, out: Tensor = out) -> Tensor:
            out.grad = None
            loss = model.loss(out.expand(len(y), -1), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        torch.testing.assert_close(probabilities(out)[0], wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("make", [TabularClassifier, ResidualClassifier, SequenceClassifier])
@pytest.mark.parametrize("y", [Y, THREE])
def test_a_corrected_network_starts_where_an_uncorrected_one_does(make, y):
    """Inside the loss both have the same outputs: the correction changes no training, but for decay of the bias."""
    counts = torch.bincount(y)
    models = []
    for correction in (True, False):
        torch.manual_seed(0)
        models.append(make(2, len(counts), class_counts=counts, class_weights="balanced", prior_correction=correction))
    x = torch.randn(8, 2) if make is not SequenceClassifier else torch.randn(8, 2, 9)
    corrected, plain = (model.eval() for model in models)
    torch.testing.assert_close(corrected(x) + corrected.shift, plain(x), atol=1e-5, rtol=1e-5)
    assert corrected.loss(corrected(x), y[:8]).item() == pytest.approx(plain.loss(plain(x), y[:8]).item(), rel=1e-5)
    assert list(corrected.state_dict()) == list(make(2, len(counts)).state_dict()), "weights load anywhere"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"class_weights": "balnced"}, "none of none, balanced"),
        ({"class_weights": "balanced", "class_counts": None}, "needs class_counts"),
        ({"class_weights": "balanced", "class_counts": torch.tensor([3, 0])}, r"every class, and there are \[3, 0\]"),
        ({"focal_gamma": -1.0}, "focal_gamma=-1.0 must be a number, 0 or more"),
        ({"focal_gamma": float("inf")}, "0 or more"),
        ({"prior_correction": True}, "no effect without class_weights=balanced"),
        ({"class_weights": "balanced", "focal_gamma": 2, "prior_correction": True}, "exact for cross-entropy alone"),
    ],
)
def test_what_means_nothing_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        TabularClassifier(2, 2, **{"class_counts": torch.tensor([9, 1]), **arguments})


def test_a_task_counts_its_own_training_rows():
    words = ["task=cancer", "recipe.arguments.class_weights=balanced", "recipe.arguments.focal_gamma=2"]
    task = recipe_task(settings(compose(words)))
    module = task.make_module()
    y = task.make_datamodule(0).prepared.train.y.numpy()
    wanted = compute_class_weight("balanced", classes=np.arange(2), y=y)
    np.testing.assert_allclose(module.weights_of_classes, wanted, rtol=1e-6)
    assert module.focal_gamma == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("class_weights=balnced", r"unknown recipe.arguments.class_weights 'balnced': did you mean balanced\? Allowed"),
        ("focal_gamma=-1", "recipe.arguments do not fit .*focal_gamma=-1 must be a number, 0 or more"),
        ("class_counts=[1,2]", "unknown argument of the recipe 'class_counts'"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(word, said):
    with pytest.raises(AutoactError, match=said):
        recipe_task(settings(compose(["task=cancer", f"recipe.arguments.{word}"]))).make_module()
