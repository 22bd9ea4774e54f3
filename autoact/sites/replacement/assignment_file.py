"""``assignment.json``: the activations beside the weights of a model whose class alone builds others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError

FILE = "assignment.json"
INSIDE = "load_with_autoact"
"""The folder inside of the one that was asked for, where the class itself would find its files and ask no more."""
_KIND, _FORMAT = "autoact assignment", 1


@dataclass(frozen=True)
class Saved:
    """What ``assignment.json`` says.

    Attributes:
        weights: where the class's own files lie, seen from this one.
        config: dotted place -> the activation that the class has to be built with, where its saved configuration says
            an unknown one.
    """

    model: str
    assignment: Assignment
    weights: str
    config: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the file, and drop files of an earlier save that the class would find in place of these."""
        content = {
            "kind": _KIND,
            "format": _FORMAT,
            "load_with": f"autoact.from_pretrained({self.model}, folder)",
            "model": self.model,
            "weights": self.weights,
            "config": dict(self.config),
            "assignment": self.assignment.to_dict(),
        }
        for file in self.replaced(folder):
            file.unlink()
        folder.joinpath(FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def replaced(self, folder: Path) -> list[Path]:
        """Files in the folder that the folder inside has too; cards for people may be in both."""
        inside = folder / self.weights
        if self.weights == ".":
            return []
        names = [file.relative_to(inside) for file in inside.rglob("*") if file.is_file() and file.suffix != ".md"]
        return [folder / name for name in names if (folder / name).is_file()]

    @classmethod
    def read(cls, folder: Path) -> Saved | None:
        """What the folder's file says; None without one.

        Raises:
            AutoactError: it is no such file, of a later format, or incomplete.
        """
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["kind"] != _KIND:
                raise ValueError(f"its kind is {data['kind']!r}, not {_KIND!r}")
            if data["format"] != _FORMAT:
                raise ValueError(f"its format is {data['format']!r}, this version reads {_FORMAT}")
            if data["weights"] not in (".", INSIDE):
                raise ValueError(f"weights are in '.' or {INSIDE!r}, not in {data['weights']!r}")
            return cls(str(data["model"]), Assignment(data["assignment"]), data["weights"], dict(data["config"]))
        except KeyError as error:
            raise AutoactError(
                f"{file} is not what autoact wrote beside weights: {error.args[0]!r} is missing"
            ) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise AutoactError(f"{file} was not written by this version of autoact: {error}") from error
