"""One import for recommendations, wherever they lie: a file, an MLflow run, the model registry."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autoact.core.errors import AutoactError
from autoact.recommendation import Recommendation
from autoact.recommendation import load_recommendation as read_file

if TYPE_CHECKING:  # a path needs torch and PyYAML alone
    from autoact.study.outcome.result import SearchResult

# How training names the file in the artifacts of a run and of a model.
FILE = "recommended.yaml"
EXTRA = "extra_files"
PLACES = ("models:/", "runs:/")
ALLOWED = "a path, runs:/ID, models:/NAME/VERSION or models:/NAME@ALIAS"


def load_recommendation(
    source: str | Path | SearchResult, *, tracking_uri: str | None = None, runs: str | Path = "autoact-runs"
) -> Recommendation:
    """Read a recommendation.

    A path needs torch and PyYAML alone. An alias is resolved once: ``recommendation.source`` then says which version it
    meant, and ``recommendation.digest`` is the sha256 of what was read.

    Args:
        source: a path; ``runs:/RUN_ID/recommended.yaml``; ``models:/churn-autoact/3``;
            ``models:/churn-autoact@candidate``; or what ``autoact.search`` returned.
        tracking_uri: where MLflow is; else the URI that the process gave to MLflow; else ``MLFLOW_TRACKING_URI``; else
            the SQLite file in ``runs``.
        runs: the folder that searches write to.

    Raises:
        AutoactError: there is no such thing, or it is no recommendation.

    Example:
        >>> load_recommendation("nowhere.yaml")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: cannot read the recommendation 'nowhere.yaml': No such file or directory
    """
    held = _held(source)
    if held is not None:
        return held
    text = _read(source)
    if not text.startswith(PLACES):
        _refuse_folder(Path(text))
        return read_file(text)
    from autoact.tracking.models.model_registry import Registry
    from autoact.tracking.settings import TrackingSettings
    from autoact.tracking.store import shown

    registry = Registry.at(TrackingSettings(uri=tracking_uri), runs)
    about = {"uri": text, "store": shown(registry.store.uri)}
    where = text.rstrip("/")
    if text.startswith("models:/"):
        version = registry.version(text)
        about |= {"resolved": version.uri, "version": str(version.number)}
        where = f"{version.uri}/{EXTRA}/{FILE}"
    elif not where.endswith((".yaml", ".yml")):
        # A run, or a model in it.
        where = f"{where}/{EXTRA}/{FILE}" if where.count("/") > 1 else f"{where}/{FILE}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = registry.fetch(where, folder)
        except AutoactError as error:
            raise AutoactError(f"{text} holds no recommendation: {error}") from error
        found = read_file(file)
    return replace(found, source={**about, "digest": found.digest})


def _held(source: object) -> Recommendation | None:
    """The recommendation of a search's result; None where the source is none.

    Raises:
        AutoactError: the search ended before it recommended anything.
    """
    if isinstance(source, str | Path) or not hasattr(source, "recommendation"):
        return None
    held = source.recommendation
    if held is None:
        raise AutoactError(
            "the result holds no recommendation: its search ended before the final check; the same call goes on from "
            "there"
        )
    return held if isinstance(held, Recommendation) else None


def _refuse_folder(path: Path) -> None:
    """Refuse a folder, with the recommendations that lie in it.

    Raises:
        AutoactError: names the nearest file.
    """
    if not path.is_dir():
        return
    found = [path / FILE] if (path / FILE).is_file() else sorted(path.glob(f"*/{FILE}"))
    advice = f"name the file: {' or '.join(map(str, found[:3]))}" if found else f"no {FILE} lies in it"
    raise AutoactError(f"cannot read the recommendation {str(path)!r}: it is a folder; {advice}")


def _read(source: object) -> str:
    """A source as text.

    Raises:
        AutoactError: something that names no place.
    """
    text = str(source) if isinstance(source, (str, Path)) else ""
    if not text.strip() or "://" in text or text.startswith(("runs:", "models:")) != text.startswith(PLACES):
        raise AutoactError(f"cannot load a recommendation from {source!r}: allowed is {ALLOWED}")
    return text
