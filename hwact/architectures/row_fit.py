# SPDX-License-Identifier: Apache-2.0
"""Coefficients of polynomial segments, fitted against the very rows that the hardware adds.

Per segment the slope c1 and the curve c2 start at the least squares fit of the exact function, in
integers; their neighbours are tried with all truncations in place, and the constant c0 comes from
intersecting what every code of the segment permits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from hwact.architectures.digits import minimal_digits, sum_by_booth, sum_by_number
from hwact.architectures.folding import Folding, roundest
from hwact.architectures.problem import MAX_OUTPUT_WIDTH, UnitSpec
from hwact.exact import Booleans
from hwact.formats import Codes, Rounding

RESOLUTION = 12
MAX_CARRIES = 12
_STEPS = (0, 1, -1, 2, -2)
_FEW_SEGMENTS = 24
_PLACES = 32
_NEVER = 1 << 60


@dataclass(frozen=True)
class Shape:
    """The parameters of one design.

    Parameters
    ----------
    folding : str
        ``plain``; ``odd``: x and its one's complement share a segment, whose slope they share, while
        constant and curve are inverted for negative x; or ``magnitude``: x and -x share a segment, whose sum
        is mirrored, or added to a base, as by :class:`~hwact.architectures.folding.Folding`.
    saturate : int
        1 where the sum may leave the output format, and saturates.
    degree : int
        1 or 2.
    digits : str
        ``booth``: digits of the offset select the slope; ``slope``: tabulated digits of the slope select
        the offset.
    segment_bits : int
        A segment has ``2**segment_bits`` codes.
    guard_bits : int
        Fraction bits of the sum below the output's ulp.
    slope_bits, curve_bits : int
        Fraction bits of c1 and c2 beyond the sum's.
    square_address, square_bits : int
        Bits of the offset that the table of squares reads, and bits that it holds; 0 below degree 2.
    corrections : int
        Codes, at most, at which the sum gets one more, so that coefficients need not suit all of a segment.
    """

    folding: str
    saturate: int
    degree: int
    digits: str
    segment_bits: int
    guard_bits: int
    slope_bits: int = 0
    curve_bits: int = 0
    square_address: int = 0
    square_bits: int = 0
    corrections: int = 0

    @property
    def parameters(self) -> dict[str, int | str]:
        """What builds it again; without corrections there is no word of them."""
        return {name: value for name, value in vars(self).items() if value or name != "corrections"}

    def offsets(self) -> Codes:
        """The offset v from the centre for every code of a segment, shape (2**segment_bits,)."""
        size = 1 << self.segment_bits
        return np.arange(size, dtype=np.int64) - size // 2

    def squares(self) -> Codes:
        """The table of squares by distance from the centre, shape (2**(square_address - 1),)."""
        places = 1 << (self.square_address - 1)
        distance = 2 * np.arange(places, dtype=np.int64) + 1
        rounded = ((distance * distance << self.square_bits) // (2 * places * places) + 1) // 2
        squares: Codes = np.minimum(rounded, (1 << self.square_bits) - 1)
        return squares

    def square_of_offsets(self) -> Codes:
        """The tabulated square for every code of a segment, shape (2**segment_bits,)."""
        if self.degree < 2:
            return np.zeros(1 << self.segment_bits, np.int64)
        top = self.offsets() >> (self.segment_bits - self.square_address)
        return self.squares()[np.where(top < 0, ~top, top)]


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Fitted coefficients, one of each kind a segment, and the ones that carry inputs add; int64.

    ``corrected`` are the codes at which one more is added.
    """

    c0: Codes
    c1: Codes
    c2: Codes
    carries: int
    corrected: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Goal:
    """What the sum may be on every address, by segments.

    Parameters
    ----------
    low, high : int64 arrays, shape (segments, addresses)
        Inclusive bounds of the sum.
    exact : int64 array, shape (segments, addresses)
        The exact function, in units of a power of two of the sum's last place.
    """

    low: Codes
    high: Codes
    exact: Codes

    def cut(self, segment_bits: int) -> Goal:
        """In segments of a length."""
        return Goal(*(each.reshape(-1, 1 << segment_bits) for each in (self.low, self.high, self.exact)))

    def part(self, segments: Codes | Booleans) -> Goal:
        """Some of the segments."""
        return Goal(self.low[segments], self.high[segments], self.exact[segments])


