# SPDX-License-Identifier: Apache-2.0
"""Piecewise polynomials of degree 0 to 2, exactly rounded and without a table: SmeLU and its family.

Every piece is computed as ``(a*S**2 + b*S + c) >> p`` with ``S`` the input code less the parabola's
vertex. The smallest ``p`` and the constants are found by intersecting, over all codes of the piece,
what the accuracy permits: the result is proven by exhaustion, for any rational coefficient. Inputs
of more than 20 bits have too many codes for that: there the difference between formula and piece, itself a
parabola, is kept within bounds that leave the floor no other choice. Where two
neighbouring pieces both hold, the threshold between them is the roundest code, so that it costs the
narrowest comparison; for SmeLU with beta a power of two it comes down to wiring.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hwact.architectures.arithmetic import SQUARES, square, times
from hwact.architectures.folding import roundest, roundest_integer
from hwact.architectures.problem import MAX_FITTED_WIDTH, InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath, Node
from hwact.datapath.graph import as_node
from hwact.formats import MAX_LISTED_WIDTH, Codes, IntOrCodes, Rounding, round_fraction, round_shift

NAME = "quadratic"

MAX_SHIFT = 48
MAX_BOUNDED_SHIFT = 128
_OFFSETS = (0, 1, -1)
_REACH = 1 << 14
_BLOCK = 1 << 16
_INT64_BITS = 61


@dataclass(frozen=True)
class Formula:
    """``(a*S**2 + b*S + c) >> shift`` with ``S = X - origin``, or rounded where ties need the mode."""

    origin: int
    a: int
    b: int
    c: int
    shift: int
    rounding: Rounding = Rounding.FLOOR

    def values(self, codes: IntOrCodes) -> IntOrCodes:
        """The formula on an integer, or on an array of Python integers or int64."""
        s = codes - self.origin
        return round_shift((self.a * s + self.b) * s + self.c, self.shift, self.rounding)

    def range(self, first: int, last: int) -> tuple[int, int]:
        """Bounds of the formula for input codes ``first..last``, met at an end or near the vertex."""
        low, high = _extremes(self.a, self.b, first - self.origin, last - self.origin)
        ends = (round_shift(math.floor(end) + self.c, self.shift, self.rounding) for end in (low, high))
        return next(ends), next(ends)

    def node(self, x: Node, first: int, last: int, kind: str) -> Node:
        """The formula for input codes ``first..last``, with a kind of square; elsewhere it is arbitrary."""
        if self.a == 0 and self.b == 0:
            return as_node(self.c >> self.shift)
        total: Node = as_node(self.c)
        wide = x.width > MAX_LISTED_WIDTH  # a proof reads whole numbers, not their bits
        s = _offset_code(x, self.origin, first, last, apart=not wide).named("offset")
        if self.b:
            total = (times(s, self.b) + self.c).keep() if self.c else times(s, self.b)
        if self.a == 1 and not self.b and not wide:
            total = square(s, kind, self.c)
        elif self.a:
            quadratic = times(s.square().named("square") if wide else square(s, kind), self.a)
            total = quadratic if not self.b and not self.c else (quadratic + total).keep()
        return (
            total.round_shift(self.shift, self.rounding) if self.rounding != "floor" else total >> self.shift
        )


def _offset_code(x: Node, origin: int, first: int, last: int, *, apart: bool) -> Node:
    """``x - origin`` in as few bits as the codes need; ``apart``: an origin's trailing zeros leave wiring."""
    low, high = first - origin, last - origin
    width = max(high.bit_length(), (~low).bit_length() if low < 0 else 0) + (low < 0)
    if not apart:
        return (x - origin).bits(0, width, signed=low < 0)
    wires = min((origin & -origin).bit_length() - 1 if origin else width, width)
    if wires >= width:
        return x.bits(0, width, signed=low < 0)
    upper = (x >> wires) - (origin >> wires) if width - wires > 1 else ~(x >> wires)
    upper = upper.bits(0, width - wires, signed=low < 0)
    return upper.concat(x.bits(0, wires), wires) if wires else upper


