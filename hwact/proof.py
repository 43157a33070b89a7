# SPDX-License-Identifier: Apache-2.0
"""A proven bound of a design's error without a look at every code.

Block by block, the datapath is a polynomial with a bounded remainder (:mod:`hwact.datapath.enclose`) and
the exact function a Taylor model in ball arithmetic. Their difference is a polynomial, whose largest
value follows from its values on a grid and a bound of its second derivative. Whether a piecewise
polynomial is correctly rounded is decided exactly: the datapath rounds a polynomial once, and no
multiple of the smallest step between the function's values lies between the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import numpy as np
from flint import arb, fmpq

from hwact import reference
from hwact.architectures.problem import UnitSpec
from hwact.datapath import Datapath
from hwact.datapath.enclose import Enclosure, Reading, SplitError
from hwact.formats import Codes, Rounding, round_fraction
from hwact.functions.algebra import Piece, Polynomial, as_polynomial
from hwact.functions.expr import UndecidedError

_GRID = 32  # steps from the middle of a block to its end
_RETRIES = 4
_MOST_BLOCKS = 1 << 14  # beyond, code after code is looked at, and no polynomial
_ROUNDOFF = 2.0**-53
_ABOVE = 1 + 2.0**-40  # for conversions to float that round to nearest


@dataclass(frozen=True, eq=False)
class Proof:
    """What was proven of a design.

    Parameters
    ----------
    max_error_ulp : float
        Upper bound of the error over all codes; of one block that stays above the limit, where there is one.
    correct : bool
        Whether every code is proven to be correctly rounded.
    starts : int64 array
        First codes of the blocks on which the datapath is one polynomial, ascending.
    """

    max_error_ulp: float
    correct: bool
    starts: Codes


def prove(spec: UnitSpec, datapath: Datapath) -> Proof:
    """Bound the error of a datapath that saturates, over all input codes."""
    limit = math.inf
    if spec.accuracy.kind != "correct":
        bound = spec.accuracy.bound
        limit = 1.0 if bound is None else math.nextafter(float(bound), math.inf)
    largest, starts = _error_bound(spec, datapath, limit)
    correct = spec.quadratic and _correctly_rounded(spec, datapath)
    if correct:  # the bound itself lies above by what its arithmetic may have lost
        largest = min(largest, 0.5 if spec.rounding.startswith("half") else 1.0)
    return Proof(largest, correct, np.array(sorted(starts), dtype=np.int64))


def _error_bound(spec: UnitSpec, datapath: Datapath, limit: float) -> tuple[float, list[int]]:
    """An upper bound of the error, and where blocks start.

    A block whose bound is not below the limit is split, some times; the first that stays above ends it.
    """
    reading, largest, starts = _reading(spec, datapath), 0.0, []
    for piece, begin, count in _pieces(spec):
        stack = [(begin, count, _RETRIES)]
        while stack:
            first, size, retries = stack.pop()
            try:
                bound = _bound(spec, piece, first, reading.over(first, size))
                part = size // 2
                again = bound is None or (bound >= limit and size > 1 and retries > 0)
                retries -= bound is not None
            except SplitError as split:
                part, again, bound = split.args[0], True, None
            if again:
                stack += [(first + part, size - part, retries), (first, part, retries)]
                continue
            assert bound is not None
            starts.append(first)
            largest = max(largest, bound)
            if largest >= limit:
                return largest, starts
    return largest, starts


def _reading(spec: UnitSpec, datapath: Datapath) -> Reading:
    """Saturation brings no value further from the exact one, which saturates as well: it is left out."""
    return Reading(datapath, (spec.output_format.min_code, spec.output_format.max_code))


def _pieces(spec: UnitSpec) -> Iterator[tuple[Piece, int, int]]:
    """Every piece that holds codes, its first code and how many they are."""
    inside = spec.input_format
    for piece in spec.function.pieces():
        first, last = inside.min_code, inside.max_code
        if piece.low is not None:
            place = piece.low / inside.ulp + inside.zero_point
            first = max(first, math.ceil(place) if piece.owns_low else math.floor(place) + 1)
        if piece.high is not None:
            place = piece.high / inside.ulp + inside.zero_point
            last = min(last, math.floor(place) if piece.owns_high else math.ceil(place) - 1)
        if first <= last:
            yield piece, first, last + 1 - first


def _bound(spec: UnitSpec, piece: Piece, first: int, y: Enclosure) -> float | None:
    """An upper bound of the error over one block; none where the block must be split."""
    outside = spec.output_format
    low, high = y.range()
    if y.size == 1:
        return _single(spec, first, min(max(low, outside.min_code), outside.max_code))
    beyond = (high <= outside.min_code) - (low >= outside.max_code)
    if beyond:
        y = Enclosure((outside.min_code if beyond > 0 else outside.max_code,), 0, 0, 0, y.size)
    try:
        below, above = _difference(spec, piece, first, y)
    except (UndecidedError, ValueError, OverflowError):
        return None
    if beyond:  # what the exact value is further beyond does not count
        clipped = min if beyond > 0 else max
        below, above = clipped(below, 0.0), clipped(above, 0.0)
    bound = max(-below, above, 0.0)
    return bound if math.isfinite(bound) else None


def _difference(spec: UnitSpec, piece: Piece, first: int, y: Enclosure) -> tuple[float, float]:
    """Bounds of the output less the exact value, in ulp, over a block of at least 2 codes."""
    inside, outside, reach = spec.input_format, spec.output_format, y.size - 1
    place = inside.value(first) + reach * inside.ulp / 2, reach * inside.ulp / 2
    with reference.working_precision():
        scale = _ball(1 / outside.ulp)
        exact = [term * scale for term in reference.taylor_terms(piece.expression, *place)]
        rest = abs(reference.taylor_remainder(piece.expression, *place) * scale)
        steps = [_ball(Fraction(c * reach**i, 1 << y.scale)) for i, c in enumerate(y.coefficients)]
        steps[0] -= outside.zero_point
        terms = [p - q for p, q in zip_longest(steps, exact, fillvalue=arb(0))]
        middles = [float(term.mid()) for term in terms]
        slack = float(rest.upper()) + sum(float(term.rad()) for term in terms)
    u = np.arange(-_GRID, _GRID + 1) / _GRID
    values = np.zeros(u.size)
    for middle in reversed(middles):
        values = values * u + middle
    bend = sum(i * (i - 1) * abs(middle) for i, middle in enumerate(middles))
    low, high = (float(Fraction(end, 1 << y.scale)) for end in (y.low, y.high))
    size = sum(map(abs, middles)) + abs(low) + abs(high)
    slack += bend / (8 * _GRID * _GRID) + (2 * len(middles) + 16) * _ROUNDOFF * size
    slack *= _ABOVE
    return float(values.min()) + low - slack, float(values.max()) + high + slack


def _single(spec: UnitSpec, code: int, y: int) -> float:
    """An upper bound of the error at one code."""
    return float(spec.exact_at(np.array([code])).error_bounds(np.array([y]))[0])


def _ball(x: Fraction | int) -> Any:
    x = Fraction(x)
    return arb(fmpq(x.numerator, x.denominator))


def _correctly_rounded(spec: UnitSpec, datapath: Datapath) -> bool:
    """Whether every code is proven to be a polynomial's value rounded in the unit's mode, then saturated."""
    reading, blocks = _reading(spec, datapath), 0
    for piece, first, size in _pieces(spec):
        coefficients = as_polynomial(piece.expression)
        assert coefficients is not None
        stack = [(first, size)]
        while stack:
            first, size = stack.pop()
            try:
                y = reading.over(first, size)
            except SplitError as split:
                stack += [(first + split.args[0], size - split.args[0]), (first, split.args[0])]
                continue
            if _rounds(spec, coefficients, first, y):
                continue
            blocks += 1
            if size == 1 or blocks > _MOST_BLOCKS:
                return False
            stack += [(first + size // 2, size - size // 2), (first, size // 2)]
    return True


def _rounds(spec: UnitSpec, coefficients: Polynomial, first: int, y: Enclosure) -> bool:
    """Whether a block's values before saturation are the polynomial's, rounded."""
    exact = _in_codes(spec, coefficients)
    if y.size == 1 or not any(exact[1:]):
        value = sum((c * first**i for i, c in enumerate(exact)), Fraction(0))
        return y.range() == (rounded := round_fraction(value, spec.rounding), rounded)
    source, rounding = y.exact or (y, Rounding.FLOOR)
    if not source.is_polynomial:
        return False
    difference = _less(source, exact, first)
    if rounding == spec.rounding and not any(difference):
        return True
    n = math.lcm(*(c.denominator for c in exact))
    half = Fraction(1, 2) if n % 2 == 0 else Fraction(n - 1, 2 * n)
    start = {Rounding.HALF_UP: half, Rounding.FLOOR: Fraction(0)}.get(spec.rounding)
    if start is None or rounding is not Rounding.FLOOR:
        return False
    low, high = _range(difference, y.size - 1)
    return start <= low and high < start + Fraction(1, n)


def _in_codes(spec: UnitSpec, coefficients: Polynomial) -> Polynomial:
    """A polynomial of the input's value as one of its code, in output codes."""
    inside, outside = spec.input_format, spec.output_format
    scaled = tuple(c / outside.ulp for c in coefficients)
    result = _substituted(scaled, -inside.zero_point * inside.ulp, inside.ulp)
    return (result[0] + outside.zero_point, *result[1:])


def _substituted(coefficients: Polynomial, start: Fraction, step: Fraction) -> Polynomial:
    """The polynomial of ``start + step * t`` as one of t."""
    result = [Fraction(0)] * len(coefficients)
    for i, c in enumerate(coefficients):
        for j in range(i + 1):
            result[j] += c * math.comb(i, j) * start ** (i - j) * step**j
    return tuple(result)


def _less(source: Enclosure, exact: Polynomial, first: int) -> list[Fraction]:
    """The datapath's polynomial less the exact one, both in twice the distance from the block's middle."""
    middle = first + Fraction(source.size - 1, 2)
    moved = _substituted(exact, middle, Fraction(1, 2))
    own = [Fraction(c, 1 << source.scale) for c in source.coefficients]
    return [p - q for p, q in zip_longest(own, moved, fillvalue=Fraction(0))]


def _range(coefficients: list[Fraction], reach: int) -> tuple[Fraction, Fraction]:
    """Bounds of a polynomial over -reach ... reach."""
    low = high = coefficients[0]
    for i, c in enumerate(coefficients[1:], start=1):
        size = abs(c) * reach**i
        low -= size if i % 2 or c < 0 else 0
        high += size if i % 2 or c > 0 else 0
    return low, high
