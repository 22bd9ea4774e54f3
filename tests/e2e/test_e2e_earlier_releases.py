"""What earlier releases wrote is read for ever: a recommendation, a study that goes on, a registered model.

Each archive in ``written_by`` holds ``runs`` (the output folder of the smallest search, then of ``train``),
``rows.csv``, and the ``scores.csv`` that ``predict`` made of them. An archive is added with a release, and none is ever
changed.
"""

import tarfile
from pathlib import Path

import pandas as pd
import pytest

import autoact

ARCHIVES = sorted((Path(__file__).parent / "written_by").glob("*.tar.xz"))


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda file: file.name.removesuffix(".tar.xz"))
def written(request, tmp_path_factory):
    """A folder with what one release wrote."""
    folder = tmp_path_factory.mktemp("written")
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    return folder


def the_study(folder):
    """The folder of the one study."""
    (found,) = (folder / "runs").glob("cancer-*")
    return found


def test_the_recommendation_is_read_and_printed(written, cli):
    file = the_study(written) / "recommended.yaml"
    recommendation = autoact.load_recommendation(file)
    assert recommendation.task == "cancer"
    done = cli("show", str(file))
    assert done.code == 0 and "layers.0.act" in done.out, done.err


def test_the_registered_model_scores_as_it_did(written, cli, tmp_path):
    given, out = ["model=models:/cancer-autoact@candidate", f"runs={written / 'runs'}"], tmp_path / "scores.csv"
    done = cli("predict", *given, f"input={written / 'rows.csv'}", f"output={out}")
    assert done.code == 0, done.err
    now, then = pd.read_csv(out), pd.read_csv(written / "scores.csv")
    pd.testing.assert_frame_equal(now, then, rtol=1e-5)


def test_the_study_goes_on(written, small, cli):
    study = the_study(written).name
    given = [one for one in small if not one.startswith(("tracking", "search.trials"))]
    done = cli("search", *given, "search.trials=6", f"output={written / 'runs'}")
    assert done.code == 0, done.err
    assert f"Search {study}" in done.out and "the study goes on from 4 trials" in done.out
    assert len((the_study(written) / "trials.jsonl").read_text(encoding="utf-8").splitlines()) >= 6
