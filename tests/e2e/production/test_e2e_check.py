"""The gate and the production model, from the command line."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer


@pytest.fixture
def recommended(searched):
    """The file that the small search wrote."""
    (file,) = searched[0].glob("*/recommended.yaml")
    return str(file)


WIDE = ["tolerance.quality=10", "tolerance.gain=-10", "tolerance.latency=1000"]


def check(cli, small, file, *more):
    """``check`` with the settings of the small search."""
    return cli("check", file, *small, "seeds=2", *more)


@pytest.mark.parametrize("policy", ["quality", "economy"])
def test_within_the_tolerances(policy, recommended, small, cli, tmp_path):
    done = check(cli, small, recommended, *WIDE, f"policy={policy}", f"output={tmp_path}")
    assert done.code == 0, done.out + done.err
    assert f"cancer: policy {policy}, 2 fresh seeds, validation rows" in done.out
    assert done.out.splitlines()[-1] == "Within the tolerances."
    assert "PSI of mean radius" in done.out and "25 other columns" in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_regression_has_exit_code_1(recommended, small, cli, tmp_path):
    done = check(cli, small, recommended, "data.drop=[mean area]", *WIDE, f"output={tmp_path}")
    assert done.code == 1
    assert done.out.splitlines()[-1] == "Regression: PSI of mean area"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds=1"], "2 or more"),
        (["seeds=x"], "seeds=x is not a number"),
        (["tolerance.latncy=1"], "did you mean tolerance.latency"),
        (["tolerance.drift=-1"], "tolerance.drift=-1.0 must be"),
        (["policy=qualty"], "did you mean quality"),
        (["recipe.arguments.depth=2"], "layers.2.act"),
        (["metric=roc_auc"], "quality is log loss (min), this task measures ROC AUC (max): the two cannot be compared"),
        (["metric=roc_auc"], "give metric=log_loss"),
    ],
)
def test_mistakes(words, message, recommended, small, cli):
    done = cli("check", recommended, *small, *words)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1


def test_an_opening_of_the_test_part_is_counted_by_the_next_search(searched, recommended, small, cli, tmp_path):
    output = tmp_path / "runs"
    words = ["data.seed=7", f"output={output}"]
    done = check(cli, small, recommended, *WIDE, "--test", *words)
    assert done.code == 0, done.out + done.err
    assert "test rows" in done.out and "opening 1 of this test part" in done.out
    done = cli("search", *small, *words)
    assert done.code == 0, done.err
    assert "this is opening 2 of the test part" in done.out


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """What a simple rule in production says of all rows."""
    data = load_breast_cancer(as_frame=True).data
    risk = (data["mean radius"] - 14) / 3
    path = tmp_path_factory.mktemp("predictions") / "predictions.csv"
    pd.DataFrame({"row": range(len(data)), "score": 1 / (1 + np.exp(-risk))}).to_csv(path, index=False)
    return path


def test_the_production_model_is_a_row_of_the_table(predictions, small, cli, tmp_path):
    words = [word for word in small if "references" not in word]
    done = cli("search", *words, f"production_model={predictions}", f"output={tmp_path}")
    assert done.code == 0, done.err
    (row,) = (
        line for line in done.out.splitlines() if "production model: predictions.csv" in line and "note" not in line
    )
    assert len(re.findall(r"0\.\d+", row)) == 2  # validation and test
    assert "logistic regression" in done.out
    (report,) = tmp_path.glob("*/report.md")
    assert "production model: predictions.csv" in report.read_text()


def test_gaps_are_found_before_anything_is_trained(predictions, small, cli, tmp_path):
    short = tmp_path / "short.csv"
    shutil.copy(predictions, short)
    pd.read_csv(short).head(300).to_csv(short, index=False)
    done = cli("search", *small, f"production_model={short}", f"output={tmp_path / 'runs'}")
    assert (
        done.code == 2 and "production_model=short.csv lacks" in done.err and "test rows (the first is row" in done.err
    )
    assert not (tmp_path / "runs").exists()
