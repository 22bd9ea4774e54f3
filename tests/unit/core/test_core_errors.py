"""Errors that say what to do next."""

from __future__ import annotations

import pytest

from autoact.core.errors import AutoactError, SealedError, nearest, unknown


@pytest.mark.parametrize(
    ("given", "expected"),
    [("geluu", ["gelu"]), ("RELU", ["relu"]), ("tnah", ["tanh"]), ("zzz", []), ("", [])],
)
def test_nearest(given, expected):
    assert nearest(given, ["relu", "gelu", "tanh"], count=1) == expected


def test_nearest_is_best_first_and_keeps_capitals():
    assert nearest("hardtan", ["Hardtanh", "tanh", "hard_tanh"])[0] == "Hardtanh"
    assert len(nearest("aaa", ["aaaa", "aaab", "aaac", "aaad"], count=2)) == 2


def test_unknown_names_what_was_given_what_is_near_and_what_is_allowed():
    error = unknown("metric", "acc", ["accuracy", "f1"], advice="or your own")
    assert isinstance(error, AutoactError)
    assert str(error) == "unknown metric 'acc': did you mean accuracy? Allowed: accuracy, f1 (or your own)"


def test_unknown_without_anything_near():
    assert str(unknown("metric", 3, ["accuracy"])) == "unknown metric '3': Allowed: accuracy"


def test_unknown_without_anything_to_choose():
    assert str(unknown("site", "a", [])) == "unknown site 'a': there is nothing to choose from"


def test_long_lists_are_cut():
    text = str(unknown("thing", "zzz", [f"name{i}" for i in range(41)]))
    assert "name39" in text
    assert "name40" not in text
    assert text.endswith("... (41 in all)")


def test_an_iterator_may_be_given():
    assert "did you mean ab?" in str(unknown("thing", "abc", iter(["ab", "xy"])))


def test_a_sealed_test_part_is_a_users_error():
    assert issubclass(SealedError, AutoactError)
