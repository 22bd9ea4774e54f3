"""Where tables come from: files, OpenML, scikit-learn, simulated processes. Nothing is interpreted here yet."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pandas as pd

from autoact.core.errors import AutoactError, unknown
from autoact.data.churn import simulate_churn
from autoact.data.csv_file import read_csv
from autoact.data.demand import simulate_demand
from autoact.data.settings import DataSettings

SKLEARN_SETS = ("breast_cancer", "diabetes", "digits", "iris", "wine")
SIMULATED: dict[str, Callable[[int], pd.DataFrame]] = {
    "churn": lambda seed: simulate_churn(seed=seed),
    "demand": lambda seed: simulate_demand(seed=seed),
}


@dataclass(frozen=True)
class Table:
    """A table as it was found.

    Attributes:
        frame: all rows, or those outside of the official test file.
        test_frame: the official test file's rows, if there is one.
        name: short name to show.
        description: where it came from, for reports.
        simulated: whether a process of ours made it.
        default_target: the column that the source itself calls the target.
    """

    frame: pd.DataFrame
    name: str
    description: str
    test_frame: pd.DataFrame | None = None
    simulated: bool = False
    default_target: str | None = None


def load_table(settings: DataSettings) -> Table:
    """Read the table that ``settings`` name.

    Raises:
        AutoactError: it cannot be found, reached or read.

    Example:
        >>> load_table(DataSettings(source="sklearn", name="iris")).frame.shape
        (150, 5)
    """
    readers = {
        "csv": _from_file,
        "parquet": _from_file,
        "openml": _from_openml,
        "sklearn": _from_sklearn,
        "simulated": _from_process,
    }
    if settings.source not in readers:
        raise unknown("data.source", settings.source, readers)
    table = readers[settings.source](settings)
    if table.frame.empty or (table.test_frame is not None and table.test_frame.empty):
        raise AutoactError(f"{table.description} holds no rows")
    for frame in (table.frame, table.test_frame):
        if frame is not None:
            frame.columns = [str(c).strip() if settings.strip else str(c) for c in frame.columns]
    return table


def existing_file(path: str | None, option: str) -> Path:
    """The file at ``path``.

    Raises:
        AutoactError: no path was given, or there is no such file; names its neighbours that look alike.
    """
    if path is None:
        raise AutoactError(f"{option} is not set: give the path of the file")
    file = Path(path).expanduser()
    if file.is_dir():
        raise AutoactError(f"{option}={path} is a folder: give a file in it")
    if not file.is_file():
        found = sorted(p.name for p in file.parent.iterdir()) if file.parent.is_dir() else []
        if not found:
            raise AutoactError(f"no such file: {path} (from {Path.cwd()})")
        raise unknown("file", file.name, found, advice=f"in {file.parent}, set by {option}")
    return file


def _from_file(settings: DataSettings) -> Table:
    """One csv or parquet file, and its official test file."""
    read = read_parquet if settings.source == "parquet" else read_csv
    file = existing_file(settings.path, "data.path")
    frame = read(file, settings)
    name = settings.name or file.stem
    if settings.test_path is None:
        return Table(frame, name, f"{settings.source} file {file.name}")
    test_file = existing_file(settings.test_path, "data.test_path")
    return Table(frame, name, f"{settings.source} files {file.name}, {test_file.name}", read(test_file, settings))


def read_parquet(file: Path, settings: DataSettings) -> pd.DataFrame:
    """A parquet file as a table.

    Raises:
        AutoactError: it is no parquet file.
    """
    try:
        frame = pd.read_parquet(file)
    except ImportError as error:
        raise AutoactError("parquet files need the package pyarrow: pip install pyarrow") from error
    except (OSError, ValueError) as error:
        raise AutoactError(f"{file.name} cannot be read as parquet: {str(error).splitlines()[0]}") from error
    return frame.reset_index(drop=True)


def _from_openml(settings: DataSettings) -> Table:
    """A set of openml.org, kept in ``cache_dir`` after the first time."""
    from sklearn import datasets

    if settings.openml_id is None:
        raise AutoactError("data.source=openml needs the number of the set: data.openml_id=42178")
    try:
        with warnings.catch_warnings():
            # Where the cache is broken or the network is away, what follows says so once.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            bunch = datasets.fetch_openml(
                data_id=settings.openml_id, data_home=settings.cache_dir, as_frame=True, parser="auto", n_retries=1
            )
    except (URLError, TimeoutError, ConnectionError) as error:
        raise AutoactError(
            f"OpenML set {settings.openml_id} is not in the cache and openml.org cannot be reached "
            f"({error}): connect once, or set data.cache_dir to a folder that holds it"
        ) from error
    except (ValueError, OSError) as error:
        raise AutoactError(f"OpenML set {settings.openml_id} cannot be read: {error}") from error
    target = bunch.target_names[0] if len(bunch.target_names or []) == 1 else None
    name = settings.name or str(bunch.details.get("name", settings.openml_id))
    return Table(bunch.frame, name, f"OpenML set {settings.openml_id} ({name})", default_target=target)


def _from_sklearn(settings: DataSettings) -> Table:
    """A set that scikit-learn brings along; labels are given by name, not by number."""
    from sklearn import datasets

    if settings.name not in SKLEARN_SETS:
        raise unknown("scikit-learn set (data.name)", settings.name, SKLEARN_SETS)
    bunch = getattr(datasets, f"load_{settings.name}")(as_frame=True)
    frame = bunch.frame
    if settings.name in ("breast_cancer", "iris", "wine"):
        frame = frame.assign(target=[str(bunch.target_names[k]) for k in frame["target"]])
    return Table(frame, settings.name, f"scikit-learn set {settings.name}", default_target="target")


def _from_process(settings: DataSettings) -> Table:
    """A table made by one of the documented processes."""
    if settings.name not in SIMULATED:
        raise unknown("simulated process (data.name)", settings.name, SIMULATED)
    frame = SIMULATED[settings.name](settings.seed)
    return Table(
        frame,
        settings.name,
        f"simulated process {settings.name}, seed {settings.seed}",
        simulated=True,
        default_target="Churn" if settings.name == "churn" else None,
    )
