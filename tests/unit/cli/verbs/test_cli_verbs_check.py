"""The gate's command line: exit codes, the table, the webhook."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from autoact.cli.main import main
from autoact.workflows.checking.check_result import CheckResult, Finding


def checked(verdict="ok", **more):
    """A result with one of each kind."""
    findings = [
        Finding("quality", 0.85, 0.84, 0.83, 0.86, 0.84, True, verdict),
        Finding("gain", 0.004, 0.001, -0.002, 0.004, 0.0, True, "unclear"),
        Finding("drift:city", None, None, None, 0.01, 0.25, False, "ok", "the data have no such column"),
        *(Finding(f"drift:x{k}", None, 0.0, None, 0.01, 0.25, False, "ok") for k in range(9)),
    ]
    return CheckResult(
        "churn", "quality", "ROC AUC", "validation", 5, findings, ["a note"], {"simulated": True}, **more
    )


@pytest.fixture
def answers(monkeypatch):
    """Let the check itself give a result at once."""

    def set_to(result):
        monkeypatch.setattr("autoact.workflows.check.check", lambda *_, **__: result)

    return set_to


@pytest.fixture
def server():
    """A server that keeps what is posted."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path.startswith("/broken") else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", posted
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize(
    ("result", "code", "last"),
    [
        (checked(), 0, "No regression. Neither proved nor refuted: gain over the baseline"),
        (checked("regression"), 1, "Regression: ROC AUC"),
        (checked(strict=True), 1, "Regression: gain over the baseline"),
    ],
)
def test_exit_codes(result, code, last, answers, capsys):
    answers(result)
    assert main(["check", "rec.yaml", "task=cancer"]) == code
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith(last)
    assert "churn (simulated data): policy quality, 5 fresh seeds, validation rows" in out
    assert ">= 0.8400" in out and "the data have no such column" in out and "+0.0010" in out
    assert "4 other columns have moved less." in out and "note: a note" in out


def test_the_webhook_gets_the_same(server, answers, capsys):
    url, posted = server
    answers(checked("regression"))
    assert main(["check", "rec.yaml", "task=cancer", "--webhook", url]) == 1
    assert posted == [checked("regression").to_dict()] and posted[0]["regressions"] == ["quality"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", ["/broken", None])
def test_a_webhook_that_fails_is_said_and_decides_nothing(path, server, answers, capsys):
    answers(checked())
    url = f"{server[0]}{path}?key=secret" if path else "http://127.0.0.1:9/secret"
    assert main(["check", "rec.yaml", "task=cancer", f"--webhook={url}"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("autoact: the webhook at 127.0.0.1 failed: ") and "secret" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=cancer"], "check needs a recommendation"),
        (["nowhere.yaml", "task=cancer"], "nowhere.yaml"),
        (["x.yaml", "task=cancer", "--webhook", "ftp://x"], "begins with http:// or https://"),
        (["x.yaml", "task=cancer", "--webhok", "http://x"], "did you mean --webhook"),
        (["x.yaml", "task=nothing"], "nothing"),
    ],
)
def test_mistakes(words, message, capsys):
    assert main(["check", *words]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_help(capsys):
    assert main(["check", "--help"]) == 0
    assert "tolerance.drift=.25" in capsys.readouterr().out
