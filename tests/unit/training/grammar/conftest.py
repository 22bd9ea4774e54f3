"""The grammar of other people's modules is no test: it is imported by its files' names."""

import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)
