"""Sources: files, OpenML without a network, scikit-learn's sets, a simulated process."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from autoact.core.errors import AutoactError
from autoact.data.columns.dtype_readings import as_text
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings
from autoact.data.sources.load import load_table, read_parquet


def test_no_path_and_no_such_file_name_the_neighbours(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("a,b\n1,2\n")
    with pytest.raises(AutoactError, match=r"data.path is not set"):
        load_table(DataSettings())
    with pytest.raises(AutoactError, match=r"did you mean customers.csv"):
        load_table(DataSettings(path=str(tmp_path / "customer.csv")))
    with pytest.raises(AutoactError, match="no such file"):
        load_table(DataSettings(path=str(tmp_path / "nowhere" / "x.csv")))
    with pytest.raises(AutoactError, match="is a folder"):
        load_table(DataSettings(path=str(tmp_path)))


def test_a_header_alone_holds_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(AutoactError, match="holds no rows"):
        load_table(DataSettings(path=str(tmp_path / "a.csv")))


def test_parquet_is_read_and_anything_else_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[5, 6])
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("a,b\n1,2\n")
    table = load_table(DataSettings(source="parquet", path=str(tmp_path / "a.parquet")))
    assert table.frame.index.tolist() == [0, 1] and table.name == "a"
    with pytest.raises(AutoactError, match="cannot be read as parquet"):
        load_table(DataSettings(source="parquet", path=str(tmp_path / "b.parquet")))


def test_openml_without_network_or_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(AutoactError, match=r"OpenML set 42178 is not in the cache and openml.org cannot be reached"):
        load_table(DataSettings(source="openml", openml_id=42178))
    with pytest.raises(AutoactError, match=r"data.openml_id=42178"):
        load_table(DataSettings(source="openml"))


def test_openml_gives_frame_name_and_target(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"a": [1.0], "class": pd.Categorical(["x"])})
    asked: dict[str, object] = {}

    def fetch(**options: object) -> Bunch:
        asked.update(options)
        return Bunch(frame=frame, target_names=["class"], details={"name": "credit-g"})

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    table = load_table(DataSettings(source="openml", openml_id=31, cache_dir="somewhere"))
    assert (table.name, table.default_target) == ("credit-g", "class")
    assert asked["data_home"] == "somewhere" and asked["data_id"] == 31


def test_openml_unknown_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ValueError("Dataset with data_id 1 not found.")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    with pytest.raises(AutoactError, match="cannot be read: Dataset with data_id 1 not found"):
        load_table(DataSettings(source="openml", openml_id=1))


def test_labels_of_sklearn_sets_are_names() -> None:
    table = load_table(DataSettings(source="sklearn", name="breast_cancer"))
    assert set(table.frame["target"]) == {"malignant", "benign"}
    assert (table.frame["target"] == "benign").sum() == 357


@pytest.mark.parametrize(
    ("source", "given", "wanted"),
    [("sklearn", "irsi", "iris"), ("simulated", "dmeand", "demand"), ("packaged", "chrun", "churn")],
)
def test_unknown_names_answer_with_the_nearest(source: str, given: str, wanted: str) -> None:
    with pytest.raises(AutoactError, match=f"did you mean {wanted}"):
        load_table(DataSettings(source=source, name=given))


def test_simulated_tables_say_so() -> None:
    table = load_table(DataSettings(source="simulated", name="demand", seed=3))
    assert table.simulated and table.description == "simulated process demand, seed 3"


def test_openml_is_asked_in_a_form_that_scikit_learn_accepts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", offline)
    monkeypatch.setattr("sklearn.datasets._openml.time.sleep", lambda _: None)
    with pytest.raises(AutoactError, match=r"OpenML set 42178 is not in the cache"):
        load_table(DataSettings(source="openml", openml_id=42178, cache_dir=str(tmp_path)))


def test_numbers_that_openml_calls_nominal_are_numbers_and_few_levels_stay_categories(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    charges = pd.Categorical([f"{k / 4:.2f}" for k in range(199)] + [" "])
    frame = pd.DataFrame(
        {"charges": charges, "k": pd.Categorical([1, 2] * 100), "class": pd.Categorical(["x", "y"] * 100)}
    )
    bunch = Bunch(frame=frame, target_names=["class"], details={"name": "telco"})
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda **_: bunch)
    given = DataSettings(source="openml", openml_id=42178)
    prepared = prepare(given, "classification")
    assert prepared.frame_schema == {"charges": "numeric", "k": "category"}
    assert "column 'charges' is nominal in OpenML, with 199 different numbers" in prepared.notes[0]
    given.categorical = ["charges"]
    (note,) = prepare(given, "classification").notes
    assert note.startswith("no category of column 'charges' stands in data.min_frequency=5 rows")


def test_integers_beside_gaps_are_exact(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "ids.parquet"
    ids = [2**53 + 1, None, 2**53 + 3]
    pq.write_table(pa.table({"id": pa.array(ids, pa.int64()), "small": pa.array([1, None, 3], pa.int64())}), file)
    frame = read_parquet(file)
    assert [int(frame["id"][row]) for row in (0, 2)] == [ids[0], ids[2]] and frame["id"].isna().tolist() == [0, 1, 0]
    assert as_text(frame["id"]).tolist()[::2] == [str(ids[0]), str(ids[2])]


def test_single_precision_is_written_as_short_as_it_is() -> None:
    column = pd.Series(np.array([1 / 3, 2.5], dtype=np.float32))
    assert as_text(column).tolist() == ["0.33333334", "2.5"]
