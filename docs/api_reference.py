"""A hook of MkDocs: the reference, one page for each area, from the names that ``autoact`` makes public."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# Folder of autoact -> title of its page, in the order of the menu.
AREAS = {
    "workflows": "What a user can do",
    "integrations": "Integrations",
    "sites": "Sites and activations of a model",
    "activations": "Activations",
    "recommendation": "Recommendations",
    "training": "Trained networks",
    "core": "Assignments and errors",
    "study": "The search",
    "space": "The search space",
    "tasks": "Objectives and metrics",
    "data": "Data",
    "latency": "Hardware",
    "engines": "Engines",
    "tracking": "Tracking",
    "report": "Reports",
    "config": "Configuration",
    "user_code": "Code of your own",
}


class ExamplesOfOne(griffe.Extension):
    """Shows a section ``Example:`` as griffe shows ``Examples:``: as code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Rename the section in the docstring of every object."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


def _areas() -> dict[str, list[str]]:
    """Folder -> dotted names of what is public in it.

    Raises:
        KeyError: a folder has no title yet: add it to ``AREAS``.
    """
    import autoact

    found = defaultdict(list)
    # What people call comes first, what it takes and returns after it.
    public = {name: getattr(autoact, name) for name in autoact.__all__}
    for value in sorted(public.values(), key=inspect.isclass):
        if inspect.ismodule(value):
            continue
        found[value.__module__.split(".")[1]].append(f"{value.__module__}.{value.__qualname__}")
    if untitled := set(found) - set(AREAS):
        raise KeyError(f"give these folders a title in AREAS: {sorted(untitled)}")
    return {area: found[area] for area in AREAS if area in found}


def _page(area: str, names: list[str]) -> str:
    return "\n".join([f"# {AREAS[area]}", "", *(f"::: {name}\n" for name in names)])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the menu, in the place of ``reference/``."""
    pages = [f"reference/{area}.md" for area in _areas()]
    assert config.nav is not None
    for entry in config.nav:
        if isinstance(entry, dict) and entry.get("Reference") == "reference/":
            entry["Reference"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for area, names in _areas().items():
        files.append(File.generated(config, f"reference/{area}.md", content=_page(area, names)))
    return files
