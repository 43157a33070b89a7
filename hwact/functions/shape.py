# SPDX-License-Identifier: Apache-2.0
"""The shape of a function as data: symmetry, asymptotes, monotonicity; and their detection.

Detection is for expressions that a user gives. It decides by proven enclosures at sample points,
so it can miss what happens between them; what depends on it is checked over all codes later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from flint import arb, ctx, fmpq

from hwact.functions.algebra import Ratio, as_ratio, breakpoints, resolve, tail
from hwact.functions.expr import Expr

_PRECISION = 192
_NEAR, _FAR = 20, 40


@dataclass(frozen=True)
class Symmetry:
    """``f(-x) = sign * f(x) + offset + slope * x`` for every x.

    Even is (1, 0, 0), odd (-1, 0, 0), sigmoid (-1, 1, 0), GELU, SiLU, softplus, SmeLU (1, 0, -1).
    """

    sign: int
    offset: Fraction = Fraction(0)
    slope: Fraction = Fraction(0)

    def gradient(self) -> Symmetry:
        """The symmetry of the derivative."""
        return Symmetry(-self.sign, -self.slope)

    def mirror(self, x: Fraction, y: Fraction) -> Fraction:
        """f(-x) from y = f(x)."""
        return self.sign * y + self.offset + self.slope * x


@dataclass(frozen=True)
class Line:
    """The asymptote ``slope * x + intercept``."""

    slope: Fraction
    intercept: Fraction = Fraction(0)

    def gradient(self) -> Line:
        """The asymptote of the derivative."""
        return Line(Fraction(0), self.slope)


FLAT = Line(Fraction(0))
IDENTITY = Line(Fraction(1))
ODD = Symmetry(-1)
RECTIFIER = Symmetry(1, Fraction(0), Fraction(-1))


def _ball(x: Fraction) -> Any:
    return arb(fmpq(x.numerator, x.denominator))


def _value(expression: Expr, x: Fraction) -> Any:
    """Enclosure at a rational point, with the branches that hold exactly there."""
    return resolve(expression, x).ball(_ball(x))


def _sample_points(expression: Expr) -> list[Fraction]:
    """Positive and negative points, dense near zero and at the kinks, in ascending order."""
    points = {Fraction(k, 8) for k in range(-96, 97)} | {Fraction(k, 128) for k in range(-16, 17)}
    points |= {Fraction(k) for k in (-200, -60, -25, 25, 60, 200)}
    for kink in breakpoints(expression):
        points |= {kink, kink - Fraction(1, 1000), kink + Fraction(1, 1000)}
    return sorted(points)


def is_monotonic(expression: Expr) -> bool:
    """Whether neighbouring sample points never show both a rise and a fall."""
    with ctx.workprec(_PRECISION):
        values = [_value(expression, x) for x in _sample_points(expression)]
        finite = [value for value in values if value.is_finite()]
        rises = any(a < b for a, b in pairwise(finite))
        falls = any(a > b for a, b in pairwise(finite))
    return not (rises and falls)


def symmetry_of(expression: Expr) -> Symmetry | None:
    """The symmetry, with its constants solved from two points and confirmed at all the others."""
    points = [x for x in _sample_points(expression) if x >= 0]
    points += [-x for x in breakpoints(expression) if x < 0]
    with ctx.workprec(_PRECISION):
        pairs = [(x, _value(expression, x), _value(expression, -x)) for x in points]
        if not all(y.is_finite() and z.is_finite() for _, y, z in pairs):
            return None
        return next(filter(None, (_solve(sign, pairs) for sign in (1, -1))), None)


def _solve(sign: int, pairs: list[tuple[Fraction, Any, Any]]) -> Symmetry | None:
    differences = {x: z - sign * y for x, y, z in pairs}
    one, two = differences[Fraction(1)], differences[Fraction(2)]
    slope, offset = _rational(two - one), _rational(2 * one - two)
    if slope is None or offset is None:
        return None
    fits = all(d.overlaps(_ball(offset + slope * x)) for x, d in differences.items())
    return Symmetry(sign, offset, slope) if fits else None


def _rational(value: Any) -> Fraction | None:
    """The simple fraction inside a narrow ball, else None."""
    mantissa, exponent = value.mid().man_exp()
    guess = (Fraction(int(mantissa)) * Fraction(2) ** int(exponent)).limit_denominator(10**9)
    return guess if value.overlaps(_ball(guess)) else None  # thirds are no exact balls


def asymptotes_of(expression: Expr) -> tuple[Line | None, Line | None]:
    """The asymptotes for x to minus and plus infinity, where they are lines with rational coefficients."""
    return _asymptote(expression, -1), _asymptote(expression, 1)


def _asymptote(expression: Expr, side: int) -> Line | None:
    body = resolve(expression, Fraction(side * 2**_FAR))
    ratio = as_ratio(body)
    if ratio is not None:
        return _quotient_line(ratio)
    with ctx.workprec(_PRECISION):
        near, far = arb(side * 2**_NEAR), arb(side * 2**_FAR)
        polynomial, rest = tail(body, near.union(far))
        vanishes = abs(rest.ball(near)) < 2.0**-8 and abs(rest.ball(far)) < 2.0**-24
    return _line(polynomial) if vanishes else None


def _line(polynomial: Iterable[Fraction]) -> Line | None:
    intercept, slope, *more = (*polynomial, Fraction(0))
    return None if any(more) else Line(slope, intercept)


def _quotient_line(ratio: Ratio) -> Line | None:
    """The polynomial part of a quotient by long division, if it is linear."""
    top, bottom = list(ratio[0]), ratio[1]
    quotient = [Fraction(0)] * max(1, len(top) - len(bottom) + 1)
    for shift in range(len(top) - len(bottom), -1, -1):
        factor = quotient[shift] = top[shift + len(bottom) - 1] / bottom[-1]
        for i, coefficient in enumerate(bottom):
            top[shift + i] -= factor * coefficient
    return _line(quotient)
