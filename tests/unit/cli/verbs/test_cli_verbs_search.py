"""What ``search`` says first, at once."""

from __future__ import annotations

import subprocess
import sys


def test_the_first_line_comes_before_anything_slow_is_imported():
    code = (
        "import sys\n"
        "from autoact.cli.verbs import search\n"
        "from autoact.config.compose import compose, settings\n"
        "search.announce(settings(compose(['task=churn', 'data=csv', 'data.path=Telco.csv'])))\n"
        "print(sorted({'torch', 'lightning', 'mlflow', 'optuna', 'pandas', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, imported = done.stdout.splitlines()
    assert first == (
        "autoact: preparing task=churn, data Telco.csv: loading PyTorch, reading the data, finding activations ..."
    )
    assert imported == "[]"
