"""``python -m autoact VERB ...``: find the verb, run it, turn a user's mistake into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections.abc import Sequence

from autoact.core.errors import AutoactError, unknown
from autoact.engines.warn_once import warned_once
from autoact.workflows.searching.interrupt import ends_as_interrupted

VERBS = {
    "search": "search activations for a task, or for your own Lightning module",
    "confirm": "check a finished study again with more seeds, or a recommendation on new data",
    "check": "the gate for CI and production: measure a recommendation again, exit code 1 on a regression",
    "train": "train a recommended configuration with its recipe and log the model",
    "promote": "give a version of the trained model an alias, such as champion",
    "rollback": "move an alias back to the version that had it before",
    "predict": "score the rows of a file with a trained model",
    "export": "write a trained model in another format (ONNX), verified against PyTorch",
    "show": "print a recommendation, or its Python source without autoact",
    "tasks": "list the tasks that can be searched by name, with data, licence and the best known result",
    "activations": "list the catalogue, or show one activation",
    "ui": "open the MLflow UI on the store that searches log to",
}

# Their help lists the groups of the configuration, the folders of the user's own among them.
CONFIGURED = ("search", "confirm", "check", "train")

# What an interrupt leaves behind.
INTERRUPTED = {
    "search": "finished trials are kept, the same command goes on",
    "confirm": "finished trainings are kept, the same command goes on",
    "check": "nothing was kept (with --test, the opening of the test part stays counted)",
    "train": "nothing was kept",
    "promote": "look at the alias in the MLflow UI before you go on: python -m autoact ui",
    "rollback": "look at the alias in the MLflow UI before you go on: python -m autoact ui",
    "predict": "do not use an output file that may have been begun",
    "export": "do not use an output file that may have been begun",
}

# When the command began: minutes count from here, and what is imported later is among them.
BEGAN = time.monotonic()

USAGE = """autoact chooses activation functions for neural networks, and proves its choice.

usage: python -m autoact VERB [options] [key=value ...]

verbs:
{verbs}

first steps:
  python -m autoact search task=churn
  python -m autoact search task=classification data.path=x.csv data.target=y
  python -m autoact search module=my_pkg.models:Churn datamodule=my_pkg.data:ChurnData \\
      monitor=val_auc mode=max trust=my_pkg search.minutes=30
  python -m autoact VERB --help
"""


def out_of_memory(error: Exception) -> str:
    """One line on a machine that is too small for what was asked; empty for any other error.

    Example:
        >>> print(out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")))
        not enough memory (tried to allocate 20.00 GiB): give smaller recipe.batch_size, recipe.arguments, ...
    """
    text = str(error)
    if not isinstance(error, MemoryError) and not re.search(
        r"out of memory|can't allocate memory", text, re.IGNORECASE
    ):
        return ""
    found = re.search(r"tried to allocate ([\d.]+) (bytes|[KMGT]i?B)", text, re.IGNORECASE)
    size = ""
    if found and found[2] == "bytes":
        size = f" (tried to allocate {float(found[1]) / 2**30:,.0f} GiB)"
    elif found:
        size = f" (tried to allocate {found[1]} {found[2]})"
    return (
        f"not enough memory{size}: give smaller recipe.batch_size, recipe.arguments, hardware.latency_batch or "
        "hardware.throughput_batch, or fewer rows (data.max_rows)"
    )


def main(arguments: Sequence[str]) -> int:
    """Run one verb; returns the exit code: 0 done, 1 a regression (check), 2 a user's mistake, 130 interrupted."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE.format(verbs="\n".join(f"  {verb:<13}{text}" for verb, text in VERBS.items())), end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from autoact import __version__

        print(f"autoact {__version__}")
        return 0
    try:
        if arguments[0] not in VERBS:
            raise unknown("verb", arguments[0], VERBS)
        verb = importlib.import_module(f"autoact.cli.verbs.{arguments[0]}")
        if arguments[0] not in CONFIGURED and {"-h", "--help"} & set(arguments):
            print(verb.USAGE, end="")
            return 0
        with warned_once(), ends_as_interrupted():
            return int(verb.run(list(arguments[1:])))
    except AutoactError as error:
        print(f"autoact: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not (said := out_of_memory(error)):
            raise
        print(f"autoact: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = INTERRUPTED.get(arguments[0])
        print(f"autoact: interrupted{f'; {kept}' if kept else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
