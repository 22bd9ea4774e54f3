"""Rows by name: autoact's own, the user's, and those that installed packages bring through entry points."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from autoact.core.errors import AutoactError, unknown


class Row(Protocol):
    """What a registry holds: a frozen record with a name; a row may have ``aliases`` too."""

    @property
    def name(self) -> str:
        """The canonical name."""
        ...


RowT = TypeVar("RowT", bound=Row)


class Registry(Mapping[str, RowT], Generic[RowT]):
    """One kind of thing that can be chosen by name, such as activations, metrics, kinds of task or engines.

    An installed package adds rows through an entry point of the registry's group: the entry point leads to a row, or to
    a callable that returns one row or several. Installed packages are looked through when a name is not known yet, or
    when all names are asked for.

    Args:
        what: what a row is, for messages.
        rows: autoact's own, which cannot be replaced or removed.
        check: raises ``AutoactError`` for a row that cannot be used.
        key: the form in which names are compared.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Colour:
        ...     name: str
        >>> colours = Registry("colour", "doctest.colours", Colour, [Colour("red")])
        >>> colours.add(Colour("green"))
        >>> list(colours), colours["green"]
        (['red', 'green'], Colour(name='green'))
        >>> colours.find("grene")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown colour 'grene': did you mean green or red? Allowed: red, green
    """

    def __init__(
        self,
        what: str,
        group: str,
        row_type: type[RowT],
        rows: Iterable[RowT] = (),
        *,
        check: Callable[[RowT], None] | None = None,
        key: Callable[[str], str] = str,
    ) -> None:
        self.what, self.group = what, group
        self._row_type, self._check, self._key = row_type, check, key
        self._rows: dict[str, RowT] = {}
        self._names: dict[str, str] = {}
        self._loaded: set[tuple[str, str]] = set()
        self._all_loaded = False
        self.built_in: tuple[str, ...] = ()
        for row in rows:
            self._put(row)
        self.built_in = tuple(self._rows)

    def __getitem__(self, name: str) -> RowT:
        """The row called ``name``; ``KeyError`` where there is none."""
        key = self._key(str(name))
        if key not in self._names:
            self._load()
        return self._rows[self._names[key]]

    def __iter__(self) -> Iterator[str]:
        """The canonical names: autoact's own, then in the order in which they were added."""
        self._load()
        return iter(list(self._rows))

    def __len__(self) -> int:
        self._load()
        return len(self._rows)

    def find(self, name: str, *, advice: str = "") -> RowT:
        """The row called ``name``.

        Raises:
            AutoactError: there is none; the message has the nearest names.
        """
        row = self.get(name)
        if row is None:
            others = [key for key in self._names if key not in self._rows]
            raise unknown(self.what, name, [*self._rows, *others], advice=advice)
        return row

    def add(self, row: RowT, *, replace: bool = False) -> None:
        """Make a row known by its name and its aliases.

        With ``replace`` it takes the place of the one of the same name that was added before (in a notebook, say).

        Raises:
            AutoactError: the row cannot be used, or a name of it is taken.
        """
        if row.name in self._rows and self._rows[row.name] == row:  # a module that registers, and an entry point to it
            return
        if self._check is not None:
            self._check(row)
        self._put(row, replace=replace)

    def remove(self, name: str) -> None:
        """Forget a row that was added.

        Raises:
            AutoactError: there is none of this name, or it is autoact's own.
        """
        row = self.find(name)
        if row.name in self.built_in:
            raise AutoactError(f"{self.what} {row.name!r} is autoact's own: only registered ones can go")
        del self._rows[row.name]
        self._names = {key: owner for key, owner in self._names.items() if owner != row.name}

    def _put(self, row: RowT, *, replace: bool = False) -> None:
        names = (row.name, *getattr(row, "aliases", ()))
        allowed = row.name if replace and row.name not in self.built_in else None
        for name in names:
            taken = self._names.get(self._key(name))
            if taken is not None and taken != allowed:
                how = "it is autoact's own" if taken in self.built_in else "pass replace=True to put it in its place"
                raise AutoactError(f"{self.what} name {name!r} is taken by {taken!r}: choose another ({how})")
        self._names = {key: name for key, name in self._names.items() if name != allowed}
        self._rows[row.name] = row
        self._names |= {self._key(name): row.name for name in names}

    def _load(self) -> None:
        """Add what installed packages bring, once each; a broken entry point is named each time."""
        if self._all_loaded:  # looking through the installed packages takes milliseconds
            return
        for entry_point in importlib.metadata.entry_points(group=self.group):
            if (entry_point.name, entry_point.value) in self._loaded:
                continue
            before = dict(self._rows), dict(self._names)
            try:
                for row in self._rows_of(entry_point):
                    self.add(row)
            except AutoactError as error:
                self._rows, self._names = before
                where = f"entry point {entry_point.name!r} ({entry_point.value}) of {self.group}"
                raise AutoactError(f"{where}: {error}; repair or uninstall the package that brings it") from error
            self._loaded.add((entry_point.name, entry_point.value))
        self._all_loaded = True

    def _rows_of(self, entry_point: importlib.metadata.EntryPoint) -> list[RowT]:
        try:
            given = entry_point.load()
            if not isinstance(given, self._row_type) and callable(given):
                given = given()
            rows = [given] if isinstance(given, self._row_type) else list(given)
        except Exception as error:
            raise AutoactError(f"it cannot be loaded: {type(error).__name__}: {error}") from error
        for row in rows:
            if not isinstance(row, self._row_type):
                wanted = self._row_type.__name__
                raise AutoactError(
                    f"it gives {type(row).__name__}: it must give {'an' if wanted[0] in 'AEIOU' else 'a'} {wanted}, "
                    "or a callable that returns one or several"
                )
        return rows
