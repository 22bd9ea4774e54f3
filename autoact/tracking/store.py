"""Where MLflow keeps runs, and how to reach it: quickly, quietly, without touching the process's own MLflow state."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autoact.core.errors import AutoactError
from autoact.core.output_folder import make_folder
from autoact.tracking.relocated_store import follow
from autoact.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from sqlite3 import Connection

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"

# Their INFO lines and stack traces would break the view in the terminal; what matters comes back as an exception.
LOUD_LOGGERS = ("mlflow", "alembic", "sqlalchemy.engine", "urllib3.connectionpool", "git")

# MLflow's own defaults wait for a dead server for minutes. Set while MLflow is called, where the user has set nothing.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

# In an address of the UI: show what belongs to training; MLflow shows traces of language models first.
TRAINING = "workflowType=machine_learning"

# The UI then opens with what belongs to training, not with traces of language models.
_KIND = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Searches of autoact: a run per search, with a run per trial below it.",
}

# Answers that will be the same when asked again.
_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS")


class StoreError(Exception):
    """The store did not do what it was asked.

    Attributes:
        refused: whether it answered, and would answer the same again; false where it could not be reached.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class UnreachableError(AutoactError):
    """Nothing answers at the store's address.

    Attributes:
        plain: the message without advice that trainings alone can follow.
    """

    def __init__(self, plain: str) -> None:
        super().__init__(f"{plain} (set tracking.uri, or tracking=none to go without)")
        self.plain = plain


def store_uri(settings: TrackingSettings, output: Path) -> str:
    """The tracking URI: the setting, else ``MLFLOW_TRACKING_URI``, else an SQLite file in the output folder.

    Raises:
        AutoactError: something that is no URI.

    Example:
        >>> store_uri(TrackingSettings(uri="http://127.0.0.1:5000"), Path("runs"))
        'http://127.0.0.1:5000'
    """
    given = settings.uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        return f"sqlite:///{(output / DATABASE).resolve()}"
    if "://" not in given and given.partition(":")[0] not in ("databricks", "file", "uc"):
        file = given if given.endswith(".db") else "mlflow.db"
        raise AutoactError(f"{_origin(settings)}={given!r} is no URI: write sqlite:///{file} or http://HOST:PORT")
    return given


def _origin(settings: TrackingSettings) -> str:
    return "tracking.uri" if settings.uri else "MLFLOW_TRACKING_URI"


def shown(uri: str) -> str:
    """A URI, or a text that holds one, without user names and passwords.

    Example:
        >>> shown("postgresql://anna:secret@db:5432/runs")
        'postgresql://***@db:5432/runs'
    """
    return re.sub(r"://[^/\s'\"]*@", "://***@", uri)


def sqlite_file(uri: str) -> Path | None:
    """The file behind an SQLite URI; None for any other store.

    Example:
        >>> sqlite_file("sqlite:////data/mlflow.db").as_posix()
        '/data/mlflow.db'
    """
    scheme, separator, path = uri.partition(":///")
    if not separator or scheme.partition("+")[0] != "sqlite" or not path or path == ":memory:":
        return None
    return Path(path.partition("?")[0]).resolve()


def artifact_root(uri: str, output: Path) -> Path | None:
    """The folder for artifacts of a store without a server: beside its SQLite file, else in the output folder.

    None where a server decides.
    """
    if uri.startswith(("http://", "https://", "databricks", "uc")):
        return None
    file = sqlite_file(uri)
    return (file.parent if file else output.resolve()) / ARTIFACTS


def follow_folder(uri: str) -> None:
    """Where an SQLite store was moved or copied, let its addresses follow, and say so in one line.

    Raises:
        AutoactError: it was moved, and cannot be written.
    """
    file = sqlite_file(uri)
    if file is not None and file.is_file():
        for moved in follow(file, file.parent / ARTIFACTS):
            print(f"autoact: {moved}", file=sys.stderr)


