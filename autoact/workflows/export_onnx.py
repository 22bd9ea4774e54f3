"""Export a logged model to ONNX, and compare what ONNX Runtime computes with what PyTorch computes."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from autoact.core.errors import AutoactError, first_line
from autoact.core.imports import optional
from autoact.sites.tracing.dry_run import tensors_in
from autoact.tracking.models.model_artifacts import FetchedModel

# Numbers of rows that are compared.
ROWS = (1, 7, 1000)
# Of the largest output, or of 1 where that is less: sums in another order differ by less.
TOLERANCE = 1e-3
INPUT, OUTPUT = "x", "out"


@dataclass(frozen=True)
class Exported:
    """A verified ONNX file.

    Attributes:
        file: its path.
        shape: of one row's input.
        difference: largest absolute difference to PyTorch over all compared rows.
        largest: largest absolute output among them.
    """

    file: Path
    shape: tuple[int, ...]
    difference: float
    largest: float


def to_onnx(model: FetchedModel, path: str | Path) -> Exported:
    """Write an ONNX file with any number of rows, and verify it; one that differs is not kept.

    Inputs to compare are drawn with the mean and deviation of the example that the model was logged with; those of
    codes, such as tokens, are its own in another order.

    Args:
        model: read back by ``fetch_model``.
        path: the file to write.

    Raises:
        AutoactError: packages are missing, the model cannot be exported or draws random numbers, or ONNX Runtime
            computes something else.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        optional(name, wanted_for="format=onnx", extra="onnx")
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
    count = len(once)
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
                program.save(made)
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            told = first_line(error.__cause__ or error)  # of the exporter's own errors the cause says what it was
            raise AutoactError(f"the model cannot be exported to ONNX: {told}") from error
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
    return Exported(target, tuple(example.shape[1:]), difference, largest)


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
