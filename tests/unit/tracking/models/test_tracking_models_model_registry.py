"""The registry: what a training may touch, and what moves an alias; on a real SQLite store."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import mlflow
import pytest

from autoact.core.errors import AutoactError
from autoact.tracking.models.model_registry import MOVES, Registry, Version, using
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store, existing_store

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(Store(TrackingSettings(), tmp_path_factory.mktemp("registry")))


@pytest.fixture(scope="module")
def run(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A run with something to register: its artifact's URI and its id."""
    client = registry.store.client
    found = client.create_run(registry.store.experiment("demo"))
    with using(registry.store.uri):
        client.log_text(found.info.run_id, "x", "model/MLmodel")
    return f"{found.info.artifact_uri}/model", found.info.run_id


def aliases(registry: Registry, name: str) -> dict[str, int]:
    with using(registry.store.uri):
        (model,) = registry.store.client.search_registered_models(f"name = '{name}'")
        return {alias: int(version) for alias, version in model.aliases.items()}


def test_a_training_touches_its_own_model_and_candidate_alone(registry: Registry, run: tuple[str, str]) -> None:
    with using(registry.store.uri) as its:
        client = registry.store.client
        client.create_registered_model("churn_prod")
        client.create_model_version("churn_prod", run[0], run_id=run[1])
        client.set_registered_model_alias("churn_prod", "champion", "1")
        assert its.get_tracking_uri() == registry.store.uri
    first = registry.register("churn-autoact", *run, "churn", {"autoact.summary": "quality: tanh"})
    registry.carry_out(registry.planned(first, "champion"))
    second = registry.register("churn-autoact", *run, "churn", {})
    assert (first.number, second.number, second.alias) == (1, 2, "candidate")
    assert aliases(registry, "churn-autoact") == {"candidate": 2, "champion": 1}
    assert aliases(registry, "churn_prod") == {"champion": 1}
    assert registry.version("models:/churn-autoact@champion").tags == {"autoact.summary": "quality: tanh"}
    with pytest.raises(AutoactError, match=r"'churn_prod' was not made by autoact"):
        registry.register("churn_prod", *run, "churn", {})


def test_the_process_mlflow_stays_as_it_was(registry: Registry) -> None:
    mlflow.set_tracking_uri("sqlite:///mine.db")
    try:
        with pytest.raises(AutoactError, match="unknown registered model"):
            registry.version("models:/nothing/1")
        assert mlflow.get_tracking_uri() == "sqlite:///mine.db"
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    with using(registry.store.uri):
        pass
    assert not mlflow.tracking.is_tracking_uri_set()


def test_a_note_without_its_move_is_no_promotion(registry: Registry, run: tuple[str, str]) -> None:
    """A process that is killed between the note and the move leaves an alias that rollback does not touch."""
    version = registry.register("killed-autoact", *run, "killed", {})
    with using(registry.store.uri):
        tag: Any = json.dumps([(None, version.number)])
        registry.store.client.set_registered_model_tag("killed-autoact", f"{MOVES}champion", tag)
    with pytest.raises(AutoactError, match=r"moved by other means since \(no version has it, .* want \(1\)"):
        registry.planned_back("killed-autoact", "champion")
    registry.carry_out(registry.planned(version, "champion"))
    assert aliases(registry, "killed-autoact") == {"candidate": 1, "champion": 1}


def test_a_version_that_was_deleted_cannot_come_back(registry: Registry, run: tuple[str, str]) -> None:
    for _ in range(2):
        version = registry.register("deleted-autoact", *run, "deleted", {})
        registry.carry_out(registry.planned(version, "champion"))
    with using(registry.store.uri):
        registry.store.client.delete_model_version("deleted-autoact", "1")
    there = r"promote the version that you want \(2\)$"
    with pytest.raises(AutoactError, match=rf"version 1, which was champion before, was deleted: {there}"):
        registry.planned_back("deleted-autoact", "champion")


def told(registry: Registry, name: str, alias: str) -> str:
    """Why rollback does nothing."""
    with pytest.raises(AutoactError) as error:
        registry.planned_back(name, alias)
    return str(error.value)


