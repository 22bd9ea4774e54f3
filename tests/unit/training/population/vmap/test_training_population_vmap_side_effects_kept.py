"""What members keep in plain Python is followed by what it is, never by where it lies in memory."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from autoact.training.population.vmap.side_effects import Kept
from autoact.training.state import module_state


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.last = torch.zeros(1)


def test_a_value_at_the_address_of_the_one_before_is_another(monkeypatch):
    # An address is given to the next object as soon as the one before is gone: here all have the same one.
    monkeypatch.setattr(module_state, "id", lambda _: 7, raising=False)
    base, members = Net(), [Net(), Net()]
    kept = Kept(base, members)
    for number in range(1, 4):
        base.last = torch.full((1,), float(number))
        gc.collect()
        kept.hand_out()
        assert [float(member.last) for member in members] == [number, number]


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}, 1.0, "text"])
def test_what_members_write_reaches_the_template(value):
    base, members = Net(), [Net(), Net()]
    kept = Kept(base, members)
    for member in members:
        member.last = value
    kept.gather()
    assert base.last == value
