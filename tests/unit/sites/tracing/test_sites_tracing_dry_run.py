"""Running a model without a trace, and the keys of memory."""

from collections import namedtuple

import pytest
import torch
from torch import nn

from autoact.core.errors import AutoactError
from autoact.sites.tracing.dry_run import copied, memory_of, run_model, tensors_in, undisturbed


def test_views_share_a_key_until_written() -> None:
    x = torch.zeros(2, 1)
    key = memory_of(x)
    assert memory_of(x.squeeze(-1)) == key
    assert memory_of(x.clone()) != key
    x += 1
    assert memory_of(x) != key


def test_sparse_tensors_have_no_key() -> None:
    with torch.no_grad():
        assert memory_of(torch.zeros(2, 2).to_sparse()) is None


def test_copied_keeps_the_form_and_not_the_memory() -> None:
    pair = namedtuple("pair", "a b")
    example = {"x": (torch.zeros(1), pair(torch.ones(1), 3)), "y": [None, "text"]}
    again = copied(example)
    assert type(again["x"][1]) is pair
    assert again["y"] == [None, "text"]
    for before, after in zip(tensors_in(example), tensors_in(again), strict=True):
        assert torch.equal(before, after)
        assert before is not after


def test_undisturbed_puts_back_after_an_error_and_switches_gradients_off() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()).train()
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), undisturbed(model):
        assert not model[0].training
        assert not torch.is_grad_enabled()
        model[0].running_mean.add_(1)
        model[0].register_buffer("new", torch.ones(1))
        torch.rand(3)
        raise ZeroDivisionError
    assert model[0].training
    assert torch.is_grad_enabled()
    assert torch.equal(model[0].running_mean, torch.zeros(2))
    assert "new" not in dict(model.named_buffers())
    assert torch.equal(torch.get_rng_state(), state)


def test_unwritten_buffers_keep_their_version() -> None:
    model = nn.BatchNorm1d(2)
    version = model.running_mean._version
    with undisturbed(model):
        model(torch.ones(3, 2))
    assert model.running_mean._version == version


def test_a_call_that_raises_says_so() -> None:
    def call() -> None:
        raise KeyError

    with pytest.raises(AutoactError, match="raised KeyError; the function passed as call must run the model"):
        run_model(nn.ReLU(), None, call)
