"""A queue of writes on a thread of its own: in order, tried again, given up with a list of what is missing."""

import logging
import threading
import time

from autoact.tracking.background_writer import BackgroundWriter
from autoact.tracking.store import StoreError


def test_writes_are_carried_out_in_order_on_another_thread():
    written = []
    writer = BackgroundWriter(on_failure=print)
    for number in range(5):
        writer.put(f"write {number}", lambda number=number: written.append((number, threading.current_thread().daemon)))
    assert writer.close(60.0) == []
    assert written == [(number, True) for number in range(5)]


def test_a_failed_write_is_tried_again_before_those_that_follow():
    written, failures = [], []
    writer = BackgroundWriter(on_failure=failures.append, pause=0.0)

    def first():
        if len(failures) < 3:
            raise StoreError("away")
        written.append("first")

    writer.put("first", first)
    writer.put("second", lambda: written.append("second"))
    while not writer.flush(60.0):
        pass
    assert written == ["first", "second"] and len(failures) == 3


def test_the_end_ends_the_pause_and_asks_once_more():
    failures = []
    writer = BackgroundWriter(on_failure=failures.append, pause=3600.0)

    def fails():
        raise StoreError("away")

    writer.put("first", fails)
    writer.put("second", fails)
    assert not writer.flush(60.0)
    assert writer.close(60.0) == ["first", "second"]
    assert [str(failure) for failure in failures] == ["away", "away"] and writer.failure is failures[-1]


def test_a_failure_during_the_last_flush_has_one_more_try():
    closing, tries = threading.Event(), []
    writer = BackgroundWriter(on_failure=lambda failure: None, pause=3600.0)

    def write():
        tries.append(1)
        if len(tries) == 1:
            closing.wait(60)
            raise StoreError("away")

    writer.put("write", write)
    threading.Timer(0.05, closing.set).start()
    assert writer.close(60.0) == [] and len(tries) == 2


def test_a_write_that_was_never_tried_has_two_tries_at_the_end():
    tries, begun = [], threading.Event()
    writer = BackgroundWriter(on_failure=lambda failure: None, pause=3600.0)

    def first():
        begun.set()
        while not writer._closing:
            time.sleep(0.001)

    def second():
        tries.append(1)
        if len(tries) == 1:
            raise StoreError("away")

    writer.put("first", first)
    writer.put("second", second)
    begun.wait(60)
    assert writer.close(60.0) == [] and len(tries) == 2


def test_what_is_refused_and_what_is_a_bug_hold_up_nothing(capsys):
    written = []
    writer = BackgroundWriter(on_failure=print)

    def refused():
        raise StoreError("not like this", refused=True)

    writer.put("first", refused)
    writer.put("second", lambda: 1 / 0)
    writer.put("third", lambda: written.append("third"))
    assert writer.close(60.0) == [] and written == ["third"]
    assert writer.refused == ["first: not like this", "second: ZeroDivisionError: division by zero"]
    assert "Traceback" in capsys.readouterr().err, "a bug keeps its traceback"


def test_a_store_that_hangs_is_given_up():
    hangs, written = threading.Event(), []
    writer = BackgroundWriter(on_failure=print)
    writer.put("first", lambda: written.append("first"))
    writer.put("second", lambda: hangs.wait(60))
    writer.put("third", lambda: written.append("third"))
    assert writer.close(0.2) == ["second", "third"]
    hangs.set()
    writer._thread.join(60)


def test_a_writer_without_writes_has_no_thread():
    writer = BackgroundWriter(on_failure=print)
    assert writer.flush(0.0) and writer.close(0.0) == [] and not writer._thread.is_alive()


def test_log_lines_of_the_writer_are_muted_and_no_others(caplog):
    logger = logging.getLogger("urllib3.connectionpool")
    writer = BackgroundWriter(on_failure=print)
    writer.put("write", lambda: logger.warning("Retrying (Retry(total=1))"))
    writer.close(60.0)
    logger.warning("of the user's own")
    assert [record.message for record in caplog.records] == ["of the user's own"]
