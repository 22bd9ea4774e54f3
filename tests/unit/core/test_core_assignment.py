"""Choices and assignments as plain data."""

from __future__ import annotations

import copy
import pickle

import pytest
from torch import nn

from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        ("gelu", "gelu", ()),
        ("  gelu  ", "gelu", ()),
        ("gelu()", "gelu", ()),
        ("elu(alpha=0.5)", "elu", (("alpha", 0.5),)),
        (" elu ( alpha = 1e-3 ) ", "elu", (("alpha", 0.001),)),
        ("hard_tanh(min_val=-2, max_val=2)", "hard_tanh", (("max_val", 2.0), ("min_val", -2.0))),
        ("hard-tanh", "hard-tanh", ()),
    ],
)
def test_parse(text, name, params):
    assert Choice.parse(text) == Choice(name, params)


@pytest.mark.parametrize("text", ["", "2elu", "elu(", "elu)", "elu(alpha=1) x", "a b", "elu[1]"])
def test_other_forms_are_refused(text):
    with pytest.raises(AutoactError, match="cannot read the activation"):
        Choice.parse(text)


@pytest.mark.parametrize("text", ["elu(0.5)", "elu(alpha)", "elu(alpha=x)", "elu(alpha=1, alpha=2)", "elu(alpha=)"])
def test_other_parameters_are_refused(text):
    with pytest.raises(AutoactError, match="write param=number, each once"):
        Choice.parse(text)


@pytest.mark.parametrize("value", [0.2, 1.0, -3.0, 1e-12, 1 / 3, 1e22, 123456789.0, 0.1 + 0.2])
def test_the_text_form_reads_back(value):
    choice = Choice("elu", (("alpha", value),))
    assert Choice.parse(str(choice)) == choice


def test_the_text_form_is_short():
    assert str(Choice.parse("elu(alpha=0.20)")) == "elu(alpha=0.2)"
    assert str(Choice.parse("a(z=1,b=2)")) == "a(b=2, z=1)"


def test_a_choice_parses_to_itself():
    choice = Choice("gelu")
    assert Choice.parse(choice) is choice


def test_an_assignment_is_a_mapping_of_choices():
    assignment = Assignment({"b": "tanh", "a": Choice("relu")})
    assert list(assignment) == ["b", "a"]
    assert assignment["b"] == Choice("tanh")
    assert dict(assignment) == {"b": Choice("tanh"), "a": Choice("relu")}
    assert (len(assignment), "a" in assignment, "c" in assignment) == (2, True, False)
    with pytest.raises(KeyError):
        assignment["c"]


def test_equality_does_not_depend_on_the_order_of_sites():
    one, other = Assignment({"a": "relu", "b": "tanh"}), Assignment({"b": "tanh", "a": "relu"})
    assert one == other
    assert hash(one) == hash(other)
    assert one != Assignment({"a": "tanh", "b": "relu"})
    assert len({one, other}) == 1


def test_an_assignment_does_not_follow_the_mapping_it_was_made_of():
    given = {"a": "relu"}
    assignment = Assignment(given)
    given["a"] = "tanh"
    assert assignment["a"] == Choice("relu")
    with pytest.raises(TypeError):
        assignment["a"] = Choice("tanh")  # type: ignore[index]


@pytest.mark.parametrize(
    ("choices", "uniform", "summary"),
    [
        ({"a": "tanh"}, True, "tanh"),
        ({"a": "tanh", "b": "tanh"}, True, "tanh"),
        ({"a": "tanh", "b": "relu"}, False, "tanh | relu"),
        ({"a": "elu(alpha=0.5)", "b": "elu"}, False, "elu(alpha=0.5) | elu"),
    ],
)
def test_uniform_and_summary(choices, uniform, summary):
    assert Assignment(choices).uniform is uniform
    assert Assignment(choices).summary() == summary


def test_an_activation_that_is_no_text_is_answered_with_its_name():
    for given in (nn.GELU, nn.GELU()):
        with pytest.raises(AutoactError, match="it must be text, such as 'GELU'"):
            Assignment({"act": given})
    with pytest.raises(AutoactError, match=r"it must be text$"):
        Choice.parse(3)


def test_round_trips():
    assignment = Assignment({"a": "elu(alpha=0.5)", "b": "relu"})
    assert Assignment(assignment.to_dict()) == assignment
    assert Assignment(assignment) == assignment
    assert eval(repr(assignment)) == assignment
    assert pickle.loads(pickle.dumps(assignment)) == assignment
    assert copy.deepcopy(assignment) == assignment
