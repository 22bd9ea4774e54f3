"""Folders that are written to: made, and found writable, before anything that takes seconds; and their paths."""

from __future__ import annotations

from pathlib import Path

from autoact.core.errors import AutoactError


def make_folder(folder: Path, output: Path | None = None) -> None:
    """Create a folder and those above it, or say why nothing can be written there.

    ``output`` is the output folder that the user named, where ``folder`` lies in it; ``folder`` itself unless given.

    Raises:
        AutoactError: names the output folder and what is wrong with it.

    Example:
        >>> make_folder(Path(__file__))
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: output=...output_folder.py cannot be written: ... is a file, name a folder
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        file = next((place for place in (folder, *folder.parents) if place.is_file()), None)
        why = f"{file} is a file, name a folder" if file else error.strerror
        raise AutoactError(f"output={folder if output is None else output} cannot be written: {why}") from error


def for_people(path: str | Path) -> str:
    """A path as people read it: relative where it lies in the current folder, which results in Python do not rely on.

    Example:
        >>> for_people(Path.cwd() / "runs" / "report.md"), for_people("/data/runs")
        ('runs/report.md', '/data/runs')
    """
    path = Path(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