@contextlib.contextmanager
def reach() -> Iterator[None]:
    """Call MLflow inside: in silence, with bounded patience, any failure as ``StoreError``.

    Logger levels, warning filters and environment variables are as before afterwards. They belong to the whole
    process: for the main thread's calls alone.
    """
    loggers = [logging.getLogger(name) for name in LOUD_LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(), environment(PATIENCE), answered():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Call MLflow inside, on any thread: a failure becomes a ``StoreError``."""
    try:
        yield
    except (AutoactError, StoreError):
        raise
    except Exception as error:
        raise StoreError(reason_of(error), refused=getattr(error, "error_code", "") in _REFUSALS) from error


@contextlib.contextmanager
def failing(what: str) -> Iterator[None]:
    """A ``StoreError`` inside becomes the user's, behind ``what`` could not be done.

    Raises:
        AutoactError: ``WHAT: REASON``.
    """
    try:
        yield
    except StoreError as trouble:
        raise AutoactError(f"{what}: {trouble}") from trouble


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that the user has not set; take them back at the end."""
    added = [name for name in values if name not in os.environ]
    try:
        os.environ.update({name: values[name] for name in added})
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def quiet_telemetry() -> dict[str, str]:
    """The variable that switches MLflow's telemetry off; empty where the user has decided.

    Example:
        >>> set(quiet_telemetry()) <= {"MLFLOW_DISABLE_TELEMETRY"}
        True
    """
    decided = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"} & set(os.environ)
    return {} if decided else {"MLFLOW_DISABLE_TELEMETRY": "true"}


def load_mlflow() -> None:
    """Import MLflow (seconds), in silence. Its telemetry is decided while it is imported."""
    if "mlflow" in sys.modules:
        return
    with warnings.catch_warnings(), environment(quiet_telemetry()):
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401


def reason_of(error: BaseException) -> str:
    """Why a call failed, in one short line without passwords.

    Example:
        >>> reason_of(OSError("...: Failed to establish a new connection: [Errno 111] Connection refused'))"))
        'Connection refused'
    """
    text = str(getattr(error, "message", None) or error) or type(error).__name__
    known = re.search(r"\[Errno -?\d+\] ([A-Z][^'\")(\n]*)", text) or re.search(
        r"\b([Rr]ead timed out|timed out)", text
    )
    line = known[1] if known else next((line.strip() for line in text.splitlines() if line.strip()), "")
    return shown(line if len(line) <= 200 else f"{line[:197]}...").rstrip(". ")


class Store:
    """A tracking store that answers.

    Attributes:
        uri: where it is.
        client: talks to it; use it inside ``reach()`` or ``answered()``.
    """

    def __init__(self, settings: TrackingSettings, output: Path) -> None:
        """Connect, and create the SQLite store where there is none.

        Raises:
            UnreachableError: nothing answers; names the URI.
        """
        self.uri = store_uri(settings, output)
        self._origin = _origin(settings)
        self._output = output
        load_mlflow()
        # The first call has the user waiting: one try.
        with environment({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}):
            self.client = self._connect()

    def _connect(self) -> MlflowClient:
        from mlflow import MlflowClient

        file = sqlite_file(self.uri)
        if file is not None and file.parent == self._output.resolve() and not file.parent.is_dir():
            make_folder(self._output)
        try:
            with reach():
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    follow_folder(self.uri)
                with one_at_a_time(file):
                    client = MlflowClient(self.uri)
                    client.search_experiments(max_results=1)
                if file is not None:
                    commit_quickly(client)
                return client
        except StoreError as trouble:
            raise UnreachableError(f"cannot reach MLflow at {shown(self.uri)}: {trouble}") from trouble

    def experiment(self, name: str) -> str:
        """The id of an experiment, created where there is none.

        Raises:
            AutoactError: it was deleted, or the store refuses its name.
        """
        with failing(f"cannot use the MLflow experiment {name!r} at {shown(self.uri)}"), reach():
            found = self.client.get_experiment_by_name(name) or self._created(name)
        if found.lifecycle_stage == "deleted":
            raise AutoactError(
                f"the MLflow experiment {name!r} was deleted: choose another (tracking.experiment=...), or restore it: "
                f"mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        return str(found.experiment_id)

    def _created(self, name: str) -> Experiment:
        """A new experiment, or that of another process which was quicker."""
        root = artifact_root(self.uri, self._output)
        try:
            made = self.client.create_experiment(name, artifact_location=root.as_uri() if root else None, tags=_KIND)
        except Exception:
            if (found := self.client.get_experiment_by_name(name)) is None:
                raise
            return found
        return self.client.get_experiment(made)

    def runs(self, experiments: list[str], condition: str) -> Iterator[Run]:
        """Active runs that fulfil a condition, the newest first, page by page.

        Raises:
            StoreError: the store does not answer.
        """
        token = None
        while experiments:
            with answered():
                page = self.client.search_runs(
                    experiments, condition, max_results=500, order_by=["start_time DESC"], page_token=token
                )
            yield from page
            token = page.token
            if not token:
                return

    def outer_run(self, run_id: str, origin: str) -> Run:
        """A run that somebody else started and ends.

        Raises:
            AutoactError: no such run.
        """
        with failing(f"{origin}={run_id!r}: no such run at {shown(self.uri)}"), reach():
            run = self.client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            raise AutoactError(f"{origin}={run_id!r}: that run was deleted")
        return run


def existing_store(settings: TrackingSettings, output: str | Path) -> Store:
    """A store that is there already.

    The setting decides; else the tracking URI that this process gave to MLflow; else ``MLFLOW_TRACKING_URI``; else the
    SQLite file in the output folder.

    Raises:
        AutoactError: there is no such store, or it does not answer.
    """
    if settings.uri is None and "mlflow" in sys.modules:
        import mlflow

        if mlflow.tracking.is_tracking_uri_set():
            settings = TrackingSettings(uri=mlflow.get_tracking_uri())
    uri = store_uri(settings, Path(output))
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        given = settings.uri or os.environ.get("MLFLOW_TRACKING_URI")
        advice = "" if given else ": name the folder that search and train wrote to, or set MLFLOW_TRACKING_URI"
        raise AutoactError(f"there is no MLflow store at {shown(uri)}{advice}")
    return Store(TrackingSettings(uri=uri) if settings.uri is None else settings, Path(output))


def commit_quickly(client: MlflowClient) -> None:
    """Let an SQLite store commit to a write-ahead log: a run then costs no wait for the disk, and a UI blocks nobody.

    A killed process loses nothing; a power failure may lose the last runs, and never damages the file. A file system
    that cannot do it, or a version of MLflow that keeps its engine elsewhere, stays as it is.
    """
    from sqlalchemy import Engine, event

    engine = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "engine", None)
    if not isinstance(engine, Engine) or getattr(engine, "autoact_set_up", False):
        return

    def set_up(connection: Connection, _: object) -> None:
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
            connection.execute("PRAGMA synchronous=NORMAL")

    engine.autoact_set_up = True  # type: ignore[attr-defined]  # MLflow shares one engine per file
    event.listen(engine, "connect", set_up)
    engine.dispose()
    # The last connection that is closed writes the log into the file, which can be copied by itself from then on.
    atexit.register(engine.dispose)


@contextlib.contextmanager
def one_at_a_time(file: Path | None) -> Iterator[None]:
    """Let one process at a time create the tables of an SQLite store; MLflow fails where two do."""
    if file is None or sys.platform == "win32":
        yield
        return
    import fcntl

    lock = file.with_name(f".{file.name}.lock")
    if file.exists() and not lock.exists():
        yield
        return
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
