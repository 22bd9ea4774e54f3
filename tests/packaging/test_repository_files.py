"""The files beside the code: links lead somewhere, tools and versions are the same in every place that names them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
MAKE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def anchors_of(page):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def dead_links(page):
    """Relative links of a page that lead nowhere."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors_of(target))):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page):
    assert list(dead_links(page)) == []


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.md").write_text("# A title\n[x](b.md) [y](#a-title) [z](#other) [w](https://x.example/b.md)\n")
    assert list(dead_links(tmp_path / "a.md")) == ["b.md", "#other"]


def test_every_page_is_on_the_map_and_in_the_menu():
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert {page for page in pages - {"index.md"} if f"({page})" not in index} == set()
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert {page for page in pages if page not in menu} == set()


def test_commits_are_checked_by_the_tools_of_make_lint():
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", MAKE, re.MULTILINE)
    of_make = {line.split()[0].removeprefix("$(BIN)/") for line in recipe.split("\t")[1:]}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][-1]["hooks"]
    of_hooks = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    assert {"ruff", "mypy"} <= of_make <= of_hooks


@pytest.mark.parametrize("file", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda file: file.stem)
def test_workflows_run_what_there_is(file):
    jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^(\w+):", MAKE, re.MULTILINE))
    assert commands
    for command in commands:
        if command.startswith("make "):
            assert command.removeprefix("make ") in targets
        for extra in re.findall(r"\.\[(\w+)\]", command):
            assert extra in PROJECT["optional-dependencies"]


def test_the_oldest_python_that_is_tested_is_the_oldest_that_is_allowed():
    quick = yaml.safe_load((ROOT / ".github" / "workflows" / "quick.yml").read_text(encoding="utf-8"))
    versions = quick["jobs"]["quick"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["license"] and citation["type"] == "software"
    assert all(set(author) & {"name", "family-names"} for author in citation["authors"])


def test_what_make_quick_leaves_out_is_there():
    (folders,) = re.findall(r"^TRAIN := (.*)$", MAKE, re.MULTILINE)
    assert [name for name in folders.split() if not (ROOT / "tests" / "unit" / name).is_dir()] == []
