"""Methods as source text: find a call in the text of a method, and compile the method with some calls exchanged."""

from __future__ import annotations
import __future__

import ast
import copy
import dis
import functools
import linecache
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from torch import nn

_FLAGS = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
Node = ast.Call | ast.BinOp
"""What may be exchanged: a call, or an operator between two parts."""
Place = tuple[int, ...]
"""Where it stands in its file, lines and columns in bytes: the end of a call, for no two calls end at one place; start
and end of an operator's whole expression."""
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}


class NoSourceError(Exception):
    """The text of a method is not at hand, or is not what runs; the message says why."""


def method_code(kind: type, name: str) -> CodeType | None:
    """The code of a method as it is written in its class, below decorators; None where there is none.

    Example:
        >>> import torch
        >>> method_code(torch.nn.Linear, "forward").co_name
        'forward'
    """
    function = getattr(kind, name, None)
    while isinstance(function, FunctionType) and hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function.__code__ if isinstance(function, FunctionType) else None


@functools.lru_cache(maxsize=512)
def calls_in(code: CodeType) -> list[Node]:
    """All calls and operators in the text of ``code``, in the order of the text.

    What makes or takes something that is called at once, as in ``nn.ReLU()(x)``, belongs to that call.

    Raises:
        NoSourceError: its text is not at hand.
    """
    node, _ = _definition(code)
    found = [part for part in ast.walk(node) if isinstance(part, Node)]
    called = {id(part.func) for part in found if isinstance(part, ast.Call)}
    calls = [part for part in found if id(part) not in called]
    return sorted(calls, key=lambda call: (_end(call.func if isinstance(call, ast.Call) else call), _end(call)))


def written(call: Node) -> str:
    """The last name of what a call calls, without the underscore of in-place forms; empty where it has none.

    Of what is taken or made to be called at once it is the name of what it is taken from: ``ACT2FN[name](x)``,
    ``nn.ReLU()(x)``. Operators have the names of their functions.

    Example:
        >>> texts = ("F.relu(x)", "x.relu_()", "self.acts[0](x)", "nn.ReLU()(x)", "x * y", "(lambda y: y)(x)")
        >>> [written(ast.parse(text, mode="eval").body) for text in texts]
        ['relu', 'relu', 'acts', 'ReLU', 'mul', '']
    """
    if isinstance(call, ast.BinOp):
        return _OPERATORS.get(type(call.op), "")
    called = call.func
    while isinstance(called, ast.Call | ast.Subscript):
        called = called.func if isinstance(called, ast.Call) else called.value
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name.removesuffix("_")


def place_of(node: Node) -> Place:
    """Where a call or an operator stands in its file."""
    return _end(node) if isinstance(node, ast.Call) else (node.lineno, node.col_offset, *_end(node))


