"""The configuration tree: its groups, their choices, and the user's own folders beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoact.core.errors import AutoactError, unknown

GROUPS = (
    "task",
    "data",
    "recipe",
    "candidates",
    "space",
    "objectives",
    "hardware",
    "engine",
    "search",
    "confirm",
    "tracking",
)


def conf_dir() -> Path:
    """The folder of the configuration tree: inside the installed package, or beside it in a checkout."""
    import autoact.conf

    return Path(str(autoact.conf.__file__)).resolve().parent


def options(group: str, extra: Sequence[str] = ()) -> list[str]:
    """The choices of a group, in the packaged tree and in the user's own folders."""
    folders = [folder / group for folder in (conf_dir(), *map(Path, extra))]
    found = {file.relative_to(folder).with_suffix("") for folder in folders for file in folder.rglob("*.yaml")}
    return sorted(path.as_posix() for path in found)


def search_path(config_dirs: Sequence[str], config_name: str) -> list[Path]:
    """The folders of the configuration: first the one that holds the primary configuration, as Hydra wants it.

    Raises:
        AutoactError: no such folder, no such primary configuration, or a file of the user's that another one hides.
    """
    for given in config_dirs:
        if not Path(given).is_dir():
            raise AutoactError(f"--config-dir: no such folder: {given!r}")
    folders = [*(Path(given).resolve() for given in config_dirs), conf_dir()]
    holders = [folder for folder in folders if (folder / f"{config_name}.yaml").is_file()]
    if not holders:
        raise unknown(
            "--config-name", config_name, sorted({f.stem for folder in folders for f in folder.glob("*.yaml")})
        )
    order = [holders[0], *(folder for folder in folders if folder != holders[0])]
    for group in GROUPS:
        _refuse_hidden(group, order)
    return order


def _refuse_hidden(group: str, order: Sequence[Path]) -> None:
    """Hydra takes the first file of a name and passes over the others: the user's are never passed over."""
    seen: dict[Path, Path] = {}
    for folder in order:
        for file in (folder / group).rglob("*.yaml"):
            first = seen.setdefault(file.relative_to(folder), folder)
            if first != folder != conf_dir():
                raise AutoactError(f"--config-dir: {file} has the name of a file in {first}: give it another one")
