# SPDX-License-Identifier: Apache-2.0
"""Polynomial segments of degree 1 or 2 with coefficients in tables.

The high bits of the core's address choose a segment, the low bits ``v``, centred, the place in it::

    D = c0[segment] + ((c1[segment] * v) >> t1) + ((c2[segment] * q) >> t2)

``q`` is a small table of v squared. The coefficients start at the exact function's values at
Chebyshev nodes; each is then rounded, the lower ones being fitted again behind it, and ``c0`` comes
from intersecting what every code of the segment permits. Truncation is part of that intersection:
it costs nothing that is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np

from hwact.architectures.arithmetic import times
from hwact.architectures.folding import Folding, Region, foldings, roundest
from hwact.architectures.problem import MAX_FITTED_WIDTH, InfeasibleError, Parameters, UnitSpec
from hwact.architectures.rows import offset, squared
from hwact.datapath import Datapath, Node
from hwact.formats import Codes

NAME = "piecewise"

MAX_QUADRATIC_WIDTH = 16  # beyond, piecewise quadratics are smaller without tables
RESOLUTION = 16
MAX_GUARD_BITS = 6
# cos(pi/4) and cos(pi/6), in 1024ths: the outer Chebyshev nodes of degree 1 and 2.
_NODES = {1: 724, 2: 887}
_SAMPLED_SEGMENTS = 64


@dataclass(frozen=True)
class Shape:
    """The parameters of one design.

    Parameters
    ----------
    folding : str
    guard_bits : int
        Fraction bits of the sum below the output's ulp.
    degree : int
        1 or 2.
    segment_bits : int
        A segment has ``2**segment_bits`` addresses.
    slope_bits : int
        Fraction bits of c1 beyond the sum's (t1).
    square_bits : int
        Bits of v that the table of squares reads; it holds as many bits. 0 for degree 1.
    """

    folding: str
    guard_bits: int
    degree: int
    segment_bits: int
    slope_bits: int
    square_bits: int = 0

    @property
    def curve_bits(self) -> int:
        """Fraction bits of c2 beyond the sum's (t2)."""
        return self.square_bits

    def squares(self) -> Codes:
        """The table of squares by distance from the centre, shape (2**(square_bits - 1),)."""
        distance = 2 * np.arange(1 << (self.square_bits - 1), dtype=np.int64) + 1
        return (distance * distance) >> self.square_bits

    def offsets(self) -> Codes:
        """V for every address of a segment, shape (2**segment_bits,)."""
        size = 1 << self.segment_bits
        return np.arange(size, dtype=np.int64) - size // 2

    def square_of_offsets(self) -> Codes:
        """Q for every address of a segment, shape (2**segment_bits,)."""
        top = self.offsets() >> (self.segment_bits - self.square_bits)
        return self.squares()[np.where(top < 0, ~top, top)]


@dataclass(frozen=True)
class Segments:
    """Fitted coefficients, one of each kind a segment; int64.

    Where `falling`, as all segments then do, v is the one's complement of the offset, so that c1 is
    hardly ever negative.
    """

    c0: Codes
    c1: Codes
    c2: Codes
    falling: bool


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """For every folding and degree, the longest feasible segments and a few shorter ones."""
    width = spec.input_format.width
    if width > MAX_FITTED_WIDTH or (width > MAX_QUADRATIC_WIDTH and spec.quadratic):
        return
    for folding in foldings(spec, 0 if spec.frac_shift >= 0 else -spec.frac_shift):
        for degree in (1, 2):
            found = 0
            for segment_bits in reversed(range(1, folding.address_bits)):
                shapes = list(_feasible(spec, folding.kind, degree, segment_bits))
                yield from (vars(shape) for shape in shapes)
                found += bool(shapes)
                if found == 3:
                    break


