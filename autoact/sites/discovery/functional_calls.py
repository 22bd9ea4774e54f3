"""Where the user's code calls an activation, and whether that call can be turned into a call of a submodule."""

from __future__ import annotations

import ast
import builtins
import functools
import itertools
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType

import torch.fx
from torch import Tensor, nn

from autoact.activations.modules import recognise
from autoact.core.assignment import Choice
from autoact.sites.discovery.recognise import NOT_REWRITABLE, choice_of_call, choice_of_function, equal_module
from autoact.sites.rewriting.method_rewrite import MethodCall, calls_rewritten, number_of, plain_class
from autoact.sites.rewriting.method_source import Node, NoSourceError, call_at, made, method_code, resolved, written
from autoact.sites.tracing.tensor_tags import TorchCall, name_of


@dataclass(frozen=True)
class FoundCall:
    """A call of an activation in the user's code.

    Attributes:
        inside: name of the module whose method holds it, as far as it is known.
        line: file and line, e.g. ``net.py:42``.
        call: where in the method it stands; None where it cannot be rewritten.
        problem: why it cannot be rewritten; empty where it can.
        written_out: whether it is known by its values, and not by its name.
    """

    inside: str
    function: str
    line: str
    call: MethodCall | None = None
    choice: Choice | None = None
    problem: str = ""
    written_out: bool = False


class _NotRewritableError(Exception):
    """Why a call cannot be turned into a module; the message says it."""


def user_frame(below: FrameType | None = None) -> FrameType | None:
    """The innermost frame that is neither torch's nor of this folder; with ``below`` the next one that called it."""
    for frame in _frames(sys._getframe(1) if below is None else below.f_back):
        package = _package(frame)
        if package.split(".")[0] != "torch" and not package.startswith("autoact.sites"):
            return frame
    return None


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame, what called it, and so on outwards."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def in_distribution() -> bool:
    """Whether a distribution of torch runs: what it bends is its own arithmetic, such as a guard of probabilities."""
    last = user_frame()
    inner = itertools.takewhile(lambda frame: frame is not last, _frames(sys._getframe(1)))
    return any(_package(frame).startswith("torch.distributions") for frame in inner)


def line_of(frame: FrameType | None) -> str:
    """File and line of a frame."""
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else "unknown line"


def torch_call(
    inside: str, names: Mapping[int, str], call: TorchCall, leaf: Tensor | None = None, choice: Choice | None = None
) -> FoundCall:
    """The call or operator that is running now, inside the module of that name; ``names`` are all modules' by id.

    It is an activation by its own name or, with ``leaf``, by its result: ``choice`` of that earlier tensor.
    """
    frame, label, written_out = user_frame(), call.name, leaf is not None
    in_place = call.named_in_place
    try:
        place = _place(frame, names)
        if leaf is not None:
            argument = _operand(place, call, leaf)
        else:
            argument = _argument(place, label)
            choice = choice_of_call(call.function, call.args, call.kwargs)
            if choice is None:
                raise _NotRewritableError(NOT_REWRITABLE.get(label, "it is not in the catalogue in this form"))
            in_place = in_place or bool(call.kwargs.get("inplace"))
        here = MethodCall(place.method, written(place.node), place.number, argument, in_place)
        return FoundCall(place.owner, label, line_of(frame), here, choice, written_out=written_out)
    except (_NotRewritableError, NoSourceError) as error:
        return _call_around(frame, names) or FoundCall(
            inside, label, line_of(frame), choice=choice, problem=str(error), written_out=written_out
        )


def lasting_call(inside: str, function: str, problem: str) -> FoundCall:
    """What is running now inside a module, and cannot be rewritten."""
    return FoundCall(inside, function, line_of(user_frame()), problem=problem)


def scripted_now() -> bool:
    """Whether a scripted module runs, which is listed as a whole."""
    return any(isinstance(f.f_locals.get("self"), torch.jit.ScriptModule) for f in _frames(sys._getframe(1)))


def _call_around(frame: FrameType | None, names: Mapping[int, str]) -> FoundCall | None:
    """The call, by a method of a module, of a function or of a module made on the fly, inside of which a frame runs.

    It has to take one argument and to compute an activation of the catalogue. None where there is no such call.
    """
    while frame is not None:
        try:
            place = _place(frame, names)
        except _NotRewritableError:
            frame = user_frame(frame)
            continue
        except NoSourceError:
            return None
        node, argument = place.node, _first_argument(place.node)
        if isinstance(node, ast.BinOp) or argument is None or len(node.args) + len(node.keywords) != 1:
            return None
        try:
            callee = made(node.func, _variables(frame))
        except LookupError:
            return None
        holder = getattr(callee, "__self__", None)  # of a function that is written in C, as F.gelu is: its module
        if not (holder is None or isinstance(holder, ModuleType)) or id(callee) in names:
            return None
        choice = _choice_of_callee(callee)
        if choice is None:
            return None
        call = MethodCall(place.method, written(node), place.number, argument)
        return FoundCall(place.owner, written(node), line_of(frame), call, choice)
    return None


def _choice_of_callee(callee: object) -> Choice | None:
    """What a function, or a module that is no part of the model, computes."""
    if not isinstance(callee, nn.Module):
        return choice_of_function(callee) if callable(callee) else None
    return recognise(callee) or equal_module(callee)


