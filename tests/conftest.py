"""What all tests share: one thread each, since several test processes run side by side; and Ctrl-C as in a terminal."""

import os
import signal

# Before torch is imported. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores these, and so would what the tests ask to end.
for one in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(one) is signal.SIG_IGN:
        signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
