"""Stepping out of vmap: the short way and torch's documented one agree."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, hessian, jacfwd, jvp, vmap

from autoact.training.population.vmap import escape as module
from autoact.training.population.vmap.escape import outside


def ranked(x_k: torch.Tensor) -> torch.Tensor:
    """Needs all members at once: each is scaled by its own number."""
    return x_k.sin() * torch.arange(1.0, len(x_k) + 1).view(-1, 1)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("short", [True, False])
def test_it_sees_all_members_and_gradients_flow(monkeypatch, dim, short):
    if not short:
        monkeypatch.setattr(module, "is_batchedtensor", lambda x: False)
    x = torch.randn(3, 5, requires_grad=True)
    given = x if dim == 0 else x.t()
    found = vmap(lambda member, row: outside(row * 2, member, ranked) + 1, in_dims=(0, dim))(torch.arange(3), given)
    expected = ranked(x * 2) + 1
    torch.testing.assert_close(found, expected)
    (mine,) = torch.autograd.grad(found.sum(), x, retain_graph=True)
    torch.testing.assert_close(mine, torch.autograd.grad(expected.sum(), x)[0])


def test_what_is_the_same_for_all_members_is_handed_to_each():
    row = torch.randn(5)
    found = vmap(lambda member: outside(row, member, ranked))(torch.arange(3))
    torch.testing.assert_close(found, ranked(row.expand(3, 5)))


def test_an_inner_vmap_keeps_its_own_axis():
    x = torch.randn(3, 4, 5)

    def one(member: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return vmap(lambda row: row + 1)(outside(rows, member, lambda x_k: x_k * 2))

    torch.testing.assert_close(vmap(one)(torch.arange(3), x), x * 2 + 1)


def test_nobody_calls_it_outside_a_population():
    with pytest.raises(RuntimeError, match="outside its population"):
        outside(torch.zeros(2), torch.tensor(0), ranked)


def by_grad(net, x):
    slopes = grad(lambda at: net(at).sum())
    return grad(lambda at: slopes(at)[:, 0].sum())(x)[:, 0] + slopes(x)[:, 1]


def by_jvp(net, x):
    along = torch.ones_like(x)
    return jvp(lambda at: jvp(net, (at,), (along,))[1], (x,), (along,))[1][:, 0]


def by_hessian(net, x):
    return vmap(hessian(lambda at: net(at[None])[0, 0]))(x).flatten(1).sum(1)


def by_jacobian(net, x):
    return vmap(jacfwd(lambda at: net(at[None])[0, 0]))(x).square().sum(1)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, when it loads forward derivatives
@pytest.mark.parametrize("derivative", [by_grad, by_jvp, by_hessian, by_jacobian])
def test_derivatives_inside_the_step_are_those_of_each_member_alone(derivative):
    """And what they make of the members' weights, those that the function itself holds included."""
    x, w, own = (torch.randn(shape, dtype=torch.float64) for shape in ((6, 2), (3, 2, 1), (3,)))
    w.requires_grad_()
    own.requires_grad_()

    def scaled(x_k):
        return (x_k * own.view(-1, *[1] * (x_k.dim() - 1))).sin()

    def one(member, weight):
        return derivative(lambda at: outside(at @ weight, member, scaled), x).square().sum()

    found = vmap(one)(torch.arange(3), w)
    alone = [derivative(lambda at, k=k: (at @ w[k] * own[k]).sin(), x).square().sum() for k in range(3)]
    torch.testing.assert_close(found, torch.stack(alone))
    expected = torch.autograd.grad(sum(alone), (w, own))
    torch.testing.assert_close(torch.autograd.grad(found.sum(), (w, own)), expected)


def test_an_inner_vmap_calls_it_for_rows_of_each_member():
    x = torch.randn(3, 4, 5)
    found = vmap(lambda member, rows: vmap(lambda row: outside(row, member, ranked_rows))(rows))(torch.arange(3), x)
    torch.testing.assert_close(found, ranked_rows(x))


def ranked_rows(x_k: torch.Tensor) -> torch.Tensor:
    return x_k.sin() * torch.arange(1.0, len(x_k) + 1).view(-1, *[1] * (x_k.dim() - 1))
