"""Turn calls in a module's own methods into calls of submodules: the object stays, its class gets a subclass."""

from __future__ import annotations

import ast
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import SupportsIndex, cast

from torch import Tensor, nn

from autoact.core.errors import AutoactError
from autoact.sites.rewriting.method_source import (
    Node,
    NoSourceError,
    Place,
    calls_in,
    method_code,
    place_of,
    recompiled,
    written,
)

_MARK = "_autoact_rewritten"


@dataclass(frozen=True, order=True)
class MethodCall:
    """A call or operator in a method's text, found again by name and number, so that it survives edits of other lines.

    Attributes:
        method: the method that holds it.
        function: the last name of what it calls, as written: ``relu`` for ``F.relu(x)`` and ``x.relu_()``; ``mul`` for
            ``x * torch.sigmoid(x)``.
        number: among the calls of that name in this method, in the order of the text, from 1.
        argument: position of the input among the arguments; its keyword; ``self`` for ``x.relu()``; ``operand:left`` or
            ``operand:right``; ``local:x`` for a variable that stands in it, however deep.
        in_place: whether the result is written into the input.
    """

    method: str
    function: str
    number: int
    argument: str = "0"
    in_place: bool = False

    @property
    def attribute(self) -> str:
        """The name of the submodule that stands for the call.

        Example:
            >>> MethodCall("forward", "relu", 2).attribute
            'forward_relu_2'
        """
        return f"{self.method.strip('_')}_{self.function.strip('_')}_{self.number}"


def number_of(kind: type, method: str, call: Node) -> int:
    """The number of a call among those of its name in a method, from 1.

    Raises:
        NoSourceError: the method's text is not at hand.
    """
    return next(n for n, other in _numbered(kind, method, written(call)) if place_of(other) == place_of(call))


def _numbered(kind: type, method: str, function: str) -> list[tuple[int, Node]]:
    code = method_code(kind, method)
    if code is None:
        raise NoSourceError(f"{kind.__name__}.{method} is no plain method")
    return list(enumerate((call for call in calls_in(code) if written(call) == function), start=1))


def plain_class(kind: type) -> type:
    """The user's own class of a rewritten one; any other as it is."""
    return vars(kind)[_MARK][0] if _MARK in vars(kind) else kind


def calls_rewritten(module: nn.Module) -> frozenset[MethodCall]:
    """The calls of a module that go to submodules by now."""
    return cast(frozenset[MethodCall], vars(type(module)).get(_MARK, (None, frozenset()))[1])


def rewrite_(module: nn.Module, calls: frozenset[MethodCall]) -> None:
    """Let exactly ``calls`` of a module's methods call submodules; which must be there when it runs.

    Only the class of this object changes, to a subclass with the same name: ``isinstance``, ``super()``, hooks,
    attributes and all other methods stay. With no calls the object has its own class again.

    Raises:
        NoSourceError: a method's text is not at hand, or the call is not in it.
        TypeError: Python does not let this object change its class.

    Example:
        >>> layer = nn.TransformerEncoderLayer(4, 1, 8)
        >>> rewrite_(layer, frozenset({MethodCall("_ff_block", "activation", 1)}))
        >>> isinstance(layer, nn.TransformerEncoderLayer), type(layer).__name__
        (True, 'TransformerEncoderLayer')
        >>> rewrite_(layer, frozenset())
        >>> type(layer) is nn.TransformerEncoderLayer
        True
    """
    kind = plain_class(type(module))
    module.__class__ = _rewritten_class(kind, calls) if calls else kind


_made: weakref.WeakKeyDictionary[type, weakref.WeakValueDictionary[frozenset[MethodCall], type]] = (
    weakref.WeakKeyDictionary()
)


def _rewritten_class(kind: type, calls: frozenset[MethodCall]) -> type:
    """The subclass of ``kind`` with ``calls`` rewritten; the same one each time."""
    known = _made.setdefault(kind, weakref.WeakValueDictionary())
    made = known.get(calls)
    if made is None:
        body = {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__reduce_ex__": _reduced,
            "_autoact_in_place": staticmethod(_in_place),
            _MARK: (kind, calls),
        }
        for method in {call.method for call in calls}:
            body[method] = _rewritten_method(kind, method, {call for call in calls if call.method == method})
        made = known[calls] = type(kind)(kind.__name__, (kind,), body)
    return made


