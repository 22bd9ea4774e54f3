"""``python -m autoact export``: a model of the registry in another format, verified."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.cli.fetch_model import fetched
from autoact.cli.simple_arguments import PLACES, words
from autoact.core.errors import AutoactError, unknown

USAGE = """usage: python -m autoact export model=models:/NAME@champion output=model.onnx [format=onnx] [runs=DIR]
       [tracking.uri=URI]

Writes the network in ONNX, for any number of rows, runs it in ONNX Runtime beside PyTorch on the same inputs, and
prints the largest difference; a file that computes something else is not written. The input is what the preprocessing
gives, the output what the network gives (no sigmoid). Needs: pip install '.[onnx]' in a checkout of autoact.
"""
FORMATS = ("onnx",)


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, ("model", "output", "format", *PLACES))
    if given.help:
        print(USAGE, end="")
        return 0
    form = given.values.get("format", FORMATS[0])
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    source = given.need("model", "which model, such as models:/churn-autoact@candidate")
    target = given.need("output", "the file to write, such as output=model.onnx")
    if not target.lower().endswith(f".{form}"):
        raise AutoactError(f"output={target} must end in .{form}, such as output=model.{form}")
    from autoact.workflows.export_onnx import ROWS, to_onnx

    model = fetched(given, source)
    made = to_onnx(model, target)
    meant = f" ({model.version.uri})" if model.version is not None and model.version.alias else ""
    shape = " x ".join(map(str, made.shape))
    print(f"{source}{meant} written to {made.file}: any number of rows of {shape} inputs")
    compared = ", ".join(f"{rows:,}" for rows in ROWS)
    print(
        f"  largest difference to PyTorch in ONNX Runtime over {compared} rows: {made.difference:.2g} "
        f"(largest output {made.largest:.3g})"
    )
    return 0
