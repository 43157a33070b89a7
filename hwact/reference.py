# SPDX-License-Identifier: Apache-2.0
"""The exact reference: a function over all codes of a format, decided by proven enclosures.

Every exact value is kept as ``floor(f * 2**guard_bits)`` in output ulps and whether anything lies
beyond it (a sticky bit). That decides every rounding mode, every set of permitted codes and every
error bound in integer arithmetic. The values come from, in this order:

1. rational functions (SmeLU, the hard functions, softsign): exact integer arithmetic, where ties are real;
2. tails such as GELU(8) = 8 less a number whose sign is proven and whose size is below the last guard bit;
3. Taylor models over blocks of codes: ball arithmetic for coefficients and remainder, float64 with a proven
   bound for their sum;
4. ball arithmetic code by code, with rising precision until the enclosure decides (Ziv's strategy), where
   a float64 sum comes too close to an integer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any

import flint
import numpy as np
import numpy.typing as npt
from flint import arb, arb_series, fmpq

from hwact import functions
from hwact.errors import ArgumentError
from hwact.exact import ExactValues
from hwact.formats import Codes, Format, Overflow, Rounding, member
from hwact.functions.algebra import Piece, Polynomial, as_ratio, exact_value, sign_of, tail
from hwact.functions.expr import Expr, UndecidedError
from hwact.functions.spec import FunctionSpec

GUARD_BITS = 24
MAX_INPUT_WIDTH = 24
MAX_OUTPUT_WIDTH = 36

TERMS = 12  # of a Taylor model

_BLOCK = 1 << 12
_SMALLEST_BLOCK = 1 << 4
_PRECISION = 160
_MAX_PRECISION = 1 << 18
_MAX_REMAINDER = 2.0**-12
_ROUNDOFF = 2.0**-53
_INT64_BITS = 62


def codes(
    function: str | FunctionSpec,
    input_format: str | Format,
    output_format: str | Format,
    rounding: str | None = None,
    overflow: str = "saturate",
    gradient: bool = False,
    **parameters: object,
) -> Codes:
    """Correctly rounded output codes over all input codes, from the most negative.

    Parameters
    ----------
    function : str or FunctionSpec
        A name of the catalogue, with its parameters by keyword, or a function.
    input_format, output_format : str or Format
        At most 24 bits in.
    rounding : str, optional
        ``half_up`` unless given, or ``half_even`` for an affine output.

    Returns
    -------
    int64 array, shape (2**input width,)
    """
    values = _values(function, input_format, output_format, overflow, gradient, parameters)
    default = values.output_format.default_rounding
    return values.rounded(default if rounding is None else member(Rounding, "rounding", rounding))


def allowed(
    function: str | FunctionSpec,
    input_format: str | Format,
    output_format: str | Format,
    overflow: str = "saturate",
    gradient: bool = False,
    **parameters: object,
) -> tuple[Codes, Codes]:
    """Lowest and highest faithful output codes over all input codes; arguments as in :func:`codes`."""
    return _values(function, input_format, output_format, overflow, gradient, parameters).allowed()


def _values(
    function: str | FunctionSpec,
    input_format: str | Format,
    output_format: str | Format,
    overflow: str,
    gradient: bool,
    parameters: dict[str, object],
) -> ExactValues:
    if isinstance(function, str):
        function = functions.get(function, gradient=gradient, **parameters)
    elif parameters or gradient:
        raise ArgumentError(
            f"parameters must come with a function's name, not with {function.name!r} already bound"
        )
    formats = Format.parse(input_format), Format.parse(output_format)
    return exact_values(function, *formats, member(Overflow, "overflow", overflow))


@lru_cache(maxsize=4)
def exact_values(
    function: FunctionSpec,
    input_format: Format,
    output_format: Format,
    overflow: Overflow = Overflow.SATURATE,
    method: str = "blocks",
) -> ExactValues:
    """The exact values over all input codes, from the most negative.

    Parameters
    ----------
    method : str
        ``blocks``: as this module says; ``direct``: every code by itself, slow, for comparison.

    Raises
    ------
    ArgumentError
        A format is too wide, or the function has no finite value at some code.
    """
    for name, given, limit in (
        ("input", input_format, MAX_INPUT_WIDTH),
        ("output", output_format, MAX_OUTPUT_WIDTH),
    ):
        if given.width > limit:
            raise ArgumentError(
                f"the {name} format must have at most {limit} bits, not {given.width!r} ({given})"
            )
    every = input_format.min_code, 1 << input_format.width
    work = _Evaluation(function, input_format, output_format, overflow, *every)
    with working_precision():
        work.direct(0, work.floor.size) if method == "direct" else work.run()
    floor = work.floor
    floor += output_format.zero_point << work.guard_bits
    for array in (floor, work.inexact, work.negative):
        array.setflags(write=False)
    return ExactValues(floor, work.inexact, work.negative, work.guard_bits, output_format, overflow)


def exact_at(
    function: FunctionSpec, input_format: Format, output_format: Format, overflow: Overflow, codes: Codes
) -> ExactValues:
    """The exact values at some input codes, whatever the input's width.

    Parameters
    ----------
    codes : int64 array, one-dimensional
        Ascending, each once.
    """
    starts = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 2) != 1)
    parts = []
    with working_precision():
        for start, stop in pairwise([*starts.tolist(), codes.size]):
            first = int(codes[start])
            parts.append(_Evaluation(function, input_format, output_format, overflow, first, stop - start))
            parts[-1].run()
    floor, inexact, negative = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("floor", "inexact", "negative")
    )
    guard_bits = parts[0].guard_bits
    floor += output_format.zero_point << guard_bits
    return ExactValues(floor, inexact, negative, guard_bits, output_format, overflow)


@contextmanager
def working_precision() -> Iterator[None]:
    """Ball arithmetic at the precision of Taylor models, and series of their length."""
    with flint.ctx.workprec(_PRECISION):
        saved, flint.ctx.cap = flint.ctx.cap, TERMS + 1
        try:
            yield
        finally:
            flint.ctx.cap = saved


def taylor_terms(expression: Expr, centre: Fraction, radius: Fraction) -> list[Any]:
    """Enclosures of an expression's Taylor coefficients.

    Returns
    -------
    list of flint.arb, length TERMS
        From the constant upwards, for offsets from the centre in units of the radius.

    Raises
    ------
    UndecidedError, ValueError
        The expression is not analytic there, or not provably so.
    """
    with working_precision():
        terms = expression.series(arb_series([_ball(centre), _ball(radius)]))
        return [terms[i] for i in range(TERMS)]


def taylor_remainder(expression: Expr, centre: Fraction, radius: Fraction) -> Any:
    """Times ``u**TERMS`` an enclosure (flint.arb) of the rest of the series, for offsets u from -1 to 1."""
    with working_precision():
        around = _ball(centre - radius).union(_ball(centre + radius))
        return expression.series(arb_series([around, _ball(radius)]))[TERMS]


class _Evaluation:
    """Fills the exact values of one function, from 0; positions count from the first of some codes."""

    def __init__(
        self,
        function: FunctionSpec,
        input_format: Format,
        output_format: Format,
        overflow: Overflow,
        first: int,
        size: int,
    ) -> None:
        self.function, self.input_format, self.first = function, input_format, first
        self.guard_bits = guard_bits = min(GUARD_BITS, _INT64_BITS - 1 - output_format.width)
        self.scale = (1 << guard_bits) / output_format.ulp
        self.first_step = first - input_format.zero_point
        ends = output_format.min_code, output_format.max_code
        self.low, self.high = ((code - output_format.zero_point) << guard_bits for code in ends)
        self.span = 1 << (output_format.width + guard_bits)
        self.wraps = overflow is Overflow.WRAP
        self.floor = np.zeros(size, np.int64)
        self.inexact, self.negative = np.zeros(size, np.bool_), np.zeros(size, np.bool_)

    def x(self, position: int) -> Fraction:
        """The input value at a position."""
        return self.input_format.value(position + self.first)

    def scaled(self, value: Any) -> Any:
        """An enclosure in units of the last guard bit."""
        return value * _ball(self.scale)

    def run(self) -> None:
        """All pieces, each by the first method that suits it."""
        for piece in self.function.pieces():
            first, last = self._positions(piece)
            if first >= last:
                continue
            ratio = as_ratio(piece.expression)
            if ratio is not None:
                self._rational(ratio[0], ratio[1], first, last)
                continue
            for start in range(first, last, _BLOCK):
                self._block(piece.expression, start, min(start + _BLOCK, last))

    def _positions(self, piece: Piece) -> tuple[int, int]:
        """First position in a piece, and the first one behind it."""
        ulp, offset = self.input_format.ulp, self.first_step
        first, last = 0, self.floor.size
        if piece.low is not None:
            bound = piece.low / ulp
            first = max(first, (math.ceil(bound) if piece.owns_low else math.floor(bound) + 1) - offset)
        if piece.high is not None:
            bound = piece.high / ulp
            last = min(last, (math.floor(bound) + 1 if piece.owns_high else math.ceil(bound)) - offset)
        return first, last

    def _store(self, position: int, floor: int, inexact: bool) -> None:
        """One value, clamped or wrapped."""
        if self.wraps:
            self.negative[position] = floor < 0
            floor = (floor - self.low) % self.span + self.low
        elif not self.low <= floor < self.high:
            floor, inexact = min(max(floor, self.low), self.high), False
        self.floor[position], self.inexact[position] = floor, inexact

    def _store_block(
        self, start: int, floor: npt.NDArray[Any], inexact: npt.NDArray[Any], base: int = 0
    ) -> None:
        """Values from a position on; ``floor`` counts from ``base``, which only fits when it is wrapped."""
        where = slice(start, start + floor.size)
        if self.wraps:
            self.negative[where] = floor < -base
            self.floor[where] = (floor + (base - self.low) % self.span) % self.span + self.low
            self.inexact[where] = inexact
        else:
            floor = floor + base
            self.floor[where] = np.clip(floor, self.low, self.high)
            self.inexact[where] = inexact & (self.low <= floor) & (floor < self.high)

    def _rational(self, top: Polynomial, bottom: Polynomial, first: int, last: int) -> None:
        """Numerator over denominator in integers."""
        step = self.input_format.ulp
        p = [c * step**i * self.scale for i, c in enumerate(top)]
        q = [c * step**i for i, c in enumerate(bottom)]
        common = math.lcm(*(c.denominator for c in (*p, *q)))
        numerator, denominator = [int(c * common) for c in p], [int(c * common) for c in q]
        largest = max(abs(self.first_step), abs(self.first_step + self.floor.size - 1))
        size = max(sum(abs(c) * largest**i for i, c in enumerate(part)) for part in (numerator, denominator))
        kind = np.int64 if size.bit_length() <= _INT64_BITS else object
        for start in range(first, last, 1 << 16):
            end = min(start + (1 << 16), last)
            x = np.arange(start, end).astype(kind) + self.first_step
            n, d = _horner(numerator, x), _horner(denominator, x)
            if (d == 0).any():
                raise self._not_finite(start + int(np.flatnonzero(d == 0)[0]))
            floor = n // d
            self._store_block(start, floor, (floor * d != n).astype(bool))

    def _not_finite(self, position: int) -> ArgumentError:
        return ArgumentError(
            f"{self.function.name} must have a finite value at every input, "
            f"not at x = {float(self.x(position))!r}; "
            "choose a function or an input format without that point"
        )

    def _block(self, expression: Expr, start: int, end: int) -> None:
        """A block of codes by the first method that decides it, else its halves, else code by code."""
        ball = _ball(self.x(start)).union(_ball(self.x(end - 1)))
        try:
            if self._beyond(expression, ball, start, end) or self._tail(expression, ball, start, end):
                return
            if self._taylor(expression, start, end):
                return
        except (
            UndecidedError,
            ValueError,
        ):  # ValueError: flint cannot divide by a series that may start at 0
            pass
        if end - start <= _SMALLEST_BLOCK:
            self.direct(start, end)
            return
        middle = (start + end) // 2
        self._block(expression, start, middle)
        self._block(expression, middle, end)

    def _beyond(self, expression: Expr, ball: Any, start: int, end: int) -> bool:
        """The whole block saturates."""
        if self.wraps:
            return False
        value = self.scaled(expression.ball(ball))
        for limit, beyond in ((self.low, value < self.low), (self.high, value > self.high)):
            if beyond:
                self.floor[start:end], self.inexact[start:end] = limit, False
                return True
        return False

    def _tail(self, expression: Expr, ball: Any, start: int, end: int) -> bool:
        """A rational polynomial, and a rest of known sign too small to reach a multiple of the guard bits."""
        polynomial, rest = tail(expression, ball)
        scaled = [c * self.input_format.ulp**i * self.scale for i, c in enumerate(polynomial)]
        divisor = math.lcm(*(c.denominator for c in scaled))
        sign = sign_of(rest, ball)
        if sign == 0 or not abs(self.scaled(rest.ball(ball))) * divisor < 1:
            return False
        x = np.arange(start, end).astype(object) + self.first_step
        above = _horner([int(c * divisor) for c in scaled], x) - (sign < 0)
        self._store_block(start, above // divisor, np.ones(end - start, np.bool_))
        return True

    def _taylor(self, expression: Expr, start: int, end: int) -> bool:
        """A Taylor model of the block; codes that its float64 sum leaves open are done one by one."""
        radius = 1 << max(0, (end - start - 1).bit_length() - 1)
        centre = start + radius
        place = self.x(centre), radius * self.input_format.ulp
        scaled = [self.scaled(term) for term in taylor_terms(expression, *place)]
        remainder = taylor_remainder(expression, *place)
        bound = float(abs(self.scaled(remainder)).upper())
        if not bound < _MAX_REMAINDER or not all(c.is_finite() for c in scaled):
            return False
        whole = int(scaled[0].mid().floor().unique_fmpz())
        coefficients = [scaled[0] - whole, *scaled[1:]]
        floats = [float(c.mid()) for c in coefficients]
        size = sum(map(abs, floats))
        if (abs(whole) + size >= 2.0 ** (_INT64_BITS - 1) and not self.wraps) or size >= 2.0**52:
            return False
        error = bound + sum(float(c.rad()) for c in coefficients) + (2 * TERMS + 4) * _ROUNDOFF * size
        error *= 1 + 2.0**-20  # the conversions to float above round to nearest
        t = (np.arange(start, end) - centre) / float(radius)
        value = _horner(floats, t)
        below, above = np.floor(value - error), np.floor(value + error)
        self._store_block(start, below.astype(np.int64), np.ones(end - start, np.bool_), whole)
        open_ = (below != above) | (value - error <= below)
        for position in np.flatnonzero(open_):
            self._direct_one(expression, start + int(position))
        return True

    def direct(self, start: int, end: int) -> None:
        """Code by code."""
        pieces = self.function.pieces()
        bounds = [self._positions(piece) for piece in pieces]
        for position in range(start, end):
            piece = next(
                p for p, (first, last) in zip(pieces, bounds, strict=True) if first <= position < last
            )
            self._direct_one(piece.expression, position)

    def _direct_one(self, expression: Expr, position: int) -> None:
        x = self.x(position)
        exact = exact_value(expression, x)
        if exact is not None:
            scaled = exact * self.scale
            self._store(position, math.floor(scaled), scaled.denominator != 1)
            return
        if self._tail(expression, _ball(x), position, position + 1):
            return
        self._store(position, self._decided(expression, x, position), True)

    def _decided(self, expression: Expr, x: Fraction, position: int) -> int:
        """The floor of a value that is no grid point, by Ziv's strategy."""
        for precision in _precisions():
            with flint.ctx.workprec(precision):
                scaled = self.scaled(expression.ball(_ball(x)))
                if not self.wraps and (scaled < self.low or scaled > self.high):
                    return self.low - 1 if scaled < self.low else self.high
                floor = None if scaled.contains_integer() else scaled.floor().unique_fmpz()
                if floor is not None:
                    return int(floor)
        if not scaled.is_finite():
            raise self._not_finite(position)
        raise ArgumentError(
            f"{self.function.name} must differ from every multiple of {1 / self.scale} or be rational, "
            f"not undecided with {_MAX_PRECISION!r} bits at x = {float(x)!r}; simplify the expression"
        )


def _precisions() -> Iterator[int]:
    precision = _PRECISION
    while precision <= _MAX_PRECISION:
        yield precision
        precision *= 2


def _ball(x: Fraction | int) -> Any:
    x = Fraction(x)
    return arb(fmpq(x.numerator, x.denominator))


def _horner(coefficients: Sequence[float], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    result = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result
