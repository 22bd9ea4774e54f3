"""Plain data that a study keeps beside its trials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import BaseStorage
from sqlalchemy.exc import SQLAlchemyError

from autoact.core.errors import AutoactError, first_line
from autoact.study.storage.optuna_storage import open_storage, storage_errors

# Databases bound the length of an attribute: MySQL's TEXT, which Optuna takes, at 64 KiB.
PART = 60_000


class StudyNotes:
    """Notes of an Optuna study, as its attributes."""

    def __init__(self, study: optuna.Study, storage: BaseStorage) -> None:
        self.study = study
        self._backend = storage

    @property
    def name(self) -> str:
        """The study's name in its storage."""
        return str(self.study.study_name)

    def note(self, key: str, value: Any) -> None:
        """Keep plain data beside the trials.

        Raises:
            AutoactError: the storage cannot be written.
        """
        with self._writing():
            self.study.set_user_attr(key, json.dumps(value))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A storage that fails inside, say on a full disk, says so in one line."""
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            said = first_line(error.__cause__ or error)
            raise AutoactError(
                f"the study's storage cannot be written: {said}: is the disk full? What was told before is kept, and "
                "the same command goes on from there"
            ) from error

    def noted(self, key: str) -> Any:
        """What ``note`` kept, or None."""
        text = self.study.user_attrs.get(key)
        return None if text is None else json.loads(text)

    def note_long(self, key: str, text: str) -> None:
        """Keep a text of any length, in parts that every storage takes.

        Raises:
            AutoactError: the storage cannot be written.
        """
        parts = range(0, len(text), PART)
        for number, at in enumerate(parts):
            self.note(f"{key}/{number}", text[at : at + PART])
        self.note(key, len(parts))  # last: what is whole is noted

    def noted_long(self, prefix: str) -> dict[str, str]:
        """The texts that ``note_long`` kept under keys with a prefix, by the rest of the key."""
        notes = self.noted_under(prefix)
        whole = {key: count for key, count in notes.items() if isinstance(count, int)}
        return {key: "".join(notes[f"{key}/{number}"] for number in range(count)) for key, count in whole.items()}

    def noted_under(self, prefix: str) -> dict[str, Any]:
        """Everything that ``note`` kept under keys with a prefix, by the rest of the key."""
        notes = self.study.user_attrs.items()
        return {key.removeprefix(prefix): json.loads(text) for key, text in notes if key.startswith(prefix)}

    def noted_elsewhere(self, key: str) -> list[Any]:
        """What ``note`` kept under ``key`` in the other studies of this storage."""
        summaries = optuna.study.get_all_study_summaries(self._backend, include_best_trial=False)
        texts = [s.user_attrs.get(key) for s in summaries if s.study_name != self.name]
        return [json.loads(text) for text in texts if text is not None]

    def noted_everywhere(self, prefix: str) -> dict[str, Any]:
        """What all studies of this storage keep under keys with a prefix, by the rest of the key."""
        summaries = optuna.study.get_all_study_summaries(self._backend, include_best_trial=False)
        notes = [one for summary in summaries for one in summary.user_attrs.items()]
        return {key.removeprefix(prefix): json.loads(text) for key, text in notes if key.startswith(prefix)}


def open_notes(storage: str | None, name: str) -> StudyNotes:
    """The notes of the study of that name, which is made where there is none; no storage keeps them in memory.

    Raises:
        AutoactError: the storage cannot be opened.

    Example:
        >>> notes = open_notes(None, "a check")
        >>> notes.note("openings", [1])
        >>> notes.noted("openings"), notes.noted("shape")
        ([1], None)
    """
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        backend = open_storage(storage)
        return StudyNotes(optuna.create_study(study_name=name, storage=backend, load_if_exists=True), backend)
    except storage_errors() as error:
        raise cannot_open(storage, error) from error
    finally:
        optuna.logging.set_verbosity(level)


def cannot_open(storage: str | None, error: Exception) -> AutoactError:
    """The error in one line."""
    return AutoactError(f"cannot open search.storage={storage}: {first_line(error)}")
