"""``autoact.export``: a logged model as ONNX, whose results in ONNX Runtime are compared with PyTorch's."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autoact.core.errors import AutoactError, first_line, unknown
from autoact.core.imports import optional
from autoact.core.output_folder import for_people
from autoact.core.result_table import to_html
from autoact.data.preprocessing_file import FILE, SIGMOID, SavedPreprocessing
from autoact.data.settings import HALF
from autoact.sites.tracing.dry_run import tensors_in
from autoact.tracking.models.model_artifacts import FetchedModel
from autoact.workflows.models.fetch_model import ModelSource, fetched

# Numbers of rows that are compared.
ROWS = (1, 7, 1000)
# Of the largest output, or of 1 where that is less: sums in another order differ by less.
TOLERANCE = 1e-3
INPUT, OUTPUT = "x", "out"
FORMATS = ("onnx",)
# The key of the metadata that says above which probability the positive one of two classes is predicted.
DECIDES = "autoact.threshold"


@dataclass(frozen=True, repr=False)
class ExportResult:
    """A file in another format that computes what the model computes.

    Attributes:
        file: its absolute path.
        shape: of one row's input.
        difference: largest absolute difference to PyTorch over all compared rows.
        largest: largest absolute output among them.
        model: which model was exported.
        threshold: of two classes: the probability (the sigmoid of the output) above which the positive one is
            predicted, also in the file's metadata as ``autoact.threshold``; None where the model has none.
    """

    file: Path
    shape: tuple[int, ...]
    difference: float
    largest: float
    model: str = "the model"
    threshold: float | None = None

    @property
    def summary(self) -> tuple[str, ...]:
        """What was written, how it was verified, and where it decides unless that is at one half."""
        compared = ", ".join(f"{rows:,}" for rows in ROWS)
        return (
            f"{self.model} written to {for_people(self.file)}: any number of rows of "
            f"{' x '.join(map(str, self.shape))} inputs",
            f"largest difference to PyTorch in ONNX Runtime over {compared} rows: {self.difference:.2g} "
            f"(largest output {self.largest:.3g})",
            *([] if self.threshold in (None, HALF) else [f"{DECIDES}={self.threshold:.4g} in the file's metadata"]),
        )

    def __repr__(self) -> str:
        return f"ExportResult({self.summary[0]})"

    def _repr_html_(self) -> str:
        """Both sentences, as notebooks show them."""
        return to_html(self.summary[0], lines=self.summary[1:])


def export(
    model: ModelSource,
    output: str | Path,
    *,
    format: str | None = None,
    tracking_uri: str | None = None,
    runs: str | Path = "autoact-runs",
) -> ExportResult:
    """Write a trained model in another format, verified against PyTorch; needs the packages of the extra ``onnx``.

    The input is what the preprocessing gives, the output what the network gives (no sigmoid).

    Args:
        model: ``"models:/NAME@champion"``, ``"models:/NAME/3"``, ``"runs:/ID/model"``, a folder that holds a logged
            model, or what ``autoact.train`` returned.
        output: the file to write, such as ``"model.onnx"``.
        format: ``"onnx"``.
        tracking_uri: where MLflow is; else ``MLFLOW_TRACKING_URI``, else the SQLite file in ``runs``.
        runs: the folder that trainings write to.

    Raises:
        AutoactError: there is no such model, it cannot be exported, or ONNX Runtime computes something else.

    Example:
        >>> export("models:/churn-autoact@champion", "model.pt")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: output=model.pt must end in .onnx, such as output=model.onnx
    """
    form = format or FORMATS[0]
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if not str(output).lower().endswith(f".{form}"):
        raise AutoactError(f"output={output} must end in .{form}, such as output=model.{form}")
    found, name = fetched(model, tracking_uri, runs)
    return replace(to_onnx(found, output), model=name)


def to_onnx(model: FetchedModel, path: str | Path) -> ExportResult:
    """Write an ONNX file with any number of rows, and verify it; one that differs is not kept.

    Inputs to compare are drawn with the mean and deviation of the example that the model was logged with; those of
    codes, such as tokens, are its own in another order.

    Raises:
        AutoactError: packages are missing, the model cannot be exported or draws random numbers, or ONNX Runtime
            computes something else.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        optional(name, wanted_for="format=onnx", extra="onnx")
    if model.graph is None:
        raise AutoactError("the model was not logged to MLflow: train it without tracking=none")
    if model.example is None:
        raise AutoactError("the model was logged without an input example: train it again")
    example = torch.from_numpy(model.example)
    with torch.no_grad():
        once, again = (list(tensors_in(model.module(example))) for _ in range(2))
    if not all(torch.equal(one.nan_to_num(), other.nan_to_num()) for one, other in zip(once, again, strict=True)):
        raise AutoactError(
            "the model draws random numbers when it is called, so what ONNX Runtime computes cannot be compared with "
            "PyTorch: nothing was written"
        )
    count, threshold = len(once), _threshold(model)
    outputs = [OUTPUT] if count == 1 else [f"{OUTPUT}_{number}" for number in range(count)]
    target = Path(path).expanduser()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.onnx"
        try:
            with _quiet():
                program = torch.onnx.export(
                    model.graph, (example,), dynamo=True, verbose=False, input_names=[INPUT], output_names=outputs
                )
                assert program is not None
                if threshold is not None:
                    program.model.metadata_props[DECIDES] = repr(threshold)
                program.save(made)
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            reason = first_line(error.__cause__ or error)  # of the exporter's own errors the cause says what it was
            raise AutoactError(f"the model cannot be exported to ONNX: {reason}") from error
        difference, largest = _compared(model, example, made)
        if not difference <= TOLERANCE * max(1.0, largest):
            raise AutoactError(
                f"ONNX Runtime computes something else than PyTorch: the largest difference is {difference:.3g}, the "
                f"largest output {largest:.3g}; nothing was written"
            )
        try:
            target.write_bytes(made.read_bytes())
        except OSError as error:
            raise AutoactError(f"output={path} cannot be written: {error.strerror or error}") from error
    return ExportResult(target.absolute(), tuple(example.shape[1:]), difference, largest, threshold=threshold)


