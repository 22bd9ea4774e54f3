"""An output folder that was moved or copied: MLflow keeps whole addresses of artifacts, which are made to follow."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
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
    """Let what names the folder ``root`` name the folder of the artifacts; of a copy, only what came along."""
    old = _path(root)
    gone = not old.exists()
    store.create_function("came_along", 1, lambda uri: gone or _path(uri).exists())
    count = sum(
        _rewrite(store, table, column, root, artifacts.as_uri(), "AND came_along({new})") for table, column in ADDRESSES
    )
    only = f"AND key IN ({', '.join(map(repr, TAGS))})"
    for scheme in ("sqlite:///", ""):
        count += _rewrite(store, "tags", "value", f"{scheme}{old.parent}", f"{scheme}{artifacts.parent}", only)
    return Moved(old.parent, artifacts.parent, count, artifacts.exists())


def _rewrite(store: sqlite3.Connection, table: str, column: str, before: str, after: str, only: str) -> int:
    """Put ``after`` in place of the folder ``before``, and say how often; 0 where there is no such column.

    A further condition ``only`` may ask for the new text as ``{new}``.
    """
    if column not in {row[1] for row in store.execute(f'PRAGMA table_info("{table}")')}:
        return 0
    new, start = f':after || substr("{column}", :rest)', f'substr("{column}", 1, :rest)'
    query = (
        f'UPDATE "{table}" SET "{column}" = {new} WHERE {start} IN (:before, :before || \'/\') {only.format(new=new)}'
    )
    return store.execute(query, {"before": before, "after": after, "rest": len(before) + 1}).rowcount


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path))


def _same(one: Path, other: Path) -> bool:
    """Whether two paths name one folder, say over a link or a second mount."""
    return one.exists() and other.exists() and one.samefile(other)
