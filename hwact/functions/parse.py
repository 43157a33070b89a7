# SPDX-License-Identifier: Apache-2.0
"""From a user's formula to an expression: a whitelist over Python's syntax tree, nothing evaluated.

Numbers are exact decimals. Known are ``x``, ``pi``, ``e``, ``+ - * /``, ``**`` with an integer
exponent, and the functions of `FUNCTIONS`.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable
from fractions import Fraction

from hwact.errors import ArgumentError
from hwact.functions import primitives as p
from hwact.functions.expr import PI, Const, E, Expr, Variable, X, select

MAX_TEXT = 500
MAX_DEPTH = 40
MAX_EXPONENT = 64
MAX_BITS = 4096
MAX_SIZE = 500  # operations once every function is written out: relu(u) holds u twice, so nesting doubles

_LITERAL = re.compile(r"(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?")
_NAMES: dict[str, Expr] = {"x": X, "pi": PI, "e": E}
_HALF = Fraction(1, 2)
_EXAMPLE = "x*sigmoid(1.702*x)"


def _gelu(u: Expr) -> Expr:
    return u * p.erfc(-u * p.sqrt(_HALF)) / 2


def _gelu_tanh(u: Expr) -> Expr:
    return u * p.sigmoid(2 * p.sqrt(2 / PI) * (u + Fraction(44715, 10**6) * u**3))


def _smelu(u: Expr) -> Expr:
    return select(u + 1, 0, 0, select(u - 1, (u + 1) ** 2 / 4, u, u))


FUNCTIONS: dict[str, tuple[int, Callable[..., Expr]]] = {
    **{name: (1, getattr(p, name)) for name in (
        "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "atan", "sinh", "cosh", "tanh", "sigmoid",
        "softplus", "erf", "erfc", "relu",
    )},
    "abs": (1, p.absolute),
    "min": (2, p.minimum),
    "max": (2, p.maximum),
    "clip": (3, p.clip),
    "relu6": (1, lambda u: p.clip(u, 0, 6)),
    "hardtanh": (1, lambda u: p.clip(u, -1, 1)),
    "hardsigmoid": (1, lambda u: p.clip(u + 3, 0, 6) / 6),
    "hardswish": (1, lambda u: u * p.clip(u + 3, 0, 6) / 6),
    "softsign": (1, lambda u: u / (1 + p.absolute(u))),
    "gelu": (1, _gelu),
    "gelu_tanh": (1, _gelu_tanh),
    "silu": (1, lambda u: u * p.sigmoid(u)),
    "swish": (1, lambda u: u * p.sigmoid(u)),
    "smelu": (1, _smelu),
    "mish": (1, lambda u: u * p.softplus_gate(u)),
}  # fmt: skip


def parse(text: str) -> Expr:
    """Read a formula in x.

    Raises
    ------
    ArgumentError
        Anything outside the whitelist or the limits, or a formula without x.
    """
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_TEXT:
        raise _error(f"a text of 1 to {MAX_TEXT} characters", text, f"write it such as {_EXAMPLE}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _error("a formula in x", text, f"write it such as {_EXAMPLE}") from None
    expression = _Reader(text.strip()).read(tree.body, 0)
    if not any(isinstance(node, Variable) for node in expression.walk()):
        raise _error("a formula that depends on x", text, "use x in it")
    return expression


def _error(requirement: str, value: object, way_out: str) -> ArgumentError:
    shown = value if not isinstance(value, str) or len(value) <= 60 else value[:57] + "..."
    return ArgumentError(f"an expression must be {requirement}, not {shown!r}; {way_out}")


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.sizes: dict[int, tuple[Expr, int]] = {}

    def read(self, node: ast.expr, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            raise _error(f"nested at most {MAX_DEPTH} deep", self.text, "simplify it")
        match node:
            case ast.Constant():
                return self.number(node)
            case ast.Name(id=name):
                return self.name(name)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
                value = self.read(operand, depth + 1)
                return self.limited(-value, node) if isinstance(node.op, ast.USub) else value
            case ast.BinOp():
                return self.limited(self.operation(node, depth + 1), node)
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self.limited(self.call(name, node, depth + 1), node)
        raise self.refused(node)

    def source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or self.text

    def refused(self, node: ast.expr) -> ArgumentError:
        way_out = f"known are + - * / **, x, pi, e and {', '.join(sorted(FUNCTIONS))}"
        return _error("made of numbers, operators and known functions", self.source(node), way_out)

    def size(self, value: Expr) -> int:
        """Nodes of the expression as a tree; what is shared is counted again, but walked once."""
        if id(value) not in self.sizes:  # beside the size, the expression itself keeps its id taken
            self.sizes[id(value)] = value, 1 + sum(map(self.size, value.children()))
        return self.sizes[id(value)][1]

    def limited(self, value: Expr, node: ast.expr) -> Expr:
        if self.size(value) > MAX_SIZE:
            raise _error(
                f"made of at most {MAX_SIZE} operations, written out", self.source(node), "simplify it"
            )
        if isinstance(value, Const):
            size = max(value.value.numerator.bit_length(), value.value.denominator.bit_length())
            if size > MAX_BITS:
                requirement = f"made of numbers of at most {MAX_BITS} bits"
                raise _error(requirement, self.source(node), "use smaller ones")
        return value

    def number(self, node: ast.Constant) -> Expr:
        source = self.source(node)
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.refused(node)
        if not _LITERAL.fullmatch(source):
            way_out = "write at most 40 digits and a two-digit exponent"
            raise _error("made of short decimal numbers", source, way_out)
        return Const(Fraction(source))

    def name(self, name: str) -> Expr:
        if name in _NAMES:
            return _NAMES[name]
        raise _error("in x alone, with the constants pi and e", name, "rename the variable to x")

    def operation(self, node: ast.BinOp, depth: int) -> Expr:
        if isinstance(node.op, ast.Pow):
            return self.power(node, depth)
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div() if right == Const(Fraction(0)):
                raise _error("free of divisions by zero", self.source(node), "correct the divisor")
            case ast.Div():
                return left / right
        raise self.refused(node)

    def power(self, node: ast.BinOp, depth: int) -> Expr:
        base, exponent = self.read(node.left, depth), self.read(node.right, depth)
        whole = isinstance(exponent, Const) and exponent.value.denominator == 1
        if not isinstance(exponent, Const) or not whole or abs(exponent.value) > MAX_EXPONENT:
            requirement = f"free of exponents but integers from -{MAX_EXPONENT} to {MAX_EXPONENT}"
            raise _error(requirement, self.source(node.right), "use exp and log for other powers")
        if base == Const(Fraction(0)) and exponent.value < 0:
            raise _error("free of divisions by zero", self.source(node), "correct the divisor")
        return base ** int(exponent.value)

    def call(self, name: str, node: ast.Call, depth: int) -> Expr:
        if name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, n=2, cutoff=0.5)
            known = f"choose from {', '.join(sorted(FUNCTIONS))}"
            hint = f"did you mean {' or '.join(near)}?" if near else known
            raise _error("made of known functions", name, hint)
        count, function = FUNCTIONS[name]
        if len(node.args) != count or any(isinstance(a, ast.Starred) for a in node.args):
            raise _error(f"such that {name} has {count} arguments", self.source(node), "correct the call")
        return function(*(self.read(argument, depth) for argument in node.args))
