# SPDX-License-Identifier: Apache-2.0
"""What can be read off an expression: pieces, polynomials, exact values, tails and signs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any

from flint import arb, fmpq

from hwact.functions.expr import (
    ZERO,
    Add,
    Const,
    Divide,
    Expr,
    Multiply,
    Power,
    Select,
    Variable,
)
from hwact.functions.primitives import Call

MAX_DEGREE = 64
_TINY_EXPONENT = -2  # beside this an exponential is a scale that terms may share
Polynomial = tuple[Fraction, ...]
Ratio = tuple[Polynomial, Polynomial]


@dataclass(frozen=True)
class Piece:
    """An expression on an interval of x.

    ``low`` or ``high`` is None at infinity; ``owns_low`` and ``owns_high`` say whether the end
    point belongs to this piece. A single point has both bounds equal and owns both.
    """

    low: Fraction | None
    high: Fraction | None
    owns_low: bool
    owns_high: bool
    expression: Expr


def _padded(p: Polynomial, size: int) -> Polynomial:
    return p + (Fraction(0),) * (size - len(p))


def _trimmed(p: Polynomial) -> Polynomial:
    while len(p) > 1 and p[-1] == 0:
        p = p[:-1]
    return p


def add_polynomials(p: Polynomial, q: Polynomial) -> Polynomial:
    """Sum; coefficients from the constant upwards."""
    size = max(len(p), len(q))
    return _trimmed(tuple(a + b for a, b in zip(_padded(p, size), _padded(q, size), strict=True)))


def multiply_polynomials(p: Polynomial, q: Polynomial) -> Polynomial:
    """Product; coefficients from the constant upwards."""
    result = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            result[i + j] += a * b
    return _trimmed(tuple(result))


def evaluate_polynomial(p: Polynomial, x: Fraction) -> Fraction:
    """Exact value at a rational point."""
    result = Fraction(0)
    for coefficient in reversed(p):
        result = result * x + coefficient
    return result


@lru_cache(maxsize=4096)  # asked again for every node above
def as_ratio(expression: Expr) -> Ratio | None:
    """Numerator and denominator when the expression is a rational function, else None."""
    match expression:
        case Const(value):
            return (value,), (Fraction(1),)
        case Variable():
            return (Fraction(0), Fraction(1)), (Fraction(1),)
        case Add() | Multiply() | Divide() | Power():
            parts = [as_ratio(child) for child in expression.children()]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts) or sum(_degree(part) for part in known) > MAX_DEGREE:
                return None
            return _combine(expression, known)
        case _:
            return None


def _degree(ratio: Ratio) -> int:
    return len(ratio[0]) + len(ratio[1]) - 2


def _combine(expression: Expr, parts: list[Ratio]) -> Ratio | None:
    (p, q), (r, s) = parts[0], parts[-1]
    match expression:
        case Add():
            if q == s:
                return add_polynomials(p, r), q
            top = add_polynomials(multiply_polynomials(p, s), multiply_polynomials(r, q))
            return top, multiply_polynomials(q, s)
        case Divide():
            return multiply_polynomials(p, s), multiply_polynomials(q, r)
        case Power(_, exponent):
            if _degree(parts[0]) * exponent > MAX_DEGREE:
                return None
            p, q = r, s
            for _ in range(exponent - 1):
                p, q = multiply_polynomials(p, r), multiply_polynomials(q, s)
            return p, q
        case _:
            return multiply_polynomials(p, r), multiply_polynomials(q, s)


def as_polynomial(expression: Expr) -> Polynomial | None:
    """Coefficients from the constant upwards when the expression is a polynomial, else None."""
    ratio = as_ratio(expression)
    if ratio is None or len(ratio[1]) > 1 or ratio[1][0] == 0:
        return None
    return tuple(c / ratio[1][0] for c in ratio[0])


def _breakpoint(selector: Expr) -> Fraction | None:
    p = as_polynomial(selector)
    return -p[0] / p[1] if p is not None and len(p) == 2 else None


def breakpoints(expression: Expr) -> tuple[Fraction, ...]:
    """Where selectors that are linear in x change their sign."""
    found = (_breakpoint(n.selector) for n in expression.walk() if isinstance(n, Select))
    return tuple(sorted({point for point in found if point is not None}))


def resolve(expression: Expr, x: Fraction) -> Expr:
    """The expression with the branches that hold at x, where their selector is linear in x."""
    if isinstance(expression, Select):
        p = as_polynomial(expression.selector)
        if p is not None and len(p) <= 2:
            value = evaluate_polynomial(p, x)
            branches = expression.children()[1:]
            return resolve(branches[1 + (value > 0) - (value < 0)], x)
    children = expression.children()
    return expression.rebuild(*(resolve(child, x) for child in children)) if children else expression


@lru_cache(maxsize=256)
def pieces(expression: Expr) -> tuple[Piece, ...]:
    """The intervals on which the expression is smooth, from left to right.

    A breakpoint belongs to the piece at its left if that has the value there, else to the one at
    its right, else it is a piece of its own.
    """
    cuts = breakpoints(expression)
    if not cuts:
        return (Piece(None, None, False, False, expression),)
    samples = [cuts[0] - 1, *((a + b) / 2 for a, b in pairwise(cuts)), cuts[-1] + 1]
    bodies = [resolve(expression, x) for x in samples]
    result: list[Piece] = []
    low: Fraction | None = None
    owns_low = False
    for index, cut in enumerate(cuts):
        here = resolve(expression, cut)
        left, right = (_agree(here, body, cut) for body in bodies[index : index + 2])
        if left and right and bodies[index] == bodies[index + 1]:
            continue
        result.append(Piece(low, cut, owns_low, left, bodies[index]))
        if not left and not right:
            result.append(Piece(cut, cut, True, True, here))
        low, owns_low = cut, right and not left
    result.append(Piece(low, None, owns_low, False, bodies[-1]))
    return tuple(result)


def _agree(here: Expr, body: Expr, x: Fraction) -> bool:
    if here == body:
        return True
    value = exact_value(here, x)
    return value is not None and value == exact_value(body, x)


def exact_value(expression: Expr, x: Fraction) -> Fraction | None:
    """The value at x where it follows by rational arithmetic and known special values, else None."""
    match expression:
        case Const(value):
            return value
        case Variable():
            return x
        case Select():
            selector = exact_value(expression.selector, x)
            if selector is None:  # irrational, but its sign may be proven
                selector = Fraction(sign_of(expression.selector, arb(fmpq(x.numerator, x.denominator))))
                if selector == 0:
                    return None
            return exact_value(expression.children()[2 + (selector > 0) - (selector < 0)], x)
    operands = [exact_value(child, x) for child in expression.children()]
    values = [operand for operand in operands if operand is not None]
    if not operands or len(values) < len(operands):
        return Fraction(0) if isinstance(expression, Multiply) and 0 in operands else None
    return _exact_operation(expression, values)


def _exact_operation(expression: Expr, values: list[Fraction]) -> Fraction | None:
    match expression:
        case Add():
            return values[0] + values[1]
        case Multiply():
            return values[0] * values[1]
        case Divide():
            return values[0] / values[1] if values[1] else None
        case Power(_, exponent):
            return values[0] ** exponent
        case Call(name, _, primitive):
            if name == "sqrt" and values[0] >= 0:
                return exact_root(values[0])
            return dict(primitive.special).get(values[0])
    return None


def exact_root(value: Fraction) -> Fraction | None:
    """The square root where it is rational, else None."""
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return root if root * root == value else None


def tail(expression: Expr, x: Any) -> tuple[Polynomial, Expr]:
    """A polynomial and a rest whose sum is the expression, the rest small where it can be.

    Parameters
    ----------
    x : flint.arb
        Where the rest shall be small: rewriting such as ``tanh(u) = 1 - 2 sigmoid(-2u)`` holds
        everywhere and is used where u has one sign on this ball.
    """
    polynomial = as_polynomial(expression)
    if polynomial is not None:
        return polynomial, ZERO
    match expression:
        case Add(left, right):
            (p, r), (q, s) = tail(left, x), tail(right, x)
            return add_polynomials(p, q), r + s
        case Multiply(left, right):
            (p, r), (q, s) = tail(left, x), tail(right, x)
            if any(p) and any(q) and len(p) + len(q) <= MAX_DEGREE:
                return multiply_polynomials(p, q), _as_expression(p) * s + r * right
        case Call(_, argument, primitive):
            sign = sign_of(argument, x) if primitive.far or primitive.near else 0
            rule = {1: primitive.far, -1: primitive.near, 0: None}[sign]
            if rule is not None:
                limit, rest = rule(argument)
                p, r = tail(limit, x)
                return p, r + rest
    return (Fraction(0),), expression


def _as_expression(p: Polynomial) -> Expr:
    result: Expr = ZERO
    for coefficient in reversed(p):
        result = result * Variable() + coefficient
    return result


def sign_of(expression: Expr, x: Any) -> int:
    """The proven sign over the ball x: +1, -1, or 0 where it is not known to be one of them."""
    value = expression.ball(x)
    if value > 0 or value < 0:
        return 1 if value > 0 else -1
    match expression:
        case Multiply(left, right) | Divide(left, right):
            return sign_of(left, x) and sign_of(left, x) * sign_of(right, x)
        case Power(base, exponent):
            return sign_of(base, x) ** exponent
        case Call(_, argument, primitive) if primitive.sign is not None:
            return primitive.sign or sign_of(argument, x)
        case Add(left, right):
            return _sign_of_sum(left, right, x)
    return 0


def _sign_of_sum(left: Expr, right: Expr, x: Any) -> int:
    sign = sign_of(left, x)
    if sign and sign == sign_of(right, x):
        return sign
    (a, first), (b, second) = _split_exponential(left, x), _split_exponential(right, x)
    if a != b or a == ZERO:
        return 0
    value = (first + second).ball(x)
    return int(value > 0) - int(value < 0)


def _split_exponential(term: Expr, x: Any) -> tuple[Expr, Expr]:
    """(a, b) with term = exp(a) * b, taking out what makes the term tiny over the ball x."""
    match term:
        case Multiply(left, right):
            (a, b), (c, d) = _split_exponential(left, x), _split_exponential(right, x)
            return a + c, b * d
        case Add(left, right):
            (a, b), (c, d) = _split_exponential(left, x), _split_exponential(right, x)
            return (a, b + d) if a == c else (ZERO, term)
        case Call(_, argument, primitive) if primitive.factor is not None:
            exponent, rest = primitive.factor(argument)
            if exponent.ball(x) < _TINY_EXPONENT:
                return exponent, rest
    return ZERO, term
