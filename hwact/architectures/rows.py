# SPDX-License-Identifier: Apache-2.0
"""Polynomial segments without multipliers: rows of digits, each truncated by itself, and one sum.

The high bits of the input, or of |x|, select a segment, the low bits, centred, are the offset v in it::

    y = (c0[segment] + rows of c1[segment] * v + rows of c2[segment] * q) >> guard_bits

``q`` is a small table of v squared. There is no comparator: where the function is flat or linear the
coefficients are constant, and logic optimisation swallows them. An odd function keeps the tables of
one side: for the one's complement of a code the slope is the same, and constant and curve change sign. Or the
sum is that of |x|, and is mirrored, or added to a base, as the symmetry has it.
Where the accuracy leaves most codes one output, the few that no coefficients suit are corrected one by one.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from hwact.architectures import near_ties
from hwact.architectures.digits import rows_by_booth, rows_by_number
from hwact.architectures.folding import foldings
from hwact.architectures.problem import InfeasibleError, Parameters, UnitSpec
from hwact.architectures.row_fit import Coefficients, Shape, centre, fitted, folded, plausible, saturates
from hwact.datapath import Datapath, Node
from hwact.datapath.cost import Target, area
from hwact.datapath.evaluate import evaluate_nodes
from hwact.datapath.graph import Add, Input, as_node
from hwact.formats import Codes, Overflow

AnyShape = TypeVar("AnyShape", bound=Any)

NAME = "rows"

MIN_INPUT_WIDTH, MAX_INPUT_WIDTH = 9, 18  # below, a table is smaller
MAX_OUTPUT_WIDTH = 20
MAX_SEGMENT_BITS = 9  # of the address
MAX_GUARD_BITS = 4
FOLDINGS = ("odd", "magnitude", "plain")
DIGITS = ("slope", "booth")
LENGTHS = 3
MAX_SQUARE_BITS = 7
MIN_CORRECTED_WIDTH = 10  # of the input; below, a table is smaller
MAX_CORRECTED_LENGTH = 10  # bits of an offset
CORRECTIONS = 24
SHORT_SUM = 6  # rows; in a longer sum the rows themselves are the longest path


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """For every folding, degree and choice of digits, the longest feasible segments and the next."""
    if not (MIN_INPUT_WIDTH <= spec.input_format.width <= MAX_INPUT_WIDTH):
        return
    if spec.output_format.width > MAX_OUTPUT_WIDTH:
        return
    found = False
    for folding, degree, digits in itertools.product(_foldings(spec), (1, 2), DIGITS):
        shapes: list[Shape] = []
        for saturate in saturations(spec):
            shapes = shapes or _longest(spec, Shape(folding, saturate, degree, digits, 0, MAX_GUARD_BITS))
        found |= bool(shapes)
        yield from (shape.parameters for shape in shapes if degree == 1 or _curved(spec, shape))
    hard = spec.narrow or not (found or spec.asked)
    if hard and spec.input_format.width >= MIN_CORRECTED_WIDTH and not _dyadic(spec):
        yield from (shape.parameters for shape in _corrected(spec))


def _dyadic(spec: UnitSpec) -> bool:
    """Whether the function is exact arithmetic, but for a last rounding."""
    numbers = (each for piece in spec.function.piecewise_polynomial() or () for each in piece.coefficients)
    return spec.quadratic and all(each.denominator.bit_count() == 1 for each in numbers)


def _corrected(spec: UnitSpec) -> Iterator[Shape]:
    """Where the accuracy is narrow, or segments are too short without corrections: the cheapest shapes.

    Longer segments need smaller tables and more guard bits, until no coefficients suit them; a line needs
    so much shorter ones than a curve that it only pays where these are short.
    """
    either = saturations(spec)
    either = either[saturates(spec) :] if len(either) > 1 else either
    kinds, shortest = _folded(spec), 2
    for degree in (2, 1):
        shapes: list[Shape] = []
        for kind, saturate in itertools.product(kinds, either):
            shape = Shape(kind, saturate, degree, "booth", shortest, 0, corrections=CORRECTIONS)
            shapes = shapes or list(_cheaper(spec, shape))
        yield from shapes
        shortest = max([shortest, *(shape.segment_bits - 2 for shape in shapes)])


def _cheaper(spec: UnitSpec, shortest: Shape) -> Iterator[Shape]:
    """The cheapest shape of every segment length, from the longest on as long as shorter ones save area."""
    bits, least = spec.input_format.width - (shortest.folding == "magnitude"), math.inf
    for length in reversed(range(shortest.segment_bits, min(bits - 2, MAX_CORRECTED_LENGTH) + 1)):
        start = dataclasses.replace(
            shortest,
            segment_bits=length,
            guard_bits=max(length + 2, -spec.frac_shift),
            slope_bits=length + 1,
        )
        found = _descended(spec, start)
        if found is not None:
            yield found[1]
            if found[0] >= least:
                break
            least = found[0]


def _descended(spec: UnitSpec, shape: Shape) -> tuple[float, Shape] | None:
    """Fewer bits in one place after the other, as long as that saves area; with the area."""
    if shape.degree == 2:
        shape = _squared(shape, shape.segment_bits + 1)
    best = _area(spec, shape), shape
    if best[0] == math.inf:
        return None
    last = None
    while last is not best:
        last = best
        for move in (_less_guard, _less_square, _less_slope):
            while (found := (_area(spec, shape := move(best[1])), shape))[0] < best[0]:
                best = found
    return best


def _squared(shape: AnyShape, bits: int) -> AnyShape:
    return _changed(shape, square_fields(shape.segment_bits, bits))


def _changed(shape: AnyShape, fields: Mapping[str, int]) -> AnyShape:
    changed: AnyShape = type(shape)(**{**vars(shape), **fields})
    return changed


def square_fields(segment_bits: int, bits: int) -> dict[str, int]:
    """Those of a shape whose square and its coefficient have so many bits."""
    return {"curve_bits": bits, "square_address": min(bits, segment_bits), "square_bits": bits}


def _less_guard(shape: Shape) -> Shape:
    return dataclasses.replace(shape, guard_bits=shape.guard_bits - 1)


def _less_square(shape: Shape) -> Shape:
    return _squared(shape, shape.square_bits - 1) if shape.square_bits > 1 else shape


def _less_slope(shape: Shape) -> Shape:
    return dataclasses.replace(shape, slope_bits=shape.slope_bits - 1)


@lru_cache(maxsize=256)
def _area(spec: UnitSpec, shape: Shape) -> float:
    """The estimated area; infinite where no coefficients suit."""
    coefficients = near_ties.fitted(spec, shape)
    if coefficients is None:
        return math.inf
    return float(area(spec.fitted(*_result(spec, shape, coefficients)), spec.target))


def _curved(spec: UnitSpec, shape: Shape) -> bool:
    """Whether a curve was of any use."""
    coefficients = fitted(spec, shape)
    return coefficients is not None and bool(coefficients.c2.any())


def _foldings(spec: UnitSpec) -> list[str]:
    symmetry = spec.function.symmetry
    shifted = spec.input_format.zero_point or spec.output_format.zero_point
    if spec.overflow is Overflow.WRAP or symmetry is None or not spec.input_format.signed or shifted:
        return ["plain"]
    middle = symmetry.offset / spec.output_format.ulp
    fits = middle.denominator == 1 and middle.numerator.bit_count() < 2 and middle >= 0
    odd = fits and symmetry.sign < 0 and not symmetry.slope
    return ["odd"] * odd + ["magnitude"] * ("magnitude" in _folded(spec)) + ["plain"]


def _folded(spec: UnitSpec) -> list[str]:
    """The kinds of folding that leave one table for each coefficient."""
    kinds = {folding.kind for folding in foldings(spec, max(1, -spec.frac_shift))}
    return sorted(kinds & {"magnitude", "plain"})


def saturations(spec: UnitSpec) -> list[int]:
    """Without saturation first; with it where the function leaves the format."""
    low, high = spec.allowed
    loose = spec.unclamped()
    return [0, 1] if (loose[0] != low).any() or (loose[1] != high).any() else [0]


def _longest(spec: UnitSpec, shape: Shape) -> list[Shape]:
    """The cheapest shapes of the greatest feasible segment lengths."""
    width = spec.input_format.width - (shape.folding != "plain")
    lengths = range(max(shape.degree, width - MAX_SEGMENT_BITS), width)
    roomy = [_roomy(dataclasses.replace(shape, segment_bits=length)) for length in lengths]
    feasible = bisect.bisect_left(roomy, True, key=lambda most: not plausible(spec, most))
    found = (_cheapest(spec, most) for most in reversed(roomy[:feasible]))
    return list(itertools.islice(filter(None, found), LENGTHS))


def _roomy(shape: Shape) -> Shape:
    """With the most bits in every place."""
    shape = dataclasses.replace(shape, slope_bits=shape.segment_bits)
    return _squared(shape, MAX_SQUARE_BITS) if shape.degree == 2 else shape


def _cheapest(spec: UnitSpec, shape: Shape) -> Shape | None:
    fields = ("guard_bits", "square_bits", "slope_bits", "curve_bits")
    return cheapest(shape, fields, 0, lambda fewer: fitted(spec, fewer) is not None)


def cheapest(
    shape: AnyShape, fields: Iterable[str], least: int, fits: Callable[[AnyShape], bool]
) -> AnyShape | None:
    """The fewest bits in every place, one place after the other; none where the most do not suffice.

    Parameters
    ----------
    shape : Shape or hwact.architectures.joint_fit.Shape
        With the most bits in every place.
    fields : iterable of str
        The places, in order.
    least : int
        Bits that may be left of each; a square keeps one more.
    fits : callable
        Whether a shape suffices.
    """
    if not fits(shape):
        return None
    for field in fields:
        choices = _fewer(shape, field, least)
        shape = choices[bisect.bisect_left(choices[:-1], True, key=fits)]
    return shape


def _fewer(shape: AnyShape, field: str, least: int) -> list[AnyShape]:
    """The shapes with fewer bits in one place, fewest first, and the shape itself."""
    most = getattr(shape, field)
    if field == "square_bits":
        return [_squared(shape, bits) for bits in range(least + 1, most + 1)] or [shape]
    return [_changed(shape, {field: bits}) for bits in range(least, most + 1)]


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath of polynomial segments.

    Parameters
    ----------
    parameters
        The fields of :class:`Shape`.
    """
    shape = Shape(**parameters)  # type: ignore[arg-type]
    if shape.folding not in FOLDINGS:
        raise InfeasibleError(
            f"the folding of rows must be one of {', '.join(FOLDINGS)}, not {shape.folding!r}"
        )
    coefficients = near_ties.fitted(spec, shape) if shape.corrections else fitted(spec, shape)
    if coefficients is None:
        raise InfeasibleError.of_fit(
            "polynomial segments", spec, parameters, "shorter segments or more guard bits"
        )
    return spec.finish(*_result(spec, shape, coefficients))