@lru_cache(maxsize=32)
def folded(spec: UnitSpec, shape: Shape) -> Folding:
    """What is left of the function to fit, and the logic around it."""
    floor = spec.accuracy.kind == "correct" and spec.rounding is Rounding.FLOOR
    return Folding(spec, shape.folding, shape.guard_bits, saturated=shape.saturate > 0, nearest=not floor)


@lru_cache(maxsize=8)
def goal(spec: UnitSpec, kind: str, saturate: int, guard_bits: int, resolution: int) -> Goal:
    """All addresses as one segment, the exact function with so many bits more than the sum."""
    shape = Shape(kind, saturate, 1, "booth", 1, guard_bits)
    folding = folded(spec, shape)
    inside = folded(_unsaturated(spec), shape) if saturate else folding
    return Goal(*folding.intervals(), inside.targets(guard_bits + resolution))


@lru_cache(maxsize=8)
def _unsaturated(spec: UnitSpec) -> UnitSpec:
    """With an output that does not saturate in the segments in which the output asked for begins to."""
    outside = spec.output_format
    wider = min(MAX_OUTPUT_WIDTH - outside.width, 2)
    return dataclasses.replace(
        spec, output_format=dataclasses.replace(outside, integer_bits=outside.integer_bits + wider)
    )


def saturates(spec: UnitSpec) -> bool:
    """Whether the output saturates by more than an ulp somewhere."""
    exact, inside = spec.exact, _unsaturated(spec).exact
    return bool((np.abs((inside.floor >> inside.guard_bits) - (exact.floor >> exact.guard_bits)) > 1).any())


@dataclass(frozen=True, eq=False)
class Problem:
    """What the sum may be on every code, by segments.

    Parameters
    ----------
    low, high : int64 arrays, shape (segments, codes)
        Inclusive bounds of the sum.
    mirrored : pair of such arrays, optional
        Bounds for the codes whose one's complement lies in the segment.
    exact : int64 array, shape (segments, codes)
        The exact function in units of ``2**-RESOLUTION`` of the sum's last place.
    places : int64 array
        The codes of a segment that the bounds are about.
    """

    low: Codes
    high: Codes
    mirrored: tuple[Codes, Codes] | None
    exact: Codes
    places: Codes

    def some(self, segments: int, places: int) -> Problem:
        """Evenly chosen segments and places in each, with both ends; exact values stay whole in a segment."""
        rows, columns = (_even(n, most) for n, most in zip(self.low.shape, (segments, places), strict=True))
        chosen = np.ix_(rows, columns)
        mirrored = self.mirrored and (self.mirrored[0][chosen], self.mirrored[1][chosen])
        return Problem(self.low[chosen], self.high[chosen], mirrored, self.exact[rows], columns)

    @cached_property
    def relative(self) -> Codes:
        """The exact function less its value in the middle of the segment."""
        return self.exact - self.exact[:, self.exact.shape[1] // 2, None]


def _even(size: int, most: int) -> Codes:
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.int64))


def centre(spec: UnitSpec, guard_bits: int) -> int:
    """``f(x) + f(-x)`` of an odd function in units of the sum, which must be an integer."""
    symmetry = spec.function.symmetry
    assert symmetry is not None
    return int(symmetry.offset * 2**guard_bits / spec.output_format.ulp)


