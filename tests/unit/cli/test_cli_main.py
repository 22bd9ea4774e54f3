"""The verbs, the exit codes, and what is imported before anything is known to be right."""

import importlib
import importlib.util
import json
import subprocess
import sys

import pytest

from autoact.cli import main as cli
from autoact.cli.main import VERBS, main
from autoact.config.key_names import KEYS
from autoact.core.errors import AutoactError

# What takes seconds to import, and the libraries that a list of verbs does not need.
HEAVY = ("torch", "lightning", "mlflow", "hydra", "optuna", "pandas", "sklearn", "numpy", "rich")

PROBE = """
import json, sys
from autoact.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(*arguments):
    """Exit code, the heavy libraries that are imported after a call, and standard error."""
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code, {name for name in HEAVY if name in modules}, done.stderr


def test_every_verb_has_a_file():
    assert [verb for verb in VERBS if importlib.util.find_spec(f"autoact.cli.verbs.{verb}") is None] == []


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0), (["-h"], 0), (["help"], 0)])
def test_the_usage_names_every_verb(arguments, code, capsys):
    assert main(arguments) == code
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


def test_the_version(capsys):
    import autoact

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"autoact {autoact.__version__}\n"


@pytest.mark.parametrize(("verb", "near"), [("serach", "search"), ("tarin", "train"), ("activation", "activations")])
def test_a_wrong_verb_is_one_line_with_the_nearest(verb, near, capsys):
    assert main([verb]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"autoact: unknown verb '{verb}': did you mean {near}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["serach"], ["search", "--help"], ["train", "-h"]])
def test_help_and_wrong_verbs_import_nothing_heavy(arguments):
    code, heavy, _ = imported(*arguments)
    assert heavy == set()
    assert code == (2 if arguments == ["serach"] else 0)


@pytest.mark.parametrize(
    "arguments", [["search", "task=cancr"], ["search", "serach.trials=3"], ["train", "task=cancer"]]
)
def test_wrong_settings_are_found_before_torch_is_imported(arguments):
    code, heavy, error = imported(*arguments)
    assert code == 2 and error.startswith("autoact: ")
    assert heavy <= {"hydra"}


def run_with(monkeypatch, error, verb="search"):
    """The exit code of a verb that raises."""

    class Verb:
        @staticmethod
        def run(arguments):
            raise error

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Verb)
    return main([verb])


def test_a_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys):
    assert run_with(monkeypatch, AutoactError("first\n   second")) == 2
    assert capsys.readouterr().err == "autoact: first second\n"


def test_an_interrupt_is_exit_code_130(monkeypatch, capsys):
    assert run_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("search", "interrupted; finished trials are kept, the same command goes on"),
        ("confirm", "interrupted; finished trainings are kept, the same command goes on"),
        ("train", "interrupted; nothing was kept"),
        ("check", "interrupted; nothing was kept"),
        ("promote", "interrupted; look at the alias"),
        ("export", "interrupted; do not use an output file"),
        ("show", "interrupted\n"),
    ],
)
def test_an_interrupt_says_what_the_verb_leaves(verb, said, monkeypatch, capsys):
    assert run_with(monkeypatch, KeyboardInterrupt(), verb) == 130
    assert capsys.readouterr().err.startswith(f"autoact: {said}")


def test_a_bug_keeps_its_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        run_with(monkeypatch, ZeroDivisionError())


def test_a_closed_pipe_leaves_no_traceback():
    with subprocess.Popen(
        [sys.executable, "-m", "autoact", "activations"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert error == ""


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (MemoryError(), ""),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to "
                      "allocate 2400000000000 bytes. Error code 12 (Cannot allocate memory)"),
         " (tried to allocate 2,235 GiB)"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has"), " (tried to allocate 20.00 GiB)"),
    ],
)  # fmt: skip
def test_a_machine_that_is_too_small_is_one_line(error, size, monkeypatch, capsys):
    def run(*_):
        raise error

    monkeypatch.setattr(importlib.import_module("autoact.cli.verbs.show"), "run", run)
    assert main(["show"]) == 2
    said = capsys.readouterr().err
    assert (
        said.startswith(f"autoact: not enough memory{size}: give smaller recipe.batch_size") and said.count("\n") == 1
    )


def test_the_settings_that_a_small_machine_is_advised_exist():
    said = cli.out_of_memory(MemoryError())
    assert {key for key in KEYS if key in said} == {
        "recipe.batch_size", "recipe.arguments", "hardware.latency_batch", "hardware.throughput_batch", "data.max_rows"
    }  # fmt: skip
    assert cli.out_of_memory(RuntimeError("shape '[128, 2]' is invalid")) == ""
