"""A decision threshold on its way from validation rows to new rows, on a made-up file of card payments."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from autoact.recommendation import load_recommendation
from autoact.workflows.export import DECIDES

pytestmark = pytest.mark.filterwarnings("ignore")


def payments(rows, seed):
    """The columns of the well-known file; one payment in twenty is a fraud."""
    draw = np.random.default_rng(seed)
    fraud = (np.arange(rows) % 20 == 0).astype(int)
    frame = pd.DataFrame(draw.normal(size=(rows, 28)) + fraud[:, None], columns=[f"V{k}" for k in range(1, 29)])
    frame.insert(0, "Time", np.sort(draw.integers(0, 172_792, rows)))
    return frame.assign(Amount=draw.exponential(88.0, rows).round(2), Class=fraud)


@pytest.fixture(scope="module")
def place(tmp_path_factory, cli, small):
    """A folder with a file, the words of a search on it, its recommendation, and a registry with a model."""
    folder = tmp_path_factory.mktemp("fraud")
    payments(1500, 0).to_csv(folder / "creditcard.csv", index=False)
    words = [word for word in small if not word.startswith(("task=", "tracking="))]
    words += ["task=fraud", f"data.path={folder / 'creditcard.csv'}", "recipe=mlp_classification", "metric=f1"]
    words += ["recipe.batch_size=64"]
    words += [f"output={folder / 'runs'}"]
    done = cli("search", *words, "task.threshold=validation", "tracking=none")
    assert done.code == 0, done.err
    assert "each training decides at the threshold that is best for f1 on its validation rows" in done.out
    (file,) = (folder / "runs").glob("*/recommended.yaml")
    words += [f"recommendation={file}"]
    done = cli("train", *words, "policy=baseline", "task.threshold=validation")
    assert done.code == 0, done.err
    return folder, words, file, done.out


def test_the_recommendation_holds_the_median_of_the_claims_thresholds(place, cli):
    _, _, file, _ = place
    baseline = load_recommendation(file).baseline
    claims = json.loads((file.parent / "confirmation.json").read_text(encoding="utf-8"))["claim"]
    (mine,) = {
        tuple(one["details"]["threshold"] for one in entry["trainings"])
        for entry in claims.values()
        if entry["candidate"]["assignment"] == baseline.assignment.to_dict()
        and entry["candidate"]["settings"] == baseline.settings
    }
    found = baseline.threshold
    assert len(mine) == 2 and found == np.median(mine) and set(mine) != {0.5}
    shown = cli("show", str(file), "policy=baseline").out
    assert f"predict the positive class above {found:.4g}, fitted on validation rows" in shown


def test_the_registered_model_decides_there_and_says_so(place, cli, tmp_path):
    folder, _, file, trained = place
    found = load_recommendation(file).baseline.threshold
    assert f"predicts the positive class above {found:.4g} (the median of those that the search's trainings" in trained
    payments(1000, 1).drop(columns=["Class", "Time"]).to_csv(tmp_path / "new.csv", index=False)
    done = cli(
        "predict", "model=models:/fraud-autoact@candidate", f"input={tmp_path / 'new.csv'}",
        f"output={tmp_path / 'scores.csv'}", f"runs={folder / 'runs'}",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert f"note: '1' is predicted where the score is above {found:.4g}, the model's threshold" in done.out
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert (scores["prediction"] == (scores["score"] > found)).all()
    assert (scores["prediction"] != (scores["score"] > 0.5)).any()


def test_an_exported_file_says_it_in_its_metadata(place, cli, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder, _, file, _ = place
    found = load_recommendation(file).baseline.threshold
    done = cli(
        "export", "model=models:/fraud-autoact@candidate", f"output={tmp_path / 'm.onnx'}", f"runs={folder / 'runs'}"
    )
    assert done.code == 0, done.err
    assert f"{DECIDES}={found:.4g} in the file's metadata" in done.out
    assert [float(one.value) for one in onnx.load(tmp_path / "m.onnx").metadata_props if one.key == DECIDES] == [found]


def test_a_training_with_validation_rows_fits_its_own(place, cli, tmp_path):
    _, words, _, _ = place
    here = ["train.rows=train", "tracking=none", "policy=baseline", f"output={tmp_path}"]
    done = cli("train", *words, "task.threshold=validation", *here)
    assert done.code == 0, done.err
    (said,) = re.findall(r"predicts the positive class above (\S+) \(best for f1 on the validation rows\)", done.out)
    (file,) = tmp_path.glob("*/preprocessing.json")
    assert json.loads(file.read_text(encoding="utf-8"))["threshold"] == pytest.approx(float(said), rel=1e-3)


def test_a_training_that_decides_elsewhere_says_so(place, cli, tmp_path):
    _, words, file, _ = place
    found = load_recommendation(file).baseline.threshold
    done = cli("train", *words, "policy=baseline", "tracking=none", f"output={tmp_path}")
    assert done.code == 0, done.err
    assert (
        f"the model decides at 0.5, and the search fitted a threshold ({found:.4g}): task.threshold=valid" in done.out
    )
    (file,) = tmp_path.glob("*/preprocessing.json")
    assert "threshold" not in json.loads(file.read_text(encoding="utf-8")), "as earlier versions write and read it"


def test_check_compares_decisions_at_thresholds_of_the_same_kind(place, cli):
    _, words, file, _ = place
    words = [word for word in words if not word.startswith("recommendation=")]
    done = cli("check", str(file), *words)
    assert done.code == 2 and "give metric=f1 task.threshold=validation" in done.err
    done = cli("check", str(file), *words, "task.threshold=validation", "seeds=2")
    assert done.code in (0, 1) and "F1 at fitted threshold" in done.out, done.err


def test_whoever_learns_from_all_rows_needs_the_searchs_threshold(place, cli, tmp_path):
    _, words, file, _ = place
    plain = load_recommendation(file)
    for policy in (*plain.policies.values(), plain.baseline):
        object.__setattr__(policy, "threshold", None)
    plain.save(tmp_path / "plain.yaml")
    words = [word for word in words if not word.startswith("recommendation=")]
    words += [f"recommendation={tmp_path / 'plain.yaml'}", "task.threshold=validation", "tracking=none"]
    done = cli("train", *words)
    assert done.code == 2 and "the recommendation holds no fitted threshold: train with train.rows=train" in done.err
