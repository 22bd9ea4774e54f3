"""From a configuration to a task."""

import csv
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from autoact.config.compose import compose, settings
from autoact.config.recipe_task import recipe_task
from autoact.core.errors import AutoactError, SealedError


def task_of(*overrides):
    return recipe_task(settings(compose(overrides)))


@pytest.fixture(scope="module")
def cancer():
    return task_of("task=cancer")


@pytest.fixture(scope="module")
def diabetes():
    return task_of("task=diabetes")


@pytest.mark.parametrize(
    ("name", "outputs", "simulated"),
    [
        *((name, 1, False) for name in ("churn", "credit", "income", "houses", "bike", "cancer", "diabetes")),
        *((name, 10, False) for name in ("digits", "digits-rows")),
        ("demand", 7, True),
        ("image-fit", 3, False),
        ("heat", 1, False),
    ],
)
def test_every_task_that_comes_along_gives_a_model_its_data(name, outputs, simulated):
    task = task_of(f"task={name}", "data.max_rows=1500")
    module = task.make_module()
    assert module(task.example_input).shape == (len(task.example_input), outputs)
    assert module(task.make_input(3)).shape == (3, outputs)
    assert (task.name, task.simulated) == (name, simulated)
    assert ("simulated" in task.warning) == simulated


@pytest.fixture(scope="module")
def payments(tmp_path_factory):
    """A made-up file with the columns of the well-known one, labels in quotes, two of a hundred payments a fraud."""
    draw = np.random.default_rng(0)
    fraud = (np.arange(1200) % 50 == 0).astype(int)
    frame = pd.DataFrame(draw.normal(size=(1200, 28)) + fraud[:, None], columns=[f"V{k}" for k in range(1, 29)])
    frame.insert(0, "Time", np.sort(draw.integers(0, 172_792, 1200)).astype(float))
    frame["Amount"], frame["Class"] = draw.exponential(88.0, 1200).round(2), fraud.astype(str)
    path = tmp_path_factory.mktemp("payments") / "creditcard.csv"
    frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
    return path


def test_fraud_needs_nothing_but_the_path_of_ones_file(payments):
    task = task_of("task=fraud", f"data.path={payments}")
    prepared = task.make_datamodule(0).prepared
    assert (task.name, task.monitor, prepared.target, prepared.classes) == (
        "fraud", "val_average_precision", "Class", ["0", "1"],
    )  # fmt: skip
    assert prepared.split == "time" and task.ordered, "fraud is found among later payments"
    assert prepared.features == [*(f"V{k}" for k in range(1, 29)), "Amount"]
    assert int(prepared.train.y.sum()) == 16 and task.make_module()(task.example_input).shape == (4, 1)


def test_a_threshold_that_few_rows_choose_is_told(payments, cancer):
    words = ["task=fraud", f"data.path={payments}", "metric=f1"]
    (said,) = [n for n in task_of(*words, "task.threshold=validation").facts["notes"] if "luck" in n]
    assert said.startswith("the threshold is fitted on 4 validation rows of class '1'")
    assert not any("luck" in note for note in task_of(*words).facts["notes"])
    assert not any("luck" in n for n in task_of("task=cancer", "metric=f1", "task.threshold=validation").facts["notes"])


def test_modules_are_fresh(cancer):
    assert cancer.make_module() is not cancer.make_module()


def test_the_metric_decides_and_names_what_is_monitored(cancer):
    assert (cancer.monitor, cancer.mode, cancer.quality_unit) == ("val_log_loss", "min", "log loss")
    task = task_of("task=cancer", "metric=roc_auc")
    assert (task.monitor, task.mode, task.quality_unit) == ("val_roc_auc", "max", "ROC AUC")


def test_a_metric_of_ones_own_needs_trust_and_a_direction():
    with pytest.raises(AutoactError, match="allow it with trust=statistics"):
        task_of("task=cancer", "metric=statistics:mean")
    with pytest.raises(AutoactError, match="metric_mode=max or metric_mode=min"):
        task_of("task=cancer", "metric=statistics:correlation", "trust=statistics")
    task = task_of("task=diabetes", "metric=statistics:correlation", "trust=statistics", "metric_mode=max")
    assert (task.monitor, task.mode) == ("val_correlation", "max")


def test_the_users_unit_leaves_what_perfect_predictions_score(cancer, diabetes):
    assert diabetes.metric.ideal == cancer.metric.ideal == 0.0
    assert task_of("task=cancer", "metric=roc_auc").metric.ideal == 1.0


def test_regression_is_scored_in_the_users_unit(diabetes):
    y, wrong = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    from sklearn.datasets import load_diabetes

    spread = load_diabetes().target.std()
    assert diabetes.metric(y, wrong) == pytest.approx(spread, rel=0.1)
    # A constant is off by about one standard deviation.
    assert diabetes.trivial == pytest.approx(spread, rel=0.2)


def test_the_trivial_prediction(cancer):
    share = 357 / 569  # a constant prediction's log loss is the entropy of the classes
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert cancer.trivial == pytest.approx(entropy, abs=0.01)
    assert task_of("task=cancer", "metric=roc_auc").trivial == 0.5
    shares = task_of("task=cancer", "metric=accuracy").trivial
    assert shares == pytest.approx(357 / 569, abs=0.02)


