"""One module that holds several networks of equal form, and gives the mean of what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from autoact.core.errors import unknown
from autoact.training.state._compat_torch import tree_map

FORMS = ("number", "sigmoid", "softmax")


class AveragedNetworks(lightning.LightningModule):
    """Gives what, turned into scores by ``form``, is the mean of the networks' scores.

    Args:
        networks: equal but for their weights; in evaluation mode.
        form: what turns an output into scores: ``number`` (nothing), ``sigmoid`` or ``softmax`` (last dimension).

    Raises:
        AutoactError: there is no such form.

    Shape:
        As each network takes and gives it.

    Example:
        >>> networks = [nn.Linear(3, 2), nn.Linear(3, 2)]
        >>> x = torch.randn(4, 3)
        >>> mean = AveragedNetworks(networks, "softmax")(x).softmax(1)
        >>> torch.allclose(mean, (networks[0](x).softmax(1) + networks[1](x).softmax(1)) / 2)
        True
    """

    def __init__(self, networks: Sequence[nn.Module], form: str = "number") -> None:
        super().__init__()
        if form not in FORMS:
            raise unknown("form", form, FORMS)
        self.networks = nn.ModuleList(networks)
        self.form = form
        self.eval()

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """The output whose scores are the mean of the networks' scores; of several tensors, each by itself."""
        return tree_map(self._mean, *(network(*arguments, **named) for network in self.networks))

    def _mean(self, *outputs: Any) -> Any:
        if not isinstance(outputs[0], torch.Tensor) or not outputs[0].is_floating_point():
            return outputs[0]
        out = torch.stack(outputs)
        if self.form == "number":
            return out.mean(0)
        if self.form == "softmax":
            return out.log_softmax(-1).logsumexp(0)
        # The mean probability's logit, from logarithms: probabilities near 0 and 1 keep their digits.
        return logsigmoid(out).logsumexp(0) - logsigmoid(-out).logsumexp(0)
