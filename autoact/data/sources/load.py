"""Where tables come from: files, sets that come along, OpenML, scikit-learn, a simulated process.

Nothing is interpreted here yet.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError

import pandas as pd

from autoact.core.errors import AutoactError, first_line, unknown
from autoact.data.columns.dtype_readings import tidy
from autoact.data.settings import DataSettings, declared_category
from autoact.data.sources.csv_file import read_csv
from autoact.data.sources.packaged import packaged_set
from autoact.data.sources.simulated_demand import simulate_demand

# Endings of parquet files.
PARQUET = (".parquet", ".pq")
# How columns are called that were written without a name.
NAMELESS = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
SKLEARN_SETS = ("breast_cancer", "diabetes", "digits", "iris", "wine")
SIMULATED: dict[str, Callable[[int], pd.DataFrame]] = {
    "demand": lambda seed: simulate_demand(seed=seed),
}


@dataclass(frozen=True)
class LoadedTable:
    """A table as it was found.

    Attributes:
        frame: all rows, or those outside of the official test file.
        test_frame: the official test file's rows, if there is one.
        name: short name to show.
        description: where it came from, for reports.
        simulated: whether a process of ours made it.
        default_target: the column that the source itself calls the target.
        notes: what was left out.
    """

    frame: pd.DataFrame
    name: str
    description: str
    test_frame: pd.DataFrame | None = None
    simulated: bool = False
    default_target: str | None = None
    notes: tuple[str, ...] = ()


def load_table(settings: DataSettings) -> LoadedTable:
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
        "packaged": _from_package,
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
    frame, notes = _named(table.frame, settings)
    test_frame = None if table.test_frame is None else _named(table.test_frame, settings)[0]
    return replace(table, frame=frame, test_frame=test_frame, notes=(*table.notes, *notes))


def _named(frame: pd.DataFrame, settings: DataSettings) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The columns that have a name, and a line about those that have none.

    ``DataFrame.to_csv`` writes row numbers under no name, and pandas reads them back as ``Unnamed: 0``.
    """
    wanted = {*settings.drop, *settings.numeric, *settings.categorical, *settings.series, *settings.known}
    wanted |= {settings.target or "", settings.time or "", settings.group or ""} - {""}
    nameless = [k for k, name in enumerate(frame.columns) if NAMELESS.fullmatch(name) and name not in wanted]
    if not nameless:
        return frame, ()
    shown = [f"column {k + 1} ({frame.columns[k]!r})" if frame.columns[k] else f"column {k + 1}" for k in nameless]
    have, are = ("has", "is") if len(shown) == 1 else ("have", "are")
    note = (
        f"{', '.join(shown)} {have} no name of {'its' if len(shown) == 1 else 'their'} own and {are} left out, as the "
        f"row numbers that pandas writes: to learn from {'it' if len(shown) == 1 else 'them'}, give a name in the file"
    )
    return frame.iloc[:, [k for k in range(frame.shape[1]) if k not in nameless]], (note,)


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


def _from_file(settings: DataSettings) -> LoadedTable:
    file = existing_file(settings.path, "data.path")
    frame = read_parquet(file) if settings.source == "parquet" else read_csv(file, settings)
    name = settings.name or file.stem
    if settings.test_path is None:
        return LoadedTable(frame, name, f"{settings.source} file {file.name}")
    test_file = existing_file(settings.test_path, "data.test_path")
    description = f"{settings.source} files {file.name}, {test_file.name}"
    if _is_parquet(test_file):
        return LoadedTable(frame, name, description, read_parquet(test_file))
    # What is text in the training file is text in the test file too, whatever rows it holds.
    text = [column for column in frame.columns if not pd.api.types.is_numeric_dtype(frame[column].dtype)]
    return LoadedTable(frame, name, description, read_csv(test_file, settings, text=text))


def _from_package(settings: DataSettings) -> LoadedTable:
    found = packaged_set(settings.name)
    test_frame = None if found.test_file is None else read_parquet(found.test_file)
    return LoadedTable(read_parquet(found.file), str(settings.name), f"packaged set {settings.name}", test_frame)


def _is_parquet(file: Path) -> bool:
    """Whether a file is a parquet file, by its name or its first bytes."""
    with file.open("rb") as stream:
        return file.suffix.lower() in PARQUET or stream.read(4) == b"PAR1"