def test_rollback_says_what_is_true_where_there_is_nothing_to_go_back_to(
    registry: Registry, run: tuple[str, str]
) -> None:
    name = "twice-autoact"
    versions = [registry.register(name, *run, "twice", {}) for _ in range(2)]
    registry.carry_out(registry.planned(versions[0], "champion"))
    registry.carry_out(registry.planned(versions[1], "champion"))
    registry.carry_out(registry.planned_back(name, "champion"), back=True)
    registry.carry_out(registry.planned_back(name, "champion"), back=True)
    earlier = f"{name}: there is nothing earlier to go back to: "
    taken = f"{earlier}every promote of champion was taken back, and no version has it"
    assert told(registry, name, "champion") == taken
    assert told(registry, name, "champ") == (
        f"{name} has no alias 'champ' that promote ever moved: did you mean champion? Aliases: candidate (version 2)"
    )
    assert told(registry, name, "candidate").startswith(
        f"{name}: candidate always names what was trained last (version 2): promote and rollback leave"
    )
    with using(registry.store.uri):
        registry.store.client.set_registered_model_alias(name, "byhand", "1")
    assert told(registry, name, "byhand").startswith(f"{earlier}byhand was given to version 1 by other means than")


def test_an_alias_of_a_deleted_version_says_so(registry: Registry, run: tuple[str, str]) -> None:
    name = "lost-autoact"
    for _ in range(2):
        version = registry.register(name, *run, "lost", {})
    registry.carry_out(registry.planned(version, "champion"))
    with using(registry.store.uri):
        registry.store.client.delete_model_version(name, "2")
    assert told(registry, name, "champion").startswith(
        f"{name}: version 2, which promote gave champion to, was deleted, and "
    )
    with pytest.raises(AutoactError, match=r"lost-autoact(: champion names version 2, which was| has no alias)"):
        registry.version(f"models:/{name}@champion")
    with using(registry.store.uri):
        registry.store.client.delete_model_version(name, "1")
    with pytest.raises(AutoactError, match="lost-autoact has no version any more: python -m autoact train adds one"):
        registry.version(f"models:/{name}/1")


def test_a_store_is_looked_for_where_the_user_says(registry: Registry, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(AutoactError, match=r"there is no MLflow store at sqlite:.*name the folder"):
        existing_store(TrackingSettings(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.store.uri)
    assert existing_store(TrackingSettings(), tmp_path).uri == registry.store.uri
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(registry.store.uri)
    try:
        assert existing_store(TrackingSettings(), tmp_path).uri == registry.store.uri
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("alias", ["v3", "V12", "latest", "LATEST"])
def test_names_that_mlflow_keeps_are_refused_before_anything_is_said(registry: Registry, alias: str) -> None:
    with pytest.raises(AutoactError, match=rf"to={alias}: latest, and v with a number, are reserved by MLflow"):
        registry.planned(Version("any", 1), alias)


def test_an_alias_that_cannot_move_leaves_the_history_as_it_was(
    registry: Registry, run: tuple[str, str], monkeypatch: Any
) -> None:
    versions = [registry.register("stuck-autoact", *run, "stuck", {}) for _ in range(2)]
    registry.carry_out(registry.planned(versions[0], "champion"))
    with monkeypatch.context() as broken:
        broken.setattr(registry.store.client, "set_registered_model_alias", lambda *_: 1 / 0)
        for alias in ("champion", "shadow"):
            with pytest.raises(AutoactError, match="division by zero"):
                registry.carry_out(registry.planned(versions[1], alias))
    assert str(registry.planned_back("stuck-autoact", "champion")) == (
        "stuck-autoact: champion is taken from version 1; no version had it before"
    )
    # The note of a move that failed was taken back with it.
    with pytest.raises(AutoactError, match=r"nothing earlier to go back to: every promote of shadow was taken back"):
        registry.planned_back("stuck-autoact", "shadow")


def test_a_dead_server_is_named_without_advice_that_cannot_be_followed(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(AutoactError, match=r"Connection refused \(start it, or name another with tracking\.uri\)$"):
        Registry.at(TrackingSettings(uri=uri), tmp_path)
