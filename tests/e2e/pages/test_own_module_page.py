"""The page on one's own module: its file and its commands, as they are written there."""

import re
import shlex
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "integrations" / "own-module.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(.*?)\n```", TEXT, re.DOTALL)
FEWER = [
    "search.trials=2",
    "confirm=none",
    "tracking=none",
    "engine=inline",
    "engine.population=2",
    "search.threads=1",
    "candidates=[gelu]",
    "hardware.rounds=3",
    "hardware.min_ms=0.1",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(command, cli, tmp_path, monkeypatch):
    (source,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "shop.py").write_text(source, encoding="utf-8")
    for name, file in re.findall(r"This is `(\w+\.yaml)`[^\n]*\n\n```yaml\n(.*?)```", TEXT, re.DOTALL):
        (tmp_path / name).write_text(file, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("shop", None)
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "autoact", "search"]
    bounded = [] if "trainer.max_epochs" in command else ["trainer.max_epochs=1"]
    done = cli(*words[3:], *FEWER, *bounded)
    assert done.code == 0, done.err
    assert "searched: net.1" in done.out
    sys.modules.pop("shop", None)
