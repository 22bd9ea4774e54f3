"""``python -m autoact``."""

import gc
import sys

# Torch and Lightning are a million objects that stay: Python's defaults look through all of them every few seconds.
gc.set_threshold(10_000, 20, 20)

from autoact.cli.main import main  # noqa: E402

if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Else the interpreter looks through them once more: 2 s after the last line.
    gc.freeze()
    sys.exit(code)