def module_call(names: Mapping[int, str], module: nn.Module) -> tuple[str, MethodCall] | None:
    """The call of ``module`` that is running now, as the name of its owner and the call; None where it is unknown."""
    frame = user_frame()
    try:
        place = _place(frame, names)
    except (_NotRewritableError, NoSourceError):
        return None
    argument = _first_argument(place.node)
    if place.callee is not module or argument is None:
        return None
    return place.owner, MethodCall(place.method, written(place.node), place.number, argument)


@dataclass(frozen=True)
class _Place:
    """A call in the text of a method of a module of the model."""

    owner: str
    method: str
    number: int
    node: Node
    callee: object
    frame: FrameType


def _place(frame: FrameType | None, names: Mapping[int, str]) -> _Place:
    """The call that a frame is making.

    Raises:
        _NotRewritableError: it does not stand in a method of a module of the model.
        NoSourceError: its text is not at hand.
    """
    if frame is None:
        raise _NotRewritableError("no line of yours calls it")
    node = call_at(frame.f_code, frame.f_lasti)
    if node is None:
        raise _NotRewritableError("it is no call or operator of its own there, as in x *= y")
    outer = frame
    while outer.f_code.co_name in ("<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>") and outer.f_back is not None:
        outer = outer.f_back
    code = outer.f_code
    owner = outer.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    if not isinstance(owner, nn.Module) or id(owner) not in names:
        raise _NotRewritableError(f"{code.co_name}() is no method of a module")
    kind = plain_class(type(owner))
    _check_method(owner, kind, code.co_name, (code.co_filename, code.co_firstlineno))
    try:
        number = number_of(kind, code.co_name, node)
    except StopIteration:
        raise _NotRewritableError(f"the call does not stand in the text of {code.co_name}()") from None
    try:
        callee = resolved(node.func, _variables(frame)) if isinstance(node, ast.Call) else None
    except LookupError:
        callee = None
    return _Place(names[id(owner)], code.co_name, number, node, callee, frame)


def _variables(frame: FrameType) -> Mapping[str, object]:
    """All that a name may stand for in the text that a frame runs."""
    return ChainMap(frame.f_locals, frame.f_globals, vars(builtins))


def _check_method(owner: nn.Module, kind: type, method: str, place: tuple[str, int]) -> None:
    """Refuse a method that cannot be exchanged.

    Raises:
        _NotRewritableError: the reason.
    """
    code = method_code(kind, method)
    if code is None or (code.co_filename, code.co_firstlineno) != place:
        raise _NotRewritableError(f"{method}() is not the method that its class {kind.__name__} has under this name")
    if isinstance(owner, torch.fx.GraphModule):
        raise _NotRewritableError("torch.fx made it and makes its code again: give the model before it was traced")
    if method in vars(owner):
        raise _NotRewritableError(f"{method}() was put on the object by hand")
    if isinstance(owner, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        raise _NotRewritableError(f"{kind.__name__} is a container: one module more would change what it holds")
    if method.endswith("_step") or "loss" in method:
        raise _NotRewritableError(f"{method}() is no part of the network")


def _argument(place: _Place, function: str) -> str:
    """Which argument of a call is its input: see ``MethodCall.argument``.

    Raises:
        _NotRewritableError: what is called is not ``function``, or its input is unknown.
    """
    callee = place.callee
    if isinstance(place.node, ast.BinOp):
        raise _NotRewritableError("what calls it is an operator")
    while isinstance(callee, functools.partial):
        callee = callee.func
    bound = isinstance(getattr(callee, "__self__", None), Tensor)
    if bound or (callee is None and isinstance(place.node.func, ast.Attribute) and written(place.node) == function):
        return "self"
    if callee is None or name_of(callee) != function:
        raise _NotRewritableError("what calls it is another function")
    argument = _first_argument(place.node)
    if argument is None:
        raise _NotRewritableError("its input is not written as a plain argument")
    return argument


def _operand(place: _Place, call: TorchCall, leaf: Tensor) -> str:
    """Where in a call or operator the tensor ``leaf`` stands: see ``MethodCall.argument``.

    Raises:
        _NotRewritableError: it does not stand in it.
    """
    inside = [part.id for part in ast.walk(place.node) if isinstance(part, ast.Name)]
    for name in inside:
        if place.frame.f_locals.get(name) is leaf:
            return f"local:{name}"
    position = next((i for i, value in enumerate(call.args) if value is leaf), None)
    keyword = next((name for name, value in call.kwargs.items() if value is leaf), None)
    if isinstance(place.node, ast.BinOp) and position is not None:
        alone = sum(isinstance(value, Tensor) for value in call.args) == 1
        turned = call.name.startswith("__r") or (alone and isinstance(place.node.left, ast.Constant))
        return "operand:right" if turned or position else "operand:left"
    if isinstance(place.node, ast.Call) and (position is not None or keyword is not None):
        bound = _argument(place, call.name) == "self"
        if position is None:
            return str(keyword)
        if bound and position == 0:
            return "self"
        written_at = position - bound
        if written_at < len(place.node.args) and not any(isinstance(a, ast.Starred) for a in place.node.args):
            return str(written_at)
    raise _NotRewritableError("what it is computed from has no name in this line: give it one, as in x = ...")


def _first_argument(node: Node) -> str | None:
    """The first argument of a call: 0, or the keyword ``input``; None where it is neither, or an operator."""
    if isinstance(node, ast.BinOp):
        return None
    if node.args:
        return None if isinstance(node.args[0], ast.Starred) else "0"
    return "input" if any(keyword.arg == "input" for keyword in node.keywords) else None


def free_name(module: nn.Module, call: MethodCall) -> bool:
    """Whether the submodule of a call can have its name."""
    return call in calls_rewritten(module) or not hasattr(module, call.attribute)