@lru_cache(maxsize=16)
def problem(spec: UnitSpec, folding: str, saturate: int, segment_bits: int, guard_bits: int) -> Problem:
    """The problem that segments of a length must solve."""
    length, places = 1 << segment_bits, np.arange(1 << segment_bits)
    if folding != "odd":
        aim = goal(spec, folding, saturate, guard_bits, RESOLUTION).cut(segment_bits)
        return Problem(aim.low, aim.high, None, aim.exact, places)
    low, high = spec.unclamped() if saturate else spec.allowed
    low, high = low << guard_bits, ((high + 1) << guard_bits) - 1
    exact = spec.exact.floor >> (spec.exact.guard_bits - guard_bits - RESOLUTION)
    half = low.size // 2
    mirrored = low[:half].reshape(-1, length)[::-1], high[:half].reshape(-1, length)[::-1]
    low, high, exact = (array[half:].reshape(-1, length) for array in (low, high, exact))
    return Problem(low, high, mirrored, exact, places)


@lru_cache(maxsize=16)
def _some(
    spec: UnitSpec, folding: str, saturate: int, segment_bits: int, guard_bits: int, few: bool
) -> Problem:
    whole = problem(spec, folding, saturate, segment_bits, guard_bits)
    return whole.some(_FEW_SEGMENTS if few else whole.low.shape[0], _PLACES)


@lru_cache(maxsize=512)
def plausible(spec: UnitSpec, shape: Shape) -> bool:
    """Whether samples of the codes permit a shape: if not, no coefficients fit."""
    if shape.folding == "magnitude" and shape.guard_bits < max(1, -spec.frac_shift):
        return False
    key = spec, shape.folding, shape.saturate, shape.segment_bits, shape.guard_bits
    return all(
        _Fit(shape, _some(*key, few), _mirror(spec, shape)).best() is not None for few in (True, False)
    )


@lru_cache(maxsize=64)
def fitted(spec: UnitSpec, shape: Shape) -> Coefficients | None:
    """Coefficients of all segments; none where some segment has no solution."""
    if not plausible(spec, shape):
        return None
    goal = problem(spec, shape.folding, shape.saturate, shape.segment_bits, shape.guard_bits)
    return _Fit(shape, goal, _mirror(spec, shape)).best()


def _mirror(spec: UnitSpec, shape: Shape) -> int:
    return centre(spec, shape.guard_bits) - 1 if shape.folding == "odd" else 0