def _threshold(model: FetchedModel) -> float | None:
    """Where the model tells two classes apart; None where it has other outputs, or no preprocessing that would say."""
    if FILE not in model.files:
        return None
    saved = SavedPreprocessing.from_json(model.files[FILE])
    return saved.threshold if saved.output == SIGMOID else None


def _compared(model: FetchedModel, example: torch.Tensor, file: Path) -> tuple[float, float]:
    """The largest absolute difference between both runtimes, and the largest absolute output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = [example, *(_drawn(example, rows) for rows in ROWS)]
    difference = largest = 0.0
    for x in inputs:
        with torch.no_grad():
            results = list(tensors_in(model.module(x)))
        computed = session.run(None, {INPUT: x.numpy()})
        for ours, theirs in zip(results, map(torch.from_numpy, computed), strict=True):
            if theirs.shape != ours.shape:
                raise AutoactError(
                    f"ONNX Runtime gives shape {tuple(theirs.shape)} where PyTorch gives {tuple(ours.shape)}"
                )
            apart = (theirs.double() - ours.double()).abs()
            difference = max(difference, float(apart.max().nan_to_num(torch.inf)))
            largest = max(largest, float(ours.double().abs().max()))
    return difference, largest


def _drawn(example: torch.Tensor, rows: int) -> torch.Tensor:
    """As many rows, with the mean and deviation of an example; of codes such as tokens, its own in another order."""
    generator = torch.Generator().manual_seed(rows)
    if not example.is_floating_point():
        return example.flatten()[torch.randint(example.numel(), (rows, *example.shape[1:]), generator=generator)]
    mean, deviation = float(example.mean()), max(float(example.std()), 1e-3)
    return torch.randn(rows, *example.shape[1:], generator=generator) * deviation + mean


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that it could use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logger.setLevel(logging.ERROR)
            yield
    finally:
        logger.setLevel(level)
