"""MLflow's model registry: versions that training adds, aliases that people move, files that are fetched."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from autoact.core.errors import AutoactError, nearest, unknown
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store, UnreachableError, environment, existing_store, failing, reach, shown

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

# The alias that a training sets; all others belong to people.
CANDIDATE = "candidate"
# Says that a registered model is ours to add versions to.
OWNER = "autoact.task"
# Tag of a registered model: what an alias was moved from and to, oldest first.
MOVES = "autoact.moves."

_VERSION = re.compile(r"^models:/([^/@]+)(?:/(\d+)|@([\w.-]+))$")
# MLflow keeps these names to itself, in any case.
_RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)
_LOCAL = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


@dataclass(frozen=True)
class Version:
    """One version of a registered model.

    Attributes:
        name: of the registered model.
        number: counted from 1.
        alias: by which it was found; empty where by its number.
        run_id: the run that made it; empty where unknown.
        tags: of the version.
    """

    name: str
    number: int
    alias: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """The address that always means this version.

        Example:
            >>> Version("churn-autoact", 3, "candidate").uri
            'models:/churn-autoact/3'
        """
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True)
class Move:
    """What moving an alias changes.

    Attributes:
        name: of the registered model.
        alias: what moves.
        before: version that has it now; None where none has.
        after: version that gets it; None where it is taken away.
    """

    name: str
    alias: str
    before: int | None
    after: int | None

    @property
    def idle(self) -> bool:
        """Whether the version has the alias already, so that nothing changes."""
        return self.before == self.after

    def __str__(self) -> str:
        """For people.

        Example:
            >>> print(Move("churn-autoact", "champion", 2, 3))
            churn-autoact: champion moves from version 2 to version 3
            >>> print(Move("churn-autoact", "champion", None, 3))
            churn-autoact: champion is given to version 3; no version had it
        """
        if self.idle:
            return f"{self.name}: version {self.after} is the {self.alias} already; nothing moved"
        if self.before is None:
            return f"{self.name}: {self.alias} is given to version {self.after}; no version had it"
        if self.after is None:
            return f"{self.name}: {self.alias} is taken from version {self.before}; no version had it before"
        return f"{self.name}: {self.alias} moves from version {self.before} to version {self.after}"


def is_registry_uri(source: str) -> bool:
    """Whether a text names something in MLflow rather than a file.

    Example:
        >>> is_registry_uri("models:/churn-autoact@candidate"), is_registry_uri("recommended.yaml")
        (True, False)
    """
    return source.startswith(("models:/", "runs:/"))


@contextlib.contextmanager
def using(uri: str) -> Iterator[ModuleType]:
    """MLflow with the store at ``uri`` as the process's own, in silence; afterwards everything is as before.

    Raises:
        StoreError: whatever fails inside.
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.tracking.is_tracking_uri_set() else None
    try:
        with reach(), environment(_LOCAL):
            mlflow.set_tracking_uri(uri)
            yield mlflow
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: as if it had never been set