def test_the_test_part_stays_sealed_until_it_is_opened():
    task = task_of("task=cancer")
    with pytest.raises(SealedError):
        task.references(True)
    opened = task.test.open("a test")
    batch = next(iter(opened.val_dataloader()))
    assert len(batch[0]) == task.facts["rows"]["test"]
    assert {name for name, _, _ in task.references(True)} == {"logistic regression", "gradient boosting"}


def test_identity_follows_what_changes_a_result(cancer):
    assert task_of("task=cancer", "output=elsewhere").identity == cancer.identity
    for changed in ("recipe.arguments.width=8", "recipe.batch_size=8", "data.seed=1", "data.scaling=standard"):
        assert task_of("task=cancer", changed).identity != cancer.identity, changed


def test_batches_follow_the_seed(cancer):
    first, again, other = (next(iter(loader.train_dataloader()))[0] for loader in map(ready(cancer), (1, 1, 2)))
    assert torch.equal(first, again) and not torch.equal(first, other)


def ready(task):
    """Seed -> a datamodule that is set up."""

    def make(seed):
        data = task.make_datamodule(seed)
        data.setup("fit")
        return data

    return make


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=cancer", "recipe.arguments.widht=8"], "unknown argument of the recipe 'widht': did you mean width"),
        (["task=cancer", "recipe.module=autoact.recipes.tabular:Tabular"], "did you mean TabularRegressor"),
        (["task=cancer", "recipe.module=my_pkg.nets:Net"], "allow it with trust=my_pkg"),
        (["task=cancer", "metric=acuracy"], "unknown metric 'acuracy': did you mean accuracy"),
        (["task=cancer", "metric=rmse"], "the metric rmse does not fit a classification task"),
        (["task=classification", "data.path=nowhere.csv", "data.target=y"], "nowhere.csv"),
        (["task=cancer", "task.kind=clasification"], "unknown task.kind 'clasification': did you mean classification"),
    ],
)
def test_mistakes(overrides, message):
    with pytest.raises(AutoactError, match=message):
        task_of(*overrides).make_module()


RESIDUAL = ["recipe=tabular_classification"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["recipe=tabular_regression"], "ResidualRegressor is for regression, and task.kind is classification: "
                                        "recipe=tabular_classification or recipe=mlp_classification"),
        (["recipe=forecast"], "Forecaster is for forecast, and task.kind is classification: recipe=tabular_class"),
        (["recipe.arguments.inputs=3"], "unknown argument of the recipe 'inputs'"),
        (["recipe.arguments.width=0"], "recipe.arguments.width=0 must be a whole number, 1 or more"),
        (["recipe.arguments.width=-3"], "recipe.arguments.width=-3 must be a whole number, 1 or more"),
        (["recipe.arguments.depth=1.5"], "recipe.arguments.depth=1.5 must be a whole number, 1 or more"),
        ([*RESIDUAL, "recipe.arguments.members=0"], "recipe.arguments.members=0 must be a whole number, 1 or more"),
        ([*RESIDUAL, "recipe.arguments.members=2.5"], "recipe.arguments.members=2.5 must be a whole number, 1 or more"),
        ([*RESIDUAL, "recipe.arguments.members=true"], "recipe.arguments.members=True must be a whole number"),
        ([*RESIDUAL, "recipe.arguments.bins=1"], "recipe.arguments.bins=1 must be a whole number, 2 or more"),
        ([*RESIDUAL, "recipe.arguments.embedding_width=-1"], "embedding_width=-1 must be a whole number, 0 or more"),
        ([*RESIDUAL, "recipe.arguments.dropout=much"], "recipe.arguments.dropout=much must be a finite number"),
        ([*RESIDUAL, "recipe.arguments.norm=3"], "recipe.arguments.norm=3 must be text"),
        ([*RESIDUAL, "recipe.arguments.learning_rate=-1"], "learning_rate=-1 must be a number, 0 or more"),
        (["metric=json:loads", "metric_mode=max", "trust=json"], "metric=json:loads takes (s, *, "),
        (["metric=math:pi", "metric_mode=max", "trust=math"], "metric=math:pi is a float, not a function"),
        (["metric=operator:add", "metric_mode=max", "trust=operator"], "the metric add gives ndarray, not one number"),
    ],
)  # fmt: skip
def test_a_recipe_or_a_metric_that_cannot_serve_is_one_line(overrides, message):
    with pytest.raises(AutoactError, match=re.escape(message)):
        recipe_task(settings(compose(["task=cancer", *overrides])))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["recipe.arguments.norm=bach"], "norm=bach is none of batch, layer, none"),
        (["recipe.arguments.expansion=0"], "expansion=0 must be above 0"),
        (
            ["recipe.batch_size=1"],
            "one row has no variance; recipe.batch_size=2 or more, or recipe.arguments.norm=layer",
        ),
    ],
)
def test_a_network_that_cannot_be_made_or_trained_is_one_line(overrides, message):
    with pytest.raises(AutoactError, match=re.escape(message)):
        task_of("task=cancer", *RESIDUAL, *overrides).make_module()


