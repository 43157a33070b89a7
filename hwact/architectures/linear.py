# SPDX-License-Identifier: Apache-2.0
"""One multiplication: a line for every segment, for targets with multiplier blocks.

The code itself is the multiplicand, so that no segment needs a place of its own::

    f(x) = (slope[segment] * x + constant[segment]) >> slope_bits

What costs are the two tables, not the width of the product. So the segments get longer away from 0, an octave
at a time, as far as a line fits, and a small table makes their number from the high bits of x. A symmetric
function has one line for x and -x: of an odd one the constants change their sign, of an even one the slopes.
Constants come from intersecting what every code of the segment permits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np

from hwact.architectures.folding import roundest
from hwact.architectures.problem import MAX_FITTED_WIDTH, InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath, Node
from hwact.formats import Codes

NAME = "linear"

KINDS = ("plain", "folded", "complement")
MAX_GUARD_BITS = 3
FEW = 4  # designs with the smallest tables
LEAST_HIGH_BITS = 4  # of the code, which tell segments apart
MAX_LENGTHS = 2
_NODE = 724  # cos(pi/4), in 1024ths: the outer Chebyshev nodes of degree 1
_STEPS = (0, 1, -1, 2)


@dataclass(frozen=True)
class Shape:
    """The parameters of one design.

    Parameters
    ----------
    folding : str
        ``plain``: lines of their own for negative codes. ``folded``: one line for x and -x. ``complement``:
        the same, and the number of the line comes from the one's complement of negative codes.
    guard_bits : int
        Fraction bits of the constants below the output's ulp.
    segment_bits : int
        The shortest segments have ``2**segment_bits`` codes.
    slope_bits : int
        Fraction bits of the slopes in their table, in output codes for an input code.
    """

    folding: str
    guard_bits: int
    segment_bits: int
    slope_bits: int

    def __post_init__(self) -> None:
        if self.folding not in KINDS:
            raise InfeasibleError(f"folding must be one of {', '.join(KINDS)}, not {self.folding!r}")


@dataclass(frozen=True)
class Lines:
    """The lines of one side, or of both where they are folded; each of the arrays int64.

    Parameters
    ----------
    numbers : array
        Number of the line by the high bits of the distance from 0.
    slopes, constants : array
        By number; less what they have at the centre of the symmetry.
    """

    numbers: Codes
    slopes: Codes
    constants: Codes


@dataclass(frozen=True)
class _Permitted:
    """What the codes on one side of 0 permit, by their distance: x or its one's complement.

    Parameters
    ----------
    negative : bool
    codes : int64 array
    low, high : int64 array
        Inclusive bounds of the sum.
    exact : int64 array
    """

    negative: bool
    codes: Codes
    low: Codes
    high: Codes
    exact: Codes


class _Fit:
    """Fits lines to the codes on one or both sides of 0."""

    def __init__(self, spec: UnitSpec, shape: Shape, signs: tuple[bool, ...]) -> None:
        self.centre = centre = _Centre.of(spec, shape)
        self._shift = centre.bits - shape.guard_bits
        low, high = spec.unclamped()
        low, high = low << centre.bits, ((high + 1) << centre.bits) - 1
        codes = spec.input_format.codes()
        scale = centre.bits - spec.exact.guard_bits
        exact = spec.exact.floor << scale if scale >= 0 else spec.exact.floor >> -scale
        self._sides = []
        for negative in signs:
            at = np.flatnonzero(codes < 0)[::-1] if negative else np.flatnonzero(codes >= 0)
            self._sides.append(_Permitted(negative, codes[at], low[at], high[at], exact[at]))

    def lines(self, start: int, stop: int, count: int) -> tuple[Codes, Codes] | None:
        """Slopes and constants of segments of one length; none where one of them has no line."""
        side = self._sides[0]
        size = (stop - start) // count
        first = max(0, size // 2 - ((size * _NODE) >> 11))
        codes, exact = (each[start:stop].reshape(count, size) for each in (side.codes, side.exact))
        run = codes[0, -1 - first] - codes[0, first]
        chord = (exact[:, -1 - first] - exact[:, first]) // run if run else np.zeros(count, np.int64)
        ideal = (chord - self.centre.slope) >> self.centre.fill
        best = np.full(count, -1)
        slopes, constants = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for step in _STEPS:
            low, high = self.room(ideal + step, start, stop)
            better = high - low > best
            best = np.where(better, high - low, best)
            slopes = np.where(better, ideal + step, slopes)
            constants = np.where(better, roundest(low, np.maximum(low, high)), constants)
        return (slopes, constants) if (best >= 0).all() else None

    def room(self, slopes: Codes, start: int, stop: int) -> tuple[Codes, Codes]:
        """Inclusive bounds of the constants that go with given slopes of segments."""
        lows, highs = [], []
        for side in self._sides:
            x, bottom, top = (
                each[start:stop].reshape(slopes.size, -1) for each in (side.codes, side.low, side.high)
            )
            line = self.centre.slopes(slopes, side.negative)[:, None] * x
            low = -((-(bottom - line).max(axis=1)) >> self._shift) - self.centre.constant
            high = ((top - line).min(axis=1) >> self._shift) - self.centre.constant
            mirrored = side.negative and self.centre.odd
            lows.append(~high if mirrored else low)
            highs.append(~low if mirrored else high)
        return np.max(lows, axis=0), np.min(highs, axis=0)


@dataclass(frozen=True)
class _Centre:
    """Of the symmetry: what slopes and constants are there, and how those of negative codes follow.

    Parameters
    ----------
    bits : int
        Fraction bits of the sum.
    fill : int
        Those of them that the table of slopes has not; the sign fills them.
    slope, constant : int
    odd, even : bool
        Whether the constants or the slopes of negative codes are the one's complement.
    """

    bits: int
    fill: int
    slope: int
    constant: int
    odd: bool
    even: bool

    @classmethod
    def of(cls, spec: UnitSpec, shape: Shape) -> _Centre:
        symmetry = spec.function.symmetry
        folded = shape.folding != "plain"
        even = folded and symmetry is not None and symmetry.sign > 0
        bits = max(shape.slope_bits, spec.input_format.width) if even else shape.slope_bits
        fill = bits - shape.slope_bits
        if not folded:
            return cls(bits, fill, 0, 0, False, False)
        if symmetry is None or not spec.input_format.signed or spec.input_format.zero_point:
            raise _unfit(spec)
        one = 1 / spec.output_format.ulp
        slope = -symmetry.slope / 2 * spec.input_format.ulp * one * 2**bits
        middle = (
            symmetry.offset / 2 * one + spec.output_format.zero_point + Fraction(1, 2)
        )  # rounds, both sides
        constant = middle * 2**shape.guard_bits
        if even:
            if symmetry.offset or slope.denominator != 1:
                raise _unfit(spec)
            return cls(bits, fill, int(slope), 0, False, True)
        if symmetry.slope or constant.denominator != 1:
            raise _unfit(spec)
        return cls(bits, fill, 0, int(constant), True, False)

    def slopes(self, slopes: Codes, negative: bool) -> Codes:
        """Those of the sum from those of the table."""
        filled = slopes << self.fill
        return (~filled if negative and self.even else filled) + self.slope


def _unfit(spec: UnitSpec) -> InfeasibleError:
    return InfeasibleError(
        f"folded lines need a signed input and a function symmetric about a code, not {spec.function.name!r} "
        f"with {spec.input_format} in, {spec.output_format} out; choose the folding plain"
    )


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """Those with the smallest tables; none without multiplier blocks."""
    if spec.target.block is None or spec.input_format.width > MAX_FITTED_WIDTH:
        return
    folded = "complement" if spec.target.lut_inputs == 6 else "folded"
    found = _found(spec, folded) or _found(spec, "plain")
    yield from (vars(shape) for _, shape in sorted(found, key=lambda each: each[0])[:FEW])


def _found(spec: UnitSpec, kind: str) -> list[tuple[int, Shape]]:
    """What there is of the longest segments, and the next ones, with the bits of its tables."""
    found: list[tuple[int, Shape]] = []
    lengths = 0
    for length in range(spec.input_format.width - LEAST_HIGH_BITS, 0, -1):
        before = len(found)
        for slope_bits in range(length - 1, length + 7):
            for guard_bits in range(min(slope_bits, MAX_GUARD_BITS) + 1):
                shape = Shape(kind, guard_bits, length, slope_bits)
                with suppress(InfeasibleError):
                    sides = _fitted(spec, shape)
                    found += [(_table_bits(sides), shape)] if sides else []
        lengths += len(found) > before
        if lengths == MAX_LENGTHS:
            break
    return found


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath of one multiplication.

    Parameters
    ----------
    parameters
        The fields of :class:`Shape`.
    """
    shape = Shape(**parameters)  # type: ignore[arg-type]
    sides = _fitted(spec, shape)
    if sides is None:
        raise InfeasibleError.of_fit("lines", spec, parameters, "shorter segments or more bits")
    x, centre = spec.input(), _Centre.of(spec, shape)
    segment = _segment(shape, sides, x)
    slope, constant = (segment.lookup(tuple(table.tolist())) for table in _tables(sides))
    slope, constant = slope.named("slope"), constant.named("constant")
    negative = x.less_than(0)
    if centre.even:
        slope = slope << centre.fill
        slope = (negative.select(~slope, slope).named("turned") + centre.slope).named("steepness")
    if centre.odd:
        constant = (negative.select(~constant, constant).named("turned") + centre.constant).named("height")
    product = (slope * x).named("product")
    total = product + (constant << (centre.bits - shape.guard_bits))
    return spec.finish(x, total.named("line") >> centre.bits)