class Registry:
    """The registry of a store.

    Attributes:
        store: the tracking store; MLflow's own settings may name another place for the registry.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def at(cls, settings: TrackingSettings, output: str | Path) -> Registry:
        """The registry of a store that is there already; see ``existing_store``.

        Raises:
            AutoactError: there is no such store, or it does not answer.
        """
        try:
            return cls(existing_store(settings, output))
        except UnreachableError as error:
            raise AutoactError(f"{error.plain} (start it, or name another with tracking.uri)") from error

    def version(self, uri: str) -> Version:
        """The version that ``models:/NAME/3`` or ``models:/NAME@alias`` means now.

        Raises:
            AutoactError: another form, no such model, version or alias; names those that there are.
        """
        name, number, alias = _parsed(uri)
        with self._asking(uri):
            model = self._model(name)
            if alias:
                if alias not in model.aliases:
                    raise AutoactError(f"{name} has no alias {alias!r}: there is {_aliases_of(model)}")
                number = int(model.aliases[alias])
            numbers = self._numbers(name)
            if not numbers:
                raise AutoactError(f"{name} has no version any more: python -m autoact train adds one")
            if alias and number not in numbers:
                raise AutoactError(
                    f"{name}: {alias} names version {number}, which was deleted: there is "
                    f"{', '.join(map(str, sorted(numbers)))}"
                )
            if number not in numbers:
                raise unknown(f"version of {name}", number, map(str, sorted(numbers)))
            found = self.store.client.get_model_version(name, str(number))
            return Version(name, int(found.version), alias, found.run_id or "", dict(found.tags))

    def check_name(self, name: str) -> None:
        """Refuse a name under which ``register`` could add no version.

        Raises:
            AutoactError: a name that MLflow or a URI cannot hold, or a registered model that autoact did not make.
        """
        if name in ("", ".", "..") or name != name.strip() or set(name) & set("/:@'"):
            raise AutoactError(
                f"a model cannot be registered as {name!r}: choose a name without / : @ ' and outer spaces with "
                "train.register=NAME, or train.register=none"
            )
        with self._asking(name):
            registered = self._find(name)
        if registered is not None and OWNER not in registered.tags:
            raise _not_ours(name)

    def register(self, name: str, model_uri: str, run_id: str, task: str, tags: Mapping[str, str]) -> Version:
        """Add a version and give it the alias ``candidate``; no other alias, and no other model, is touched.

        A registered model is created where there is none of that name.

        Raises:
            AutoactError: the name belongs to a registered model that autoact did not make.
        """
        with self._asking(name):
            registered = self._find(name)
            if registered is None:
                text = f"Models of the task {task}, trained by python -m autoact train."
                self.store.client.create_registered_model(name, {OWNER: task}, text)
            elif OWNER not in registered.tags:
                raise _not_ours(name)
            logged = re.fullmatch("models:/(m-[^/]+)", model_uri)  # a server asks for its id beside it
            made = self.store.client.create_model_version(
                name, model_uri, run_id=run_id, tags=dict(tags), model_id=logged and logged[1]
            )
            self.store.client.set_registered_model_alias(name, CANDIDATE, made.version)
        return Version(name, int(made.version), CANDIDATE, run_id, dict(tags))

    def planned(self, version: Version, alias: str) -> Move:
        """What giving ``alias`` to a version would change.

        Raises:
            AutoactError: the alias is the one that training sets, or is none.
        """
        if alias == CANDIDATE:
            raise AutoactError(f"to={CANDIDATE}: that alias always names what was trained last; choose another")
        if _RESERVED.fullmatch(alias):
            raise AutoactError(
                f"to={alias}: latest, and v with a number, are reserved by MLflow; choose another, such as to=champion"
            )
        if not re.fullmatch(r"[A-Za-z][\w-]*", alias):
            raise AutoactError(f"to={alias!r} is no alias: letters, digits, - and _, such as to=champion")
        with self._asking(version.uri):
            before = self._model(version.name).aliases.get(alias)
        return Move(version.name, alias, None if before is None else int(before), version.number)

    def planned_back(self, name: str, alias: str) -> Move:
        """What taking the last move of ``alias`` back would change.

        Raises:
            AutoactError: no such model, nothing to take back, or the alias was moved by other means since.
        """
        with self._asking(name):
            model = self._model(name)
            moves = _moves(model, alias)
            now = int(model.aliases[alias]) if alias in model.aliases else None
            if not moves:
                raise _nothing_earlier(model, alias)
            before, after = moves[-1]
            numbers = self._numbers(name)
            there = f"promote the version that you want ({', '.join(map(str, sorted(numbers)))})"
            if now != after and after not in numbers:
                raise AutoactError(
                    f"{name}: version {after}, which promote gave {alias} to, was deleted, and {_holder(now)}: {there}"
                )
            if now != after:
                raise AutoactError(
                    f"{name}: {alias} was moved by other means since ({_holder(now)}, promote gave it to version "
                    f"{after}): {there}"
                )
            if before is not None and before not in numbers:
                raise AutoactError(f"{name}: version {before}, which was {alias} before, was deleted: {there}")
        return Move(name, alias, now, before)

    def carry_out(self, move: Move, *, back: bool = False) -> None:
        """Move the alias, and note the move (or that it was taken back) at the registered model.

        A move that changes nothing is not noted: ``rollback`` takes back the one before it.

        Raises:
            AutoactError: the store did not take it; the note is then as it was before.
        """
        if move.idle:
            return
        with self._asking(move.name):
            before = _moves(self._model(move.name), move.alias)
            # The note comes first: with it alone, rollback refuses; without it, it could not know.
            self._note(move, before[:-1] if back else [*before, (move.before, move.after)])
            try:
                self._set(move)
            except Exception:
                with contextlib.suppress(Exception):  # what matters is why the alias did not move
                    self._note(move, before)
                raise

    def _note(self, move: Move, moves: Sequence[tuple[int | None, int | None]]) -> None:
        self.store.client.set_registered_model_tag(move.name, f"{MOVES}{move.alias}", json.dumps(moves))

    def _set(self, move: Move) -> None:
        if move.after is None:
            self.store.client.delete_registered_model_alias(move.name, move.alias)
        else:
            self.store.client.set_registered_model_alias(move.name, move.alias, str(move.after))

    def fetch(self, uri: str, folder: str | Path) -> Path:
        """Copy what a URI names (``models:/NAME/3``, ``runs:/ID/PATH``) into a folder; returns its path there.

        Raises:
            AutoactError: there is no such thing.
        """
        with failing(f"cannot fetch {uri} from {shown(self.store.uri)}"), using(self.store.uri) as mlflow:
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))

    def _find(self, name: str) -> RegisteredModel | None:
        """The registered model; None where there is none."""
        return next(iter(self.store.client.search_registered_models(f"name = '{name}'")), None)

    def _model(self, name: str) -> RegisteredModel:
        found = self._find(name)
        if found is None:
            known = [model.name for model in self.store.client.search_registered_models()]
            raise unknown(f"registered model at {shown(self.store.uri)}:", name, known)
        return found

    def _numbers(self, name: str) -> set[int]:
        return {int(found.version) for found in self.store.client.search_model_versions(f"name = '{name}'")}

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Talk to the registry; a failure names what it was about."""
        with failing(f"MLflow's registry at {shown(self.store.uri)}: {what}"), using(self.store.uri):
            yield


