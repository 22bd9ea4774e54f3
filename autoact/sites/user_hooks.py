"""Hooks that users register on layers and weights go along when activations are exchanged and models copied."""

from __future__ import annotations

from torch import nn

_KINDS = (
    ("_forward_pre_hooks", ("_forward_pre_hooks_with_kwargs",)),
    ("_forward_hooks", ("_forward_hooks_with_kwargs", "_forward_hooks_always_called")),
    ("_backward_pre_hooks", ()),
    ("_backward_hooks", ()),
)


def own_hooks(module: nn.Module) -> list[object]:
    """The hooks on a module that are not autoact's.

    Example:
        >>> layer = nn.ReLU()
        >>> handle = layer.register_forward_hook(print)
        >>> own_hooks(layer) == [print]
        True
    """
    return [hook for kind, _ in _KINDS for hook in getattr(module, kind).values() if not _is_ours(hook)]


def take_hooks_(module: nn.Module, replaced: nn.Module) -> None:
    """Let ``module`` have the user's hooks of the one it replaces; their handles remove them there, too.

    Example:
        >>> one, other = nn.ReLU(), nn.Tanh()
        >>> handle = one.register_forward_hook(print)
        >>> take_hooks_(other, one)
        >>> len(own_hooks(other))
        1
        >>> handle.remove()
        >>> own_hooks(other)
        []
    """
    for kind, marks in _KINDS:
        mine, theirs = getattr(module, kind), getattr(replaced, kind)
        if not any(not _is_ours(hook) for hook in theirs.values()):
            continue
        if mine:  # a copy of the input or the output that autoact takes: both have to be there
            mine.update({number: hook for number, hook in theirs.items() if not _is_ours(hook)})
        else:
            setattr(module, kind, theirs)
        for mark in marks:
            getattr(module, mark).update(getattr(replaced, mark))
    if module._is_full_backward_hook is None:
        module._is_full_backward_hook = replaced._is_full_backward_hook


def take_gradient_hooks_(copied: nn.Module, model: nn.Module) -> None:
    """Register the hooks on the gradients of a model's parameters with those of its copy: copying forgets them.

    Example:
        >>> import copy
        >>> layer = nn.Linear(1, 1)
        >>> handle = layer.weight.register_hook(lambda gradient: 0 * gradient)
        >>> other = copy.deepcopy(layer)
        >>> take_gradient_hooks_(other, layer)
        >>> len(other.weight._backward_hooks)
        1
    """
    for one, other in zip(model.parameters(), copied.parameters(), strict=True):
        for hook in (one._backward_hooks or {}).values():
            if not other._backward_hooks or hook not in other._backward_hooks.values():
                other.register_hook(hook)
        for hook in (getattr(one, "_post_accumulate_grad_hooks", None) or {}).values():
            other.register_post_accumulate_grad_hook(hook)


def _is_ours(hook: object) -> bool:
    return str(getattr(hook, "__module__", "")).startswith("autoact.")
