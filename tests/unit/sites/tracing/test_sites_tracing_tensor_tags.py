"""Tags on tensors, and where channels lie after a function."""

import weakref

import pytest
import torch

from autoact.sites.tracing.tensor_tags import TensorTags, channel_dim_after, first_tensor, name_of


def test_tags_are_lost_when_written_even_through_a_view() -> None:
    tags, x = TensorTags[str](), torch.zeros(2, 2)
    tags.set(x, "a")
    assert tags.get(x) == "a"
    assert tags.get(x.view(4)) is None
    x.view(4).add_(1)
    assert tags.get(x) is None
    tags.set(x, "b")
    tags.set(x, None)
    assert tags.get(x) is None


def test_tagged_tensors_are_kept_alive() -> None:
    tags, x = TensorTags[str](), torch.zeros(2)
    alive = weakref.ref(x)
    tags.set(x, "a")
    del x
    assert alive() is not None


def test_name_and_first_tensor() -> None:
    x, y = torch.zeros(1), torch.ones(1)
    assert (name_of(torch.relu_), name_of(torch.Tensor.__add__), name_of(object())) == ("relu", "__add__", "")
    assert first_tensor((1, [x]), {"y": y}) is x
    assert first_tensor((1,), {"y": y}) is y
    assert first_tensor((), {}) is None


@pytest.mark.parametrize(
    ("name", "before", "dim", "after", "expected"),
    [
        ("conv2d", (2, 1, 8, 8), None, (2, 4, 8, 8), 1),
        ("conv2d", (1, 8, 8), None, (4, 8, 8), 0),
        ("conv_transpose1d", (2, 1, 8), None, (2, 4, 8), 1),
        ("batch_norm", (2, 4), None, (2, 4), None),
        ("group_norm", (2, 4, 3), None, (2, 4, 3), 1),
        ("relu", (2, 4, 3), 1, (2, 4, 3), 1),
        ("relu", (2, 4, 3), None, (2, 4, 3), None),
        ("sum", (2, 4, 3), 1, (2, 4), None),
        ("permute", (2, 4, 3), 1, (2, 3, 4), None),
        ("flatten", (2, 4, 3, 3), 1, (2, 4, 9), 1),
        ("flatten", (2, 4, 3, 3), 1, (2, 36), None),
        ("reshape", (2, 4, 3, 3), 1, (2, 36, 1), None),
        ("linear", (2, 4, 3), 1, (2, 4, 5), None),
    ],
)
def test_channel_dim(
    name: str, before: tuple[int, ...], dim: int | None, after: tuple[int, ...], expected: int | None
) -> None:
    assert channel_dim_after(name, [(torch.zeros(before), dim)], torch.zeros(after)) == expected
