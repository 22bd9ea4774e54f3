"""Where a study lies: an SQLite file, a database server, or a storage behind Optuna's gRPC proxy."""

from __future__ import annotations

import time
import warnings
import weakref
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from autoact.core.imports import optional
from autoact.study.settings import SearchSettings

# Seconds to wait for a server, or for another driver on the same SQLite file (SQLite's own default is five).
PATIENCE = 60
TRIES = 3
DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


def storage_url(settings: SearchSettings, output: Path) -> str:
    """The Optuna storage: the configured one, or an SQLite file in the output folder."""
    return settings.storage or f"sqlite:///{(output / 'optuna.db').resolve()}"


def open_storage(storage: str | BaseStorage | None) -> BaseStorage:
    """The storage behind a URL; an object that is one already stays as it is.

    Raises:
        Exception: one of ``storage_errors``, where it cannot be opened.
    """
    if isinstance(storage, str) and storage.startswith("grpc://"):
        return _proxy(storage)
    if not isinstance(storage, str) or not storage.startswith("sqlite"):
        return optuna.storages.get_storage(storage)
    for attempt in range(1, TRIES + 1):
        try:
            made = optuna.storages.RDBStorage(storage, engine_kwargs={"connect_args": {"timeout": PATIENCE}})
            _commit_quickly(made)
            return optuna.storages.get_storage(made)
        except storage_errors():
            # Another driver may be creating the same tables at this moment.
            if attempt == TRIES:
                raise
            time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def _commit_quickly(storage: optuna.storages.RDBStorage) -> None:
    """Commit to a write-ahead log: a trial then costs no wait for the disk, and drivers do not block each other.

    A killed process loses nothing; a power failure may lose the last trials, and never damages the file. File systems
    that cannot do it stay as they are.
    """
    from sqlalchemy import event

    def set_up(connection: Any, _: Any) -> None:
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
            connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", set_up)
    storage.engine.dispose()
    # The last connection that is closed writes the log into the file, which can be copied by itself from then on.
    weakref.finalize(storage, storage.engine.dispose)


def _proxy(storage: str) -> BaseStorage:
    """The storage behind ``grpc://HOST:PORT``.

    Raises:
        ValueError: no such address.
        ConnectionError: nobody answers there.
    """
    host, _, port = storage.removeprefix("grpc://").rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("write grpc://HOST:PORT")
    optional("grpc", wanted_for="search.storage=grpc://HOST:PORT", install="grpcio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
    proxy.wait_server_ready(timeout=PATIENCE)
    return proxy


def storage_errors() -> tuple[type[Exception], ...]:
    """What a storage raises when it cannot be reached."""
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError, OSError)