def call_at(code: CodeType, instruction: int) -> Node | None:
    """The call or operator in the text of ``code`` or around it that an instruction of it makes; None if unknown.

    Python 3.11 keeps the place of each instruction. Of a chain over several lines it keeps the place of the name, so
    the end of the name is looked for as well.

    Raises:
        NoSourceError: its text is not at hand.
    """
    line, end_line, column, end_column = list(code.co_positions())[instruction // 2]
    tree = _tree(code.co_filename)
    if line is None or end_line is None or column is None or end_column is None:
        return None
    if dis.opname[code.co_code[instruction]] == "BINARY_OP":
        return _operators(tree).get((line, column, end_line, end_column))
    return _by_end(tree).get((end_line, end_column))


@functools.lru_cache(maxsize=64)
def _operators(tree: ast.Module) -> dict[Place, ast.BinOp]:
    return {place_of(node): node for node in ast.walk(tree) if isinstance(node, ast.BinOp)}


@functools.lru_cache(maxsize=64)
def _by_end(tree: ast.Module) -> dict[Place, ast.Call]:
    """The calls of a file by where they, or the names that they call, end."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {_end(call.func): call for call in calls} | {_end(call): call for call in calls}


def _end(node: ast.expr) -> Place:
    return node.end_lineno or 0, node.end_col_offset or 0


@functools.lru_cache(maxsize=64)
def _parsed(lines: tuple[str, ...]) -> ast.Module:
    return ast.parse("".join(lines))


def _tree(filename: str) -> ast.Module:
    """The syntax tree of a file, or of a notebook's cell.

    Raises:
        NoSourceError: it is not at hand.
    """
    lines = linecache.getlines(filename)
    if not lines:
        raise NoSourceError(f"the source of {filename} is not at hand")
    try:
        return _parsed(tuple(lines))
    except SyntaxError as error:
        raise NoSourceError(f"the source of {filename} has changed") from error


@functools.lru_cache(maxsize=512)
def _definition(code: CodeType) -> tuple[ast.FunctionDef, int]:
    """The definition of a function, and the number of the statement of its file that holds it.

    Raises:
        NoSourceError: it is not at hand.
    """
    for number, statement in enumerate(_tree(code.co_filename).body):
        for part in ast.walk(statement):
            if isinstance(part, ast.FunctionDef) and part.name == code.co_name:
                first = min([part.lineno, *(decorator.lineno for decorator in part.decorator_list)])
                if first == code.co_firstlineno:
                    return part, number
    raise NoSourceError(f"the source of {code.co_name} is not at hand")


def recompiled(function: FunctionType, exchanged: Mapping[Place, Callable[[Node], ast.expr]]) -> FunctionType:
    """A function like ``function``, with other expressions in place of some calls; everything else is shared with it.

    Globals, closure (``super()`` too), defaults, file and lines stay: a debugger shows the text as it was.

    Raises:
        NoSourceError: its text is not at hand, is not what runs, or does not compile with the new expressions.
    """
    like = function.__code__
    tree, (_, number) = _tree(like.co_filename), _definition(like)
    if not _same(_compiled(tree, like), like):
        raise NoSourceError(f"the source of {function.__qualname__} is not what runs")
    body = list(tree.body)
    body[number] = _Exchange(exchanged).visit(copy.deepcopy(body[number]))
    code = _compiled(ast.Module(body=body, type_ignores=[]), like)
    cells = dict(zip(like.co_freevars, function.__closure__ or (), strict=True))
    made = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, tuple(cells[n] for n in code.co_freevars)
    )
    functools.update_wrapper(made, function)
    vars(made).pop("__wrapped__")
    made.__kwdefaults__ = function.__kwdefaults__
    return made


class _Exchange(ast.NodeTransformer):
    def __init__(self, exchanged: Mapping[Place, Callable[[Node], ast.expr]]) -> None:
        self._exchanged = exchanged

    def visit_Call(self, node: Node) -> ast.expr:
        make = self._exchanged.get(place_of(node))
        self.generic_visit(node)
        return ast.copy_location(make(node), node) if make is not None else node

    def visit_BinOp(self, node: Node) -> ast.expr:
        return self.visit_Call(node)


def _compiled(tree: ast.Module, like: CodeType) -> CodeType:
    """The code of the function ``like`` in a file; the whole file is compiled, for what stands around it counts.

    Raises:
        NoSourceError: it does not compile.
    """
    try:
        code = compile(
            ast.fix_missing_locations(tree), like.co_filename, "exec", flags=like.co_flags & _FLAGS, dont_inherit=True
        )
    except SyntaxError as error:
        raise NoSourceError(f"{like.co_name} cannot be rewritten: {error.msg}") from error
    return next(part for part in _codes(code) if _name(part) == _name(like))


def _name(code: CodeType) -> tuple[str, int]:
    return code.co_name, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes(part)


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same; those inside of them are compared too."""
    plain = [[part for part in code.co_consts if not isinstance(part, CodeType)] for code in (one, other)]
    inner = [[part for part in code.co_consts if isinstance(part, CodeType)] for code in (one, other)]
    return (
        (one.co_code, one.co_names, one.co_varnames, one.co_freevars, plain[0])
        == (other.co_code, other.co_names, other.co_varnames, other.co_freevars, plain[1])
        and len(inner[0]) == len(inner[1])
        and all(map(_same, *inner))
    )


def resolved(node: ast.expr, names: Mapping[str, object]) -> object:
    """What a dotted name in a text stands for, given all names of its place.

    Raises:
        LookupError: it is no dotted name, or there is nothing of that name.
    """
    if isinstance(node, ast.Attribute):
        try:
            return getattr(resolved(node.value, names), node.attr)
        except AttributeError as error:
            raise LookupError(node.attr) from error
    if not isinstance(node, ast.Name):
        raise LookupError(ast.unparse(node))
    return names[node.id]


def made(node: ast.expr, names: Mapping[str, object]) -> Any:
    """What an expression that makes or takes something to be called stands for, such as ``ACT2FN[name]``.

    Only what changes nothing is evaluated: names, attributes, subscripts, constants, ``getattr``, and the making of
    modules.

    Raises:
        LookupError: it is none of that, or is not known.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Attribute):
        return resolved(ast.Attribute(ast.Name("it"), node.attr), {"it": made(node.value, names)})
    if isinstance(node, ast.Subscript):
        try:
            return made(node.value, names)[made(node.slice, names)]
        except (TypeError, ValueError) as error:
            raise LookupError(ast.unparse(node)) from error
    if not isinstance(node, ast.Call):
        return resolved(node, names)
    function = made(node.func, names)
    if function is not getattr and not (isinstance(function, type) and issubclass(function, nn.Module)):
        raise LookupError(ast.unparse(node))
    args = [made(arg, names) for arg in node.args]
    named = {keyword.arg: made(keyword.value, names) for keyword in node.keywords if keyword.arg is not None}
    try:
        return function(*args, **named)
    except Exception as error:  # it is somebody else's
        raise LookupError(ast.unparse(node)) from error
