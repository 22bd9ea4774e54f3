"""Train a recommended configuration once, with the task's own recipe or module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from autoact.core.errors import AutoactError
from autoact.core.records import Candidate, TrialRecord
from autoact.recommendation import Policy, Recommendation
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.threads import fastest_threads


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        module: with the weights of its best epoch, in evaluation mode on the CPU.
        record: what the training measured.
        policy: what was trained.
        name: the policy's name.
    """

    module: Any
    record: TrialRecord
    policy: Policy
    name: str


def train_recommended(
    task: Task,
    recommendation: Recommendation,
    policy: str | None,
    *,
    device: torch.device,
    patience: int | None = None,
    seed: int = 0,
) -> Trained:
    """Train a policy's assignment with its settings; the test part stays sealed.

    Args:
        task: the task that the search had.
        recommendation: what the search wrote.
        policy: which policy; see ``Recommendation.policy``.
        device: where to train.
        patience: epochs without a better validation value before training stops.
        seed: of weights and batches.

    Raises:
        AutoactError: the recommendation does not fit the model, or training failed.
    """
    module = task.make_module()
    module.configure_model()
    chosen = recommendation.policy(policy)
    recommendation.apply(module, policy, example_input=task.example_input)  # names every site that does not fit
    options = SessionOptions(device, patience, recommendation.rescale, threads=fastest_threads(task, device))
    session = LightningSession(task, options)
    session.start([(0, Candidate(chosen.assignment, chosen.settings, seed, "train"))])
    (record,) = session.advance()
    if not record.complete:
        raise AutoactError(f"training failed: {record.reason}")
    name = next(n for n, p in {**recommendation.policies, "baseline": recommendation.baseline}.items() if p is chosen)
    return Trained(session.modules()[0].eval().cpu(), record, chosen, name)
