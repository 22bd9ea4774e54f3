"""Where MLflow keeps runs, and how it is reached."""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from autoact.core.errors import AutoactError
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import (
    Store,
    StoreError,
    artifact_root,
    environment,
    one_at_a_time,
    quiet_telemetry,
    reach,
    reason_of,
    shown,
    sqlite_file,
    store_uri,
)


def test_the_store_lies_in_the_output_folder(tmp_path):
    assert store_uri(TrackingSettings(), tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_setting_goes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:1")
    assert store_uri(TrackingSettings(), tmp_path) == "http://server:1"
    assert store_uri(TrackingSettings(uri="http://mine:2"), tmp_path) == "http://mine:2"


@pytest.mark.parametrize(("given", "advice"), [("runs.db", "sqlite:///runs.db"), ("./mlruns", "sqlite:///mlflow.db")])
def test_something_that_is_no_uri_is_refused(given, advice, tmp_path, monkeypatch):
    with pytest.raises(AutoactError, match=f"tracking.uri='{given}' is no URI: write {advice}"):
        store_uri(TrackingSettings(uri=given), tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    with pytest.raises(AutoactError, match="MLFLOW_TRACKING_URI="):
        store_uri(TrackingSettings(), tmp_path)


def test_passwords_are_not_shown():
    assert shown("http://anna:se@cret@host:1/x") == "http://***@host:1/x"
    assert shown("cannot reach mysql+pymysql://token@h/db, nor http://b:c@d") == (
        "cannot reach mysql+pymysql://***@h/db, nor http://***@d"
    )
    assert shown("http://host/a") == "http://host/a"


def test_artifacts_lie_beside_the_database(tmp_path):
    assert artifact_root(f"sqlite:///{tmp_path}/a/x.db", tmp_path) == tmp_path / "a" / "mlartifacts"
    assert artifact_root("postgresql://h/db", tmp_path) == tmp_path / "mlartifacts"
    assert artifact_root("https://server", tmp_path) is None
    assert sqlite_file("sqlite:///x.db") == Path("x.db").resolve()
    assert sqlite_file("sqlite:///:memory:") is None


def test_reach_leaves_everything_as_it_was(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    logger = logging.getLogger("alembic")
    monkeypatch.setattr(logger, "level", logging.INFO)
    with reach():
        assert logger.level > logging.CRITICAL
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert logger.level == logging.INFO
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_reach_tells_a_refusal_from_an_outage():
    class RefusalError(Exception):
        error_code = "INVALID_PARAMETER_VALUE"

    with pytest.raises(StoreError, match="no such thing") as caught, reach():
        raise RefusalError("no such thing.\nand more")
    assert caught.value.refused
    with pytest.raises(StoreError, match=r"^Connection refused$") as caught, reach():
        raise ConnectionRefusedError(111, "Connection refused")
    assert not caught.value.refused


def test_reach_lets_users_errors_and_ctrl_c_through():
    with pytest.raises(AutoactError), reach():
        raise AutoactError("mine")
    with pytest.raises(KeyboardInterrupt), reach():
        raise KeyboardInterrupt


def test_reasons_are_one_short_line():
    assert reason_of(OSError("a" * 500)) == "a" * 197
    assert reason_of(ValueError()) == "ValueError"
    assert reason_of(OSError("HTTPConnectionPool(...): Read timed out. (read timeout=5)")) == "Read timed out"


def test_environment_keeps_what_the_user_set(monkeypatch):
    monkeypatch.setenv("A_SET", "1")
    monkeypatch.delenv("A_FREE", raising=False)
    with environment({"A_SET": "2", "A_FREE": "3"}):
        assert (os.environ["A_SET"], os.environ["A_FREE"]) == ("1", "3")
    assert "A_FREE" not in os.environ


def test_telemetry_is_off_unless_the_user_decided(monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert quiet_telemetry() == {"MLFLOW_DISABLE_TELEMETRY": "true"}
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    assert quiet_telemetry() == {}


def test_a_dead_server_is_named_at_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        AutoactError,
        match=rf"cannot reach MLflow at http://\*\*\*@127.0.0.1:{port}: Connection refused \(set tracking\.uri, or "
        "tracking=none to go without",
    ):
        Store(TrackingSettings(uri=f"http://anna:secret@127.0.0.1:{port}"), tmp_path)


def test_an_output_folder_that_is_a_file_is_no_fault_of_mlflow(tmp_path):
    file = tmp_path / "table.csv"
    file.touch()
    with pytest.raises(AutoactError, match=rf"^output={file} cannot be written: {file} is a file, name a folder$"):
        Store(TrackingSettings(), file)


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "sqlite:////proc/none/x.db"])
def test_a_store_that_cannot_be_is_named(uri, tmp_path):
    with pytest.raises(AutoactError, match=f"cannot reach MLflow at {uri}: ") as caught:
        Store(TrackingSettings(uri=uri), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_scheme_that_mlflow_does_not_know_is_refused_where_it_is_written():
    with pytest.raises(
        AutoactError, match=r"^unknown scheme of tracking.uri 'bogus': Allowed: http, https, file, sqlite"
    ):
        TrackingSettings(uri="bogus://x")


def test_an_experiment_is_created_once(output):
    store = Store(TrackingSettings(), output)
    first = store.experiment("created once")
    assert store.experiment("created once") == first
    found = store.client.get_experiment(first)
    assert found.artifact_location == (output / "mlartifacts").as_uri()
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"


def test_another_process_may_create_the_experiment_first(output, monkeypatch):
    store = Store(TrackingSettings(), output)
    first = store.experiment("raced")
    real, answers = store.client.get_experiment_by_name, [None]
    monkeypatch.setattr(store.client, "get_experiment_by_name", lambda n: answers.pop() if answers else real(n))
    assert store.experiment("raced") == first
    assert answers == []


def test_a_deleted_experiment_is_named(output):
    store = Store(TrackingSettings(), output)
    store.client.delete_experiment(store.experiment("gone"))
    with pytest.raises(AutoactError, match="the MLflow experiment 'gone' was deleted"):
        store.experiment("gone")


def test_a_refused_name_is_named(output):
    with pytest.raises(AutoactError, match="cannot use the MLflow experiment"):
        Store(TrackingSettings(), output).experiment("x" * 600)


def test_tables_are_created_by_one_process_at_a_time(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    file = tmp_path / "mlflow.db"
    with one_at_a_time(file):
        file.touch()
        with (tmp_path / ".mlflow.db.lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert [one.name for one in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.slow
def test_a_new_store_is_made_in_silence(tmp_path):
    """Nothing printed, no warning, no folder where the user stands, no trace in his environment."""
    script = (
        "import os, warnings; before = dict(os.environ), list(warnings.filters)\n"
        "from pathlib import Path\n"
        "from autoact.tracking.settings import TrackingSettings\n"
        "from autoact.tracking.store import Store\n"
        "Store(TrackingSettings(), Path('runs')).experiment('a')\n"
        "import mlflow\n"
        "assert mlflow.active_run() is None\n"
        "assert not mlflow.tracking.is_tracking_uri_set()\n"
        "changed = {k for k in set(os.environ) | set(before[0]) if os.environ.get(k) != before[0].get(k)}\n"
        "assert not {k for k in changed if not k.startswith('_')}, changed\n"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [one.name for one in tmp_path.iterdir()] == ["runs"]
    assert [one.name for one in (tmp_path / "runs").iterdir()] == ["mlflow.db"]
