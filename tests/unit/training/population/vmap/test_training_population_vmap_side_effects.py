"""What training steps keep on the template reaches every member."""

from __future__ import annotations

import torch
from torch import nn

from autoact.training.population.vmap.side_effects import Kept


class Net(nn.Module):
    last: torch.Tensor | None = None


def test_a_tensor_in_the_place_of_one_that_is_gone_is_another() -> None:
    base, member = Net(), Net()
    kept = Kept(base, [member])
    for step in range(50):
        base.last = None  # the next tensor is likely to get the address of the one before
        base.last = torch.full((2,), float(step))
        kept.hand_out()
        assert member.last is not None and member.last.tolist() == [step, step]