def test_batches_of_one_row_are_taken_by_networks_without_batch_norm():
    for given in (["recipe.arguments.norm=layer", *RESIDUAL], []):
        task_of("task=cancer", "recipe.batch_size=1", *given).make_module()


def test_the_recipe_that_a_refusal_advises_is_taken():
    recipe_task(settings(compose(["task=cancer", "recipe=tabular_classification"])))


def test_mase_says_its_season_and_is_another_metric_with_another():
    demand = ["task=demand", "data.max_rows=2000", "metric=mase"]
    task = task_of(*demand)
    assert (task.monitor, task.mode, task.quality_unit) == ("val_mase", "min", "MASE (season 7)")
    assert "repeats the value of 7 steps ago (the season of the data); the 5 series" in " ".join(task.facts["notes"])
    assert task_of(*demand, "data.season=14").quality_unit == "MASE (season 14)"
    y = task.make_datamodule(0).prepared.validation.y.numpy()
    naive_error = task.make_datamodule(0).prepared.naive_error
    assert task.metric(y, y + naive_error) == pytest.approx(1.0, rel=1e-4)


def test_mase_without_a_known_season_says_how_to_name_it(tmp_path):
    days = "\n".join(f"{day},{day % 7}" for day in range(200))
    (tmp_path / "days.csv").write_text(f"day,sold\n{days}\n", encoding="utf-8")
    task = task_of(
        *("task=forecast", f"data.path={tmp_path / 'days.csv'}", "data.time=day", "data.series=[sold]", "metric=mase")
    )
    assert task.quality_unit == "MASE (season 1)"
    assert "1 step ago (no season is known: data.season=STEPS names one)" in " ".join(task.facts["notes"])


def test_smape_of_several_standardised_series_is_refused():
    with pytest.raises(AutoactError, match="metric=smape needs targets in their own unit, and the 5 series"):
        task_of("task=demand", "data.max_rows=2000", "metric=smape")


@pytest.mark.parametrize("word", ["validation", "0.2"])
def test_a_threshold_is_part_of_the_task_and_of_its_metrics(cancer, word):
    task = task_of("task=cancer", "metric=f1", f"task.threshold={word}")
    said = "at fitted threshold" if word == "validation" else "at threshold 0.2"
    assert task.quality_unit == task.metric.title == f"F1 {said}"
    assert str(task.metric.threshold) == str(task.identity["threshold"]) == word
    titles = [metric.title for metric in task.also]
    assert {f"accuracy {said}", "ROC AUC", "log loss"} <= set(titles)
    assert "threshold" not in cancer.identity, "studies of before go on"


def test_a_trivial_predictor_may_choose_its_threshold_too():
    """Everything said to be positive: what F1 asks of a network is more than that."""
    task = task_of("task=cancer", "metric=f1", "task.threshold=validation")
    positive = task.make_datamodule(0).prepared.validation.y.double().mean().item()
    assert task.trivial == pytest.approx(2 * positive / (1 + positive))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["task=cancer", "metric=roc_auc", "task.threshold=validation"],
            "task.threshold=validation has no effect on ROC AUC, which does not judge decisions: metric=accuracy, "
            "balanced_accuracy, f1 or macro_f1",
        ),
        (["task=cancer", "task.threshold=validation"], "no effect on log loss"),
        (
            ["task=digits", "task.threshold=validation"],
            "task.threshold=validation is for two classes, and there are 10",
        ),
        (["task=houses", "task.threshold=0.3"], "is for classification and sequence_classification, and task.kind is"),
        (["task=cancer", "task.threshold=1.5"], "task.threshold=1.5 must be validation, or a number between 0 and 1"),
        (["task=cancer", "task.threshold=validaton"], "unknown task.threshold 'validaton': did you mean validation?"),
    ],
)
def test_a_threshold_without_effect_is_refused(words, said):
    with pytest.raises(AutoactError, match=re.escape(said)):
        task_of(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["class_weights=balanced"], "corrected to the frequencies of the classes (Elkan, 2001)"),
        (["class_weights=balanced", "prior_correction=false"], "are no frequencies that could be taken at their word"),
        (["focal_gamma=2"], "focal_gamma=2: scores rank rows, and are no frequencies"),
    ],
)
def test_what_a_loss_makes_of_probabilities_is_said(words, said):
    task = task_of("task=cancer", *(f"recipe.arguments.{word}" for word in words))
    assert any(said in note for note in task.facts["notes"])


def test_weights_that_move_no_decision_say_what_does():
    words = ["task=cancer", "metric=f1", "recipe.arguments.class_weights=balanced"]
    notes = task_of(*words).facts["notes"]
    assert any("task.threshold=validation, or recipe.arguments.prior_correction=false moves them" in n for n in notes)
    notes = task_of(*words, "task.threshold=validation").facts["notes"]
    assert not any("moves them" in note for note in notes)
    assert not any("class_weights" in note for note in task_of("task=cancer", "metric=f1").facts["notes"])
