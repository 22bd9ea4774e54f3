"""What the user says about their data: one flat record of primitive values, also usable as an OmegaConf schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

from autoact.core.errors import AutoactError, unknown
from autoact.core.override_text import override
from autoact.core.registry import Registry
from autoact.core.typed_values import check_values, takes

SOURCES = ("csv", "parquet", "npz", "openml", "packaged", "sklearn", "simulated", "image", "equation")
# Sources that hold their data themselves, and read no file.
BRING_THEIR_DATA = ("packaged", "sklearn", "simulated")
# The sets that come along, and whether an official test file belongs to each.
PACKAGED = {"churn": False, "credit": False, "income": True, "houses": False, "bike": False}
# Kinds of task whose rows are points with coordinates; each with the source that it reads.
# The probability above which the positive one of two classes is predicted, unless a threshold was chosen.
HALF = 0.5
POINTS = {"image": "image", "heat": "equation"}
SPLITS = ("auto", "stratified", "random", "time", "group")
SCALINGS = ("quantile", "standard", "none")


def default_missing() -> list[str]:
    """The marks that stand for a missing value unless the user names others; ``None`` can be a real category."""
    return ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"]


@dataclass
class DataSettings:
    """Where the data is, what its columns mean, how it is split and prepared.

    Raises:
        AutoactError: a value outside of what is allowed, or settings that contradict each other.

    Example:
        >>> DataSettings(source="sklearn", name="iris").validation
        0.15
    """

    # --- where it comes from
    source: str = "csv"
    """``csv``, ``parquet``, ``npz`` (sequences), ``openml``, ``packaged``, ``sklearn``, ``simulated``, ``image`` or
    ``equation``."""
    path: str | None = None
    """The file, for csv, parquet, npz and image."""
    test_path: str | None = None
    """An official test file with the same columns (csv, parquet); ``test`` is then ignored."""
    name: str | None = None
    """The set that comes along, scikit-learn's or the simulated process; for files, a name to show for theirs."""
    openml_id: int | None = None
    """The number of the set on openml.org."""
    cache_dir: str | None = None
    """Where OpenML sets are kept; scikit-learn's own folder unless given."""

    # --- how a csv file is written
    delimiter: str = ","
    """The character between fields."""
    header: bool = True
    """Whether the first line holds the column names."""
    names: list[str] | None = None
    """Column names for a file without a header, or in place of the header's."""
    comment: str | None = None
    """A character that starts a line to be skipped (the UCI Adult test file has one: ``|``)."""
    missing: list[str] = field(default_factory=default_missing)
    """Marks that stand for a missing value."""
    strip: bool = True
    """Trim blanks around text and column names, before missing-value marks are looked for."""
    decimal: str = "."
    """The character before the fraction of a number, in columns where every number is written so: ``,`` in 12,5."""
    thousands: str | None = None
    """The character between groups of three digits: ``,`` in 1,500; ``.`` in 1.500; a blank; ``'``."""
    number_signs: list[str] = field(default_factory=list)
    """What stands before or after numbers and is left out: ``$``, ``EUR``, ``%``; ``()`` reads (3.2) as -3.2."""

    # --- what the columns mean
    target: str | None = None
    """The column to predict (classification, regression)."""
    series: list[str] = field(default_factory=list)
    """The numeric columns to forecast; each gives windows of its own."""
    known: list[str] = field(default_factory=list)
    """Numeric columns known in advance (promotions, holidays), given to a forecast up to its last step."""
    drop: list[str] = field(default_factory=list)
    """Columns to leave out, such as row ids."""
    numeric: list[str] = field(default_factory=list)
    """Columns declared numeric: text in them is an error."""
    categorical: list[str] = field(default_factory=list)
    """Columns declared categorical, even where they hold numbers."""
    positive: str | None = None
    """The label of the positive class (two classes); the last one in sorted order unless given."""
    label_strip: str = ""
    """Characters cut off the end of labels (``.`` for the UCI Adult test file)."""

    groups: list[str] = field(default_factory=list)
    """Columns of tables, such as gender, whose values are scored each by themselves on the test rows, beside all rows.
    They are learnt from unless ``drop`` names them, too. ``group`` is another setting: it says how rows are split."""

    # --- how rows are divided
    split: str = "auto"
    """``auto`` splits by the column that ``time`` names, else by that of ``group``; without either it is stratified for
    classes, random for regression, time for forecasts."""
    time: str | None = None
    """The column that orders the rows (numbers or dates), by which they are split: the oldest train, the newest test.
    Without it ``split=time`` trusts the file's order."""
    time_format: str | None = None
    """How dates are written, as in ``%d/%m/%Y``; guessed from the first row unless given."""
    group: str | None = None
    """The column whose equal values stay in one part (a customer), by which rows are split unless ``time`` is named,
    too; in forecasts, the column that tells series apart."""
    validation: float = 0.15
    """Share of all rows that validates; of the training file's rows where there is a test file."""
    test: float = 0.2
    """Share of all rows that is sealed for the final check."""
    seed: int = 0
    """Seed of the split, of subsampling and of simulated data."""
    max_rows: int | None = None
    """Use at most this many rows: a random subset, or the first ones in time."""

    # --- how columns become numbers
    scaling: str = "quantile"
    """Numeric columns: ``quantile`` (normal scores), ``standard`` (mean 0, deviation 1) or ``none``.
    Sequences: by channel, standard unless ``none``. Forecasts are always standardised."""
    min_frequency: int = 5
    """Categories seen in fewer training rows share one column."""
    max_categories: int = 100
    """At most this many columns for one categorical column."""

    # --- forecasts
    history: int = 28
    """Steps that a forecast sees."""
    horizon: int = 7
    """Steps that it predicts."""
    season: int | None = None
    """Steps of one season, such as 7 for days: the metric ``mase`` compares with the value of one season ago."""

    def __post_init__(self) -> None:
        check_values(self, "data")
        for name, allowed in (("source", SOURCES), ("split", SPLITS), ("scaling", SCALINGS)):
            if getattr(self, name) not in allowed:
                raise unknown(f"data.{name}", getattr(self, name), allowed)
        for name in ("validation", "test"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise AutoactError(f"data.{name}={value} must be a share between 0 and 1, such as 0.2")
        if self.validation + self.test >= 1 and not self.has_test_file:
            raise AutoactError(
                f"data.validation={self.validation} and data.test={self.test} leave no rows to train on: "
                f"their sum must be below 1"
            )
        least = {"max_rows": 1, "min_frequency": 1, "history": 1, "horizon": 1, "openml_id": 1, "season": 1}
        for name, bound in {**least, "max_categories": 2, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise AutoactError(f"data.{name}={value} must be {bound} or more")
        _check_numbers(self)
        _check_characters(self)
        _check_named(self)

    @property
    def has_test_file(self) -> bool:
        """Whether a file of its own holds the test part: that of ``test_path``, or a packaged set's official one."""
        return self.test_path is not None or (self.source == "packaged" and PACKAGED.get(self.name or "", False))

    @property
    def separator(self) -> str:
        r"""The delimiter as one character; a shell hands over a tab as the two characters ``\t``."""
        return "\t" if self.delimiter == r"\t" else self.delimiter


def source_of(path: str) -> str:
    """The source that reads a file, by the ending of its name.

    Example:
        >>> source_of("x.PARQUET"), source_of("x.npz"), source_of("x.csv.gz")
        ('parquet', 'npz', 'csv')
    """
    ending = path[path.rfind(".") :].lower()
    return {".parquet": "parquet", ".pq": "parquet", ".npz": "npz"}.get(ending, "csv")


@dataclass(frozen=True)
class TaskKind:
    """A kind of task.

    Attributes:
        name: as ``task.kind`` names it.
        like: the kind of autoact's own whose targets, metrics, recipes and data settings it shares; its own name for
            autoact's own.
        prepare: ``(settings, whole) -> PreparedData`` whose ``kind`` is ``like``; see ``autoact.data.prepare.prepare``.
            None: the preparation of autoact's own kind.
    """

    name: str
    like: str
    prepare: Callable[[DataSettings, bool], object] | None = None


def _check_kind(kind: TaskKind) -> None:
    if not kind.name.isidentifier():
        raise AutoactError(f"name of a kind of task {kind.name!r}: use letters, digits and _, no digit first")
    if kind.like not in KINDS.built_in:
        raise unknown(f"kind that task.kind={kind.name} is like", kind.like, KINDS.built_in)
    if not callable(kind.prepare) or not takes(kind.prepare, None, False):
        raise AutoactError(f"task.kind={kind.name} needs a function (settings, whole) -> PreparedData")


KINDS: Registry[TaskKind] = Registry(
    "task.kind",
    "autoact.task_kinds",
    TaskKind,
    [
        *(TaskKind(name, name) for name in ("classification", "regression", "sequence_classification", "forecast")),
        *(TaskKind(name, "regression") for name in POINTS),
    ],
    check=_check_kind,
)


def register_task_kind(
    name: str, prepare: Callable[[DataSettings, bool], object], *, like: str, replace: bool = False
) -> TaskKind:
    """Make a kind of task known by name.

    Args:
        name: as ``task.kind`` names it.
        prepare: ``(settings, whole) -> PreparedData``; see ``autoact.data.prepare.prepare`` for ``whole``.
        like: the kind of autoact's own that it resembles; see ``TaskKind``.
        replace: put it in the place of one registered before under this name.

    Raises:
        AutoactError: the name is taken, or ``like`` is no kind of autoact's own.

    Example:
        >>> from autoact.data.prepare import prepare
        >>> def halves(settings, whole):
        ...     return prepare(settings, "regression", whole=whole)
        >>> kind = register_task_kind("doctest", halves, like="regression")
        >>> prepare(DataSettings(source="sklearn", name="diabetes"), "doctest").kind
        'regression'
        >>> KINDS.remove("doctest")
    """
    kind = TaskKind(name, like, prepare)
    KINDS.add(kind, replace=replace)
    return kind


def check_settings(settings: DataSettings, kind: str) -> None:
    """Refuse settings that this kind of task, or this source, would pass over.

    Raises:
        AutoactError: an unknown kind, or a setting that does not go with it or with the source.

    Example:
        >>> check_settings(DataSettings(split="random"), "forecast")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: data.split=random is not for forecasts: the past predicts the future (time)
    """
    if kind not in KINDS.built_in:
        raise unknown("task.kind", kind, KINDS.built_in)
    if kind == "forecast" and settings.split not in ("auto", "time"):
        raise AutoactError(f"data.split={settings.split} is not for forecasts: the past predicts the future (time)")
    if kind == "regression" and settings.split == "stratified":
        raise AutoactError("data.split=stratified needs classes: for regression use random, time or group")
    if settings.groups and kind not in ("classification", "regression"):
        raise AutoactError(f"data.groups names columns of a table whose values are scored apart: it is not for {kind}")
    if settings.source == "npz" and kind != "sequence_classification":
        raise AutoactError(f"data.source=npz holds sequences with class labels: it is not for {kind}")
    if settings.path is not None and settings.source in BRING_THEIR_DATA:
        raise AutoactError(
            f"data.path={settings.path} is not read with data.source={settings.source}, which brings its own data: "
            f"data.source={source_of(settings.path)} reads it"
        )
    if settings.time_format is not None and settings.time is None and settings.source != "simulated":
        raise AutoactError(
            "data.time_format says how dates are written, but of no column: name it with data.time=COLUMN"
        )
    if settings.test_path is not None and settings.source not in ("csv", "parquet"):
        raise AutoactError(
            f"data.test_path is for data.source=csv and parquet: {settings.source} brings no second file"
        )


def _check_numbers(settings: DataSettings) -> None:
    for what in ("decimal", "thousands"):
        value = getattr(settings, what)
        if value is not None and (len(value) != 1 or value.isalnum() or value in "+-"):
            raise AutoactError(f"data.{what}={value!r} must be one character, such as ',' or '.'")
    if settings.decimal == settings.thousands:
        raise AutoactError(f"data.decimal and data.thousands are both {settings.decimal!r}: a number needs two marks")
    for sign in settings.number_signs:
        if not sign.strip() or any(character.isdigit() for character in sign) or sign in ("+", "-", ".", ","):
            raise AutoactError(
                f"data.number_signs holds {sign!r}: give what stands around numbers and is no part of them, such as $"
            )


def _check_characters(settings: DataSettings) -> None:
    """Refuse a delimiter or a comment mark that the reader of csv files does not take."""
    if len(settings.separator) != 1:
        raise AutoactError(f"data.delimiter={settings.delimiter!r} must be one character, such as ',' ';' or a tab")
    if not settings.separator.isascii():
        raise AutoactError(
            f"data.delimiter={settings.delimiter!r} is no ASCII character: write the file with ',' ';' or a tab"
        )
    if settings.comment is not None and len(settings.comment) != 1:
        raise AutoactError(f"data.comment={settings.comment!r} must be one character, such as '#'")


def _check_named(settings: DataSettings) -> None:
    both = sorted(set(settings.numeric) & set(settings.categorical))
    if both:
        raise AutoactError(f"column {both[0]!r} is declared in data.numeric and in data.categorical: keep one")
    if settings.split == "group" and settings.group is None:
        raise AutoactError("data.split=group needs the column that names the group: data.group=COLUMN")
    for name in ("time", "group"):
        column = getattr(settings, name)
        if column is not None and settings.split in ("stratified", "random"):
            raise AutoactError(
                f"data.split={settings.split} and {override(f'data.{name}', column)} contradict each other: naming a "
                f"{name} column means splitting by it; leave one out ({override('data.drop', [column])} leaves the "
                "column out)"
            )


# What only says where the data lies, how it is written or how errors are compared: the fingerprint leaves these out.
_LOCATION = frozenset(
    {"source", "path", "test_path", "name", "openml_id", "cache_dir"}
    | {"delimiter", "header", "names", "comment", "missing", "strip", "time_format"}
    | {"decimal", "thousands", "number_signs"}
    | {"season", "groups"}
)


def settings_that_matter(settings: DataSettings) -> dict[str, object]:
    """The settings that change what a model learns from given content; where the data lies is not among them.

    Example:
        >>> here, there = DataSettings(path="a.csv"), DataSettings(path="b.csv")
        >>> settings_that_matter(here) == settings_that_matter(there)
        True
    """
    return {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in _LOCATION}


def dropping(settings: DataSettings, *names: str) -> str:
    """Leave columns out, besides those that are left out already.

    Example:
        >>> print(dropping(DataSettings(drop=["id"]), "Unnamed: 0"))
        "data.drop=[id,'Unnamed: 0']"
    """
    return _more("data.drop", settings.drop, names)


def declared_category(settings: DataSettings, *names: str) -> str:
    """Read columns as categories."""
    return _more("data.categorical", settings.categorical, names)


def declared_number(settings: DataSettings, *names: str) -> str:
    """Read columns as numbers."""
    return _more("data.numeric", settings.numeric, names)


def marked_missing(settings: DataSettings, *marks: str) -> str:
    """Read further marks as missing."""
    return _more("data.missing", settings.missing, marks)


def _more(key: str, before: Sequence[str], more: Sequence[str]) -> str:
    return override(key, list(dict.fromkeys([*before, *more])))
