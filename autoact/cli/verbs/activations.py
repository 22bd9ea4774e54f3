"""``python -m autoact activations [NAME]``: the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoact.core.errors import AutoactError

if TYPE_CHECKING:
    from autoact.activations import Activation

USAGE = """usage: python -m autoact activations            list the catalogue
       python -m autoact activations NAME       show one activation

Your own: autoact.register("name", function), or the entry-point group autoact.activations.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    if len(arguments) > 1 or any(word.startswith("-") for word in arguments):
        raise AutoactError(f"activations takes one name at most, got: {' '.join(arguments)}")
    if arguments:
        _show(arguments[0])
    else:
        _list()
    return 0


def _list() -> None:
    from rich.table import Table

    from autoact.activations import registry
    from autoact.activations.gain import gain
    from autoact.report.console import console

    table = Table("name", "family", "range", "gain", "flags", "reference", pad_edge=False)
    rows = registry.all()
    normalisations = registry.normalisations()
    for row in (*rows, *normalisations):
        low, high = row.output_range
        table.add_row(
            row.name,
            row.family if row.searchable else f"{row.family}, not searchable",
            f"{low:.3g} .. {high:.3g}",
            "-" if row.normalisation else f"{gain(row.name):.4f}",
            ", ".join(_flags(row)),
            row.reference,
        )
    out = console()
    out.print(table)
    out.print(f"{len(rows)} activations. One in full: python -m autoact activations gelu", markup=False)
    searched = ",".join(row.name for row in normalisations if row.searchable)
    out.print(
        f"{len(normalisations)} stand at normalisations, and nowhere else: space.normalisations=[{searched}].",
        markup=False,
    )
    out.print("gain: 1/sqrt(E[f(z)^2]), z ~ N(0,1); it scales the weights that consume the output.", markup=False)


def _flags(row: object) -> list[str]:
    flags = [name for name in ("smooth", "monotonic", "bounded", "zero_centred", "stochastic") if getattr(row, name)]
    parity = getattr(row, "parity", None)
    return [flag.replace("_", "-") for flag in flags] + ([parity] if parity else [])


def _where(row: Activation) -> str:
    """How a search is asked for it."""
    return f"yes, in the place of normalisations: space.normalisations=[{row.name}]" if row.normalisation else "yes"


def _show(name: str) -> None:
    from autoact.activations import get
    from autoact.activations.gain import gain
    from autoact.report.console import console

    row = get(name)
    low, high = row.output_range
    lines = [
        ("name", row.name),
        ("also called", ", ".join(row.aliases) or "-"),
        ("formula", row.formula),
        ("family", row.family),
        ("output range", f"{low:.4g} .. {high:.4g}"),
        ("limits at -inf, +inf", ", ".join("-" if limit is None else f"{limit:.4g}" for limit in row.saturation)),
        ("flags", ", ".join(_flags(row)) or "-"),
        ("gain", f"{gain(row.name):.6f}" if not row.normalisation else "-: weights around it are not scaled"),
        ("searchable", _where(row) if row.searchable else f"no: {row.reason_not_searchable}"),
        ("reference", row.reference),
    ]
    if row.normalisation and row.learnable:
        lines.append(("weights", f"{len(row.parameters)} per layer; they start at these values:"))
        lines.append(("  gamma, beta", "scale and shift of the normalisation that it stands for; kept as they are"))
    elif row.learnable:
        lines.append(("weights", f"{len(row.parameters)} per channel, or per site; they start at these values:"))
    for parameter in row.parameters:
        bounds = f"{parameter.low:.3g} .. {parameter.high:.3g}"
        lines.append((f"parameter {parameter.name}", f"{parameter.default:g} ({bounds}): {parameter.meaning}"))
        if (stated := parameter.search) is not None:
            lines.append(("  searched in", f"{stated} ({stated.source})"))
    out = console()
    for label, text in lines:
        out.print(f"{label:<22} {text}", markup=False, soft_wrap=True)
