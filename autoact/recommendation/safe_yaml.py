"""From a file to plain data: bounded in size, without references and types of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from autoact.core.errors import AutoactError
from autoact.recommendation.safe_text import printable

# A model of a thousand sites writes less than half of it.
LARGEST = 4 * 2**20


class _Refusing(yaml.SafeLoader):
    """Reads plain values alone; a file that refers to itself can fill the memory, and ours never does."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("references (*name) are not allowed", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal("types (!name) are not allowed", event)
        return super().compose_node(parent, index)


def _refusal(problem: str, event: Any) -> yaml.YAMLError:
    """The error for something in a file that YAML knows, and ours never holds."""
    return yaml.MarkedYAMLError(None, None, problem, event.start_mark)


def plain_data(file: Path) -> Any:
    """What a YAML file holds.

    Raises:
        AutoactError: no such file, too large, not UTF-8, not YAML.
    """
    text = _text(file)
    try:
        return yaml.load(text, Loader=_Refusing)  # a SafeLoader
    except yaml.YAMLError as error:
        raise AutoactError(f"the recommendation {str(file)!r} is not YAML: {_problem(error)}") from error
    except RecursionError as error:
        raise AutoactError(f"the recommendation {str(file)!r} cannot be read: it is nested too deeply") from error
    except ValueError as error:  # a date that does not exist
        raise AutoactError(
            f"the recommendation {str(file)!r} cannot be read: {printable(str(error).splitlines()[0])}"
        ) from error


def _text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size <= LARGEST:
            with file.open("rb") as handle:
                content = handle.read(LARGEST + 1)  # a pipe has no size
            size = max(size, len(content))
    except OSError as error:
        raise AutoactError(f"cannot read the recommendation {str(file)!r}: {error.strerror}") from error
    if size > LARGEST:
        raise AutoactError(
            f"{str(file)!r} is no recommendation: it is larger than {LARGEST // 2**20} MB, which none is; give the "
            "recommended.yaml that a search wrote"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AutoactError(f"the recommendation {str(file)!r} is not UTF-8 text") from error


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
    return printable(f"{problem}{where}")