def _result(spec: UnitSpec, shape: Shape, coefficients: Coefficients) -> tuple[Input, Node]:
    """The input, and the result before saturation."""
    x = spec.input()
    total = _Builder(spec, shape, coefficients, x).result()
    if shape.corrections or shape.folding == "magnitude":
        return x, folded(spec, shape).result(x, total)
    return x, total >> shape.guard_bits


def magnitude(x: Input) -> Node:
    """|x|, for the most negative code one less.

    From a carry chain, which synthesis does not look through: else it spreads the tables of the segments
    over the bits of x and its sign, which takes half as many look-up tables again.
    """
    negative = x.bits(x.width - 1, 1)
    flipped = negative.select(~x, x).known(0, x.high)
    carry = x.equal_to(x.low).select(0, negative)
    return (carry + flipped).known(0, x.high).named("magnitude")


def offset(x: Node, segment_bits: int) -> Node:
    """The offset of a code from the centre of its segment of ``2**segment_bits`` codes: wiring."""
    top = ~x.bits(segment_bits - 1, 1).bits(0, 1, signed=True)
    v = top.concat(x.bits(0, segment_bits - 1), segment_bits - 1) if segment_bits > 1 else top
    return v.named("v")


def squared(v: Node, dropped_bits: int, squares: Codes) -> Node:
    """The tabulated square of an offset, by its distance from the centre without its lowest bits."""
    top = v >> dropped_bits
    distance = top.less_than(0).select(~top, top).known(0, top.high)
    return distance.lookup(tuple(squares.tolist())).named("square")


