"""Floor 2: the activation catalogue. Pure functions, modules, registry, gain. Knows nothing of models or data.

``autoact.activations.gain.gain(choice)`` is the scale for the weights that consume an activation's output.
"""

from autoact.activations.fingerprint import function_key
from autoact.activations.modules import (
    ActivationModule,
    GatedActivation,
    LearnableActivation,
    build,
    recognise,
    torch_activation_types,
)
from autoact.activations.registry import canonical, get, names, pieces, register, unregister
from autoact.activations.spec import Activation, Parameter

__all__ = [
    "Activation",
    "ActivationModule",
    "GatedActivation",
    "LearnableActivation",
    "Parameter",
    "build",
    "canonical",
    "function_key",
    "get",
    "names",
    "pieces",
    "recognise",
    "register",
    "torch_activation_types",
    "unregister",
]
