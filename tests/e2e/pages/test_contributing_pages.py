"""The pages for contributors: their files and their commands, as they are written there."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from autoact.activations.registry import ACTIVATIONS
from autoact.data.settings import KINDS
from autoact.engines.settings import ENGINES
from autoact.tasks.metrics import METRICS

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "contributing"
REGISTRIES = (ACTIVATIONS, METRICS, KINDS, ENGINES)
FILE = re.compile(r"[Tt]his is `([\w/]+\.\w+)`[^\n]*(?:\n[^\n`]+)*\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
FEWER = [
    "search.trials=3",
    "search.threads=1",
    "confirm=none",
    "tracking=none",
    "engine.population=2",
    "trainer.max_epochs=1",
    "hardware.rounds=3",
    "hardware.min_ms=0.1",
]
# What a page's commands print or write when they do what it says.
SHOWN = {
    "add-an-activation": "cubed_tanh",
    "add-a-metric": "pinball loss at 90 %",
    "add-a-task": "wine|11 inputs",
    "add-a-recipe": "searched: blocks.0.act",
    "add-an-engine": "a job took",
}


def commands_of(page):
    """Every command of a page, each with the entry points that stand before it."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"```bash\n(.*?)\n```", text, re.DOTALL):
        blocks = re.findall(r"```toml\n(.*?)```", text[: found.start()], re.DOTALL)
        yield pytest.param(page, found[1], "".join(blocks), id=f"{page.stem}: {found[1][26:60]}")


@pytest.fixture
def registries_as_found():
    """What a page registers is gone after it, and what is installed is looked for again."""
    for registry in REGISTRIES:
        registry._all_loaded = False
    before = set(sys.modules)
    yield
    for registry in REGISTRIES:
        for name in [name for name in registry._rows if name not in registry.built_in]:
            registry.remove(name)
        registry._loaded.clear()
        registry._all_loaded = False
    for name in [name for name in set(sys.modules) - before if name.startswith("my_")]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("registries_as_found")
@pytest.mark.parametrize(
    ("page", "command", "entry_points"), [c for p in sorted(FOLDER.glob("*.md")) for c in commands_of(p)]
)
def test_each_command_does_what_the_page_says(page, command, entry_points, cli, tmp_path, monkeypatch):
    files = FILE.findall(page.read_text(encoding="utf-8"))
    assert files
    for name, content in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    if entry_points:
        installed = tmp_path / "my_package-1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", encoding="utf-8")
        form = re.sub(r'\[project.entry-points."(.*)"\]', r"[\1]", entry_points).replace('"', "")
        (installed / "entry_points.txt").write_text(form, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "autoact", "search"]
    assert ("plugins=" in command) != bool(entry_points) or "--config-dir" in command
    engine = [] if "engine.name" in command else ["engine=inline"]
    candidates = [] if "candidates" in command else ["candidates=[tanh]"]
    done = cli(*words[3:], *FEWER, *engine, *candidates)
    assert done.code == 0, done.err
    assert re.search(SHOWN[page.stem], done.out), done.out


def test_every_page_is_tested():
    assert {page.stem for page in FOLDER.glob("*.md")} == set(SHOWN)
