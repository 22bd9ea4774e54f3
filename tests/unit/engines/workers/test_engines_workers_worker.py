"""A worker process does not outlive its driver."""

from __future__ import annotations

import os

import pytest

from autoact.engines.workers import prestart


def test_a_worker_ends_when_its_driver_is_gone(monkeypatch):
    parents, ended = iter([7, 7, 1]), []
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(prestart, "DRIVER_POLL_SECONDS", 0)
    prestart._leave_with(7)
    assert ended == [1]
    with pytest.raises(StopIteration):
        next(parents)
