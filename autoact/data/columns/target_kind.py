"""What a target looks like beside the kind of task: a note where another kind may be meant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

# So few different whole numbers are more often classes than amounts.
FEW = 10


def kind_remarks(target: str, y: np.ndarray, classes: Sequence[str] | None) -> list[str]:
    """A question where the values of a target suggest the other kind of task.

    ``y`` holds the numbers of a regression, whose ``classes`` are None, or class indices.

    Example:
        >>> kind_remarks("left", np.array([0.0, 1.0, 1.0]), None)
        ["target 'left' holds 2 different whole numbers (0, 1): if they are classes, task=classification is meant"]
        >>> kind_remarks("price", np.array([0, 1, 2]), ["1.5", "2.25", "4"])
        ["target 'price' is read as 3 classes, but holds numbers with fractions (1.5): if they are amounts, \
task=regression is meant"]
    """
    if classes is None:
        values = np.unique(y)
        if len(values) > FEW or (values % 1 != 0).any():
            return []
        shown = ", ".join(f"{value:g}" for value in values)
        return [
            f"target {target!r} holds {len(values)} different whole numbers ({shown}): if they are classes, "
            "task=classification is meant"
        ]
    lines = [
        f"classes {a!r} and {b!r} of target {target!r} differ in capitals alone: if they are one, write them alike"
        for a, b in combinations(classes, 2)
        if a.casefold() == b.casefold()
    ]
    try:
        fractions = [name for name in classes if np.isfinite(float(name)) and float(name) % 1 != 0]
    except ValueError:
        return lines
    if len(classes) < 3 or not fractions:
        return lines
    return [
        *lines,
        f"target {target!r} is read as {len(classes)} classes, but holds numbers with fractions ({fractions[0]}): if "
        "they are amounts, task=regression is meant",
    ]
