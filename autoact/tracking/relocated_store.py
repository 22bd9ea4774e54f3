"""An output folder that was moved or copied: MLflow keeps whole addresses of artifacts, which are made to follow."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autoact.core.errors import AutoactError

# Where MLflow keeps addresses; a version of it that lacks one of these columns keeps it elsewhere or not at all.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
# Tags of a search that name the output folder: a study that goes on is found by them.
TAGS = ("autoact.storage", "autoact.folder")
# How long to wait for another process that writes, in seconds.
PATIENCE = 20.0


@dataclass(frozen=True)
class Moved:
    """What followed.

    Attributes:
        before: the folder that the addresses named.
        now: the folder of the store.
        count: of addresses that were changed.
        complete: whether the artifacts came along.
    """

    before: Path
    now: Path
    count: int
    complete: bool

    def __str__(self) -> str:
        """For people.

        Example:
            >>> print(Moved(Path("/a/runs"), Path("/b/runs"), 7, True))
            this MLflow store was at /a/runs before: 7 addresses in it now name /b/runs
        """
        said = f"this MLflow store was at {self.before} before: {self.count} addresses in it now name {self.now}"
        return said if self.complete else f"{said}, but its artifacts did not come along: move them there, too"


def follow(database: Path, artifacts: Path) -> list[Moved]:
    """Let the addresses in an SQLite store name the folder in which it lies now.

    autoact keeps artifacts in one folder beside the database. Where an experiment's address names another folder of
    that name, the store was moved or copied. Of a copy whose original is still there, what came along follows.

    Args:
        database: the SQLite file.
        artifacts: the folder beside it.

    Returns:
        One entry per earlier place; none where nothing was moved, or where the file is no store of MLflow's.

    Raises:
        AutoactError: the store was moved, and cannot be written.
    """
    found: list[Moved] = []
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=PATIENCE)) as store:
            for root in _earlier_roots(store, artifacts):
                with store:
                    store.execute("BEGIN IMMEDIATE")
                    found.append(_moved(store, root, artifacts))
    except sqlite3.DatabaseError as error:
        raise AutoactError(
            f"the MLflow store {database} was moved, and the addresses in it cannot be changed ({error}): make it "
            "writable, or move the folder back"
        ) from error
    return [one for one in found if one.count]


def _earlier_roots(store: sqlite3.Connection, artifacts: Path) -> Sequence[str]:
    """Addresses of folders of artifacts that are not the one beside the database."""
    try:
        places = [text for (text,) in store.execute("SELECT DISTINCT artifact_location FROM experiments") if text]
    except sqlite3.DatabaseError:  # another file, or tables that are made at this moment: nothing was moved
        return []
    ours = [text.rstrip("/") for text in places if text.startswith("file:")]
    return [
        text
        for text in ours
        if (path := _path(text)).name == artifacts.name and path != artifacts and not _same(path, artifacts)
    ]


def _moved(store: sqlite3.Connection, root: str, artifacts: Path) -> Moved:
    """Rewrite what begins with ``root``."""
    old, count = _path(root), 0
    gone = not old.exists()
    for table, column in ADDRESSES:
        for row, text in _beginning(store, table, column, root, "/"):
            new = artifacts.as_uri() + text[len(root) :]
            if gone or _path(new).exists():
                store.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (new, row))
                count += 1
    for before, after in (
        (f"sqlite:///{old.parent}", f"sqlite:///{artifacts.parent}"),
        (str(old.parent), str(artifacts.parent)),
    ):
        for row, text in _beginning(store, "tags", "value", before, "/", TAGS):
            store.execute('UPDATE "tags" SET "value" = ? WHERE rowid = ?', (after + text[len(before) :], row))
            count += 1
    return Moved(old.parent, artifacts.parent, count, artifacts.exists())


def _beginning(
    store: sqlite3.Connection, table: str, column: str, start: str, then: str, keys: Sequence[str] = ()
) -> Iterator[tuple[int, str]]:
    """Row and text of what is ``start``, or goes on from it with ``then``; nothing where there is no such column."""
    if column not in {row[1] for row in store.execute(f'PRAGMA table_info("{table}")')}:
        return
    only = f" AND key IN ({', '.join('?' * len(keys))})" if keys else ""
    query = f'SELECT rowid, "{column}" FROM "{table}" WHERE substr("{column}", 1, ?) = ?{only}'
    for row, text in store.execute(query, (len(start), start, *keys)).fetchall():
        if text == start or text.startswith(start + then):
            yield row, text


def _path(uri: str) -> Path:
    """The path that a file's URI names."""
    return Path(url2pathname(urlsplit(uri).path))


def _same(one: Path, other: Path) -> bool:
    """Whether two paths name one folder, say over a link or a second mount."""
    return one.exists() and other.exists() and one.samefile(other)
