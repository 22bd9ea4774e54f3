"""Several machines share one study: two drivers, one storage, nothing is trained twice."""

import contextlib
import socket
import subprocess
import sys
import threading
import time

import optuna
import pytest
from optuna.trial import TrialState

pytestmark = pytest.mark.slow

TRIALS, BATCH = 30, 4
SHARED = [
    f"search.trials={TRIALS}",
    f"search.batch={BATCH}",
    "search.tuning=3",
    "engine=inline",
    "engine.population=4",
    "search.threads=1",
    "trainer.max_epochs=3",
    "candidates=[gelu,tanh,elu,silu]",
]


def drive(small, storage, folders):
    """Two drivers at once; their exit codes and what they said."""
    command = [sys.executable, "-m", "autoact", "search", *small, *SHARED, f"search.storage={storage}"]
    drivers = [
        subprocess.Popen([*command, f"output={folder}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for folder in folders
    ]
    try:
        return [(*driver.communicate(timeout=400), driver.returncode) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()


def check(storage, said, folders):
    """Both ended well, the budget is kept, no candidate was trained twice, and both worked."""
    for out, err, code in said:
        assert code == 0, err[-3000:]
        assert "Verdict: " in out
    (name,) = optuna.study.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    assert TRIALS <= len(trials) <= TRIALS + BATCH
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    seeds = [trial.user_attrs["record"].partition('"seed": ')[2].partition(",")[0] for trial in trials]
    tried = [(str(sorted(t.params.items())), seed) for t, seed in zip(trials, seeds, strict=True)]
    assert len(set(tried)) == len(tried)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    claims = [text for key, text in study.user_attrs.items() if key.startswith("pending:")]
    assert len(claims) == 2 and all('"batch": []' in text for text in claims)
    told = [sum(line.startswith("trial ") for line in out.splitlines()) for out, _, _ in said]
    assert sum(told) == len(trials) and min(told) > 0, "both took their share"
    tables = {file.read_text() for folder in folders for file in folder.glob("*/latency.json")}
    assert len(tables) == 1, "both go by what one of them measured"
    # One of them made the final check, the other one took it over.
    verdicts = {next(line for line in out.splitlines() if line.startswith("Verdict")) for out, _, _ in said}
    assert len(verdicts) == 1


def test_two_drivers_on_one_database(small, tmp_path):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    folders = [tmp_path / "one", tmp_path / "two"]
    check(storage, drive(small, storage, folders), folders)


@contextlib.contextmanager
def proxy(storage):
    """A gRPC storage proxy on this machine; its port."""
    from optuna.storages._grpc.server import make_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = make_server(optuna.storages.RDBStorage(storage), "127.0.0.1", port)
    thread = threading.Thread(target=server.start, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.stop(5).wait()
        thread.join()


def test_two_drivers_through_a_grpc_proxy(small, tmp_path):
    pytest.importorskip("grpc")
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    folders = [tmp_path / "one", tmp_path / "two"]
    with proxy(storage) as port:
        said = drive(small, f"grpc://127.0.0.1:{port}", folders)
    check(storage, said, folders)


def test_a_killed_drivers_work_is_done_by_the_same_command(small, tmp_path):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    command = [sys.executable, "-m", "autoact", "search", *small, *SHARED, f"search.storage={storage}"]
    command += [f"output={tmp_path / 'one'}", "confirm.seeds=0"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with killed:
        for line in killed.stdout:
            if "(8 of " in line:
                killed.kill()
    kept = len(optuna.load_study(study_name=None, storage=storage).trials)
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"the study goes on from {kept} trials" in done.stdout
    assert time.monotonic() - began < 300, "it does not wait for its own claim to lapse"
    assert len(optuna.load_study(study_name=None, storage=storage).trials) == TRIALS
