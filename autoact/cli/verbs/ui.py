"""``python -m autoact ui``: the MLflow UI on the store that searches log to."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoact.cli.config_arguments import read
from autoact.config.compose import settings as typed
from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import (
    ARTIFACTS,
    TRAINING,
    Store,
    artifact_root,
    follow_folder,
    load_mlflow,
    quiet_telemetry,
    shown,
    sqlite_file,
    store_uri,
)

USAGE = """usage: python -m autoact ui [output=DIR] [tracking.uri=URI] [--port 5000] [--host 127.0.0.1]

Opens the MLflow UI on the store that searches log to, until Ctrl-C ends it.

  output=DIR                 the output folder of the search (autoact-runs unless given)
  tracking.uri=URI           the tracking URI of the search; MLFLOW_TRACKING_URI is honoured too
  --port N                   5000 unless given
  --host ADDRESS             127.0.0.1 unless given: this machine only
  --help, -h                 this text
"""

# What of a configuration says where the store is.
KEYS = ("output", "tracking.uri")
# How long the server may take to answer for the first time, and to end, in seconds.
START, END = 120.0, 10.0


@dataclass(frozen=True)
class Server:
    """The MLflow server to start."""

    uri: str
    artifacts: Path
    host: str
    port: int

    @property
    def log(self) -> Path:
        """Where it writes what it has to say; a new file at each start."""
        return self.artifacts.parent / "mlflow-ui.log"

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{self.port}"

    def command(self) -> list[str]:
        """The command line; the store is left out, for its URI may hold a password."""
        options = ["--host", self.host, "--port", str(self.port), "--workers", "1"]
        folders = ["--default-artifact-root", self.artifacts.as_uri(), "--artifacts-destination", str(self.artifacts)]
        return [sys.executable, "-m", "mlflow", "server", *options, *folders, "--uvicorn-opts", "--log-level warning"]

    def environment(self) -> dict[str, str]:
        """The environment: the user's own, the store, no telemetry and no job runners unless they asked for them."""
        mine = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"}
        mine["PYTHONWARNINGS"] = "ignore"
        return {**mine, **quiet_telemetry(), **os.environ, "MLFLOW_BACKEND_STORE_URI": self.uri}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read(arguments, valued=("--port", "--host"), configured=False, keys=KEYS)
    config = typed(options.config())
    output = Path(config.output)
    uri = store_uri(config.tracking, output)
    if uri.startswith(("http://", "https://")):
        print(f"this store has its own UI: {shown(uri)}")
        return 0
    if uri.partition(":")[0] == "databricks":
        raise AutoactError("a Databricks store has its own UI: open your workspace, Experiments")
    check_store(uri, output)
    follow_folder(uri)
    port = port_number(options.flags.get("--port", "5000"))
    server = Server(
        uri, artifact_root(uri, output) or output.resolve() / ARTIFACTS, options.flags.get("--host", "127.0.0.1"), port
    )
    check_port(server)
    return serve(server)


def check_store(uri: str, output: Path) -> None:
    """Refuse a store that no search has written.

    Raises:
        AutoactError: says what to do instead.
    """
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        given = "" if str(output) == Config().output else f" {shlex.quote(f'output={output}')}"
        raise AutoactError(
            f"there is no MLflow store at {file}: run a search first (python -m autoact search task=...{given}), or "
            "name its folder (output=DIR) or store (tracking.uri=URI)"
        )


def port_number(text: str) -> int:
    """A port.

    Raises:
        AutoactError: not a number from 1 to 65535.

    Example:
        >>> port_number("5000")
        5000
    """
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise AutoactError(f"--port={text} must be a number from 1 to 65535")
    return int(text)


def check_port(server: Server) -> None:
    """Refuse an address that cannot be listened on.

    Raises:
        AutoactError: the port is taken, or the host is none of this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AutoactError(
            f"cannot listen on {server.host}:{server.port}: {error.strerror} (choose another, e.g. --port "
            f"{server.port % 65535 + 1})"
        ) from error


def serve(server: Server) -> int:
    """Run the server until Ctrl-C; returns the exit code.

    Raises:
        AutoactError: the server ended by itself.
    """
    from autoact.tracking.abandoned_runs import say_abandoned

    print(f"starting the MLflow UI on {shown(server.uri)} ...", flush=True)
    with process(server) as child:
        try:
            load_mlflow()  # while the server starts
            wait_until_up(server, child)
            with contextlib.suppress(AutoactError):  # the server shows the store all the same
                say_abandoned(Store(TrackingSettings(uri=server.uri), server.artifacts.parent))
            print(f"MLflow UI: {server.address}/#/experiments?{TRAINING}  (Ctrl-C ends it)", flush=True)
            child.wait()
        except KeyboardInterrupt:
            print("\nMLflow UI ended")
            return 0
    raise _ended(server, child)


def _ended(server: Server, child: subprocess.Popen[bytes]) -> AutoactError:
    """The error for a server that ended by itself."""
    lines = server.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    return AutoactError(
        f"the MLflow server ended with exit code {child.returncode}: {shown(lines[-1].strip())} (more: {server.log})"
    )


def wait_until_up(server: Server, child: subprocess.Popen[bytes]) -> None:
    """Return once the server answers.

    Raises:
        AutoactError: it ended, or does not answer in time.
    """
    # A proxy of the user's is not for addresses of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    limit = time.monotonic() + START
    while time.monotonic() < limit:
        if child.poll() is not None:
            raise _ended(server, child)
        with contextlib.suppress(OSError), opener.open(f"{server.address}/health", timeout=2):
            return
        time.sleep(0.2)
    raise AutoactError(f"the MLflow server does not answer at {server.address} after {START:.0f} s")


@contextlib.contextmanager
def process(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """The server and its workers as a process group of their own, gone at the end."""
    try:
        server.log.parent.mkdir(parents=True, exist_ok=True)
        with server.log.open("wb") as log:
            child = subprocess.Popen(
                server.command(),
                env=server.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the whole group
            )
    except OSError as error:
        raise AutoactError(f"cannot start the MLflow server: {error.strerror}: {error.filename}") from error
    try:
        yield child
    finally:
        _end(child, signal.SIGTERM)
        try:
            child.wait(END)
        except subprocess.TimeoutExpired:
            _end(child, getattr(signal, "SIGKILL", signal.SIGTERM))
            child.wait()


def _end(child: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if sys.platform == "win32":
        child.terminate()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, how)
