"""Floor 2: the sites of a model and their replacement. Knows torch models; nothing of timing, data or searches."""

from autoact.sites.apply import apply, apply_
from autoact.sites.consumers import Source, consumers
from autoact.sites.find import find_sites
from autoact.sites.initialise import initialise_, rescale_
from autoact.sites.loading import watch_lenient_loads
from autoact.sites.marker import assignment_in
from autoact.sites.records import Site, Sites, Unreplaceable, Wiring
from autoact.sites.resize import DoesNotFitError, Plan, plan_widths
from autoact.sites.restore import restore_
from autoact.sites.rewrite import Call

__all__ = [
    "Call",
    "DoesNotFitError",
    "Plan",
    "Site",
    "Sites",
    "Source",
    "Unreplaceable",
    "Wiring",
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