def _rewritten_method(kind: type, method: str, calls: set[MethodCall]) -> FunctionType:
    places: dict[Place, Callable[[Node], ast.expr]] = {}
    outer = getattr(kind, method)
    chain = [outer]
    while hasattr(chain[-1], "__wrapped__"):
        chain.append(chain[-1].__wrapped__)
    inner = chain[-1]
    if not isinstance(inner, FunctionType) or not inner.__code__.co_argcount:
        raise NoSourceError(f"{kind.__name__}.{method} is no plain method")
    owner = inner.__code__.co_varnames[0]
    for call in calls:
        node = dict(_numbered(kind, method, call.function)).get(call.number)
        if node is None:
            raise NoSourceError(f"{kind.__name__}.{method} holds no call number {call.number} of {call.function}")
        places[place_of(node)] = _expression(call, owner)
    made = recompiled(inner, places)
    for decorated in reversed(chain[:-1]):
        made = _decorated_again(decorated, inner, made)
        inner = decorated
    return made


def _decorated_again(wrapper: FunctionType, old: FunctionType, new: FunctionType) -> FunctionType:
    """A decorator's wrapper around ``new``, like the one around ``old``."""
    cells = [CellType(new) if cell.cell_contents is old else cell for cell in wrapper.__closure__ or ()]
    if all(cell.cell_contents is not new for cell in cells):
        raise NoSourceError(f"a decorator of {wrapper.__qualname__} hides the method")
    made = FunctionType(wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, tuple(cells))
    made.__kwdefaults__ = wrapper.__kwdefaults__
    made.__dict__.update(vars(wrapper), __wrapped__=new)
    made.__qualname__, made.__module__, made.__doc__ = wrapper.__qualname__, wrapper.__module__, wrapper.__doc__
    made.__annotations__ = wrapper.__annotations__
    return made


def _expression(call: MethodCall, owner: str) -> Callable[[Node], ast.expr]:
    def make(node: Node) -> ast.expr:
        given, module = _given(call.argument, node), _attribute(owner, call.attribute)
        if call.in_place:
            return ast.Call(func=_attribute(owner, "_autoact_in_place"), args=[module, given], keywords=[])
        return ast.Call(func=module, args=[given], keywords=[])

    return make


def _given(argument: str, node: Node) -> ast.expr:
    kind, _, name = argument.partition(":")
    if kind == "local":
        return ast.Name(id=name, ctx=ast.Load())
    if isinstance(node, ast.BinOp):
        return node.left if name == "left" else node.right
    if argument == "self":
        return cast(ast.Attribute, node.func).value
    if argument.isdigit():
        return node.args[int(argument)]
    return next(keyword.value for keyword in node.keywords if keyword.arg == argument)


def _attribute(owner: str, name: str) -> ast.Attribute:
    return ast.Attribute(value=ast.Name(id=owner, ctx=ast.Load()), attr=name, ctx=ast.Load())


def _in_place(module: nn.Module, x: Tensor) -> Tensor:
    """What an in-place call does: all that look at the memory of ``x`` see the result.

    The module gets a copy, for gradients may need what it was given.
    """
    return x.copy_(module(x.clone()))


def _reduced(self: nn.Module, protocol: SupportsIndex) -> tuple[object, ...]:
    """Copies and pickles name the user's class and the calls; the subclass is made again where they are read."""
    kind, calls = vars(type(self))[_MARK]
    reduced = super(type(self), self).__reduce_ex__(protocol)
    assert isinstance(reduced, tuple)  # a module is never a global, which is named by a text
    function, args, *rest = reduced
    args = tuple(kind if item is type(self) else item for item in args)
    return (_again, (tuple(sorted(calls)), function, args), *rest)


def _again(calls: tuple[MethodCall, ...], function: Callable[..., nn.Module], args: tuple[object, ...]) -> nn.Module:
    module = function(*args)
    try:
        rewrite_(module, frozenset(calls))
    except NoSourceError as error:
        raise AutoactError(f"a model with rewritten calls needs the source of its class: {error}") from error
    return module
