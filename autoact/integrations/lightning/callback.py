"""Lightning: a callback that puts activations into a user's own module, and the way back from a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import lightning

from autoact.activations import function_key, get
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError
from autoact.latency.model_call import to_device
from autoact.recommendation import Recommendation
from autoact.recommendation.site_matching import changed
from autoact.sites import apply_, assignment_in
from autoact.sites.replacement.parameter_groups import check_rate, no_groups_in, put_activations_apart_
from autoact.sites.replacement.restore import put_carried_
from autoact.sites.replacement.state_dict_marker import is_put_in
from autoact.sites.rewriting.method_rewrite import calls_rewritten, rewrite_
from autoact.user_code.pytorch_lightning import is_of
from autoact.workflows.load_recommendation import load_recommendation

Module = TypeVar("Module", bound=lightning.LightningModule)
_HOOK = "configure_model"


class ApplyActivations(lightning.Callback):
    """Puts recommended activations into the module that a ``Trainer`` runs, before its optimiser is made.

    The module is changed in place and once: right after its ``configure_model``, so layers may be built in
    ``__init__``, ``setup`` or ``configure_model``. It happens before a checkpoint is loaded, so a training with
    learnable activations resumes. A module that carries the assignment already is left alone.

    Args:
        recommendation: a recommendation; where it lies (see ``load_recommendation``); or an assignment, for instance
            from ``autoact.assignment_from(study.best_trial)``.
        policy: see ``Recommendation.policy``.
        example_input: what ``module(example_input)`` accepts; the module's ``example_input_array`` unless given.
            Needed for gated activations and for ``rescale``.
        rescale: in ``fit``, scale the weights of a module that is about to be trained from scratch, as the search did.
        strict: see ``Recommendation.apply``.
        activation_rate: factor of the learning rate of the weights that activations bring along, which then have no
            weight decay; the recommendation's unless given, and 1 for an assignment: they train as all others.

    Raises:
        AutoactError: there is no such recommendation or policy; when the trainer starts: it does not fit the module.

    Example:
        >>> ApplyActivations({"net.1": "tanh"}).assignment
        Assignment({'net.1': 'tanh'})
    """

    def __init__(
        self,
        recommendation: Recommendation | Mapping[str, str | Choice] | str | Path,
        policy: str | None = None,
        *,
        example_input: Any = None,
        rescale: bool = False,
        strict: bool = True,
        activation_rate: float | None = None,
    ) -> None:
        self.recommendation: Recommendation | None = None
        self.policy = policy
        if isinstance(recommendation, str | Path):
            recommendation = load_recommendation(recommendation)
        if isinstance(recommendation, Recommendation):
            self.recommendation = recommendation
            self.policy, chosen = recommendation.named(policy)
            self.assignment = chosen.assignment
        elif isinstance(recommendation, Mapping):
            if policy is not None:
                raise AutoactError(f"policy={policy!r} chooses from a recommendation; an assignment has no policies")
            self.assignment = Assignment(recommendation)
        else:
            kind = type(recommendation).__name__
            raise AutoactError(f"ApplyActivations takes a recommendation, its path or an assignment, not {kind}")
        self.example_input, self.rescale, self.strict = example_input, rescale, strict
        recommended = 1.0 if self.recommendation is None else self.recommendation.activation_rate
        self.activation_rate = recommended if activation_rate is None else activation_rate
        check_rate("activation_rate", self.activation_rate)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Wrap the module's ``configure_model``: no hook runs between it and the optimiser."""
        _unwrap(pl_module)
        inner = pl_module.configure_model

        def configure_model() -> None:
            _unwrap(pl_module)
            inner()
            self._put_into(pl_module, fresh=stage == "fit")

        configure_model._autoact = True  # type: ignore[attr-defined]
        # Lightning calls the hook of a module that overrides it; it looks at the instance first.
        pl_module.__dict__[_HOOK] = configure_model

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Give the weights of activations their own learning rate; a resumed training's values come back after this."""
        weights = [weight for part in pl_module.modules() if is_put_in(part) for weight in part.weights()]
        if not weights or self.activation_rate == 1.0:
            return
        for reason in filter(None, map(no_groups_in, trainer.optimizers)):
            warnings.warn(
                f"activation_rate={self.activation_rate:g} is not in force, the weights of activations train as all "
                f"others: {reason}",
                UserWarning,
                stacklevel=2,
            )
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        able = [optimizer for optimizer in trainer.optimizers if not no_groups_in(optimizer)]
        put_activations_apart_(pl_module, able, schedulers, factor=self.activation_rate)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave the module's methods as they were, if its ``setup`` failed."""
        _unwrap(pl_module)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Leave the module's methods as they were."""
        _unwrap(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """What stands in a checkpoint beside the weights: the assignment, and where it comes from."""
        about = {"task": self.recommendation.task, "digest": self.recommendation.digest} if self.recommendation else {}
        return {
            "assignment": self.assignment.to_dict(),
            "policy": self.policy,
            "activation_rate": self.activation_rate,
            **about,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare with the checkpoint's assignment.

        Raises:
            AutoactError: the checkpoint was trained with other activations, or with another rate for their weights.
        """
        saved = Assignment(state_dict["assignment"])
        if _keys(saved) != _keys(self.assignment):
            raise AutoactError(
                f"the checkpoint was trained with {saved.summary()}, this callback applies {self.assignment.summary()}"
            )
        rate = state_dict.get("activation_rate", 1.0)
        if rate != self.activation_rate and any(get(choice.name).learnable for choice in saved.values()):
            raise AutoactError(
                f"the checkpoint was trained with activation_rate={rate:g}, this callback has "
                f"{self.activation_rate:g}: give ApplyActivations(..., activation_rate={rate:g})"
            )

    def _put_into(self, module: lightning.LightningModule, *, fresh: bool) -> None:
        """Change the module unless it carries the assignment already."""
        if self._carried_by(module):
            return
        example = self.example_input if self.example_input is not None else module.example_input_array
        example, rescale = to_device(example, module.device), self.rescale and fresh
        if self.recommendation is not None:
            self.recommendation.apply_(module, self.policy, strict=self.strict, rescale=rescale, example_input=example)
        else:
            apply_(module, self.assignment, example_input=example, rescale=rescale)

    def _carried_by(self, module: lightning.LightningModule) -> bool:
        """Whether the module has been changed already.

        Raises:
            AutoactError: it carries another assignment.
        """
        held = assignment_in(name for name, _ in module.named_buffers(remove_duplicate=False))
        if not held:
            return False
        other = [
            f"{site}: it carries {held[site]}, wanted is {choice}"
            for site, choice in self.assignment.items()
            if site in held and function_key(held[site]) != function_key(choice)
        ]
        other += [f"{site}: {choice} is missing" for site, choice in self._missing(held) if self.strict]
        if other:
            raise AutoactError(f"{type(module).__name__} carries another assignment already: {'; '.join(other)}")
        return True

    def _missing(self, held: Assignment) -> list[tuple[str, Choice]]:
        """The sites that would be changed in a fresh module, and are not; known where the old activations are."""
        seen = self.recommendation.sites if self.recommendation else {}
        return [(site, choice) for site, choice in changed(seen, self.assignment).items() if site not in held]


def load_from_checkpoint(
    kind: type[Module], checkpoint_path: str | Path, *, example_input: Any = None, **arguments: Any
) -> Module:
    """``kind.load_from_checkpoint`` for a checkpoint that carries an assignment.

    The class itself refuses such weights, since it would compute another function. Here the module is built with its
    saved hyperparameters, the activations that the weights were trained with are put in, and the weights are loaded.
    A checkpoint without an assignment loads as ever.

    Args:
        kind: the module's class.
        checkpoint_path: the file.
        example_input: as in ``find_sites``; needed where an activation has weights per channel or is gated. The
            module's ``example_input_array`` unless given.
        arguments: of ``LightningModule.load_from_checkpoint``: ``map_location``, ``strict``, ``weights_only``,
            ``hparams_file``, and hyperparameters that replace the saved ones.

    Raises:
        AutoactError: ``kind`` is no LightningModule's class, or the sites of the checkpoint are not in the module.
    """
    if not (isinstance(kind, type) and is_of(kind, lightning.LightningModule)):
        raise AutoactError(f"load_from_checkpoint takes the class of a LightningModule first, not {kind!r}")

    def on_load_checkpoint(self: Any, checkpoint: dict[str, Any]) -> None:
        # Now, not afterwards: calls in the module's own methods are exchanged by a subclass of its class.
        calls = calls_rewritten(self)
        self.__class__ = kind
        if calls:  # the module's __init__ has exchanged some
            rewrite_(self, calls)
        self.on_load_checkpoint(checkpoint)
        held = assignment_in(self.state_dict())
        carried = assignment_in(checkpoint["state_dict"])
        missing = {site: choice for site, choice in carried.items() if held.get(site) != choice}
        if missing:
            example = example_input if example_input is not None else self.example_input_array
            put_carried_(self, missing, to_device(example, self.device))

    # Lightning's own way, with one step between building the module and loading its weights.
    added = {"on_load_checkpoint": on_load_checkpoint, "__module__": kind.__module__}
    between: Any = type(kind.__name__, (kind,), added)
    return cast(Module, between.load_from_checkpoint(checkpoint_path, **arguments))


def _unwrap(module: lightning.LightningModule) -> None:
    """Give the module its own ``configure_model`` back."""
    if getattr(module.__dict__.get(_HOOK), "_autoact", False):
        del module.__dict__[_HOOK]


def _keys(assignment: Assignment) -> dict[str, str]:
    """Equal for assignments that compute the same functions."""
    return {site: function_key(choice) for site, choice in assignment.items()}
