"""A recommendation as Python source that needs torch alone: real formulas, those of the searched functions."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import types
from collections.abc import Callable

import torch
import torch.nn.functional as F

from autoact.activations import Activation, canonical, get
from autoact.activations.registry import parameters
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.core.value_holders import PlainData
from autoact.recommendation import Recommendation
from autoact.recommendation.safe_text import quotable
from autoact.recommendation.site_matching import changed

_OURS = "autoact.activations."

_HEAD = """\
The activations that autoact recommends for {task} (policy {policy}). Needs torch alone.

Use apply_(model) on the unchanged model, before its optimiser is made. To load weights that were saved with
autoact: model.load_state_dict({{k: v for k, v in weights.items() if 'autoact:' not in k}}).
"""
_WIDTHS = """
The layers before and behind {sites} have other widths there: each output
channel is made of several input channels. Give your class these widths yourself.
"""
_RATE = """
Where weights are trained: {rate}, as in the search.
"""
_POINTWISE = '''
class Pointwise(nn.Module):
    """A function of each number, without weights."""

    def __init__(self, function, **settings):
        super().__init__()
        self.function, self.settings = function, settings

    def forward(self, x):
        return self.function(x, **self.settings)
'''
_STOCHASTIC = '''
class Stochastic(nn.Module):
    """A function of each number that draws random numbers in training."""

    def __init__(self, function, **settings):
        super().__init__()
        self.function, self.settings = function, settings

    def forward(self, x):
        return self.function(x, **self.settings, training=self.training)
'''
_LEARNABLE = '''
class Learnable(nn.Module):
    """A function of each number whose parameters are weights, a set for each channel."""

    def __init__(self, function, channels, channel_dim, **starts):
        super().__init__()
        self.function, self.channel_dim = function, channel_dim
        for name, value in starts.items():
            self.register_parameter(name, nn.Parameter(torch.full((channels,), value)))

    def forward(self, x):
        after = (x.dim() if self.channel_dim >= 0 else 0) - self.channel_dim - 1
        return self.function(x, *(weight.view(-1, *[1] * after) for weight in self.parameters()))
'''
_NORMALISATION = '''
class Normalisation(nn.Module):
    """A function of each number with the scale and shift of the normalisation that it stands for."""

    def __init__(self, function, **starts):
        super().__init__()
        self.function, self.names = function, list(starts)
        for name, value in starts.items():
            self.register_parameter(name, nn.Parameter(torch.full((1,), value)))

    def stand_for(self, old):
        self.weight, self.bias = old.weight, getattr(old, "bias", None)

    def forward(self, x):
        y = self.function(x, *(getattr(self, name) for name in self.names))
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias
'''
_CLASSES = {
    "Pointwise": _POINTWISE,
    "Stochastic": _STOCHASTIC,
    "Learnable": _LEARNABLE,
    "Normalisation": _NORMALISATION,
}
_APPLY = '''
def apply_(model):
    """Put each activation in its place, under all names that the old one has; returns the model."""
    for name, make in ACTIVATIONS.items():
        path, _, key = name.rpartition(".")
        owner, new = model.get_submodule(path), make()
        old = getattr(owner, key)
        if hasattr(new, "stand_for"):
            new.stand_for(old)
        places = [(parent, key) for parent in model.modules() for key, child in parent._modules.items() if child is old]
        for parent, key in places or [(owner, key)]:  # a layer of torch may hold a function
            setattr(parent, key, new)
            if isinstance(parent, nn.TransformerEncoderLayer):
                parent.activation_relu_or_gelu = 0  # its fused path computes what it was built with
    for encoder in model.modules():
        if isinstance(encoder, nn.TransformerEncoder):
            encoder.use_nested_tensor = False  # only the fused path takes them
    return model
'''


def to_python(recommendation: Recommendation, policy: str | None = None) -> str:
    """Source of a module with ``ACTIVATIONS`` (site name -> what makes the module) and ``apply_(model)``.

    Learnable activations become modules with weights, and what stands for a normalisation takes its scale and shift.
    Gated ones become modules, too; the source then says that the
    layers around them have other widths, which the model's own class has to give them. Without a ``policy`` it is the
    one that ``Recommendation.policy`` gives.

    Raises:
        AutoactError: the policy keeps the baseline, or an activation has no source that stands alone.
    """
    name, chosen = recommendation.named(policy)
    put = {site: canonical(choice) for site, choice in changed(recommendation.sites, chosen.assignment).items()}
    if not put:
        raise AutoactError(f"policy {name} keeps the activations of the model: there is no source to write")
    writer = _Writer()
    lines = [
        f"    {site!r}: lambda: {writer.made(choice, recommendation.sites[site])}," for site, choice in put.items()
    ]
    gated = [site for site, choice in put.items() if get(choice.name).gated]
    head = _HEAD.format(task=quotable(recommendation.task), policy=quotable(name))
    if gated:
        head += _WIDTHS.format(sites=", ".join(map(quotable, gated)))
    if rate := recommendation.rate_of_weights(chosen):
        head += _RATE.format(rate=rate)
    parts = [f'"""{head}"""', writer.imports(), *writer.definitions()]
    parts += [_CLASSES[kind].strip("\n") for kind in writer.classes]
    parts += ["\n".join(["ACTIVATIONS = {", *lines, "}"]), _APPLY.strip("\n")]
    return "\n\n\n".join(parts) + "\n"


class _Writer:
    def __init__(self) -> None:
        self.functions: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.modules: set[str] = {"torch", "nn"}
        self.classes: dict[str, None] = {}

    def made(self, choice: Choice, site: PlainData) -> str:
        row, values = get(choice.name), dict(parameters(choice))
        function = self._function(row)
        settings = "".join(f", {key}={value!r}" for key, value in values.items())
        if row.normalisation:
            self.classes["Normalisation"] = None
            return f"Normalisation({function}{settings})"
        if row.learnable:
            if site["channels"] is None:
                raise AutoactError(f"{choice} has weights per channel, and the search did not see how many there are")
            channels, dim = int(site["channels"]), int(site["channel_dim"])
            self.classes["Learnable"] = None
            return f"Learnable({function}, {channels}, {dim}{settings})"
        kind = "Stochastic" if row.stochastic else "Pointwise"
        self.classes[kind] = None
        return f"{kind}({function}{settings})"

    def _function(self, row: Activation) -> str:
        """The name under which the source knows a row's function."""
        plain = _torch_name(row.function)
        if plain is not None:
            self.modules.add(plain.partition(".")[0])
            return plain
        function = inspect.unwrap(row.function)
        if not getattr(function, "__module__", "").startswith(_OURS):
            raise AutoactError(
                f"{row.name} is an activation of your own ({function.__module__}): there is no source of it that "
                "stands alone; use autoact.load_recommendation"
            )
        self._define(function)
        return str(function.__name__)

    def _define(self, function: Callable[..., object]) -> None:
        home = sys.modules[function.__module__]
        tree = ast.parse(inspect.getsource(home))
        node = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function.__name__)
        text = ast.get_docstring(node) or ""
        _without_annotations(node)
        if text:
            node.body[0] = ast.Expr(ast.Constant(text.splitlines()[0]))
        local = {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id not in local and not hasattr(builtins, inner.id):
                self._refer(inner.id, vars(home), function)
        self.functions[function.__name__] = ast.unparse(node)

    def _refer(self, name: str, space: dict[str, object], user: Callable[..., object]) -> None:
        """Something that a function's source names: a module, a constant, another function."""
        if name not in space or name == user.__name__:
            return
        value = space[name]
        if isinstance(value, types.ModuleType):
            self.modules.add(name)
        elif isinstance(value, (int, float, tuple)):
            self.constants[name] = repr(value)
        elif name == "Tensor":
            self.modules.add("Tensor")
        elif isinstance(value, types.FunctionType) and name not in self.functions:
            self._define(inspect.unwrap(value))

    def imports(self) -> str:
        lines = {
            "functools": "import functools\n",
            "torch": "import torch",
            "F": "import torch.nn.functional as F",
        }
        names = [name for name in ("Tensor", "nn") if name in self.modules]
        found = [line for name, line in lines.items() if name in self.modules]
        return "\n".join([*found, f"from torch import {', '.join(names)}"])

    def definitions(self) -> list[str]:
        """Constants, then functions, what is used before what uses it."""
        constants = ["\n".join(f"{name} = {text}" for name, text in self.constants.items())] if self.constants else []
        return constants + list(self.functions.values())


def _without_annotations(node: ast.FunctionDef) -> None:
    """Types name things that the source has no use for."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef):
            inner.returns = None
        elif isinstance(inner, ast.arg):
            inner.annotation = None


def _torch_name(function: Callable[..., object]) -> str | None:
    """How torch itself calls a function; None where it is not torch's."""
    for module, prefix in ((torch, "torch"), (F, "F")):
        own = getattr(function, "__name__", "")
        if getattr(module, own, None) is function:
            return f"{prefix}.{own}"
    return next((f"F.{name}" for name in dir(F) if getattr(F, name) is function), None)
