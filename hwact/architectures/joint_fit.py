# SPDX-License-Identifier: Apache-2.0
"""Coefficients of polynomial segments that make a function and its gradient at once.

Per segment the function is a parabola, and the gradient that parabola's derivative and a curve::

    function = c0 + v * (c1 + c2 * v);  gradient = c1 + 2 * c2 * v + c3 * q

``q`` is v squared less a quarter of its largest value: so far is the slope of the best parabola from that of
the function. All truncations are those of the hardware. c2 and c3 are neighbours of what fits the gradient
best; c1 comes from intersecting what every code of the segment permits the gradient, c0 from what it permits
the function. Where both are folded by symmetry, what is left of the gradient is the derivative of what is
left of the function, and a constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from hwact.architectures import row_fit
from hwact.architectures.digits import sum_by_booth, sum_by_number
from hwact.architectures.folding import Folding, roundest
from hwact.architectures.problem import InfeasibleError, UnitSpec
from hwact.architectures.row_fit import Problem, digit_counts, projection, room
from hwact.formats import Codes

_STEPS = (0, 1, -1)
_SLOPES = 5  # that are tried of an interval
_FEW_SEGMENTS, _PLACES = 24, 32  # of samples
_NEVER = 1 << 60

Specs = tuple[UnitSpec, UnitSpec]
"""Of the function and of its gradient."""


@dataclass(frozen=True)
class Shape:
    """The parameters of one design.

    Parameters
    ----------
    folding : str
        ``plain``, or ``magnitude``: the segments are those of |x|.
    saturate : int
        1 where the function's sum may leave the output format, and saturates.
    segment_bits : int
        A segment has ``2**segment_bits`` codes.
    guard_bits, gradient_guard_bits : int
        Fraction bits of the sums below the ulps of the outputs.
    bend_bits, curve_bits : int
        Fraction bits of c2 and c3 beyond those of the gradient's sum.
    square_address, square_bits : int
        Bits of the offset that the table of squares reads, and bits that its squares have.
    """

    folding: str
    saturate: int
    segment_bits: int
    guard_bits: int
    gradient_guard_bits: int
    bend_bits: int
    curve_bits: int
    square_address: int
    square_bits: int

    def squares(self) -> Codes:
        """The table of q by distance from the centre, shape (2**(square_address - 1),)."""
        return self.rows.squares() - self._quarter

    def offsets(self) -> Codes:
        """The offset v from the centre for every code of a segment, shape (2**segment_bits,)."""
        return self.rows.offsets()

    def square_of_offsets(self) -> Codes:
        """The tabulated q for every code of a segment, shape (2**segment_bits,)."""
        return self.rows.square_of_offsets() - self._quarter

    @property
    def rows(self) -> row_fit.Shape:
        """The shape of the function's sum."""
        return row_fit.Shape(
            self.folding, self.saturate, 2, "slope", self.segment_bits, self.guard_bits,
            square_address=self.square_address, square_bits=self.square_bits,
        )  # fmt: skip

    @property
    def _quarter(self) -> int:
        return 1 << (self.square_bits - 2)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Fitted coefficients, one of each kind a segment; int64."""

    c0: Codes
    c1: Codes
    c2: Codes
    c3: Codes


def product_shift(specs: Specs, shape: Shape) -> int:
    """Bits by which the product of slope and offset is finer than the function's sum; formats are dyadic."""
    function, gradient = specs
    slope = gradient.output_format.ulp / 2**shape.gradient_guard_bits
    ratio = function.output_format.ulp / 2**shape.guard_bits / (slope * function.input_format.ulp)
    return ratio.numerator.bit_length() - ratio.denominator.bit_length()


def foldings(specs: Specs, shape: Shape) -> tuple[Folding, Folding]:
    """How function and gradient are folded.

    Raises
    ------
    InfeasibleError
        The shape does not suit the symmetry of one of them, or has too few guard bits for it.
    """
    both = zip(specs, _rows(shape), strict=True)
    function, gradient = (row_fit.folded(spec, rows) for spec, rows in both)
    return function, gradient


