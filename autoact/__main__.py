"""``python -m autoact``."""

import gc
import sys

from autoact.cli.main import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Else the interpreter looks through all that torch and Lightning are made of once more: 2 s after the last line.
    gc.freeze()
    sys.exit(code)
