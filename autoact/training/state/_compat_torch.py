"""The private names of torch that training populations needs, in one place."""

import torch

from autoact.core.imports import private_name_gone

try:
    from torch._C._functorch import _add_batch_dim as add_batch_dim
    from torch._C._functorch import (
        get_unwrapped,
        is_batchedtensor,
        is_functorch_wrapped_tensor,
        maybe_get_bdim,
        maybe_get_level,
    )
    from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter as current_interpreter
    from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

    fused_adam_, fused_adamw_ = torch._fused_adam_, torch._fused_adamw_
    foreach_zero_ = torch._foreach_zero_
    foreach_clamp_max_, foreach_clamp_min_ = torch._foreach_clamp_max_, torch._foreach_clamp_min_
except (ImportError, AttributeError) as error:
    raise private_name_gone("torch", error, needed_for="training many candidates at once") from error

__all__ = [
    "TreeSpec",
    "add_batch_dim",
    "current_interpreter",
    "foreach_clamp_max_",
    "foreach_clamp_min_",
    "foreach_zero_",
    "fused_adam_",
    "fused_adamw_",
    "get_unwrapped",
    "is_batchedtensor",
    "is_functorch_wrapped_tensor",
    "maybe_get_bdim",
    "maybe_get_level",
    "tree_flatten",
    "tree_map",
    "tree_unflatten",
]
