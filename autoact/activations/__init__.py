"""Floor 2: the activation catalogue. Pure functions, modules, registry, gain. Knows nothing of models or data.

``autoact.activations.gain.gain(choice)`` is the scale for the weights that consume an activation's output.
"""

from autoact.activations.fingerprint import function_key
from autoact.activations.modules import build, recognise
from autoact.activations.registry import canonical, get, names, pieces, register, unregister
from autoact.activations.spec import Activation, Initialisation, Parameter, SearchRange

__all__ = [
    "Activation",
    "Initialisation",
    "Parameter",
    "SearchRange",
    "build",
    "canonical",
    "function_key",
    "get",
    "names",
    "pieces",
    "recognise",
    "register",
    "unregister",
]