def _parsed(uri: str) -> tuple[str, int, str]:
    """Name, version (0: by alias) and alias of a URI."""
    match = _VERSION.match(uri)
    if match is None or "'" in uri:
        raise AutoactError(f"cannot read {uri!r}: write models:/NAME/VERSION or models:/NAME@ALIAS")
    return match[1], int(match[2] or 0), match[3] or ""


def _not_ours(name: str) -> AutoactError:
    return AutoactError(
        f"the registered model {name!r} was not made by autoact: nothing is added to it; choose another name with "
        "train.register=NAME, or train.register=none"
    )


def _aliases_of(model: RegisteredModel) -> str:
    return ", ".join(f"{a} (version {v})" for a, v in sorted(model.aliases.items())) or "none"


def _holder(number: int | None) -> str:
    return "no version has it" if number is None else f"version {number} has it"


def _nothing_earlier(model: RegisteredModel, alias: str) -> AutoactError:
    now = int(model.aliases[alias]) if alias in model.aliases else None
    if alias == CANDIDATE:
        return AutoactError(
            f"{model.name}: {CANDIDATE} always names what was trained last (version {now}): promote and rollback leave "
            "it alone"
        )
    if f"{MOVES}{alias}" in model.tags:
        return AutoactError(
            f"{model.name}: there is nothing earlier to go back to: every promote of {alias} was taken back, and "
            f"{_holder(now)}"
        )
    if now is not None:
        return AutoactError(
            f"{model.name}: there is nothing earlier to go back to: {alias} was given to version {now} by other means "
            "than promote, which alone keeps what was before; promote the version that you want"
        )
    promoted = sorted(t.removeprefix(MOVES) for t in model.tags if t.startswith(MOVES))
    close = nearest(alias, [*promoted, *model.aliases], count=1)
    return AutoactError(
        f"{model.name} has no alias {alias!r} that promote ever moved{f': did you mean {close[0]}?' if close else '.'} "
        f"Aliases: {_aliases_of(model)}"
    )


def _moves(model: RegisteredModel, alias: str) -> list[tuple[int | None, int | None]]:
    return [(before, after) for before, after in json.loads(model.tags.get(f"{MOVES}{alias}") or "[]")]
