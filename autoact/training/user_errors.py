"""What an error of the user's code says, in one line, and where it came up."""

from __future__ import annotations

import traceback
from pathlib import Path

from autoact.core.errors import AutoactError, first_line

# Parts of messages that name our own stand-ins, or address the authors of torch -> what they mean to a user.
_MEANINGS = {
    "_Deferred": "the value of a metric is used for more than self.log",
    "_MetricStandIn": "a metric is used for more than a call, update and self.log",
    "'GroupedActivation' object has no attribute": "an attribute of an activation is read",
    "it must override the setup_context staticmethod": "an autograd.Function cannot be batched",
    "support the deepcopy protocol": "a module holds a computed tensor, as torch.nn.utils.weight_norm does "
    "(torch.nn.utils.parametrizations.weight_norm does not)",
    "call Tensor.requires_grad_()": "gradients are asked for inside the step by requires_grad_ (torch.func.grad in its "
    "place can be batched)",
    "inplace arithmetic(self, *extra_args) is not possible": "a candidate's values are written into a tensor made in "
    "the step, which is one for all",
}


def said(error: BaseException) -> str:
    """What an error says, in one line, and where in the user's code.

    Example:
        >>> said(ValueError("vmap: no such rule. Please file a bug report."))
        'no such rule'
    """
    text = first_line(error).removeprefix("vmap: ")
    text = next((meaning for part, meaning in _MEANINGS.items() if part in text), text)
    return f"{text.split('. ')[0].rstrip('.')}{_where(error)}"


def _where(error: BaseException) -> str:
    """The last line of the user's code that an error passed, in brackets; empty where it passed none."""
    package = str(Path(__file__).parents[1])
    outside = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(package)]
    own = [f for f in outside if "site-packages" not in f.filename and "dist-packages" not in f.filename]
    own = [f for f in own if not f.filename.startswith(_STANDARD_LIBRARY)]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def lone_row(error: Exception) -> AutoactError | None:
    """What to do where a training batch of one row met a normalisation over rows; None for any other error.

    Example:
        >>> print(lone_row(ValueError("Expected more than 1 value per channel when training, got input size [1, 8]")))
        a training batch holds one row, ... DataLoader(..., drop_last=True), or another batch_size
        >>> lone_row(ValueError("too few rows"))
    """
    text = first_line(error)
    if not (isinstance(error, ValueError) and text.startswith("Expected more than 1 value per channel when training")):
        return None
    return AutoactError(
        f"a training batch holds one row, and a normalisation takes means over its rows{_where(error)}: leave such a "
        "last batch out, DataLoader(..., drop_last=True), or another batch_size"
    )


_STANDARD_LIBRARY = str(Path(traceback.__file__).parent)