def between(specs: Specs, shape: Shape) -> int:
    """What is left of the gradient less the derivative of what is left of the function.

    A constant, in units of the gradient's sum.
    """
    function, gradient = foldings(specs, shape)
    one = (1 << shape.gradient_guard_bits) / specs[1].output_format.ulp
    return int(function.slopes[1] * one) - gradient.centre[0]


@lru_cache(maxsize=512)
def plausible(specs: Specs, shape: Shape) -> bool:
    """Whether samples of the codes permit a shape: if not, no coefficients fit."""
    try:
        problems = _problems(specs, shape)
    except InfeasibleError:
        return False
    return all(_best(specs, shape, *(_sample(few, *key) for key in problems)) for few in (True, False))


@lru_cache(maxsize=64)
def fitted(specs: Specs, shape: Shape) -> Coefficients | None:
    """Coefficients of all segments; none where some segment has no solution, or none of them bends."""
    if not plausible(specs, shape):
        return None
    found = _best(specs, shape, *(row_fit.problem(*key) for key in _problems(specs, shape)))
    return found if found and found.c2.any() else None


_Key = tuple[UnitSpec, str, int, int, int]


def _rows(shape: Shape) -> tuple[row_fit.Shape, row_fit.Shape]:
    """The shapes of the sums of function and gradient."""
    function = shape.rows
    return function, replace(function, saturate=0, guard_bits=shape.gradient_guard_bits)


def _problems(specs: Specs, shape: Shape) -> list[_Key]:
    """What :func:`hwact.architectures.row_fit.problem` is asked for function and gradient."""
    foldings(specs, shape)
    return [
        (spec, shape.folding, rows.saturate, rows.segment_bits, rows.guard_bits)
        for spec, rows in zip(specs, _rows(shape), strict=True)
    ]


@lru_cache(maxsize=32)
def _sample(few: bool, *key: Any) -> Problem:
    whole = row_fit.problem(*key)
    return whole.some(_FEW_SEGMENTS if few else whole.low.shape[0], _PLACES)


def _best(specs: Specs, shape: Shape, function: Problem, gradient: Problem) -> Coefficients | None:
    """Of every segment the coefficients of the fewest digits and, of these, those that leave c0 most room."""
    v, q = shape.offsets()[gradient.places], shape.square_of_offsets()[gradient.places]
    shift, rest = product_shift(specs, shape), between(specs, shape)
    bends, curves = _ideal(shape, gradient)
    score = np.full(bends.size, -2 * _NEVER)
    kept = np.zeros((5, bends.size), np.int64)
    for c2, c3 in product((bends + step for step in _STEPS), (curves + step for step in _STEPS)):
        bent = sum_by_number(c2[:, None], v, shape.bend_bits)
        bow = sum_by_number(c3[:, None], q, shape.curve_bits)
        least, most = room(gradient.low, gradient.high, 2 * bent + bow + rest)
        digits = digit_counts(c2) + digit_counts(c3)
        for c1 in _slopes(least, most):
            line = sum_by_booth(v, c1[:, None] + bent, shape.segment_bits, shift)
            low, high = room(function.low, function.high, line)
            fails = (least > most) | (low > high)
            new = high - low - np.where(fails, _NEVER, digits << 30)
            kept = np.where(new > score, (low, high, c1, c2, c3), kept)
            score = np.maximum(score, new)
    if (score < -_NEVER // 2).any():
        return None
    low, high, c1, c2, c3 = kept
    return Coefficients(roundest(low, high), c1, c2, c3)


def _ideal(shape: Shape, gradient: Problem) -> tuple[Codes, Codes]:
    """c2 and c3 of the gradient's least squares fit, rounded down."""
    v, q = shape.offsets(), shape.square_of_offsets()
    bends = projection(gradient.relative, 2 * v + 1, v, shape.bend_bits - 1)
    return bends, projection(gradient.relative, q * q.size - q.sum(), q, shape.curve_bits)


def _slopes(low: Codes, high: Codes) -> Iterator[Codes]:
    """The roundest of the intervals, and evenly chosen ones."""
    yield roundest(low, np.maximum(low, high))
    yield from (low + (high - low) * i // (_SLOPES - 1) for i in range(_SLOPES))
