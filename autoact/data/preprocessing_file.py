"""Preprocessing on disk: plain JSON beside a model, so that new rows go the way of the training rows.

No pickle: the file can hold numbers and names, and cannot run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.pipeline import Pipeline

from autoact.core.errors import AutoactError
from autoact.core.value_holders import PlainData
from autoact.data.columns.category_levels import as_levels, same_amount, same_number, same_value
from autoact.data.columns.column_types import CATEGORY, NUMERIC, amounts_of, conform
from autoact.data.columns.dtype_readings import dated, readable, tidy
from autoact.data.columns.foreign_notations import plainly
from autoact.data.columns.number_formats import PLAIN, NumberForm
from autoact.data.columns.typed_text import spelt
from autoact.data.columns.unfamiliar_values import category_lines, gap_lines, meaning_lines, shortened
from autoact.data.preparation.preprocessing import levels_of
from autoact.data.preparation.tables import chosen
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import HALF, DataSettings
from autoact.data.sources.csv_file import read_csv
from autoact.data.sources.load import PARQUET, existing_file, read_parquet

FORMAT = "autoact-preprocessing 2"
# Files of format 1 hold categories as a reader had guessed them (01 as 1, TRUE as True), and no forms of numbers.
FIRST_FORMAT = "autoact-preprocessing 1"
FILE = "preprocessing.json"
# What turns the network's output into scores.
SIGMOID = "sigmoid"
OUTPUTS = (SIGMOID, "softmax", "number")
_READING = ("delimiter", "header", "names", "comment", "missing", "strip")


@dataclass(frozen=True)
class SavedPreprocessing:
    """The way from a user's rows to network inputs, and from network outputs to scores.

    Attributes:
        kind: ``classification`` or ``regression``.
        target: name of the column that is predicted.
        output: ``sigmoid`` (two classes, one output), ``softmax`` or ``number``.
        schema: column -> ``numeric`` or ``category``, in order.
        numeric: column -> ``median`` (stands for missing values), then ``values`` and ``scores`` to interpolate
            between, or ``mean`` and ``scale``, or nothing more.
        gaps: numeric columns with a 0/1 column for missing values.
        categories: column -> its categories with a column of their own, in order, under ``known``; ``other`` says
            whether there is one more column for all others; ``apart`` has those of the others that would else be taken
            for one that is known (1.0 for 1); ``gap`` is what a missing value is called.
        classes: class names by index.
        scale: mean and deviation of the target, for numbers.
        ids: columns that identify rows; they are handed through.
        reading: how the training file was read.
        forms: numeric columns whose numbers are not written as programs write them -> decimal, thousands and signs.
        amounts: columns of categories that were numbers in training, and no text that looks like them.
        meanings: numeric column -> what its numbers stand for, where that is not themselves: times, truth values.
        first_format: whether this comes from a file of format 1.
        threshold: of two classes: the probability above which the positive one is predicted.
    """

    kind: str
    target: str
    output: str
    schema: Mapping[str, str]
    numeric: Mapping[str, PlainData]
    gaps: tuple[str, ...]
    categories: Mapping[str, PlainData]
    classes: tuple[str, ...] | None = None
    scale: tuple[float, float] | None = None
    ids: tuple[str, ...] = ()
    reading: PlainData = field(default_factory=dict)
    forms: Mapping[str, PlainData] = field(default_factory=dict)
    amounts: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    first_format: bool = False
    threshold: float = HALF

    @classmethod
    def of(
        cls, prepared: PreparedData, settings: DataSettings, output: str, threshold: float = HALF
    ) -> SavedPreprocessing:
        """Take down what was fitted.

        Raises:
            AutoactError: the data were not a table.

        Example:
            >>> from autoact.data.prepare import prepare
            >>> settings = DataSettings(source="sklearn", name="wine")
            >>> saved = SavedPreprocessing.of(prepare(settings, "classification"), settings, "softmax")
            >>> saved.classes, len(saved.numeric)
            (('class_0', 'class_1', 'class_2'), 13)
        """
        if prepared.preprocessing is None:
            raise AutoactError(f"{prepared.name} is no table: its preprocessing is not kept with the model")
        fitted = {name: (step, list(columns)) for name, step, columns in prepared.preprocessing.transformers_}
        scale = prepared.target_scale
        return cls(
            kind=prepared.kind,
            target=prepared.target,
            output=output,
            schema=dict(prepared.frame_schema),
            numeric=_numeric(*fitted["numeric"]) if "numeric" in fitted else {},
            gaps=tuple(fitted["missing"][1]) if "missing" in fitted else (),
            categories=_categories(*fitted["category"], levels_of(prepared.preprocessing))
            if "category" in fitted
            else {},
            classes=None if prepared.classes is None else tuple(prepared.classes),
            scale=None if scale is None else (float(scale.mean[0]), float(scale.std[0])),
            ids=tuple(settings.drop),
            reading={name: getattr(settings, name) for name in _READING},
            forms={name: asdict(form) for name, form in prepared.forms.items()},
            amounts=prepared.amounts,
            meanings=dict(prepared.meanings),
            threshold=threshold,
        )

    def encode(self, frame: pd.DataFrame, where: str = "the given table") -> torch.Tensor:
        """New rows as network inputs.

        A category that training did not see shares the column of the rare ones; where there is none, it has none.
        A row's inputs depend on the row alone, whatever else stands in the table and whatever types its columns have.

        **Shape**: ``[rows, features]``, float32.

        Raises:
            AutoactError: columns are missing, or hold what they cannot hold.
        """
        features, amounts = self._features(frame, where)
        parts = [_encoded_number(features[name].to_numpy(), fitted) for name, fitted in self.numeric.items()]
        parts += [features[name].isna().to_numpy(dtype="float32")[:, None] for name in self.gaps]
        for name, fitted in self.categories.items():
            parts.append(_encoded_category(self._levels(features[name], name in amounts), fitted))
        return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32, order="C"))

    def _levels(self, column: pd.Series, amounts: bool) -> pd.Series:
        """Values of a categorical column, by the names that the categories had in training.

        ``amounts`` says whether the new rows hold numbers there, and no text that looks like them.
        """
        name = str(column.name)
        fitted = self.categories[name]
        key = same_number if self.first_format else same_amount if amounts or name in self.amounts else same_value
        return as_levels(column, fitted["known"], key, fitted.get("apart", ()))

    def unfamiliar(self, frame: pd.DataFrame, where: str = "the given table") -> list[str]:
        """What new rows hold that the model has not learnt from: a line for each column.

        These are categories without a column of their own, missing values where training had none or where no row has
        one, and numbers that stand for something else than in training.

        Raises:
            AutoactError: as ``encode``.

        Example:
            >>> from autoact.data.prepare import prepare
            >>> settings = DataSettings(source="sklearn", name="wine")
            >>> saved = SavedPreprocessing.of(prepare(settings, "classification"), settings, "softmax")
            >>> rows = pd.DataFrame({name: [1.0, None] for name in saved.schema})
            >>> saved.unfamiliar(rows)[0]
            "column 'alcohol': 1 of 2 rows has no value, and training had one in every row: its median stands in"
        """
        features, amounts = self._features(frame, where)
        lines = meaning_lines(chosen(frame, self.numeric, where), self.meanings)
        for name in self.numeric:
            lines += gap_lines(features[name], known=name in self.gaps)
        for name, fitted in self.categories.items():
            lines += category_lines(self._levels(features[name], name in amounts), fitted)
        return lines

    def features(self, frame: pd.DataFrame, where: str = "the given table") -> pd.DataFrame:
        """New rows in the columns and types of the training rows: numbers as float64, categories as text.

        Raises:
            AutoactError: columns are missing, or hold what they cannot hold.
        """
        return self._features(frame, where)[0]

    def _features(self, frame: pd.DataFrame, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """See ``features``; and the columns of categories that hold numbers here, and no text that looks like them."""
        rows = chosen(frame, self.schema, where)
        trimmed = tidy(rows, self.reading["missing"], self.reading["strip"])
        forms = {name: NumberForm(**{**form, "signs": tuple(form["signs"])}) for name, form in self.forms.items()}
        for name, kind in self.schema.items():
            if kind == NUMERIC:
                self._refuse_text(trimmed[name], where, forms.get(name, PLAIN))
        return conform(trimmed, self.schema, where, forms), amounts_of(trimmed, self.schema)

    def _refuse_text(self, column: pd.Series, where: str, form: NumberForm) -> None:
        """Numbers must be finite numbers; a value may be missing as it could be in training."""
        if not readable(column) or dated(column):
            return  # conform says so
        parsed = form.parse(column)
        stray = (np.isnan(parsed) & column.notna().to_numpy()) | np.isinf(parsed)
        if not stray.any() or spelt(column) is not None:
            return
        row = int(np.flatnonzero(stray)[0])
        plain = plainly(str(column.iloc[row]))
        correct = "correct it" if plain is None else f"write it as {plain}"
        marks = ", ".join(repr(mark) for mark in self.reading["missing"])
        raise AutoactError(
            f"column {column.name!r} of {where} must hold numbers, but row {row + 1} holds "
            f"{shortened(str(column.iloc[row]))!r}: {correct}, or write it as the training file writes a missing value "
            f"({marks}); rows are counted from 1 here, and from 0 in what predict writes"
        )

    def scored(self, out: torch.Tensor) -> pd.DataFrame:
        """Network outputs as columns for people: ``score`` and ``prediction``.

        Two classes: the probability of the positive one; more: one for each; numbers: in the target's own unit.

        **Shape**: ``[rows, outputs]``.
        """
        if self.output == "number":
            mean, std = self.scale or (0.0, 1.0)
            return pd.DataFrame({"prediction": out[:, 0].double().numpy() * std + mean})
        assert self.classes is not None
        names = np.array(self.classes, dtype=object)
        if self.output == SIGMOID:
            score = out[:, 0].sigmoid().double().numpy()
            return pd.DataFrame({"score": score, "prediction": names[(score > self.threshold).astype(int)]})
        scores = out.softmax(1).double().numpy()
        columns = {f"score_{name}": scores[:, k] for k, name in enumerate(self.classes)}
        return pd.DataFrame({**columns, "prediction": names[scores.argmax(1)]})

    @property
    def decision(self) -> str:
        """Where two classes are told apart, in words; empty where it is one half."""
        if self.threshold == HALF or self.classes is None:
            return ""
        return f"{self.classes[1]!r} is predicted where the score is above {self.threshold:.4g}, the model's threshold"

    def read(self, path: str, option: str = "input") -> pd.DataFrame:
        """A csv or parquet file of new rows, read as the training file was; the target may be absent.

        Raises:
            AutoactError: no such file, or it cannot be read.
        """
        file = existing_file(path, option)
        settings = DataSettings(**dict(self.reading))
        if file.suffix.lower() in PARQUET:
            frame = read_parquet(file)
        else:
            text = {*self.ids, *self.forms, *(name for name, kind in self.schema.items() if kind == CATEGORY)}
            frame = read_csv(file, self._without_target(file, settings), _remedy(settings), text)
            for name in {*self.ids} & {*frame.columns} - {*self.schema}:
                frame[name] = _whole(frame[name])
        frame.columns = [str(c).strip() if settings.strip else str(c) for c in frame.columns]
        if frame.empty:
            raise AutoactError(f"{file.name} holds no rows")
        return frame

    def _without_target(self, file: Path, settings: DataSettings) -> DataSettings:
        """Column names that were given in place of a header, less the target where the file has a column less."""
        names = settings.names
        if names is None or self.target not in names:
            return settings
        plain = replace(settings, names=None, header=False)
        fewer = read_csv(file, plain, _remedy(settings), ()).shape[1] == len(names) - 1
        return replace(settings, names=[n for n in names if n != self.target]) if fewer else settings

    def to_json(self) -> str:
        """The file's text."""
        fields = asdict(self)
        if self.threshold == HALF:  # earlier versions know no other
            fields.pop("threshold")
        return json.dumps({"format": FIRST_FORMAT if fields.pop("first_format") else FORMAT, **fields}, indent=1)

    @classmethod
    def from_json(cls, text: str, source: str = FILE) -> SavedPreprocessing:
        """The inverse of ``to_json``.

        Raises:
            AutoactError: another file, another format, or fields that do not fit.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise AutoactError(f"{source} is not JSON: {error}") from error
        found = data.pop("format", None) if isinstance(data, dict) else None
        if found not in (FORMAT, FIRST_FORMAT):
            raise AutoactError(
                f"{source} has format {found!r}, this version of autoact reads {FORMAT!r} and {FIRST_FORMAT!r}"
            )
        values: PlainData = {n: tuple(value) if isinstance(value, list) else value for n, value in data.items()}
        try:
            made = cls(**values, first_format=found == FIRST_FORMAT)
        except TypeError as error:
            raise AutoactError(f"{source} cannot be read: {error}") from error
        if made.output not in OUTPUTS:
            raise AutoactError(f"{source}: output={made.output!r} is none of {', '.join(OUTPUTS)}")
        if not isinstance(made.threshold, float | int) or not 0 <= made.threshold <= 1:
            raise AutoactError(f"{source}: threshold={made.threshold!r} must be a number from 0 to 1")
        return made


def _whole(ids: pd.Series) -> pd.Series:
    """Ids as whole numbers where that changes nothing about how they are written; else as they are written."""
    text = ids.astype(object)
    whole = text.notna() & text.str.fullmatch(r"0|-?[1-9]\d{0,17}").eq(True)
    return text.astype("int64") if len(text) and whole.all() else text


def _remedy(settings: DataSettings) -> str:
    return f"write the file as the training file was written, with {settings.delimiter!r} between fields"


def _numeric(pipeline: Pipeline, columns: list[str]) -> dict[str, PlainData]:
    medians, scaling = pipeline.named_steps["median"].statistics_, pipeline.steps[-1]
    found: dict[str, PlainData] = {}
    for k, name in enumerate(columns):
        found[name] = {"median": float(medians[k])}
        if scaling[0] == "scores":
            found[name] |= {"values": scaling[1].values_[k].tolist(), "scores": scaling[1].scores_[k].tolist()}
        elif scaling[0] == "standard":
            found[name] |= {"mean": float(scaling[1].mean_[k]), "scale": float(scaling[1].scale_[k])}
    return found


def _categories(pipeline: Pipeline, columns: list[str], levels: Mapping[str, list[str]]) -> dict[str, PlainData]:
    encoder, gap = pipeline.named_steps["one_hot"], pipeline.named_steps["missing"].fill_value
    found: dict[str, PlainData] = {}
    for name, known, rare in zip(columns, encoder.categories_, encoder.infrequent_categories_, strict=True):
        others = set() if rare is None else set(rare.tolist())
        frequent = [str(level) for level in known if level not in others]
        keys = {same_value(level) for level in frequent} - {None}
        # Few of the rare ones look like a frequent one: only these are kept, and not a list of thousands.
        apart = [level for level in levels[name] if level in others and same_value(level) in keys]
        found[name] = {"known": frequent, "other": rare is not None, "apart": apart, "gap": gap}
    return found


def _encoded_number(values: np.ndarray, fitted: PlainData) -> np.ndarray:
    """One numeric column. **Shape**: ``[rows]`` -> ``[rows, 1]``."""
    values = np.where(np.isnan(values), fitted["median"], values)
    if "values" in fitted:
        values = np.interp(values, fitted["values"], fitted["scores"])
    elif "mean" in fitted:
        values = (values - fitted["mean"]) / fitted["scale"]
    return values[:, None]


def _encoded_category(values: pd.Series, fitted: PlainData) -> np.ndarray:
    """One categorical column. **Shape**: ``[rows]`` -> ``[rows, categories]``."""
    known = {name: k for k, name in enumerate(fitted["known"])}
    width = len(known) + bool(fitted["other"])
    filled = values.where(values.notna(), fitted.get("gap", "missing"))
    # Where there is no column for others, theirs is cut off.
    index = filled.map(lambda value: known.get(value, len(known))).to_numpy(dtype=int)
    return np.eye(len(known) + 1, dtype=np.float32)[index][:, :width]
