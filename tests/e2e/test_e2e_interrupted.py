"""A search that is stopped goes on: Ctrl-C, a signal of a scheduler, a killed process."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import optuna
import pytest

# Enough to be caught in the middle of it.
LONG = ["search.trials=500", "trainer.max_epochs=20", "search.patience=null"]
AGAIN = ["search.trials=8", "trainer.max_epochs=20", "search.patience=null", "confirm.seeds=0"]


@pytest.fixture
def stop(small):
    """Start a search in a process of its own, send it a signal once two trials are done, and wait for its end."""

    def run(folder, number, engine="processes"):
        command = [sys.executable, "-m", "autoact", "search", *small, *LONG, f"engine={engine}", f"output={folder}"]
        # Files, not pipes: a worker that outlives its driver would hold a pipe open.
        out, error = folder / "out.txt", folder / "error.txt"
        with out.open("w") as first, error.open("w") as second:
            process = subprocess.Popen(command, stdout=first, stderr=second, start_new_session=True)
            try:
                while "\ntrial 1 (2 of " not in out.read_text() and process.poll() is None:
                    time.sleep(0.05)
                process.send_signal(number)
                process.wait(timeout=120)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode, out.read_text(), error.read_text()

    return run


def states(folder):
    """How many trials of the one study are in which state."""
    storage = f"sqlite:///{folder / 'optuna.db'}"
    (name,) = optuna.study.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return {state.name: sum(trial.state is state for trial in trials) for state in optuna.trial.TrialState}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_says_so_and_goes_on(stop, small, cli, trials, tmp_path, number):
    code, out, error = stop(tmp_path, number)
    assert code == 130, error
    assert "Verdict: Interrupted after" in out and "the same command goes on from here" in out
    assert "Traceback" not in error and "leaked" not in error
    before = trials(tmp_path)
    assert 2 <= len(before) < 500
    assert (tmp_path / "optuna.db").exists() and not list(tmp_path.glob("*-wal"))  # the file can be copied by itself
    assert states(tmp_path)["RUNNING"] == 0

    done = cli("search", *small, *AGAIN, f"output={tmp_path}")
    assert done.code == 0, done.err
    assert f"the study goes on from {len(before)} trials" in done.out
    assert trials(tmp_path)[: len(before)] == before
    assert len(trials(tmp_path)) == max(8, len(before))


def test_a_search_that_trains_in_the_drivers_process_ends_where_it_is_told_to(stop, trials, tmp_path):
    # Lightning catches the signal while it trains, and would end the process with 0.
    code, _, error = stop(tmp_path, signal.SIGTERM, engine="inline")
    assert code == 130, error
    assert "Traceback" not in error
    assert 2 <= len(trials(tmp_path)) < 500
    assert states(tmp_path)["RUNNING"] == 0


def test_a_scheduler_may_end_a_search_on_ray(stop, trials, tmp_path):
    # Ray's own handler would end the process where it stands, with 15.
    code, out, error = stop(tmp_path, signal.SIGTERM, engine="ray")
    assert code == 130, error
    assert "Verdict: Interrupted after" in out and "Traceback" not in error
    assert 2 <= len(trials(tmp_path)) < 500
    assert states(tmp_path)["RUNNING"] == 0


def test_a_killed_search_goes_on(stop, small, cli, trials, tmp_path):
    code, _, _ = stop(tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL
    kept = states(tmp_path)["COMPLETE"]
    assert kept >= 2

    done = cli("search", *small, *AGAIN, f"output={tmp_path}")
    assert done.code == 0, done.err
    assert f"the study goes on from {kept} trials" in done.out
    records = trials(tmp_path)
    assert len(records) == max(8, kept)
    # What was cut off is trained, not lost, and nothing is trained twice.
    tried = [str({**r["candidate"], "role": ""}) for r in records]
    assert len(set(tried)) == len(tried)
    assert states(tmp_path)["RUNNING"] == 0
