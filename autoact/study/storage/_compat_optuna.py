"""The private names of Optuna that a study needs, in one place."""

from collections.abc import Mapping

from optuna.samplers import BaseGASampler, PartialFixedSampler
from optuna.study import Study
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, Trial

from autoact.core.imports import private_name_gone

try:
    from optuna.study._constrained_optimization import _CONSTRAINTS_KEY as CONSTRAINTS_KEY
except ImportError as error:
    raise private_name_gone("optuna", error, needed_for="noting which trials break a limit") from error

__all__ = ["CONSTRAINTS_KEY", "fixed_parameters", "generation_key", "given_parameters"]

# The system attribute in which enqueue_trial notes a trial's parameters.
FIXED_PARAMETERS = "fixed_params"


def generation_key(sampler: BaseGASampler) -> str:
    """The system attribute in which a genetic sampler notes a trial's generation."""
    try:
        return type(sampler)._get_generation_key()
    except AttributeError as error:
        raise private_name_gone("optuna", error, needed_for="the generations of a genetic sampler") from error


def given_parameters(trial: BaseTrial | FrozenTrial) -> Mapping[str, object]:
    """What ``enqueue_trial`` or a ``FixedTrial`` gave for a trial's parameters, asked for or not."""
    if isinstance(trial, FixedTrial):
        try:
            return dict(trial._params)
        except AttributeError as error:
            raise private_name_gone("optuna", error, needed_for="the values of a FixedTrial") from error
    if isinstance(trial, Trial):
        trial = trial.study.get_trials(deepcopy=False)[trial.number]
    return dict(trial.system_attrs.get(FIXED_PARAMETERS, {})) if isinstance(trial, FrozenTrial) else {}


def fixed_parameters(study: Study, trial: FrozenTrial) -> Mapping[str, object]:
    """The parameters of a trial that no sampler decides: already suggested, enqueued, or fixed around the sampler."""
    sampler = getattr(study, "sampler", None)  # the part of a study that Hyperband shows has none
    around: Mapping[str, object] = {}
    if isinstance(sampler, PartialFixedSampler):
        try:
            around = sampler._fixed_params
        except AttributeError as error:
            raise private_name_gone("optuna", error, needed_for="parameters that PartialFixedSampler fixes") from error
    return {**around, **given_parameters(trial), **trial.params}
