"""Advice in messages, word by word: each key, flag, verb and extra that is named exists, and values are read."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

import autoact
from autoact.cli.main import VERBS
from autoact.config.compose import compose
from autoact.config.groups import GROUPS, options
from autoact.config.key_names import KEYS, is_free
from autoact.core.errors import AutoactError

HERE = Path(autoact.__file__).parent
# The keys that a verb reads by itself, and what stands before an equals sign without being a setting.
OF_VERBS = {"seeds", "runs", "model", "input", "output", "to", "format", "tolerance.quality", "tolerance.gain",
            "tolerance.latency", "tolerance.cost", "tolerance.drift"}  # fmt: skip
SECTIONS = {key.partition(".")[0] for key in KEYS if "." in key}
SETTING = re.compile(r"(?<![\w./\"'\[({-])([a-z_]+(?:\.[a-z_]+)*)=((?:\[[^\]\s]*\]|[\w.@:/+-]+)?)")


def _texts() -> list[tuple[str, str]]:
    """Every text of the package that is not a docstring, with its file; holes of f-strings are left as {}."""
    found = []
    for file in sorted(HERE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        docs = {id(n.body[0].value) for n in nodes if n.body and isinstance(n.body[0], ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
                text = node.value
            else:
                continue
            found.append((file.relative_to(HERE).as_posix(), text))
    return found


TEXTS = _texts()


def _settings() -> list[tuple[str, str, str]]:
    """File, key and value of each setting in the texts whose key lies in a section of the configuration."""
    found = [(file, *match) for file, text in TEXTS for match in SETTING.findall(text)]
    return sorted({one for one in found if one[1].partition(".")[0] in SECTIONS and "." in one[1]})


def test_there_is_advice_to_check() -> None:
    assert len(_settings()) > 40


@pytest.mark.parametrize(("file", "key", "value"), _settings())
def test_every_setting_that_a_message_names_exists_and_is_read(file: str, key: str, value: str) -> None:
    assert key in KEYS or is_free(key), f"{file} advises {key}={value}"
    if "{" in value or not value or value.isupper() or value in ("...", "package.module:function"):
        return
    try:
        compose([f"{key}={value.rstrip('.:')}"])
    except AutoactError as error:
        pytest.fail(f"{file}: {key}={value}: {error}")


def test_every_choice_of_a_group_that_a_message_names_exists() -> None:
    wrong = []
    for file, text in TEXTS:
        for group, value in SETTING.findall(text):
            named = group in GROUPS and re.fullmatch(r"[a-z][\w-]*", value)
            if named and value not in options(group):
                wrong.append((file, f"{group}={value}"))
    assert wrong == []


def test_every_command_that_a_message_names_exists() -> None:
    named = {(file, verb) for file, text in TEXTS for verb in re.findall(r"python -m autoact ([a-z]+)", text)}
    assert len(named) > 5
    assert [one for one in named if one[1] not in VERBS] == []


def test_every_flag_of_a_usage_is_taken_by_its_verb() -> None:
    for verb in VERBS:
        module = importlib.import_module(f"autoact.cli.verbs.{verb}")
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        tree = ast.parse(source)
        constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        for flag in set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", module.USAGE)):
            taken = {f"--{flag}", flag} & {text for text in constants if text != module.USAGE}
            assert taken or flag == "help", f"{verb}: --{flag}"


def test_every_extra_that_a_message_names_exists() -> None:
    file = HERE.parent / "pyproject.toml"
    if not file.is_file():
        pytest.skip("no checkout")
    extras = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {one for _, text in TEXTS for one in re.findall(r"pip install '[^'\[]*\[([a-z]+)\]'", text)}
    assert named and named <= set(extras)
