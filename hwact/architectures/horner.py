# SPDX-License-Identifier: Apache-2.0
"""Polynomial segments of degree 1 to 4 by Horner's rule: for inputs too wide to fit code by code.

The high bits of the address choose a segment, the low bits ``v``, centred, the place in it; with
``u = v / 2**(segment_bits - 1)``, which is in [-1, 1), all stages have the same resolution::

    s = c[n];  s = c[i] + floor(s * u)  for i = n-1 ... 0

A stage reads as many bits of u as the number that it is multiplied with has, and two more. The
coefficients come from the exact function's Taylor coefficients in the middle of every segment, brought to the
lower degree in Chebyshev polynomials; the constant is set behind all truncations, in the middle of what
they leave. What the result is worth is for others to prove.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

from hwact import reference
from hwact.architectures.folding import Folding, foldings
from hwact.architectures.problem import MAX_FITTED_WIDTH, InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath, Node
from hwact.datapath.cost import area
from hwact.formats import Codes, Overflow
from hwact.functions.algebra import Piece
from hwact.functions.expr import UndecidedError

NAME = "horner"

MIN_INPUT_WIDTH = 17  # below, architectures that are fitted code by code are smaller
MAX_DEGREE = 4
MAX_SEGMENT_BITS = 12  # of the address
MAX_GUARD_BITS = 6

_FRACTION_BITS = 40  # of Taylor coefficients, in output ulps
_FEW_PLACES = 33  # of a segment
_MANY_PLACES = 1 << 20  # of all segments
_AT_A_TIME = 1 << 16
_LENGTHS = 2
_MORE_GUARD_BITS = 3  # a bound may need more than the codes themselves
_BEYOND = 2.0**40

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """The parameters of one design.

    Parameters
    ----------
    folding : str
        A kind of :mod:`hwact.architectures.folding`, but ``complement``.
    degree : int
        1 to 4.
    segment_bits : int
        A segment has ``2**segment_bits`` addresses.
    guard_bits : int
        Fraction bits of all stages below the output's ulp.
    """

    folding: str
    degree: int
    segment_bits: int
    guard_bits: int


@dataclass(frozen=True, eq=False)
class Segments:
    """The exact function on all segments, with u as variable, in output ulps.

    Parameters
    ----------
    whole : int64 array, shape (segments,)
        Whole ulps of the constants.
    taylor : float64 array, shape (reference.TERMS, segments)
        Taylor coefficients, the constants without their whole ulps.
    """

    whole: Codes
    taylor: Floats


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Fitted coefficients, one of each degree a segment.

    Parameters
    ----------
    values : tuple of int64 array
        From the constant upwards.
    constant : float64 array
        The constant without whole ulps and rounding constant, in units of the sum.
    """

    values: tuple[Codes, ...]
    constant: Floats


class _Rounded(Folding):
    """A folding whose result is rounded to nearest also where an odd function is mirrored."""

    @property
    def half(self) -> int:
        """The constant that rounds, where it can be part of the core's."""
        return 0 if self.odd else 1 << self.guard_bits >> 1

    def result(self, x: Node, core: Node) -> Node:
        """The output before saturation, from the core's result."""
        if not self.odd:
            return super().result(x, core)
        half, negative = 1 << self.guard_bits >> 1, x.less_than(0)
        mirrored = negative.select(~core, core).named("mirrored")
        centre, rest = self.centre
        return (mirrored + negative.select(2 * centre + rest + 2 + half, half)) >> self.guard_bits


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """The shapes that look as if they met the accuracy, the cheapest first.

    It alone where other architectures have more to offer.
    """
    limit = _limit(spec)
    if spec.input_format.width < MIN_INPUT_WIDTH or limit is None or spec.quadratic:
        return
    kinds = [f.kind for f in foldings(spec, max(1, -spec.frac_shift)) if f.kind != "complement"]
    shapes = [
        shape
        for kind in kinds
        for degree in range(1, MAX_DEGREE + 1)
        for shape in _feasible(spec, kind, degree)
    ]
    ranked = sorted(shapes, key=lambda shape: float(area(_datapath(spec, shape), spec.target)))
    confirmed = (shape for shape in ranked if _plausible(spec, shape, _MANY_PLACES))
    first = 1 if spec.input_format.width <= MAX_FITTED_WIDTH else None
    yield from (vars(shape) for shape in itertools.islice(confirmed, first))


