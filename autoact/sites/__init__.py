"""Floor 3: the sites of a model and their replacement. Knows torch models; nothing of timing, data or searches."""

from autoact.sites.discovery.find import find_sites
from autoact.sites.initialise import initialise_, rescale_
from autoact.sites.replacement.apply import apply, apply_
from autoact.sites.replacement.layer_widths import DoesNotFitError, plan_widths
from autoact.sites.replacement.lenient_loading import watch_lenient_loads
from autoact.sites.replacement.restore import restore_
from autoact.sites.replacement.state_dict_marker import assignment_in
from autoact.sites.site import Site, Sites, Unreplaceable
from autoact.sites.tracing.weight_consumers import WeightSource, consumers

__all__ = [
    "DoesNotFitError",
    "Site",
    "Sites",
    "Unreplaceable",
    "WeightSource",
    "apply",
    "apply_",
    "assignment_in",
    "consumers",
    "find_sites",
    "initialise_",
    "plan_widths",
    "rescale_",
    "restore_",
]

watch_lenient_loads()
