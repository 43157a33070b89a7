# SPDX-License-Identifier: Apache-2.0
"""Exact output codes from sums: the accumulators at which the code changes, each proven on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import flint
import numpy as np
import numpy.typing as npt
from flint import arb

from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow, Rounding
from hwact.functions.algebra import (
    Piece,
    add_polynomials,
    evaluate_polynomial,
    exact_value,
    multiply_polynomials,
    sign_of,
)
from hwact.functions.expr import Expr
from hwact.functions.spec import FunctionSpec, PolynomialPiece
from hwact.requantise.channel import ACCUMULATOR_BITS, PRECISION, Channel, ball, by_channel, changes, fraction

_MAX_PRECISION = 1 << 16
_FAR = 1 << 12  # bits; no format reaches as far
_INT64_BITS = 60


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Output codes by comparison of accumulators.

    Made by :meth:`of`. Codes are constant between neighbouring starts: at both sides of every start the code
    is decided by enclosures or rational arithmetic, and between them the function is proven to be monotonic,
    or to stay within one code.

    Parameters
    ----------
    starts : tuple of int64 arrays
        For each channel the accumulators from which on a code holds; the first is the least accumulator.
    codes : tuple of int64 arrays
        For each channel those codes, of the same shape.
    function : FunctionSpec
    channels : tuple of Channel
    output_format : Format
    rounding : Rounding
    bits : int
        Of the accumulator, signed.
    """

    starts: tuple[Codes, ...]
    codes: tuple[Codes, ...]
    function: FunctionSpec
    channels: tuple[Channel, ...]
    output_format: Format
    rounding: Rounding
    bits: int

    @classmethod
    def of(
        cls,
        function: FunctionSpec,
        channels: Sequence[Channel],
        output_format: Format,
        *,
        rounding: Rounding | None = None,
        bits: int = ACCUMULATOR_BITS,
    ) -> Thresholds:
        """The thresholds of a function behind some channels; saturating.

        Raises
        ------
        ArgumentError
            A code cannot be decided: the function is undefined there, or an irrational number lies too close
            to the boundary of two codes; no such one is known for the functions of the catalogue.
        """
        if not 2 <= bits <= 62:
            raise ArgumentError(f"an accumulator must have 2 to 62 bits, not {bits!r}")
        mode = output_format.default_rounding if rounding is None else rounding
        tables = [_Search(function, channel, output_format, mode).table(bits) for channel in channels]
        starts, codes = zip(*tables, strict=True)
        return cls(starts, codes, function, tuple(channels), output_format, mode, bits)

    def evaluate(self, accumulators: npt.ArrayLike, axis: int = -1) -> Codes:
        """The output codes of accumulators; int64, of the same shape.

        Parameters
        ----------
        accumulators : integers
        axis : int
            The axis of the channels.
        """
        return by_channel(accumulators, axis, len(self.starts), self.bits, self.channel_codes)

    def channel_codes(self, channel: int, accumulators: Codes) -> Codes:
        """The output codes of one channel's accumulators, int64."""
        where = np.searchsorted(self.starts[channel], accumulators, side="right") - 1
        return self.codes[channel][where]