def _with_exact_integers(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Integers beside missing values, which pandas reads as float64: those too large for it are read again, exactly."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for field in pq.read_schema(file):
        name = field.name
        if pa.types.is_integer(field.type) and name in frame and pd.api.types.is_float_dtype(frame[name].dtype):
            if not (frame[name].abs() >= 2.0**53).any():
                continue
            exact = pq.read_table(file, columns=[name]).column(0).to_pylist()
            kind = "UInt64" if pa.types.is_unsigned_integer(field.type) else "Int64"
            frame[name] = pd.Series(pd.array(exact, dtype=kind), index=frame.index)
    return frame


def read_parquet(file: Path) -> pd.DataFrame:
    """A parquet file as a table; what its index is named is a column, an index without a name is none.

    Raises:
        AutoactError: it is no parquet file, or two of its columns have one name.
    """
    try:
        frame = pd.read_parquet(file)
    except ImportError as error:
        raise AutoactError("parquet files need the package pyarrow: pip install pyarrow") from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise AutoactError(f"{file.name} cannot be read as parquet: {first_line(error)}") from error
    frame = _with_exact_integers(frame, file)
    categories = _dictionaries(file)
    for name in [name for name in frame.columns if str(name) in categories]:
        frame[name] = frame[name].astype("category")
    named = [name for name in frame.index.names if name is not None]
    unnamed = [level for level, name in enumerate(frame.index.names) if name is None]
    twice = [name for name in named if name in frame.columns or named.count(name) > 1]
    if twice:
        raise AutoactError(f"{file.name} has an index and a column that are both named {str(twice[0])!r}: rename one")
    if not named:
        return frame.reset_index(drop=True)
    frame = frame.reset_index(level=unnamed, drop=True) if unnamed else frame
    return frame.reset_index()


def _dictionaries(file: Path) -> set[str]:
    """The columns that their writer had as categories: parquet itself keeps that of text alone."""
    import pyarrow
    import pyarrow.parquet

    stored = pyarrow.parquet.read_metadata(file).metadata or {}
    found = {
        str(column["name"])
        for column in json.loads(stored.get(b"pandas", b"{}")).get("columns", [])
        if column.get("pandas_type") == "categorical"
    }
    if b"ARROW:schema" in stored:
        schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(stored[b"ARROW:schema"])))
        found |= {field.name for field in schema if pyarrow.types.is_dictionary(field.type)}
    return found


def _from_openml(settings: DataSettings) -> LoadedTable:
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
    frame, notes = _really_numbers(bunch.frame, settings, target)
    return LoadedTable(frame, name, f"OpenML set {settings.openml_id} ({name})", default_target=target, notes=notes)


def _really_numbers(
    frame: pd.DataFrame, settings: DataSettings, target: str | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Columns that OpenML calls nominal though they hold more different numbers than categories may be, as numbers."""
    kept = {*settings.categorical, settings.target, target}
    done, notes = {}, []
    for name in frame.columns:
        if name in kept or not isinstance(frame[name].dtype, pd.CategoricalDtype):
            continue
        texts = pd.DataFrame({"level": frame[name].cat.categories.astype(str)})
        levels = tidy(texts, settings.missing)["level"].dropna()
        if len(levels) > settings.max_categories and pd.to_numeric(levels, errors="coerce").notna().all():
            done[name] = frame[name].astype(object)
            notes.append(
                f"column {name!r} is nominal in OpenML, with {len(levels)} different numbers, and is read as numbers: "
                f"{declared_category(settings, str(name))} keeps it as categories"
            )
    return frame.assign(**done), tuple(notes)


def _from_sklearn(settings: DataSettings) -> LoadedTable:
    """A set that scikit-learn brings along; labels are given by name, not by number."""
    from sklearn import datasets

    if settings.name not in SKLEARN_SETS:
        raise unknown("scikit-learn set (data.name)", settings.name, SKLEARN_SETS)
    bunch = getattr(datasets, f"load_{settings.name}")(as_frame=True)
    frame = bunch.frame
    if settings.name in ("breast_cancer", "iris", "wine"):
        frame = frame.assign(target=[str(bunch.target_names[k]) for k in frame["target"]])
    return LoadedTable(frame, settings.name, f"scikit-learn set {settings.name}", default_target="target")


def _from_process(settings: DataSettings) -> LoadedTable:
    if settings.name not in SIMULATED:
        raise unknown("simulated process (data.name)", settings.name, SIMULATED)
    frame = SIMULATED[settings.name](settings.seed)
    return LoadedTable(
        frame,
        settings.name,
        f"simulated process {settings.name}, seed {settings.seed}",
        simulated=True,
    )
