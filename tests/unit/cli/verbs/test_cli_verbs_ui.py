"""``python -m autoact ui``: the right store, one clear line for each mistake, and an orderly end."""

import json
import os
import re
import signal
import socket
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from autoact.cli.main import main
from autoact.cli.verbs import ui
from autoact.core.errors import AutoactError
from autoact.workflows.searching.interrupt import ends_as_interrupted


@pytest.fixture(autouse=True)
def no_mlflow_variables(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port():
    """A port that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def server(tmp_path, port):
    return ui.Server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts", "127.0.0.1", port)


def instead(monkeypatch, script, *arguments):
    """Run a script in place of MLflow."""
    monkeypatch.setattr(ui.Server, "command", lambda self: [sys.executable, "-c", script, *arguments])


def test_no_store_yet_says_what_to_do(tmp_path, capsys):
    assert main(["ui", f"output={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"autoact: there is no MLflow store at {tmp_path}/mlflow.db: run a search first")
    assert f"output={tmp_path}" in error and error.count("\n") == 1


def test_a_named_store_that_is_not_there(tmp_path, capsys):
    assert main(["ui", f"tracking.uri=sqlite:///{tmp_path}/x.db"]) == 2
    assert f"there is no MLflow store at {tmp_path}/x.db" in capsys.readouterr().err


def test_a_server_has_its_own_ui(capsys, monkeypatch):
    assert main(["ui", "tracking.uri=http://anna:secret@server:5000"]) == 0
    assert capsys.readouterr().out == "this store has its own UI: http://***@server:5000\n"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://other")
    assert main(["ui"]) == 0
    assert capsys.readouterr().out == "this store has its own UI: https://other\n"


def test_a_databricks_store_has_its_own_ui(capsys):
    assert main(["ui", "tracking.uri=databricks"]) == 2
    assert "open your workspace" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["http", "0", "65536", "-1", "²"])
def test_a_port_that_is_none(given, tmp_path, capsys):
    (tmp_path / "mlflow.db").touch()
    assert main(["ui", f"output={tmp_path}", f"--port={given}"]) == 2
    assert capsys.readouterr().err == f"autoact: --port={given} must be a number from 1 to 65535\n"


def test_a_flag_without_its_value(capsys):
    assert main(["ui", "--port"]) == 2
    assert capsys.readouterr().err == "autoact: --port needs a value\n"


def test_an_unknown_flag_names_the_nearest(capsys):
    assert main(["ui", "--prot", "1"]) == 2
    assert "did you mean --port" in capsys.readouterr().err


def test_help(capsys):
    assert main(["ui", "--help"]) == 0
    assert "--port N" in capsys.readouterr().out


def test_a_port_in_use_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert main(["ui", f"output={tmp_path}", "--port", str(number)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"autoact: cannot listen on 127.0.0.1:{number}: Address already in use")
    assert f"--port {number + 1}" in error and error.count("\n") == 1


def test_a_host_that_is_not_this_machine(server):
    with pytest.raises(AutoactError, match=r"cannot listen on 192\.0\.2\.1:"):
        ui.check_port(replace(server, host="192.0.2.1"))


def test_the_command_line_holds_no_password(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true")
    secret = replace(server, uri="postgresql://anna:secret@db/runs")
    assert "secret" not in " ".join(secret.command())
    assert secret.environment()["MLFLOW_BACKEND_STORE_URI"] == secret.uri
    assert secret.environment()["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "true"


def test_the_address_is_one_that_a_browser_can_open(server):
    assert replace(server, host="0.0.0.0").address == f"http://127.0.0.1:{server.port}"
    assert replace(server, host="::").address == f"http://[::1]:{server.port}"


def test_a_server_that_ends_by_itself_tells_why(server, monkeypatch):
    instead(monkeypatch, "import sys; print('a line'); print('no such table: runs', file=sys.stderr); sys.exit(3)")
    with pytest.raises(AutoactError, match=r"ended with exit code 3: no such table: runs \(more: .*mlflow-ui.log\)"):
        ui.serve(server)


FAKE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_server(how, server, monkeypatch, capsys):
    instead(monkeypatch, FAKE, str(server.port))
    children, real = [], ui.wait_until_up

    def up_then_signal(of, child):
        real(of, child)
        children.append(child)
        signal.raise_signal(how)

    monkeypatch.setattr(ui, "wait_until_up", up_then_signal)
    before = signal.getsignal(how)
    with ends_as_interrupted():  # as the command line has it
        assert ui.serve(server) == 0
    assert children[0].returncode is not None
    assert signal.getsignal(how) is before
    assert capsys.readouterr().out.endswith("MLflow UI ended\n")


@pytest.mark.slow
def test_the_real_ui_shows_what_a_tracker_logged(tmp_path, port, monkeypatch, capsys):
    from autoact.tracking.settings import TrackingSettings
    from autoact.tracking.store import Store

    store = Store(TrackingSettings(), tmp_path)
    experiment = store.experiment("autoact-demo")
    run = store.client.create_run(experiment, run_name="demo-1")
    store.client.log_text(run.info.run_id, "# verdict", "report.md")
    seen, real = [], ui.wait_until_up

    def up_then_ask(of, child):
        real(of, child)
        request = urllib.request.Request(
            f"{of.address}/api/2.0/mlflow/runs/search",
            json.dumps({"experiment_ids": [experiment]}).encode(),
            {"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            seen.append(json.load(answer)["runs"][0]["info"]["run_name"])
        report = f"{of.address}/get-artifact?path=report.md&run_uuid={run.info.run_id}"
        with opener.open(report, timeout=60) as answer:
            seen.append(answer.read().decode())
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ui, "wait_until_up", up_then_ask)
    monkeypatch.chdir(tmp_path)
    assert main(["ui", f"output={tmp_path}", "--port", str(port)]) == 0
    assert seen == ["demo-1", "# verdict"]
    assert re.search(r"sqlite:///.*mlflow\.db", capsys.readouterr().out)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    left = {one.name for one in Path(os.getcwd()).iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"}  # SQLite's own
    assert left == {"mlflow.db", "mlartifacts", "mlflow-ui.log"}
