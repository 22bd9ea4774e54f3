"""Where the user's code calls an activation, and whether that call can be turned into a call of a submodule."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch.fx
from torch import Tensor, nn

from autoact.core.choice import Choice
from autoact.sites.dataflow import name_of
from autoact.sites.equivalent import choice_of_call
from autoact.sites.rewrite import Call, calls_rewritten, number_of, plain_class
from autoact.sites.source import NoSourceError, call_at, method_code, resolved, written


@dataclass(frozen=True)
class FoundCall:
    """A call of an activation in the user's code.

    Attributes:
        inside: name of the module whose method holds it, as far as it is known.
        function: what was called.
        line: file and line, e.g. ``net.py:42``.
        call: where in the method it stands; None where it cannot be rewritten.
        choice: what it computes.
        problem: why it cannot be rewritten; empty where it can.
    """

    inside: str
    function: str
    line: str
    call: Call | None = None
    choice: Choice | None = None
    problem: str = ""


_REASONS = {
    "glu": "it is gated: it halves its input",
    "prelu": "its weights belong to the module",
    "rrelu": "it draws random numbers as its arguments tell",
}


class _NotRewritableError(Exception):
    """Why a call cannot be turned into a module; the message says it."""


def user_frame() -> FrameType | None:
    """The innermost frame that is neither torch's nor of this folder."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", ""))
        if package.split(".")[0] != "torch" and not package.startswith("autoact.sites"):
            return frame
        frame = frame.f_back
    return None


def line_of(frame: FrameType | None) -> str:
    """File and line of a frame."""
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else "unknown line"


def function_call(
    inside: str, names: Mapping[int, str], function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> FoundCall:
    """The call of a torch function that is running now.

    Args:
        inside: name of the module that is running.
        names: the name of each module of the model, by id.
        function: as ``__torch_function__`` gets it.
        args: its arguments.
        kwargs: its named arguments.
    """
    frame, label = user_frame(), name_of(function)
    try:
        place = _place(frame, names)
        argument = _argument(place, label)
        choice = choice_of_call(function, args, kwargs)
        if choice is None:
            raise _NotRewritableError(_REASONS.get(label, "it is not in the catalogue in this form"))
        in_place = function.__name__.endswith("_") or bool(kwargs.get("inplace"))
        call = Call(place.method, written(place.node), place.number, argument, in_place)
        return FoundCall(place.owner, label, line_of(frame), call, choice)
    except (_NotRewritableError, NoSourceError) as error:
        return FoundCall(inside, label, line_of(frame), problem=str(error))


def module_call(names: Mapping[int, str], module: nn.Module) -> tuple[str, Call] | None:
    """The call of ``module`` that is running now, as the name of its owner and the call; None where it is not told."""
    frame = user_frame()
    try:
        place = _place(frame, names)
    except (_NotRewritableError, NoSourceError):
        return None
    argument = _first_argument(place.node)
    if place.callee is not module or argument is None:
        return None
    return place.owner, Call(place.method, written(place.node), place.number, argument)


@dataclass(frozen=True)
class _Place:
    """A call in the text of a method of a module of the model."""

    owner: str
    method: str
    number: int
    node: ast.Call
    callee: Any


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
        raise _NotRewritableError("its place in the line is not known")
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
        callee = resolved(node.func, frame.f_locals, frame.f_globals)
    except LookupError:
        callee = None
    return _Place(names[id(owner)], code.co_name, number, node, callee)


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
    """Which argument of a call is its input: see ``Call.argument``.

    Raises:
        _NotRewritableError: what is called is not ``function``, or its input is not told.
    """
    callee = place.callee
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


def _first_argument(node: ast.Call) -> str | None:
    """The first argument of a call: 0, or the keyword ``input``."""
    if node.args:
        return None if isinstance(node.args[0], ast.Starred) else "0"
    return "input" if any(keyword.arg == "input" for keyword in node.keywords) else None


def free_name(module: nn.Module, call: Call) -> bool:
    """Whether the submodule of a call can have its name."""
    return call in calls_rewritten(module) or not hasattr(module, call.attribute)
