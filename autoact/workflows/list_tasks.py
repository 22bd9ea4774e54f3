"""``autoact.list_tasks``: what can be searched by name, with data, metric, recipe and the best result known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from autoact.config.compose import chosen_files, compose, settings
from autoact.config.groups import conf_dir, options, search_path
from autoact.config.schema import Config
from autoact.core.errors import unknown
from autoact.core.result_table import ResultTable, to_html
from autoact.core.typed_values import check_value
from autoact.data.coordinates.heat import heat_table
from autoact.data.coordinates.image import IMAGES, image_table
from autoact.data.settings import BRING_THEIR_DATA, DataSettings
from autoact.data.sources.load import load_table
from autoact.data.sources.packaged import packaged_set
from autoact.tasks.known_results import KNOWN_RESULTS, KnownResult
from autoact.tasks.metrics import resolve

COLUMNS = ("name", "kind", "rows x columns", "target", "metric", "recipe", "data", "best known", "licence")


@dataclass(frozen=True)
class ListedTask:
    """A task by name.

    Attributes:
        name: as in ``task=NAME``.
        about: what it asks, and of which data.
        kind: of task.
        rows: of its table, the official test file's included; None where the user brings the data.
        columns: of its table, the target included; None where the user brings the data.
        target: the column or the columns to predict; None where the user names them.
        metric: decides.
        recipe: the choice of ``recipe=``.
        data: where the data are, and how large they are.
        licence: of the data.
        best_known: the best result known; None where nobody published one.
        ready: whether it runs as it is, without a file that the user brings.
    """

    name: str
    about: str
    kind: str
    rows: int | None
    columns: int | None
    target: str | None
    metric: str
    recipe: str
    data: str
    licence: str | None
    best_known: KnownResult | None
    ready: bool

    def cells(self) -> list[str]:
        """The cells of ``COLUMNS``."""
        best = self.best_known
        return [
            self.name,
            self.kind.replace("_", " "),
            "-" if self.rows is None else f"{self.rows:,} x {self.columns}",
            self.target or "-",
            self.metric,
            self.recipe,
            self.data,
            "-" if best is None else f"{best.value:,g} {best.metric}",
            self.licence or "-",
        ]


@dataclass(frozen=True, repr=False)
class TaskList:
    """The tasks, in the order of their names.

    Attributes:
        tasks: those that run as they are, then those that need the user's data.
    """

    tasks: Sequence[ListedTask]

    def __iter__(self) -> Iterator[ListedTask]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def names(self) -> list[str]:
        """The names of the tasks that run as they are."""
        return [task.name for task in self.tasks if task.ready]

    @property
    def table(self) -> ResultTable:
        """As the command line prints it."""
        count = f"{len(self.tasks)} {'task' if len(self.tasks) == 1 else 'tasks'}"
        return ResultTable(
            f"{count}, {len(self.names)} of which bring their data along",
            COLUMNS,
            [task.cells() for task in self.tasks],
            [f"{task.name}: {task.best_known}. Source: {task.best_known.source}" for task in self if task.best_known],
        )

    def to_dataframe(self) -> pd.DataFrame:
        """A row per task; the best known result as text."""
        rows = [asdict(replace(task, best_known=None)) | {"best_known": _said(task.best_known)} for task in self]
        return pd.DataFrame(rows).astype({"rows": "Int64", "columns": "Int64"})

    def __repr__(self) -> str:
        return f"TaskList({', '.join(task.name for task in self)})"

    def _repr_html_(self) -> str:
        """The table, as notebooks show it."""
        return to_html("", [self.table])


def list_tasks(names: Sequence[str] | None = None, *, config_dirs: Sequence[str] = ()) -> TaskList:
    """What ``task=NAME`` can name.

    Args:
        names: of the tasks; all unless given.
        config_dirs: folders of the user's own groups, as ``--config-dir`` names them.

    Raises:
        AutoactError: an unknown task, a folder that there is not, or a task that cannot be read.

    Example:
        >>> tasks = list_tasks()
        >>> tasks.names[:3]
        ['bike', 'cancer', 'churn']
        >>> print(tasks.to_dataframe().set_index("name").loc["houses", "metric"])
        RMSE
    """
    if names is not None:
        check_value(names, list[str], "names")
    folders = search_path(config_dirs, "config")
    choices = options("task", config_dirs)
    if unknown_names := [name for name in names or () if name not in choices]:
        raise unknown("task", unknown_names[0], choices)
    found = [_listed(name, config_dirs, folders) for name in (choices if names is None else names)]
    return TaskList(sorted(found, key=lambda task: not task.ready))


def names_of_tasks(config_dirs: Sequence[str] = ()) -> list[str]:
    """The names of the tasks that run as they are; no data are read.

    Example:
        >>> "bike" in names_of_tasks(), "classification" in names_of_tasks()
        (True, False)
    """
    search_path(config_dirs, "config")
    names = options("task", config_dirs)
    return [name for name in names if _ready(settings(compose([f"task={name}"], config_dirs)))]


def _listed(name: str, config_dirs: Sequence[str], folders: Sequence[Path]) -> ListedTask:
    words = [f"task={name}"]
    config = settings(compose(words, config_dirs))
    data = config.data
    rows = columns = None
    target = data.target or ", ".join(data.series) or None
    if data.source in _POINTS:
        frame = _POINTS[data.source](data)
        rows, columns = frame.shape
        target = ", ".join(frame.columns[2:])
    elif data.source in BRING_THEIR_DATA:
        table = load_table(data)
        rows = len(table.frame) + (0 if table.test_frame is None else len(table.test_frame))
        columns, target = table.frame.shape[1], target or table.default_target
        if data.source == "simulated":
            target = target or data.name
    where, licence = _where(data)
    own = not (conf_dir() / "task" / f"{name}.yaml").is_file()
    recipes = [file for file, _ in chosen_files(words, config_dirs) if file.startswith("recipe/")]
    metric = config.metric or config.task.metric
    return ListedTask(
        name,
        _about(name, folders),
        config.task.kind,
        rows,
        columns,
        target,
        resolve(metric, config.task.kind).title if ":" not in metric else metric,
        recipes[-1].removeprefix("recipe/") if recipes else config.recipe.module,
        where,
        licence,
        None if own else KNOWN_RESULTS.get(name),
        _ready(config),
    )


_POINTS = {"image": image_table, "equation": heat_table}
_SKLEARN = "BSD 3-Clause, that of scikit-learn"


def _ready(config: Config) -> bool:
    data = config.data
    return data.source in (*BRING_THEIR_DATA, *_POINTS) or data.path is not None or data.openml_id is not None


def _where(data: DataSettings) -> tuple[str, str | None]:
    """Where data are, how large, and their licence."""
    if data.source == "packaged":
        found = packaged_set(data.name)
        return f"packaged, {found.size / 1000:,.0f} kB", found.licence
    if data.source == "sklearn":
        return f"scikit-learn's {data.name}", _SKLEARN
    if data.source == "image" and data.path is None:
        return f"scikit-learn's {IMAGES.get(data.name or '')}", "CC BY 2.0"
    if data.source == "equation":
        return "computed", "Apache License 2.0, that of autoact"
    if data.source == "simulated":
        return "simulated", "Apache License 2.0, that of autoact"
    if data.source == "openml" and data.openml_id is not None:
        return f"download, OpenML set {data.openml_id}", None
    return ("your own file" if data.path is None else data.path), None


def _about(name: str, folders: Sequence[Path]) -> str:
    """The comment on top of a task's file."""
    file = next(path for folder in folders if (path := folder / "task" / f"{name}.yaml").is_file())
    text = re.sub(r"^#\s*@package.*\n", "", file.read_text(encoding="utf-8"))
    top = re.match(r"(?:#.*\n)*", text)
    return " ".join(line.lstrip("# ").rstrip() for line in (top[0] if top else "").splitlines())


def _said(result: KnownResult | None) -> str | None:
    return None if result is None else f"{result}. Source: {result.source}"
