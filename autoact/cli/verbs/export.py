"""``python -m autoact export``: a model of the registry in another format, verified."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.cli.simple_arguments import PLACES, words

USAGE = """usage: python -m autoact export model=models:/NAME@champion output=model.onnx [format=onnx] [runs=DIR]
       [tracking.uri=URI]

Writes the network in ONNX, for any number of rows, runs it in ONNX Runtime beside PyTorch on the same inputs, and
prints the largest difference; a file that computes something else is not written. The input is what the preprocessing
gives, the output what the network gives (no sigmoid). Needs: pip install '.[onnx]' in a checkout of autoact.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, ("model", "output", "format", *PLACES))
    source = given.need("model", "which model, such as models:/churn-autoact@candidate")
    target = given.need("output", "the file to write, such as output=model.onnx")
    from autoact.workflows.export import export

    form = given.values.get("format")
    made = export(source, target, format=form, **given.places)
    print("\n  ".join(made.summary))
    return 0
