"""The private names of Lightning that training populations needs, in one place."""

from autoact.core.imports import private_name_gone

try:
    from lightning.fabric.utilities.data import _set_sampler_epoch as set_sampler_epoch
    from lightning.pytorch.core.optimizer import _configure_optimizers as configured_optimizers
    from lightning.pytorch.core.optimizer import _configure_schedulers_automatic_opt as configured_schedulers
    from lightning.pytorch.core.optimizer import _validate_scheduler_api as check_schedulers
except ImportError as error:
    raise private_name_gone("lightning", error, needed_for="stepping the optimisers of many candidates") from error

__all__ = ["check_schedulers", "configured_optimizers", "configured_schedulers", "set_sampler_epoch"]
