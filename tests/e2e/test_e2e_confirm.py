"""``python -m autoact confirm``: more seeds for a finished study, and a recommendation on other data."""

import contextlib
import json
import shutil

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(searched, tmp_path):
    """A copy of the finished search's output folder, and the study's name."""
    copy = tmp_path / "runs"
    shutil.copytree(searched[0], copy)
    (study,) = [file.parent.name for file in copy.glob("*/command.json")]
    return copy, study


def claims(folder):
    (file,) = folder.glob("*/confirmation.json")
    stages = json.loads(file.read_text(encoding="utf-8"))
    return {name: [row["seed"] for row in entry["trainings"]] for name, entry in stages["claim"].items()}


def test_the_search_keeps_every_training_of_its_final_check(folder):
    stages = json.loads(next(folder[0].glob("*/confirmation.json")).read_text(encoding="utf-8"))
    assert set(stages) == {"choosing", "claim"}
    choosing = [row for entry in stages["choosing"].values() for row in entry["trainings"]]
    assert {row["fold"] is None for row in choosing} == {False}, "455 rows are chosen from by cross-validation"
    assert set(claims(folder[0])["tuned"]) == {20_000, 20_001}


def test_more_seeds_are_added_and_the_opening_is_numbered(cli, folder, trials):
    output, study = folder
    before = trials(output)
    done = cli("confirm", study, "seeds=4", f"output={output}")
    assert done.code == 0, done.err
    assert claims(output)["tuned"] == [20_000, 20_001, 20_002, 20_003]
    assert "opening 2 of the test part" in " ".join(done.out.split())
    assert "(1 of " not in done.out and trials(output) == before
    assert "Verdict: " in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cancre-ae9687ca4f",), "cancer-"),
        ((), "confirm needs a STUDY"),
        (("seeds=1", "recommendation=x.yaml"), "confirm.seeds=1 must be 2 or more"),
        (("seeds=0", "recommendation=x.yaml"), "confirm.seeds=0: to confirm is to train under fresh seeds"),
        (("recommendation=nowhere.yaml", "task=cancer"), "nowhere.yaml"),
    ],
)
def test_mistakes_get_one_line(cli, folder, words, said):
    done = cli("confirm", *words, f"output={folder[0]}")
    assert done.code == 2
    assert said in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("seeds", "said"),
    [("0", "confirm.seeds=0: to confirm is to train"), ("x", "confirm.seeds=x must be a whole number")],
)
def test_what_was_proved_stays_where_no_check_is_made(cli, folder, seeds, said):
    output, study = folder
    before = files_of(output / study)
    done = cli("confirm", study, f"seeds={seeds}", f"output={output}")
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1
    assert files_of(output / study) == before


def test_without_the_studys_trials_nothing_is_confirmed(cli, folder):
    output, study = folder
    before = files_of(output / study)
    (output / "optuna.db").unlink()
    done = cli("confirm", study, "seeds=3", f"output={output}")
    assert done.code == 2 and f"holds no trials of the study {study}" in done.err and done.err.count("\n") == 1
    assert files_of(output / study) == before


def test_a_stop_leaves_what_was_proved(cli, folder, monkeypatch):
    output, study = folder
    before = files_of(output / study)
    stopped = Stop(after=2)
    monkeypatch.setattr("autoact.workflows.searching.run_search.orderly_stop", stopped)
    done = cli("confirm", study, "seeds=4", f"output={output}")
    assert done.code == 130 and "Interrupted" in done.out
    after = files_of(output / study)
    assert {name for name in before if before[name] != after[name]} == {"report.md"}
    assert "recommendation of opening 1, unchanged" in done.out
    monkeypatch.undo()
    done = cli("confirm", study, "seeds=4", f"output={output}")
    assert done.code == 0, done.err
    assert files_of(output / study)["recommended-opening-1.yaml"] == before["recommended.yaml"]
    assert "recommendation of opening 1:" in done.out


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class Stop:
    """A user who presses Ctrl-C after so many looks."""

    def __init__(self, after):
        self.left = after

    @contextlib.contextmanager
    def __call__(self):
        yield self.asked

    def asked(self):
        self.left -= 1
        return self.left < 0


def test_a_study_of_another_space_is_not_confirmed(cli, folder):
    done = cli("confirm", folder[1], "candidates=[mish]", f"output={folder[0]}")
    assert done.code == 2 and "data, model or space changed" in done.err


def test_a_recommendation_is_confirmed_without_a_search(cli, small, folder, tmp_path):
    (file,) = folder[0].glob("*/recommended.yaml")
    overrides = [word for word in small if not word.startswith(("candidates=", "search."))]
    words = ["confirm", f"recommendation={file}", *overrides, "search.threads=1", f"output={tmp_path / 'next'}"]
    done = cli(*words, "data.seed=7")
    assert done.code == 0, done.err
    assert "Verdict: " in done.out and "(1 of " in done.out
    assert set(claims(tmp_path / "next")["tuned"]) == {20_000, 20_001}