def ordered(rows: list[Node], constant: Node, target: Target) -> list[Node]:
    """The terms of a sum: the narrowest rows first, the constant last, so that the sums are narrow.

    Where synthesis makes whole paths short, the constant of a short sum is second: it is there early, and
    the other rows, for which there is time meanwhile, take up to a third fewer look-up tables.
    """
    terms = sorted(rows, key=lambda row: row.width)
    place = 1 if target.maps_paths and len(rows) <= SHORT_SUM else len(rows)
    return [*terms[:place], constant, *terms[place:]]


def kept_sum(x: Input, rows: list[Node], codes: Codes, carries: int = 0) -> Node:
    """The sum of rows, one after the other, and of ones at carry inputs; its range is that over all codes."""
    values, *others = evaluate_nodes(x, tuple(rows), codes)
    total = rows[0]
    for row, more in zip(rows[1:], others, strict=True):
        carry, carries = min(carries, 1), max(carries - 1, 0)
        values = values + more + carry
        total = total - ~row if carry else total + row
        low, high = int(values.min()), int(values.max())
        total = dataclasses.replace(total, low=low, high=high, name="sum", kept=True)
    return total + carries if carries else total


class _Builder:
    """Makes the graph of one design."""

    def __init__(self, spec: UnitSpec, shape: Shape, coefficients: Coefficients, x: Input) -> None:
        self.spec, self.shape, self.coefficients, self.x = spec, shape, coefficients, x
        self.negative = x.less_than(0)
        self.address = magnitude(x) if shape.folding == "magnitude" else x
        self.v, self.segment = offset(self.address, shape.segment_bits), self._segment()

    def _segment(self) -> Node:
        """The segment's number: from 1 on for an odd function, else the bits as they are.

        It is a sum either way, so that a chain of carries makes it, for the reason of `magnitude`.
        """
        length = self.shape.segment_bits
        if self.shape.folding == "odd":
            high = self.address.bits(length, self.address.width - 1 - length)
            return self.negative.select(0 - high, high + 1).bits(0, high.width).named("segment")
        return self.address.bits(length, self.address.width - length).named("segment")

    def _table(self, values: Codes) -> Node:
        if self.shape.folding == "odd":
            values = np.roll(values, 1)
        elif self.shape.folding == "plain" and self.spec.input_format.signed:
            values = np.roll(values, values.size // 2)
        return self.segment.lookup(tuple(values.tolist()))

    def _mirrored(self, node: Node) -> Node:
        """The one's complement for negative inputs of an odd function."""
        return self.negative.select(~node, node) if self.shape.folding == "odd" else node

    def result(self) -> Node:
        """The sum, with its guard bits."""
        terms = ordered(self._curve() + self._line(), self._constant(), self.spec.target)
        total = kept_sum(self.x, terms, self.spec.input_format.codes(), self.coefficients.carries)
        return self._corrected(total) if self.coefficients.corrected else total

    def _corrected(self, total: Node) -> Node:
        """The last sum with one more at the corrected codes, by a carry input."""
        assert isinstance(total, Add)
        found = as_node(0)
        for place in self.coefficients.corrected:
            found = self.address.equal_to(self.address.low + place).select(1, found)
        carry = found.named("correction")
        doubled = total.a.concat(as_node(1), 1) + total.b.concat(carry, 1)
        low, high = 2 * total.low + 1, 2 * total.high + 4
        return dataclasses.replace(doubled, low=low, high=high, name="sum", kept=True) >> 1

    def _constant(self) -> Node:
        constant = self._table(self.coefficients.c0).named("c0")
        mirror = centre(self.spec, self.shape.guard_bits) if self.shape.folding == "odd" else 0
        if not mirror:
            return self._mirrored(constant)
        inverted = (~constant).bits(0, mirror.bit_length() - 1)
        return self.negative.select(inverted, constant)

    def _line(self) -> list[Node]:
        shape, c1 = self.shape, self.coefficients.c1
        if not c1.any():
            return []
        if shape.digits == "slope":
            return rows_by_number(lambda d: self._table(d).named("slope"), c1, self.v, shape.slope_bits)
        return rows_by_booth(self.v, shape.segment_bits, self._table(c1).named("c1"), shape.slope_bits)

    def _curve(self) -> list[Node]:
        shape, c2 = self.shape, self.coefficients.c2
        if not c2.any():
            return []
        square = squared(self.v, shape.segment_bits - shape.square_address, shape.squares())
        rows = rows_by_number(lambda d: self._table(d).named("curve"), c2, square, shape.curve_bits)
        return [self._mirrored(row) for row in rows]
