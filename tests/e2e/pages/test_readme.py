"""The documentation runs: Python blocks are executed, command lines are composed, keys exist.

A block that starts with ```` ```python no-run ```` is not executed.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from autoact.cli.main import VERBS, main
from autoact.config.compose import compose
from autoact.config.groups import GROUPS, options
from autoact.config.key_names import KEYS, is_free

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


# Verbs that take a few words of their own and no configuration.
PLAIN = ("show", "promote", "rollback", "predict", "export")
# A file of the user's own that the text tells of.
OWN = re.compile(rf"DIR/(({'|'.join(GROUPS)})/([\w-]+))\.yaml")


class Block(NamedTuple):
    """A fenced block: its file and first line, what stands behind the fence, its text, and the text before it."""

    file: Path
    line: int
    kind: str
    text: str
    before: str


def blocks_of(file):
    """Every fenced block of a Markdown file."""
    text = file.read_text(encoding="utf-8")
    for found in re.finditer(r"^```([^\n]*)\n(.*?)^```\s*$", text, re.MULTILINE | re.DOTALL):
        line = text[: found.start(2)].count("\n") + 1
        yield Block(file, line, found[1].strip(), found[2], text[: found.start()])


def commands_of(text):
    """The autoact command lines of a shell block: the words behind ``python -m autoact``."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for start in range(len(words) - 2):
            if words[start].startswith("python") and words[start + 1 : start + 3] == ["-m", "autoact"]:
                behind = words[start + 3 :]
                yield behind[: behind.index(">")] if ">" in behind else behind


BLOCKS = [block for file in FILES for block in blocks_of(file)]
PYTHON = [file for file in FILES if any(b.file == file and b.kind == "python" for b in BLOCKS)]
COMMANDS = [
    pytest.param(words, id=f"{block.file.name}:{block.line} {shlex.join(words)[:60]}")
    for block in BLOCKS
    if block.kind in ("bash", "sh", "console")
    for words in commands_of(block.text)
]
CONFIGS = [
    pytest.param(block, id=f"{block.file.name}:{block.line}")
    for block in BLOCKS
    if block.kind == "yaml" and block.text.startswith("# @package")
]


def test_there_is_something_to_test():
    assert PYTHON and len(COMMANDS) >= 3


def test_every_block_says_what_it_is():
    known = {"python", "python no-run", "bash", "sh", "console", "yaml", "text", "", "mermaid", "make", "toml", "json"}
    assert [f"{block.file.name}:{block.line} {block.kind}" for block in BLOCKS if block.kind not in known] == []


@pytest.mark.slow
@pytest.mark.parametrize("file", PYTHON, ids=lambda file: file.name)
def test_python_blocks_run(file, tmp_path):
    # Lines keep their numbers, so that a traceback points into the document.
    lines = [""] * len(file.read_text(encoding="utf-8").splitlines())
    for block in (b for b in BLOCKS if b.file == file and b.kind == "python"):
        code = block.text.splitlines()
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    script = tmp_path / f"{file.stem}.py"
    script.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr, done.stderr[-3000:]


@pytest.mark.parametrize("words", COMMANDS)
def test_command_lines_compose(words, capsys):
    assert words[0] in VERBS
    # The catalogue and the tasks are quick to print; of the other verbs the words are read, and nothing is run.
    ending = {"activations": [], "tasks": []} | {verb: ["--help"] for verb in PLAIN}
    arguments = [*words, *ending.get(words[0], ["--cfg", "job"])]
    assert main(arguments) == 0, capsys.readouterr().err


@pytest.mark.parametrize("block", CONFIGS)
def test_configurations_of_ones_own_compose(block, tmp_path):
    named = re.findall(OWN, block.before)
    assert named, "say where the file lies: `DIR/task/mine.yaml`"
    path, group, choice = named[-1]
    (tmp_path / group).mkdir()
    (tmp_path / f"{path}.yaml").write_text(block.text, encoding="utf-8")
    config = compose([f"{group}={choice}"], [str(tmp_path)])
    own = yaml.safe_load(block.text).get("task", {})
    assert {key: config.task[key] for key in own} == own


def unknown_names(text):
    """Keys and choices in backticks that do not exist; a file ``DIR/task/mine.yaml`` that is told of is a choice."""
    prose = re.sub(r"^```.*?^```\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    trees = {key.partition(".")[0] for key in KEYS if "." in key}
    own = {f"{group}={choice}" for _, group, choice in re.findall(OWN, text)}
    for word in " ".join(re.findall(r"`([^`\n]+)`", prose)).split():
        key, given, value = word.partition("=")
        if given and key in GROUPS and re.fullmatch(r"[\w-]+", value):
            right = word in own or value in options(key)
        elif re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", key) and key.partition(".")[0] in trees:
            right = key in KEYS or is_free(key) or key.endswith((".py", ".yaml", ".csv"))
        else:
            right = True
        if not right:
            yield word


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_keys_and_choices_in_the_text_exist(file):
    assert list(unknown_names(file.read_text(encoding="utf-8"))) == []


def test_the_checks_can_fail(tmp_path):
    (tmp_path / "x.md").write_text("a\n```bash\npython -m autoact search task=nothing \\\n  x=1  # why\n```\n")
    (block,) = blocks_of(tmp_path / "x.md")
    assert block.line == 3 and list(commands_of(block.text)) == [["search", "task=nothing", "x=1"]]
    assert main(["search", "task=nothing", "--cfg", "job"]) == 2
    text = "`task=nothing`, `search.trails=3`, `data.pth`, `task=churn data.path=x.csv`, `search.trials`, data.no=1"
    assert list(unknown_names(text)) == ["task=nothing", "search.trails=3", "data.pth"]
