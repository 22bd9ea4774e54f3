"""Collect the activations of one run that are no modules: called by name, or computed in several calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
import torch.fx
from torch import Tensor, nn

from autoact.core.assignment import Choice
from autoact.sites._compat_torch import DispatchMode, OpOverload, without_dispatch_modes
from autoact.sites.discovery.expressions import Expression, Expressions, Step
from autoact.sites.discovery.functional_calls import (
    FoundCall,
    in_distribution,
    lasting_call,
    scripted_now,
    torch_call,
    user_frame,
)
from autoact.sites.discovery.recognise import FUNCTIONS, choice_of_call, written_out
from autoact.sites.tracing.tensor_tags import TorchCall

Memory = tuple[int, int] | None


@dataclass(frozen=True)
class _Noted:
    """One call of the run.

    Attributes:
        number: its step; 0 where it is none.
        ops: the steps that it is made of.
        doubtful: it bends and is no activation that we know.
    """

    found: FoundCall
    memory: Memory
    number: int = 0
    ops: frozenset[int] = frozenset()
    doubtful: bool = False


class FunctionalCalls:
    """The activations that a run of ``model`` computes outside of modules; ``names`` has those of its parts by id."""

    def __init__(self, model: nn.Module, names: Mapping[int, str]) -> None:
        self._names = names
        self._follow = Expressions(model)
        self._noted: list[_Noted] = []
        self._computed: dict[tuple[object, ...], Choice | None] = {}
        self._running = 0

    def kernel(self, name: str, inside: str) -> None:
        """Note what runs, ``inside`` a module, where Python calls no function of torch: in a scripted function."""
        if not self._running and name.removesuffix("_") in FUNCTIONS and not scripted_now():
            call = lasting_call(inside, name.removesuffix("_"), "it runs inside of a scripted function")
            self._noted.append(_Noted(call, None))

    def left(self, result: object) -> None:
        """Note that a module returned ``result``."""
        self._follow.forget(result)

    def run(self, call: TorchCall, within: tuple[str, nn.Module] | None, key: Callable[[Tensor], Memory]) -> object:
        """Run a torch function, and note it where it completes an activation.

        The innermost module that runs is ``within``, with its name; None where that is an activation.
        """
        self._running += 1
        try:
            result, step = self._follow.run(call)
        finally:
            self._running -= 1
        named = call.name in FUNCTIONS and isinstance(result, Tensor)
        if within is None or not (named or step is not None):
            return result
        inside, module = within
        of_torch = type(module).__module__.startswith("torch.") and not isinstance(module, torch.fx.GraphModule)
        if not of_torch and not in_distribution():
            memory = key(result) if isinstance(result, Tensor) else None
            with without_dispatch_modes():  # what is computed to know it is no part of the run
                noted = self._note(call, inside, step, memory, named=named)
            if noted is not None:
                self._noted.append(noted)
        return result

    def _note(self, call: TorchCall, inside: str, step: Step | None, memory: Memory, *, named: bool) -> _Noted | None:
        """What is to be noted of a call; the whole of an expression goes before its parts."""
        number = step.number if step is not None else 0
        alone = choice_of_call(call.function, call.args, call.kwargs)
        for expression in step.expressions if step is not None else ():
            if named and len(expression.ops) == 1:
                continue
            choice = self._choice_of(inside, expression)
            if choice is not None and choice != alone:  # relu(relu(x)) is two
                found = torch_call(inside, self._names, call, expression.leaf, choice)
                return _Noted(found, memory, number, expression.ops)
        if named:
            return _Noted(torch_call(inside, self._names, call), memory, number)
        if step is not None and step.first:
            problem = "no activation of the catalogue has its values: autoact.register one"
            return _Noted(lasting_call(inside, call.name, problem), memory, number, doubtful=True)
        return None

    def _choice_of(self, inside: str, expression: Expression) -> Choice | None:
        """What an expression computes; asked once for each place of the text in each module."""
        frame = user_frame()
        key = (inside, frame and frame.f_code, frame and frame.f_lasti, len(expression.ops))
        if key not in self._computed:
            self._computed[key] = written_out(expression.function)
        return self._computed[key]

    def calls(self, own: Collection[str], results: Collection[Memory]) -> dict[FoundCall, bool]:
        """The calls, and whether they made the model's output, whose memory is among ``results``.

        What is no activation that we know is listed where weights read it: not a norm's square, not a loss. Of an
        expression the whole counts, unless a part alone can be replaced. Modules of the names ``own`` are activations
        as a whole.
        """
        covered: set[int] = set()
        kept: list[_Noted] = []
        replaceable = {noted.number for noted in self._noted if noted.found.call is not None}
        for noted in reversed(self._noted):
            parts = noted.ops - {noted.number}
            if noted.number in covered or (noted.doubtful and noted.number not in self._follow.reaching_weights):
                continue
            if noted.found.call is None and parts & replaceable:
                continue
            covered |= parts
            kept.append(noted)
        found: dict[FoundCall, bool] = {}
        for noted in reversed(kept):
            if noted.found.inside not in own:
                found[noted.found] = found.get(noted.found, False) or noted.memory in results
        return found


class Kernels(DispatchMode):
    """Hands the name of whatever torch runs to ``note``, however it was called."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def ran(self, function: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Hand over the name."""
        self._note(function.overloadpacket.__name__)
        return function(*args, **kwargs)