class _Fit:
    """Tries neighbours of the ideal coefficients and keeps, per segment, those that leave c0 most room."""

    def __init__(self, shape: Shape, goal: Problem, mirror: int) -> None:
        self.shape, self.goal, self.mirror = shape, goal, mirror
        self.v, self.q = shape.offsets()[goal.places], shape.square_of_offsets()[goal.places]
        segments, choices = goal.low.shape[0], MAX_CARRIES + 1 if goal.mirrored else 1
        self.carries = np.arange(choices)[:, None]
        self.low = np.full((choices, segments), _NEVER)
        self.high = np.full((choices, segments), -_NEVER)
        self.c1, self.c2 = np.zeros_like(self.low), np.zeros_like(self.low)
        self.score = np.full_like(self.low, -2 * _NEVER)

    def best(self) -> Coefficients | None:
        """The coefficients and the number of carries that leave the narrowest segment most room."""
        lines = [(c1, self._line(c1), digit_counts(c1)) for c1 in self._slopes()]
        curves = list(self._curves())
        rows = self._rows(np.concatenate(curves))
        for c2 in curves:
            curve, weight = self._curve(c2), digit_counts(c2)
            for c1, line, weight1 in lines:
                self._offer((c1, c2), line, curve, rows, weight + weight1)
        k = int((self.high - self.low).min(axis=1).argmax())
        if (self.high[k] < self.low[k]).any():
            return None
        return self._settled(self.c1[k], self.c2[k])

    def _settled(self, c1: Codes, c2: Codes) -> Coefficients | None:
        """The constants and carries for chosen coefficients: rows that none of them uses are gone."""
        self.low, self.high = np.full_like(self.low, _NEVER), np.full_like(self.high, -_NEVER)
        self.score = np.full_like(self.low, -2 * _NEVER)
        self._offer((c1, c2), self._line(c1), self._curve(c2), self._rows(c2), np.zeros_like(c1))
        least = (self.high - self.low).min(axis=1)
        k = int(least.argmax())
        return Coefficients(roundest(self.low[k], self.high[k]), c1, c2, k) if least[k] >= 0 else None

    def _rows(self, c2: Codes) -> int:
        return sum(bool(digit.any()) for digit in minimal_digits(c2)) if self.shape.degree == 2 else 0

    def _offer(
        self, chosen: tuple[Codes, Codes], line: Codes, curve: Codes, rows: int, weight: Codes
    ) -> None:
        """Keep coefficients where they fit with fewer digits, or as many and more room."""
        low, high = room(self.goal.low, self.goal.high, line + curve)
        low, high = low - self.carries, high - self.carries
        if self.goal.mirrored:  # there ~c0 and the rows ~r of the curve are added
            bottom, top = room(*self.goal.mirrored, line - curve - rows)
            low = np.maximum(low, self.mirror - top + self.carries)
            high = np.minimum(high, self.mirror - bottom + self.carries)
            if self.mirror >= 0:  # inverting keeps to the bits of the centre
                low, high = np.maximum(low, 0), np.minimum(high, self.mirror)
        score = high - low - np.where(high < low, _NEVER, weight << 30)
        better = score > self.score
        self.score = np.where(better, score, self.score)
        self.low, self.high = np.where(better, low, self.low), np.where(better, high, self.high)
        self.c1, self.c2 = (np.where(better, *pair) for pair in zip(chosen, (self.c1, self.c2), strict=True))

    def _line(self, c1: Codes) -> Codes:
        if not c1.any():  # the hardware has no rows then, not even inverted ones
            return np.zeros_like(self.v)
        if self.shape.digits == "slope":
            return sum_by_number(c1[:, None], self.v, self.shape.slope_bits)
        return sum_by_booth(self.v, c1[:, None], self.shape.segment_bits, self.shape.slope_bits)

    def _curve(self, c2: Codes) -> Codes:
        if self.shape.degree < 2:
            return np.zeros_like(self.v)
        return sum_by_number(c2[:, None], self.q, self.shape.curve_bits)

    def _curves(self) -> Iterator[Codes]:
        """Neighbours of the least squares fit's curve, of which q is a symmetric basis."""
        if self.shape.degree < 2:
            yield np.zeros(self.goal.low.shape[0], np.int64)
            return
        q = self.shape.square_of_offsets()
        ideal = projection(self.goal.relative, q * q.size - q.sum(), q, self.shape.curve_bits)
        yield from (ideal + step for step in (0, 1, -1))

    def _slopes(self) -> Iterator[Codes]:
        """Neighbours of the least squares fit's slope; the curve is symmetric and does not bend it."""
        v = self.shape.offsets()
        ideal = projection(self.goal.relative, 2 * v + 1, v, self.shape.slope_bits)
        yield from (ideal + step for step in _STEPS)


def digit_counts(numbers: Codes) -> Codes:
    """How many digits of every number are not 0."""
    counts: Codes = np.sum([digit != 0 for digit in minimal_digits(numbers)], axis=0)
    return counts


def projection(
    values: Codes, basis: Codes, unit: Codes, fraction_bits: int, resolution: int = RESOLUTION
) -> Codes:
    """The coefficient of a unit by a basis that is orthogonal to the others, rounded down.

    Of values in units of ``2**-resolution`` of the unit's.
    """
    scale = int((basis * unit).sum()) << resolution
    sums = (values @ basis).tolist()  # Python's integers, since a shift may leave 64 bits
    return np.array([(each << fraction_bits) // scale if scale else 0 for each in sums], np.int64)


def room(low: Codes, high: Codes, rest: Codes) -> tuple[Codes, Codes]:
    """Bounds of what may be added to the rest of a sum, by segment."""
    return (low - rest).max(axis=1), (high - rest).min(axis=1)