@dataclass(frozen=True)
class _Piece:
    """Codes ``first..last`` and the exact polynomial in codes, in output ulps, constant first."""

    first: int
    last: int
    coefficients: tuple[Fraction, Fraction, Fraction]

    def value(self, code: int) -> Fraction:
        """The polynomial."""
        c0, c1, c2 = self.coefficients
        return c0 + (c1 + c2 * code) * code


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """Where the function is piecewise polynomial: one design, or one for each kind of square."""
    pieces = _polynomial_pieces(spec)
    if spec.listed and any(piece.coefficients[2] for piece in pieces):
        yield from ({"square": kind} for kind in SQUARES)
    elif pieces:
        yield {}


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath of comparators and polynomials.

    Parameters
    ----------
    parameters
        ``square``: a kind of :func:`hwact.architectures.arithmetic.square`; none where nothing is squared, or
        the input has more than 24 bits.
    """
    kind = str(parameters.get("square", SQUARES[0]))
    if kind not in SQUARES or parameters.keys() - {"square"}:
        raise InfeasibleError(
            f"the quadratic architecture must have no parameter but square, one of {', '.join(SQUARES)}, "
            f"not {dict(parameters)!r}"
        )
    pieces = _polynomial_pieces(spec)
    if not pieces:
        raise InfeasibleError(
            f"the quadratic architecture needs a function of polynomial pieces up to degree 2 with rational "
            f"coefficients, not {spec.function.name!r}; choose table or piecewise"
        )
    wide = spec.input_format.width > MAX_FITTED_WIDTH
    formulas = [(_bounded_formula if wide else _formula)(spec, piece) for piece in pieces]
    threshold = _bounded_threshold if wide else _threshold
    thresholds = [threshold(spec, pieces[i : i + 2], formulas[i : i + 2]) for i in range(len(pieces) - 1)]
    x = spec.input()
    starts, ends = [pieces[0].first, *thresholds], [t - 1 for t in thresholds] + [pieces[-1].last]
    nodes = [f.node(x, a, b, kind) for f, a, b in zip(formulas, starts, ends, strict=True)]
    y = nodes[0]
    for i, (node, first) in enumerate(zip(nodes[1:], thresholds, strict=True), start=1):
        y = x.at_least(first).named(f"in_piece_{i}").select(node, y)
    if not wide:
        return spec.finish(x, y)
    ranges = [f.range(a, b) for f, a, b in zip(formulas, starts, ends, strict=True) if a <= b]
    return spec.fitted(x, y.known(min(low for low, _ in ranges), max(high for _, high in ranges)))


def _polynomial_pieces(spec: UnitSpec) -> list[_Piece]:
    """The pieces that hold input codes; none where the function is not piecewise quadratic."""
    pieces = spec.function.piecewise_polynomial()
    if pieces is None or not spec.quadratic:
        return []
    low, high = spec.input_format.min_code, spec.input_format.max_code
    result = []
    for piece in pieces:
        first = low if piece.low is None else _first_code(spec, piece.low, piece.owns_low)
        last = high if piece.high is None else _first_code(spec, piece.high, not piece.owns_high) - 1
        first, last = max(first, low), min(last, high)
        if first <= last:
            result.append(_Piece(first, last, _in_codes(spec, piece.coefficients)))
    return result


def _first_code(spec: UnitSpec, value: Fraction, owned: bool) -> int:
    """The first input code at a value or, where it is not owned, beyond it."""
    bound = value / spec.input_format.ulp + spec.input_format.zero_point
    return math.ceil(bound) if owned else math.floor(bound) + 1


def _in_codes(spec: UnitSpec, coefficients: tuple[Fraction, ...]) -> tuple[Fraction, Fraction, Fraction]:
    c0, c1, c2 = (*coefficients, *(Fraction(0),) * (3 - len(coefficients)))
    step, ulp, zero = spec.input_format.ulp, spec.output_format.ulp, spec.input_format.zero_point
    c1, c2 = c1 * step / ulp, c2 * step * step / ulp
    constant = c0 / ulp + spec.output_format.zero_point - c1 * zero + c2 * zero * zero
    return constant, c1 - 2 * c2 * zero, c2


def _formula(spec: UnitSpec, piece: _Piece) -> Formula:
    """The formula with the smallest shift that holds on every code of its piece."""
    low, high = (bound[_indices(spec, piece.first, piece.last)] for bound in spec.unclamped())
    codes = np.arange(piece.first, piece.last + 1, dtype=np.int64)
    sample = np.unique(
        np.concatenate((np.arange(0, codes.size, max(1, codes.size // 512)), [codes.size - 1]))
    )
    for shift in range(MAX_SHIFT):
        for origin in _origins(piece):
            for candidate in _rounded_coefficients(piece, origin, shift):
                if _with_constant(candidate, codes[sample], low[sample], high[sample]) is None:
                    continue
                formula = _with_constant(candidate, codes, low, high)
                if formula is not None:
                    return formula
    return _exact_formula(spec, piece)


def _indices(spec: UnitSpec, first: int, last: int) -> slice:
    return slice(first - spec.input_format.min_code, last + 1 - spec.input_format.min_code)


def _origins(piece: _Piece) -> tuple[int, ...]:
    """The code nearest to the vertex of a parabola; 0 for a line."""
    _, c1, c2 = piece.coefficients
    return (round(-c1 / (2 * c2)),) if c2 else (0,)


def _rounded_coefficients(piece: _Piece, origin: int, shift: int) -> Iterator[Formula]:
    """Integer coefficients next to the exact ones."""
    _, c1, c2 = piece.coefficients
    a, b = round(c2 * 2**shift), round((c1 + 2 * c2 * origin) * 2**shift)
    for more_a in _OFFSETS if a else (0,):
        for more_b in _OFFSETS if b else (0,):
            yield Formula(origin, a + more_a, b + more_b, 0, shift)


def _with_constant(formula: Formula, codes: Codes, low: Codes, high: Codes) -> Formula | None:
    """The formula with a constant that keeps every code within its bounds, if there is one."""
    largest = int(max(abs(codes[0] - formula.origin), abs(codes[-1] - formula.origin)))
    bits = max(abs(formula.a) * largest**2, abs(formula.b) * largest).bit_length()
    reach = max(int(abs(low).max()), int(abs(high).max())).bit_length() + formula.shift
    kind = np.dtype(object if max(bits, reach) > _INT64_BITS else np.int64)
    unshifted = dataclasses.replace(formula, shift=0)
    bottom, top = -math.inf, math.inf
    for start in range(0, codes.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        x, least, most = (values[block].astype(kind) for values in (codes, low, high))
        raw = unshifted.values(x)
        bottom = max(bottom, int(((least << formula.shift) - raw).max()))
        top = min(top, int((((most + 1) << formula.shift) - 1 - raw).min()))
        if bottom > top:
            return None
    return dataclasses.replace(formula, c=int(roundest(np.array([bottom]), np.array([top]))[0]))


def _exact_formula(spec: UnitSpec, piece: _Piece) -> Formula:
    """Dyadic coefficients without error; the rounding mode decides real ties."""
    c0, c1, c2 = piece.coefficients
    shift = max(c.denominator.bit_length() - 1 for c in piece.coefficients)
    if any((c * 2**shift).denominator != 1 for c in piece.coefficients):
        raise InfeasibleError(
            f"integer coefficients must be {spec.accuracy} on codes {piece.first}..{piece.last}, "
            f"which none up to {MAX_SHIFT} fraction bits are; choose table or piecewise"
        )
    return Formula(0, int(c2 * 2**shift), int(c1 * 2**shift), int(c0 * 2**shift), shift, spec.rounding)


def _threshold(spec: UnitSpec, pieces: list[_Piece], formulas: list[Formula]) -> int:
    """The roundest first code of the right piece with which both formulas still hold."""
    left, right = pieces
    if any(formula.rounding != Rounding.FLOOR for formula in formulas):
        return right.first
    first, last = max(left.first, right.first - _REACH), min(right.last, right.first + _REACH)
    codes = np.arange(first, last + 1).astype(object)
    low, high = (bound[_indices(spec, first, last)] for bound in spec.unclamped())
    wrong = [(formula.values(codes) < low) | (formula.values(codes) > high) for formula in formulas]
    latest = next((code for code in range(right.first, last + 1) if wrong[0][code - first]), last)
    earliest = next((code for code in range(right.first - 1, first, -1) if wrong[1][code - first]), first) + 1
    return int(roundest(np.array([earliest]), np.array([latest]))[0])


def _bounded_formula(spec: UnitSpec, piece: _Piece) -> Formula:
    """The formula with the smallest shift that is proven by its distance from the piece."""
    window = _window(spec, piece)
    if window is None:
        return _exact_formula(spec, piece)
    for shift in range(MAX_BOUNDED_SHIFT):
        for origin in _origins(piece):
            for candidate in _rounded_coefficients(piece, origin, shift):
                formula = _centred(candidate, piece, *window)
                if formula is not None:
                    return formula
    return _exact_formula(spec, piece)


def _window(spec: UnitSpec, piece: _Piece) -> tuple[Fraction, Fraction] | None:
    """Bounds (the upper one excluded) of formula less piece, before the floor; none by the rounding mode.

    The exact value is a multiple of 1/n: what is less than that above it has the same floor. Before
    rounding half up, odd multiples of 1/2n lie around an odd n's multiples.
    """
    if spec.accuracy.kind == "correct":
        n = math.lcm(*(c.denominator for c in piece.coefficients))
        half = Fraction(1, 2) if n % 2 == 0 else Fraction(n - 1, 2 * n)
        start = {Rounding.HALF_UP: half, Rounding.FLOOR: Fraction(0)}.get(spec.rounding)
        return None if start is None else (start, start + Fraction(1, n))
    reach = Fraction(1) if spec.accuracy.bound is None else spec.accuracy.bound
    return 1 - reach, reach


def _centred(formula: Formula, piece: _Piece, low: Fraction, high: Fraction) -> Formula | None:
    """The formula with the roundest constant that keeps it within bounds of the piece, if there is one."""
    _, c1, c2 = piece.coefficients
    origin, unit = formula.origin, Fraction(1 << formula.shift)
    bend, slope = formula.a / unit - c2, formula.b / unit - (c1 + 2 * c2 * origin)
    least, most = _extremes(bend, slope, piece.first - origin, piece.last - origin)
    bottom = math.ceil((low + piece.value(origin) - least) * unit)
    top = math.ceil((high + piece.value(origin) - most) * unit) - 1
    if bottom > top:
        return None
    return dataclasses.replace(formula, c=roundest_integer(bottom, top))


def _extremes(
    bend: Fraction | int, slope: Fraction | int, first: int, last: int
) -> tuple[Fraction, Fraction]:
    """The least and the largest value of ``(bend*s + slope)*s`` over ``first <= s <= last``."""
    places = [Fraction(first), Fraction(last)]
    if bend and first < -slope / (2 * Fraction(bend)) < last:
        places.append(-slope / (2 * Fraction(bend)))
    values = [(bend * s + slope) * s for s in places]
    return min(values), max(values)


def _bounded_threshold(spec: UnitSpec, pieces: list[_Piece], formulas: list[Formula]) -> int:
    """The roundest of the codes around the border with which both formulas still hold."""
    first = pieces[1].first
    earliest = first - _holds(spec, formulas[1], pieces[0], first - 1)
    latest = first + (first < pieces[1].last and _holds(spec, formulas[0], pieces[1], first))
    return roundest_integer(earliest, latest)


def _holds(spec: UnitSpec, formula: Formula, piece: _Piece, code: int) -> bool:
    """Whether a formula is right at a code of a piece that may not be its own."""
    raw, exact = formula.values(code), piece.value(code)
    if spec.accuracy.kind == "correct":
        return raw == round_fraction(exact, spec.rounding)
    if spec.accuracy.bound is None:
        return abs(raw - exact) < 1
    return abs(raw - exact) <= spec.accuracy.bound
