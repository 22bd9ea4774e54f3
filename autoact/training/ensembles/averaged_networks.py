"""One module that holds several networks of equal form, and gives the mean of what they predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import nn
from torch.nn.functional import logsigmoid

from autoact.core.errors import AutoactError, unknown
from autoact.latency.model_call import call_model
from autoact.training.state._compat_torch import tree_map

FORMS = ("number", "sigmoid", "softmax")


class AveragedNetworks(LightningModule):
    """Gives what, turned into scores by ``form``, is the mean of the networks' scores; ``score`` is the networks' own.

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

    score: Callable[..., torch.Tensor]

    def __init__(self, networks: Sequence[nn.Module], form: str = "number") -> None:
        super().__init__()
        if form not in FORMS:
            raise unknown("form", form, FORMS)
        self.networks = nn.ModuleList(networks)
        self.form = form
        if callable(score := getattr(networks[0], "score", None)):
            self.score = score
        self.eval()

    def __len__(self) -> int:
        """How many networks there are."""
        return len(self.networks)

    def forward(self, x: Any = None, *further: Any, **named: Any) -> Any:
        """The output whose scores are the mean of the networks' scores; of several tensors, each by itself."""
        # A first argument of its own: torch.export names dimensions by argument.
        arguments = () if x is None else (x, *further)
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


def averaged(networks: Sequence[LightningModule], example: Any) -> AveragedNetworks:
    """One module whose scores are the mean of the networks' own (``score(output)``, as the recipes have it).

    Networks without a method ``score`` give scores, as the metric of a module of the user's own takes them.

    Args:
        networks: equal but for their weights; in evaluation mode.
        example: what a network takes, two rows or more.

    Raises:
        AutoactError: no form gives that mean.
    """
    scores = [score for network in networks if callable(score := getattr(network, "score", None))]
    if len(scores) < len(networks):
        return AveragedNetworks(networks)
    with torch.no_grad():
        wanted = torch.stack(
            [score(call_model(one, example)) for one, score in zip(networks, scores, strict=True)]
        ).mean(0)
        for form in FORMS:
            made = AveragedNetworks(networks, form)
            found = made.score(call_model(made, example))
            if found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-4, atol=1e-5):
                return made
    name = type(networks[0]).__name__
    raise AutoactError(
        f"{name}.score is none of {', '.join(FORMS)}, so that no output has the mean of {len(networks)} scores: train "
        "it without train.ensemble"
    )
