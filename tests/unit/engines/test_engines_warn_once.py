"""Each warning is shown once, in all processes of a search together."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from autoact.engines.warn_once import share_warnings, warned_once


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: texts.append(str(message)))
    return texts


def warn(text: str) -> None:
    with warnings.catch_warnings():  # as each training does, which makes Python forget what it has shown
        warnings.simplefilter("always")
        warnings.warn(text, stacklevel=1)


def test_the_same_warning_is_shown_once(shown):
    with warned_once():
        for text in ("slow", "slow", "large", "slow"):
            warn(text)
        with warned_once():  # a search inside a command
            warn("large")
    assert shown == ["slow", "large"]
    warn("slow")
    assert shown == ["slow", "large", "slow"], "outside of a search warnings are the user's own"


def test_processes_share_what_they_have_shown(shown, tmp_path: Path):
    file = tmp_path / "warned"
    with warned_once():
        warn("of the driver")
        share_warnings(file)
        warn("later")
    with warned_once():  # stands for a worker
        share_warnings(file, install=True)
        for text in ("of the driver", "later", "its own", "its own"):
            warn(text)
    assert shown == ["of the driver", "later", "its own"]


def test_outside_of_a_search_nothing_is_shared(shown, tmp_path: Path):
    share_warnings(tmp_path / "warned")
    warn("slow")
    warn("slow")
    assert shown == ["slow", "slow"] and not (tmp_path / "warned").exists()


def test_a_file_that_is_gone_hides_nothing(shown, tmp_path: Path):
    with warned_once():
        share_warnings(tmp_path / "warned")
        (tmp_path / "warned").unlink()
        warn("slow")
    assert shown == ["slow"] and not (tmp_path / "warned").exists()


def test_whoever_records_warnings_records_each():
    with warned_once(), warnings.catch_warnings(record=True) as recorded:
        warn("slow")
        warn("slow")
    assert len(recorded) == 2