def _limit(spec: UnitSpec) -> Fraction | None:
    """The largest error that is permitted, in ulp; none where its bound proves nothing."""
    return {"faithful": Fraction(1), "max_ulp": spec.accuracy.bound}.get(spec.accuracy.kind)


def _feasible(spec: UnitSpec, kind: str, degree: int) -> Iterator[Shape]:
    """The longest segments of a degree, and the next, each with the fewest guard bits."""
    bits = spec.input_format.width - (kind == "magnitude")
    found, lowest = 0, max(1, -spec.frac_shift)
    for segment_bits in reversed(range(max(2, bits - MAX_SEGMENT_BITS), bits)):
        most = Shape(kind, degree, segment_bits, lowest + MAX_GUARD_BITS - 1)
        if not _plausible(spec, most):
            continue
        shapes = (dataclasses.replace(most, guard_bits=g) for g in range(lowest, most.guard_bits + 1))
        plausible = (shape for shape in shapes if _plausible(spec, shape))
        yield from itertools.islice(plausible, 1 if spec.listed else _MORE_GUARD_BITS)
        found += 1
        if found == _LENGTHS:
            return


def _plausible(spec: UnitSpec, shape: Shape, places: int = _FEW_PLACES) -> bool:
    """Whether some places in every segment, about so many in all, permit a shape."""
    coefficients, limit = _fitted(spec, shape), _limit(spec)
    if coefficients is None or limit is None:
        return False
    return 0.5 + _worst(spec, shape, coefficients, places) / (1 << shape.guard_bits) < limit


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath of polynomial segments.

    Parameters
    ----------
    parameters
        The fields of :class:`Shape`.
    """
    shape = Shape(**parameters)  # type: ignore[arg-type]
    if _fitted(spec, shape) is None:
        raise InfeasibleError(
            f"every segment must have a smooth function of moderate size, not so with {dict(parameters)!r}; "
            "choose shorter segments or the folding plain"
        )
    return _datapath(spec, shape)


@lru_cache(maxsize=64)
def _datapath(spec: UnitSpec, shape: Shape) -> Datapath:
    folding, coefficients = _Rounded(spec, shape.folding, shape.guard_bits), _fitted(spec, shape)
    assert coefficients is not None
    x = spec.input()
    address = folding.address(x)
    if folding.folded:
        address = address.saturate(0, (1 << folding.address_bits) - 1).named("address")
    y = folding.result(x, _core(shape, coefficients, address))
    for code, value in _exceptions(spec, shape.folding, shape.segment_bits) or ():
        y = x.equal_to(code).select(value, y)
    return spec.fitted(x, y)


def _core(shape: Shape, coefficients: Coefficients, address: Node) -> Node:
    length, values = shape.segment_bits, coefficients.values
    segment = address.bits(length, max(1, (values[0].size - 1).bit_length())).named("segment")
    top = ~address.bits(length - 1, 1).bits(0, 1, signed=True)
    v = top.concat(address.bits(0, length - 1), length - 1).named("v")
    if address.signed:  # the most negative address has the bits of the middle
        values = tuple(np.roll(row, row.size // 2) for row in values)
    total = _coefficient(segment, values[-1], len(values) - 1)
    for degree, kept in zip(reversed(range(len(values) - 1)), _kept_bits(shape, values), strict=True):
        factor = v >> (length - kept)
        product = (total * factor).named(f"product_{degree}")
        total = _coefficient(segment, values[degree], degree) + (product >> (kept - 1))
        total = total.named(f"sum_{degree}")
    return total


def _coefficient(segment: Node, values: Codes, degree: int) -> Node:
    return segment.lookup(tuple(values.tolist())).named(f"c{degree}")


def _kept_bits(shape: Shape, values: tuple[Codes, ...]) -> list[int]:
    """Bits of v that every stage reads, the highest degree first."""
    result, largest = [], np.abs(values[-1])
    for coefficient in reversed(values[:-1]):
        result.append(min(shape.segment_bits, int(largest.max()).bit_length() + 2))
        largest = largest + np.abs(coefficient) + 1
    return result


@lru_cache(maxsize=64)
def _fitted(spec: UnitSpec, shape: Shape) -> Coefficients | None:
    """Coefficients of all segments; none where the function has no Taylor series."""
    if _exceptions(spec, shape.folding, shape.segment_bits) is None:
        return None
    segments = _segments(spec, shape.folding, shape.segment_bits)
    if segments is None:
        return None
    unit, half = float(1 << shape.guard_bits), _Rounded(spec, shape.folding, shape.guard_bits).half
    lower = [_combined(row, segments.taylor) for row in _economised(shape.degree)]
    higher = [np.rint(row * unit).astype(np.int64) for row in lower[1:]]
    low, high = _rest(shape, segments, higher, _places(shape, _FEW_PLACES))
    constant = np.rint((low + high) / 2)
    first = constant.astype(np.int64) + (segments.whole << shape.guard_bits) + half
    return Coefficients((first, *higher), constant)


def _worst(spec: UnitSpec, shape: Shape, coefficients: Coefficients, places: int) -> float:
    """The largest error of the sum that shows at some places of every segment, in units of the sum."""
    segments = _segments(spec, shape.folding, shape.segment_bits)
    assert segments is not None
    v = _places(shape, max(_FEW_PLACES, places // segments.whole.size))
    low, high = _rest(shape, segments, list(coefficients.values[1:]), v)
    return float(np.maximum(high - coefficients.constant, coefficients.constant - low).max())


def _places(shape: Shape, count: int) -> Codes:
    """Evenly chosen v of a segment, with both ends."""
    size = 1 << shape.segment_bits
    return np.unique(np.linspace(0, size - 1, min(size, count)).astype(np.int64)) - size // 2


def _rest(shape: Shape, segments: Segments, higher: list[Codes], v: Codes) -> tuple[Floats, Floats]:
    """The least and the most that stages without a constant leave of the function, by segment."""
    kept = _kept_bits(shape, (segments.whole * 0, *higher))
    u, unit = v / float(1 << (shape.segment_bits - 1)), float(1 << shape.guard_bits)
    low, high = (np.empty(segments.whole.size) for _ in range(2))
    for start in range(0, segments.whole.size, step := max(1, _AT_A_TIME // v.size)):
        part = slice(start, start + step)
        total = higher[-1][part, None]
        for coefficient, bits in zip([*higher[-2::-1], None], kept, strict=True):
            total = (total * (v >> (shape.segment_bits - bits))) >> (bits - 1)
            total = total if coefficient is None else total + coefficient[part, None]
        exact = np.zeros(1)
        for row in reversed(segments.taylor):
            exact = exact * u + row[part, None]
        rest = exact * unit - total
        low[part], high[part] = rest.min(axis=1), rest.max(axis=1)
    return low, high


def _combined(factors: Floats, rows: Floats) -> Floats:
    """Sum of products in a fixed order: the same on every machine."""
    total = np.zeros(rows.shape[1])
    for factor, row in zip(factors, rows, strict=True):
        total = total + factor * row
    return total


@lru_cache(maxsize=8)
def _economised(degree: int) -> Floats:
    """Factors from Taylor coefficients to those of the truncated Chebyshev series; dyadic, so exact."""
    columns = []
    for power in range(reference.TERMS):
        truncated = chebyshev.poly2cheb(np.eye(reference.TERMS)[power, : power + 1])[: degree + 1]
        polynomial = chebyshev.cheb2poly(truncated)
        columns.append(np.pad(polynomial, (0, degree + 1 - polynomial.size)))
    return np.stack(columns, axis=1)


@lru_cache(maxsize=32)
def _segments(spec: UnitSpec, kind: str, segment_bits: int) -> Segments | None:
    """The function on all segments of a length; none where it has no Taylor series in one."""
    folding = _Rounded(spec, kind, max(1, -spec.frac_shift))
    first = 0 if folding.folded else spec.input_format.min_code
    count, radius = 1 << (folding.address_bits - segment_bits), 1 << segment_bits >> 1
    centres = [first + (2 * i + 1) * radius for i in range(count)]
    try:
        rows = [_taylor(spec, folding, centre, radius) for centre in centres]
    except (UndecidedError, ValueError):
        return None
    whole = [row[0] >> _FRACTION_BITS for row in rows]
    rests = [[row[0] - (w << _FRACTION_BITS), *row[1:]] for row, w in zip(rows, whole, strict=True)]
    taylor = np.array(rests, dtype=object).astype(np.float64).T / 2.0**_FRACTION_BITS
    return None if np.abs(taylor).max() > _BEYOND else Segments(np.array(whole, dtype=np.int64), taylor)


def _taylor(spec: UnitSpec, folding: Folding, centre: int, radius: int) -> list[int]:
    """Taylor coefficients of the core around a code, in units of 2**-_FRACTION_BITS ulp."""
    inside, outside = spec.input_format, spec.output_format
    piece = _piece_at(spec, centre)
    terms = reference.taylor_terms(piece.expression, inside.value(centre), radius * inside.ulp)
    scale = Fraction(1 << _FRACTION_BITS) / outside.ulp
    scaled = [_floor_of_middle(term, scale) for term in terms]
    scaled[0] += outside.zero_point << _FRACTION_BITS
    if spec.overflow is Overflow.SATURATE and not any(folding.slopes):
        reach = sum(map(abs, scaled[1:]))
        for limit, side in ((outside.min_code, -1), (outside.max_code, 1)):
            if side * (scaled[0] - (limit << _FRACTION_BITS)) > reach:
                return [limit << _FRACTION_BITS, *[0] * (reference.TERMS - 1)]
    slope = folding.slopes[centre >= 0] * Fraction(2) ** (spec.frac_shift + _FRACTION_BITS)
    scaled[0] -= int(slope * centre)
    scaled[1] -= int(slope * radius)
    return scaled


def _floor_of_middle(term: Any, scale: Fraction) -> int:
    """``floor(middle of an enclosure * scale)``; ValueError where it is not finite."""
    mantissa, exponent = (int(part) for part in term.mid().man_exp())
    top, bottom = mantissa * scale.numerator, scale.denominator
    return (top << exponent) // bottom if exponent >= 0 else top // (bottom << -exponent)


def _piece_at(spec: UnitSpec, code: int) -> Piece:
    x = spec.input_format.value(code)
    return next(
        piece
        for piece in spec.function.pieces()
        if (piece.low is None or piece.low < x or (piece.owns_low and piece.low == x))
        and (piece.high is None or x < piece.high or (piece.owns_high and piece.high == x))
    )


@lru_cache(maxsize=64)
def _exceptions(spec: UnitSpec, kind: str, segment_bits: int) -> tuple[tuple[int, int], ...] | None:
    """Codes at which a segment starts but its piece does not, with their results.

    None where pieces meet within a segment.
    """
    inside, found = spec.input_format, []
    for cut in {piece.high for piece in spec.function.pieces() if piece.high is not None}:
        place = cut / inside.ulp + inside.zero_point
        if not inside.min_code < place <= inside.max_code or (kind == "magnitude" and place < 0):
            continue
        code = math.floor(place)
        first = code + (_piece_at(spec, code).high == cut)  # of the codes behind the cut
        if (first - inside.min_code) % (1 << segment_bits) == 0:
            continue
        if place != code or (code - inside.min_code) % (1 << segment_bits):
            return None
        found.append(code)
    if not found:
        return ()
    codes = np.array(sorted(found), dtype=np.int64)
    return tuple(zip(codes.tolist(), spec.exact_at(codes).rounded(spec.rounding).tolist(), strict=True))
