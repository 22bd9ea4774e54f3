"""The private names of Optuna that a study needs, in one place."""

from optuna.samplers import BaseGASampler

from autoact.core.imports import private_name_gone

try:
    from optuna.study._constrained_optimization import _CONSTRAINTS_KEY as CONSTRAINTS_KEY
except ImportError as error:
    raise private_name_gone("optuna", error, needed_for="noting which trials break a limit") from error

__all__ = ["CONSTRAINTS_KEY", "generation_key"]


def generation_key(sampler: BaseGASampler) -> str:
    """The system attribute in which a genetic sampler notes a trial's generation."""
    try:
        return type(sampler)._get_generation_key()
    except AttributeError as error:
        raise private_name_gone("optuna", error, needed_for="the generations of a genetic sampler") from error