def _feasible(spec: UnitSpec, kind: str, degree: int, segment_bits: int) -> Iterator[Shape]:
    """The shapes with the fewest guard bits for a segment length."""
    lowest = max(1, -spec.frac_shift)
    most = Shape(
        kind,
        lowest + MAX_GUARD_BITS - 1,
        degree,
        segment_bits,
        segment_bits + 2,
        min(segment_bits, 9) * (degree == 2),
    )
    if _fitted(spec, most) is None:
        return
    squares = sorted({min(segment_bits, bits) for bits in (4, 5, 6, 8)}) if degree == 2 else [0]
    for square_bits in squares:
        for guard_bits in range(lowest, lowest + MAX_GUARD_BITS):
            slope_bits = max(0, segment_bits - 1)
            shape = Shape(kind, guard_bits, degree, segment_bits, slope_bits, square_bits)
            if _fitted(spec, shape) is not None:
                yield shape
                break


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath of polynomial segments.

    Parameters
    ----------
    parameters
        The fields of :class:`Shape`.
    """
    shape = Shape(**parameters)  # type: ignore[arg-type]
    segments = _fitted(spec, shape)
    if segments is None:
        raise InfeasibleError.of_fit(
            "polynomial segments", spec, parameters, "shorter segments or more guard bits"
        )
    x, y = _region(spec, shape.folding, shape.guard_bits).build(
        lambda address: _core(shape, segments, address)
    )
    return spec.finish(x, y)


def _core(shape: Shape, segments: Segments, address: Node) -> Node:
    length = shape.segment_bits
    count = segments.c0.size
    segment = (
        address.bits(length, (count - 1).bit_length()).named("segment") if count > 1 else address >> length
    )
    total = _coefficient(segment, segments.c0, "c0")
    v = offset(address, length)
    if segments.c1.any():
        linear = _product(segment, segments.c1, "c1", ~v if segments.falling else v).named("linear")
        total = total + (linear >> shape.slope_bits)
    if segments.c2.any():
        q = squared(v, length - shape.square_bits, shape.squares())
        curve = _product(segment, segments.c2, "c2", q).named("quadratic") >> shape.curve_bits
        total = (total.named("line") + curve).named("polynomial")
    return total.named("polynomial")


def _product(segment: Node, values: Codes, name: str, factor: Node) -> Node:
    """A coefficient times a factor; where it is the same everywhere, with few additions."""
    if (values == values[0]).all():
        return times(factor, int(values[0]))
    return _coefficient(segment, values, name) * factor


def _coefficient(segment: Node, values: Codes, name: str) -> Node:
    return segment.lookup(tuple(values.tolist())).named(name)


@lru_cache(maxsize=8)
def _region(spec: UnitSpec, kind: str, guard_bits: int) -> Region:
    return Region.of(Folding(spec, kind, guard_bits))


@lru_cache(maxsize=64)
def _fitted(spec: UnitSpec, shape: Shape) -> Segments | None:
    """Coefficients of all segments; none where some segment has no solution."""
    region = _region(spec, shape.folding, shape.guard_bits)
    if shape.segment_bits > region.bits:
        return None
    length = 1 << shape.segment_bits
    low, high = region.low.reshape(-1, length), region.high.reshape(-1, length)
    exact = region.targets(RESOLUTION).reshape(-1, length)
    stride = ceil(low.shape[0] / _SAMPLED_SEGMENTS)
    if stride > 1 and _fit(shape, low[::stride], high[::stride], exact[::stride]) is None:
        return None
    return _fit(shape, low, high, exact)


def _fit(shape: Shape, low: Codes, high: Codes, exact: Codes) -> Segments | None:
    """Coefficients of some segments; the truncation of a product of one's complements may suit, or not."""
    if (exact[:, -1] <= exact[:, 0]).all():
        segments = _fit_along(shape, low, high, exact, falling=True)
        if segments is not None:
            return segments
    return _fit_along(shape, low, high, exact, falling=False)


def _fit_along(shape: Shape, low: Codes, high: Codes, exact: Codes, *, falling: bool) -> Segments | None:
    """Try the neighbours of the ideal coefficients and keep, per segment, those that leave c0 most room."""
    v = ~shape.offsets() if falling else shape.offsets()
    q = shape.square_of_offsets() if shape.degree == 2 else np.zeros_like(v)
    best = _Best(low.shape[0])
    for c2 in _curves(shape, exact):
        curve = (c2[:, None] * q) >> shape.curve_bits
        ideal = _slopes(shape, v, exact, curve)
        for step in (0, 1, -1, 2):
            c1 = ideal + step
            rest = ((c1[:, None] * v) >> shape.slope_bits) + curve
            best.offer((low - rest).max(axis=1), (high - rest).min(axis=1), c1, c2)
    if (best.low > best.high).any():
        return None
    return Segments(roundest(best.low, best.high), best.c1, best.c2, falling)


class _Best:
    """The candidate of every segment that leaves the constant most room."""

    def __init__(self, segments: int) -> None:
        self.low, self.high = np.full(segments, 2**61), np.full(segments, -(2**61))
        self.c1, self.c2 = np.zeros(segments, np.int64), np.zeros(segments, np.int64)

    def offer(self, low: Codes, high: Codes, c1: Codes, c2: Codes) -> None:
        better = high - low > self.high - self.low
        self.low, self.high = np.where(better, low, self.low), np.where(better, high, self.high)
        self.c1, self.c2 = np.where(better, c1, self.c1), np.where(better, c2, self.c2)


def _nodes(shape: Shape) -> tuple[int, int]:
    """Places of the outer Chebyshev nodes in a segment."""
    size = 1 << shape.segment_bits
    distance = (size * _NODES[shape.degree]) >> 11
    first = max(0, size // 2 - distance)
    return first, size - 1 - first


def _slopes(shape: Shape, v: Codes, exact: Codes, curve: Codes) -> Codes:
    """c1 of the chord through the outer nodes of what the curve leaves; rounded down."""
    first, last = _nodes(shape)
    scale = RESOLUTION - shape.guard_bits
    rise = (exact[:, last] - exact[:, first]) - ((curve[:, last] - curve[:, first]) << scale)
    return (rise << shape.slope_bits) // (int(v[last] - v[first]) << scale)


def _curves(shape: Shape, exact: Codes) -> Iterator[Codes]:
    """Neighbours of the ideal c2, from the second difference over the nodes."""
    if shape.degree == 1:
        yield np.zeros(exact.shape[0], np.int64)
        return
    first, last = _nodes(shape)
    left, right = (first + last) // 2, (first + last + 1) // 2
    bend = exact[:, first] + exact[:, last] - exact[:, left] - exact[:, right]
    q = shape.square_of_offsets()
    rise = int(q[first] + q[last] - q[left] - q[right])
    scale = RESOLUTION - shape.guard_bits
    ideal = (bend << shape.curve_bits) // max(1, rise << scale)
    yield from (ideal, ideal + 1)
