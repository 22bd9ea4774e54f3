"""Hydra: what the files of ``+autoact/recommendation=...`` make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoact.core.assignment import Assignment
from autoact.workflows.load_recommendation import load_recommendation

if TYPE_CHECKING:
    from torch import nn


def apply_recommendation(model: nn.Module, *, path: str | Path, policy: str | None = None, **options: Any) -> nn.Module:
    """A copy of ``model`` with the recommendation that lies at ``path``.

    Args:
        model: see ``Recommendation.apply``.
        path: see ``load_recommendation``.
        policy: see ``Recommendation.policy``.
        options: ``rescale``, ``strict`` and ``example_input`` of ``Recommendation.apply``.

    Raises:
        AutoactError: there is no recommendation, or it does not fit the model.
    """
    return load_recommendation(path).apply(model, policy, **options)


def apply_assignment(model: nn.Module, *, assignment: Any, **options: Any) -> nn.Module:
    """A copy of ``model`` with an assignment that is written in the configuration.

    Args:
        model: see ``apply``.
        assignment: site name or glob -> activation.
        options: ``rescale`` and ``example_input`` of ``apply``.

    Raises:
        AutoactError: it does not fit the model.
    """
    from autoact.sites import apply

    return apply(model, Assignment(dict(assignment)), **options)
