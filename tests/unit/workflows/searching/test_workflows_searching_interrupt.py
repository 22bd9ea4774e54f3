"""Signals: handled inside, as before outside; what asks a process to end counts as Ctrl-C."""

import signal
import subprocess
import sys
import threading

import pytest

from autoact.workflows.searching.interrupt import ends_as_interrupted, orderly_stop, signals_handled

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def handlers():
    return [signal.getsignal(number) for number in NUMBERS]


def test_the_first_ctrl_c_asks_and_the_second_stops():
    before = handlers()
    with pytest.raises(KeyboardInterrupt), orderly_stop() as stop_asked:
        assert not stop_asked()
        signal.raise_signal(signal.SIGINT)
        assert stop_asked()
        signal.raise_signal(signal.SIGINT)
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_asks_a_process_to_end_is_an_orderly_stop_of_a_search(number):
    before = handlers()
    with ends_as_interrupted(), orderly_stop() as stop_asked:
        signal.raise_signal(number)
        assert stop_asked()
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_somebody_ignores_or_handles_stays_theirs(number):
    heard = []
    with signals_handled([number], lambda: heard.append(number)), ends_as_interrupted():
        signal.raise_signal(number)
    assert heard == [number]


def test_another_thread_changes_nothing():
    found = []

    def run():
        with ends_as_interrupted(), orderly_stop() as stop_asked:
            found.extend([handlers(), stop_asked()])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert found == [handlers(), False]


def test_sigterm_ends_a_background_job_whose_shell_lets_it_ignore_ctrl_c():
    script = (
        "import signal\n"
        "from autoact.workflows.searching.interrupt import ends_as_interrupted\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "try:\n"
        "    with ends_as_interrupted():\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "        print('went on')\n"
        "except KeyboardInterrupt:\n"
        "    print('ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "ended\n"
