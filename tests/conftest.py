"""What all tests share: one thread each, since several test processes run side by side."""

import os

# Before torch is imported. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