def _segment(shape: Shape, sides: tuple[Lines, ...], x: Node) -> Node:
    """The line's number; of negative codes' own lines from the other half of the tables."""
    bits, numbers = shape.segment_bits, sides[0].numbers
    if shape.folding == "complement":
        x = x.less_than(0).select(~x, x).known(0, x.high).named("folded")
    elif x.signed:
        own = _most_lines(sides) * (len(sides) - 1)
        numbers = np.concatenate([numbers, sides[-1].numbers[::-1] + own])
    return x.bits(bits, x.width - bits).lookup(tuple(numbers.tolist())).named("segment")


def _tables(sides: tuple[Lines, ...]) -> tuple[Codes, Codes]:
    """Slopes and constants by number."""
    size = _most_lines(sides)
    slopes, constants = (
        np.concatenate([np.pad(each, (0, size - each.size), mode="edge") for each in kind])
        for kind in ([side.slopes for side in sides], [side.constants for side in sides])
    )
    return slopes, constants


def _most_lines(sides: tuple[Lines, ...]) -> int:
    """A power of two, at least the lines of either side."""
    return int(1 << (max(side.slopes.size for side in sides) - 1).bit_length())


def _table_bits(sides: tuple[Lines, ...]) -> int:
    """Bits of both tables."""
    return sum(table.size * int(max(table.max(), ~table.min())).bit_length() for table in _tables(sides))


