"""Candidates whose parameters are searched: how they are read, and what is refused in one line."""

from __future__ import annotations

import pytest

from autoact.activations import canonical
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.space.candidates import ranged, read_candidates


def read(text: str, **options: bool):
    found = ranged(text, **options)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "low", "high", "log"),
    [
        ("sine(omega=0.3..10)", 0.3, 10.0, True),
        (" Sin( omega = 1 .. 30 ) ", 1.0, 30.0, True),
        ("leaky_relu(negative_slope=.001...3)", 0.001, 0.3, True),
        ("leaky_relu(negative_slope=-1..1)", -1.0, 1.0, False),
        ("threshold(threshold=0..2)", 0.0, 2.0, False),
        ("star_relu(scale=0.5..1)", 0.5, 1.0, False),
    ],
)
def test_a_range_is_read_on_the_scale_that_the_catalogue_states(text: str, low: float, high: float, log: bool) -> None:
    (one,) = read(text).ranges
    assert (one.low, one.high, one.log) == (low, high, log)


@pytest.mark.parametrize("text", ["sine", "sine(omega=3)", "relu", "softplus(beta=2, threshold=3)"])
def test_what_has_no_range_is_none(text: str) -> None:
    assert ranged(text) is None


def test_a_parameter_beside_the_range_stays_as_given() -> None:
    one = read("softplus(threshold=5, beta=0.3..10)")
    assert str(one) == "softplus(threshold=5, beta=0.3..10)"
    assert str(one.choice({"beta": 2.34567})) == "softplus(beta=2.35, threshold=5)"


def test_values_have_three_digits_and_stay_within_the_range() -> None:
    one = read("sine(omega=0.12345..9.8765)")
    assert str(one.choice({"omega": 0.1234567})) == "sine(omega=0.12345)"
    assert str(one.choice({"omega": 9.8765})) == "sine(omega=9.8765)"
    assert str(one.choice({"omega": 1.0})) == "sine"


@pytest.mark.parametrize(
    ("text", "start", "spread"),
    [
        ("sine(omega=0.3..10)", "sine", ["sine(omega=0.538)", "sine(omega=5.57)"]),
        ("sine(omega=5..30)", "sine(omega=12.2)", ["sine(omega=6.74)", "sine(omega=22.3)"]),
        ("threshold(threshold=0..3)", "threshold", ["threshold(threshold=1.5)", "threshold(threshold=2.5)"]),
    ],
)
def test_the_default_is_first_where_the_range_holds_it_and_the_middle_elsewhere(
    text: str, start: str, spread: list[str]
) -> None:
    one = read(text)
    assert str(one.start) == start
    assert list(map(str, one.spread)) == spread


def test_several_ranges_are_spread_in_another_order_each() -> None:
    one = read("softplus(beta=0.1..10, threshold=10..20)")
    assert len(one.ranges) == 2 and len({choice.params for choice in one.spread}) == 2
    assert read("softplus(beta=5..10)").label == "softplus(beta=5..10)"
    assert read("softplus(beta=0.5..10)").label == "softplus"


def test_values_of_a_choice_are_known_within_the_range_alone() -> None:
    one = read("sine(omega=0.3..10)")
    assert one.values_of(Choice("sine")) == {"omega": 1.0}
    assert one.values_of(canonical("sine(omega=30)")) is None
    assert one.values_of(Choice("tanh")) is None
    assert read("softplus(beta=0.3..10)").values_of(canonical("softplus(threshold=5)")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sine(omega=30..1)", "sine: omega=30..1 must begin with the lower number and end with a higher one"),
        ("sine(omega=1...30)", "it reads 1 to 0.3"),
        ("sine(omega=3..3)", "must begin with the lower number"),
        ("relu(x=1..2)", "relu has no parameters: write relu without x=1..2"),
        ("sine(omga=1..2)", "unknown parameter of sine 'omga': did you mean omega"),
        ("sine(omega=1..200)", "sine: omega=1..200 is not allowed, choose within 0.01 .. 100"),
        ("sine(omega=1..x)", "cannot read the range 'omega=1..x' of sine: write omega=low..high with two numbers"),
        ("sine(omega=..3)", "cannot read the range"),
        ("sine(omega=nan..3)", "must begin with the lower number"),
        ("sine(omega=1..2, omega=3)", "gives a parameter twice"),
        ("sine(omega=1..2, omega=3..4)", "gives a parameter twice"),
        (
            "maxout(pieces=2..4)",
            "name each value as a candidate of its own, such as maxout.pieces=2., maxout.pieces=3.",
        ),
        (
            "hard_tanh(min_val=-1..2)",
            "hard_tanh: min_val may not exceed max_val, but reaches 2 where max_val begins at 1",
        ),
        ("sin(1..2)", "unknown parameter of sine '1..2'"),
        ("snie(omega=1..2)", "did you mean sine"),
    ],
)
def test_a_wrong_range_is_one_line(text: str, message: str) -> None:
    with pytest.raises(AutoactError, match=message.replace("..", r"\.\.")) as raised:
        ranged(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "space.candidates is empty"),
        (["step"], "step cannot be searched"),
        (["sine(omega=1..3)", "sine(omega=5..9)"], "search one activation twice"),
    ],
)
def test_candidates_that_cannot_be_searched(names: list[str], message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        read_candidates(names)


def test_a_value_within_a_range_is_merged_and_one_beyond_it_is_not() -> None:
    found = read_candidates(["sine(omega=2)", "sine(omega=20)", "sine(omega=0.3..10)", "sin", "celu", "elu"])
    assert list(map(str, found.choices)) == ["sine(omega=20)", "sine", "celu"]
    assert dict(found.merged) == {"sine(omega=2)": "sine(omega=0.3..10)", "sine": "sine(omega=0.3..10)", "elu": "celu"}


def test_stated_ranges_are_opened_for_what_is_not_given() -> None:
    found = read_candidates(["relu", "sine", "softplus(beta=2)", "leaky_relu(negative_slope=0.01)"], stated=True)
    assert list(map(str, found.ranged.values())) == ["sine(omega=1..60)"]
    assert list(map(str, found.choices)) == ["relu", "sine", "softplus(beta=2)", "leaky_relu"]


def test_stated_ranges_that_nobody_stated_are_refused() -> None:
    with pytest.raises(
        AutoactError, match=r"space\.parameters=true has no effect: the catalogue states no range for any"
    ):
        read_candidates(["relu", "tanh"], stated=True)


def test_a_range_is_no_choice() -> None:
    with pytest.raises(AutoactError, match=r"sine\(omega=1..3\) has a range, omega=1..3, and a range is not a choice"):
        Choice.parse("sine(omega=1..3)")
