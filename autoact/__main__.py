"""``python -m autoact``."""

import sys

from autoact.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