@lru_cache(maxsize=64)
def _fitted(spec: UnitSpec, shape: Shape) -> tuple[Lines, ...] | None:
    """The lines of both sides at once, or of each; none where some segment has none."""
    signs = (False, True) if spec.input_format.signed else (False,)
    groups = [(sign,) for sign in signs] if shape.folding == "plain" else [signs]
    bits = spec.input_format.width - spec.input_format.signed
    found = [
        lines for group in groups if (lines := _lines(_Fit(spec, shape, group), shape.segment_bits, bits))
    ]
    return tuple(found) if len(found) == len(groups) else None


def _lines(fit: _Fit, shortest: int, bits: int) -> Lines | None:
    """Of every octave the fewest lines.

    They are numbered so that the bits of a number are bits of the distance.
    """
    slopes, constants = np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers = np.zeros(1 << (bits - shortest), np.int64)
    for start, stop in pairwise([0, *(1 << each for each in range(shortest, bits + 1))]):
        shorts = (stop - start) >> shortest
        tried = (fit.lines(start, stop, 1 << each) for each in range(shorts.bit_length()))
        made = next(filter(None, tried), None)
        if made is None:
            return None
        count = made[0].size
        unused = -slopes.size % count
        first = slopes.size + unused
        numbers[start >> shortest : stop >> shortest] = first + np.repeat(np.arange(count), shorts // count)
        slopes, constants = (
            np.concatenate([np.pad(old, (0, unused), mode="edge"), new])
            for old, new in zip((slopes, constants), made, strict=True)
        )
    return _shortened(fit, Lines(numbers, slopes, constants), shortest)


def _shortened(fit: _Fit, lines: Lines, shortest: int) -> Lines:
    """With the outermost line in place of those before it, too, as far as it fits."""
    last, height = lines.slopes.size - 1, lines.constants[-1]
    while last:
        begin, end = np.searchsorted(lines.numbers, (last - 1, last)).tolist()
        if begin == end:
            break
        low, high = fit.room(lines.slopes[-1:], begin << shortest, end << shortest)
        if not low[0] <= height <= high[0]:
            break
        last -= 1
    slopes, constants = (np.append(each[:last], each[-1]) for each in (lines.slopes, lines.constants))
    return Lines(np.minimum(lines.numbers, last), slopes, constants)