class _Search:
    """Finds where the code of one channel changes."""

    def __init__(
        self, function: FunctionSpec, channel: Channel, output_format: Format, rounding: Rounding
    ) -> None:
        self.function, self.channel = function, channel
        self.output_format, self.rounding = output_format, rounding
        self.polynomials = function.piecewise_polynomial()
        self.pieces = [(piece, piece.expression.diff()) for piece in function.pieces()]
        self.found: dict[int, int] = {}

    def table(self, bits: int) -> tuple[Codes, Codes]:
        """First accumulators and codes of the intervals of one code."""
        first, last = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        self.found[first] = self.code(first)
        with flint.ctx.workprec(PRECISION):
            self._interval(first, last)
        starts = sorted(self.found)
        kept = [starts[0], *(b for a, b in pairwise(starts) if self.found[a] != self.found[b])]
        return np.array(kept, np.int64), np.array([self.found[a] for a in kept], np.int64)

    def _interval(self, first: int, last: int) -> None:
        """All changes among the accumulators ``first + 1 .. last``; the code at first is known."""
        if first == last:
            return
        t = self.channel.ball(first, last)
        piece = self._piece(t)
        if piece is not None and self._code_of(piece[0].expression.ball(t)) is not None:
            return
        self.found[last] = self.code(last)
        if piece is not None and (sign_of(piece[1], t) or self.channel.factor == 0):
            self._monotonic(first, last)
        elif last - first > 1:
            middle = (first + last) // 2
            self._interval(first, middle)
            self.found[middle] = self.code(middle)
            self._interval(middle, last)

    def _monotonic(self, first: int, last: int) -> None:
        """Changes where the function does not turn; first where float64 sees them, which mostly is right."""
        if self.found[first] == self.found[last]:
            return
        near = changes(self._float_codes, first, last).tolist()
        places = sorted({first, last, *near, *(place - 1 for place in near)})
        self.found.update((place, self.code(place)) for place in places if place not in self.found)
        for a, b in pairwise(places):
            self._bisected(a, b)

    def _float_codes(self, accumulators: Codes) -> Codes:
        """What the codes probably are; nothing but zeros where float64 or int64 cannot say."""
        try:
            values = np.nan_to_num(self.function.float_form(self.channel.values(accumulators)))
        except OverflowError:
            return np.zeros_like(accumulators)
        if self.output_format.width > _INT64_BITS:
            return np.zeros_like(accumulators)
        return self.output_format.quantise_array(values, self.rounding, Overflow.SATURATE)

    def _bisected(self, first: int, last: int) -> None:
        """Changes where the function does not turn: none where both ends have the same code."""
        if self.found[first] == self.found[last] or last - first == 1:
            return
        middle = (first + last) // 2
        self.found[middle] = self.code(middle)
        self._bisected(first, middle)
        self._bisected(middle, last)

    def _piece(self, t: Any) -> tuple[Piece, Expr] | None:
        """The smooth piece in which a whole enclosure lies, with its derivative; else none."""
        for piece, slope in self.pieces:
            if _inside(t, piece):
                return piece, slope
        return None

    def _code_of(self, value: Any) -> int | None:
        """The code that all values of an enclosure have; rounding and clamping keep their order."""
        if not value.is_finite():
            return None
        low, high = (
            self.output_format.quantise(_outward(end, sign), self.rounding, Overflow.SATURATE)
            for end, sign in ((value.lower(), -1), (value.upper(), 1))
        )
        return low if low == high else None

    def code(self, accumulator: int) -> int:
        """The code of one accumulator."""
        x = self.channel.exact(accumulator)
        exact = self._at_root(accumulator) if x is None else exact_value(self.function.expression, x)
        if exact is not None:
            return self.output_format.quantise(exact, self.rounding, Overflow.SATURATE)
        for precision in _precisions():
            with flint.ctx.workprec(precision):
                t = self.channel.ball(accumulator, accumulator) if x is None else ball(x)
                code = self._code_of(self.function.expression.ball(t))
            if code is not None:
                return code
        raise ArgumentError(
            f"{self.function.name} must have a code that {_MAX_PRECISION} bits decide, "
            f"not at the accumulator {accumulator!r}; choose another function or output format"
        )

    def _at_root(self, accumulator: int) -> Fraction | None:
        """The value at an irrational argument where it is rational, as far as polynomials can make it so.

        The argument is a rational number and a root, whose square is rational: even powers of the root are
        rational, and odd ones together are irrational unless their factor is 0. Only then a tie is possible,
        and without one some precision decides. Exponentials at such an argument are transcendental; of erf
        no such value is known.
        """
        channel = self.channel
        for precision in _precisions() if self.polynomials is not None else ():
            with flint.ctx.workprec(precision):
                t = channel.ball(accumulator, accumulator)
                piece = next((p for p in self.polynomials or () if _inside(t, p)), None)
            if piece is not None:
                break
        else:
            return None
        square = (channel.factor * accumulator + channel.constant) ** 2 / channel.radicand
        powers: tuple[Fraction, ...] = ()
        for coefficient in reversed(piece.coefficients):
            moved = multiply_polynomials(powers, (channel.offset, Fraction(1))) if powers else ()
            powers = add_polynomials(moved, (coefficient,))
        irrational = evaluate_polynomial(powers[1::2], square)
        return None if irrational else evaluate_polynomial(powers[::2], square)


def _inside(t: Any, piece: Piece | PolynomialPiece) -> bool:
    """Whether a whole enclosure lies in a piece."""
    above = piece.low is None or t > ball(piece.low)
    return above and (piece.high is None or t < ball(piece.high))


def _precisions() -> Iterator[int]:
    """Of enclosures, each twice the one before."""
    precision = PRECISION
    while precision <= _MAX_PRECISION:
        yield precision
        precision *= 2


def _outward(end: Any, sign: int) -> Fraction:
    """An exact ``arb``, or a short number beyond it where it is astronomically small or large."""
    if abs(end) > arb(2) ** _FAR:
        return Fraction(2) ** _FAR * (1 if end > 0 else -1)
    if end != 0 and abs(end) < arb(2) ** -_FAR:
        return Fraction(sign, 1 << _FAR) if (end > 0) == (sign > 0) else Fraction(0)
    return fraction(end)
