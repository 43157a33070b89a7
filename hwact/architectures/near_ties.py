# SPDX-License-Identifier: Apache-2.0
"""Coefficients of polynomial segments whose codes each permit one output only.

The codes nearest to a tie decide. Each segment takes the first coefficients around the ideal ones with which
some constant suits all its codes, with all truncations in place; in the few segments without any, the
codes that the best ones miss by one unit of the sum are corrected one by one.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np

from hwact.architectures.digits import sum_by_booth, sum_by_number
from hwact.architectures.folding import roundest
from hwact.architectures.problem import UnitSpec
from hwact.architectures.row_fit import Coefficients, Goal, Shape, goal, projection, room
from hwact.formats import Codes

RESOLUTION = 6
_STEPS = (6, 3)  # of slope and curve, either way
_MORE_STEPS = (20, 10)  # in the few segments that the others do not suit
_SAMPLED_SEGMENTS = 32
_SAMPLED_MISSES = 4
_NEVER = 1 << 30


@lru_cache(maxsize=64)
def fitted(spec: UnitSpec, shape: Shape) -> Coefficients | None:
    """Coefficients of all segments; none where too many codes would have to be corrected."""
    if shape.guard_bits < max(1, -spec.frac_shift) or shape.slope_bits < 0:
        return None
    whole = goal(spec, shape.folding, shape.saturate, shape.guard_bits, RESOLUTION).cut(shape.segment_bits)
    segments = whole.exact.shape[0]
    some = np.arange(0, segments, max(1, segments // _SAMPLED_SEGMENTS))
    if some.size < segments and _Fit(shape, whole.part(some)).missed().size > _SAMPLED_MISSES:
        return None
    return _Fit(shape, whole).coefficients()


class _Fit:
    """Fits all segments at once, those first that are easy."""

    def __init__(self, shape: Shape, aim: Goal) -> None:
        self.shape, self.aim = shape, aim
        self.v, self.q = shape.offsets(), shape.square_of_offsets()
        segments = aim.exact.shape[0]
        self.c0, self.c1, self.c2 = (np.zeros(segments, np.int64) for _ in range(3))
        self.curve, self.slope = self._ideal()

    def _ideal(self) -> tuple[Codes, Codes]:
        """Curve and slope of the least squares, rounded down."""
        relative = self.aim.exact - self.aim.exact[:, self.v.size // 2, None]
        basis = 2 * self.v + 1
        outer = np.where(np.abs(basis) > self.v.size // 2, 1, -1)  # is 0 for every line
        slope = projection(relative, basis, self.v, self.shape.slope_bits, RESOLUTION)
        if self.shape.degree < 2:
            return np.zeros_like(slope), slope
        curve = projection(relative, outer, self.q, self.shape.curve_bits, RESOLUTION)
        tilt = (basis * self.q).sum()  # of the squares, which are even about 0 or about -1/2
        lean = (curve * tilt << self.shape.slope_bits) // (basis * self.v).sum()
        return curve, slope - (lean >> self.shape.curve_bits)

    def _steps(self, most: tuple[int, int]) -> list[tuple[int, int]]:
        """Steps away from the ideal, the nearest first."""
        slopes, curves = most
        chosen = range(-curves, curves + 1) if self.shape.degree == 2 else (0,)
        steps = itertools.product(range(-slopes, slopes + 1), chosen)
        return sorted(steps, key=lambda step: (step[0] * curves) ** 2 + (step[1] * slopes) ** 2)

    def missed(self) -> Codes:
        """The segments that no coefficients suit; the others have theirs."""
        left, aim = np.arange(self.c0.size), self.aim
        for step in self._steps(_STEPS):
            c1, c2 = self._at(left, step)
            low, high = room(aim.low, aim.high, self._rest(c1, c2))
            fits = low <= high
            suited = left[fits]
            self.c1[suited], self.c2[suited] = c1[fits], c2[fits]
            self.c0[suited] = roundest(low[fits], high[fits])
            if fits.any():
                left, aim = left[~fits], aim.part(~fits)
            if not left.size:
                break
        return left

    def _at(self, segments: Codes | int, step: tuple[int, int]) -> tuple[Codes, Codes]:
        slope, curve = step
        return self.slope[segments] + slope, self.curve[segments] + curve

    def _rest(self, c1: Codes, c2: Codes) -> Codes:
        """The sum without the constant, shape (segments, addresses)."""
        shape = self.shape
        line = sum_by_booth(self.v, c1[:, None], shape.segment_bits, shape.slope_bits)
        return line if shape.degree < 2 else line + sum_by_number(c2[:, None], self.q, shape.curve_bits)

    def coefficients(self) -> Coefficients | None:
        """With as few corrections as the coefficients around the ideal ones leave."""
        corrected: list[int] = []
        missed = self.missed().tolist()
        if len(missed) > self.shape.corrections:
            return None
        for segment in missed:
            places = self._corrected(segment)
            if places is None or len(corrected) + len(places) > self.shape.corrections:
                return None
            corrected += places
        if not self.c1.any():  # the rows of no slope are not there
            return None
        return Coefficients(self.c0, self.c1, self.c2, 0, tuple(corrected))

    def _corrected(self, segment: int) -> list[int] | None:
        """Give a segment the coefficients with the fewest addresses that miss by one; these addresses.

        None where all coefficients miss by more.
        """
        c1, c2 = np.array([self._at(segment, step) for step in self._steps(_MORE_STEPS)]).T
        aim = self.aim.part(np.full(c1.size, segment))
        rest = self._rest(c1, c2)
        low, high = room(aim.low, aim.high, rest)
        short = aim.low - rest > high[:, None]
        count = np.where(low - high <= 1, short.sum(axis=1), _NEVER)
        best = int(count.argmin())
        self.c0[segment], self.c1[segment], self.c2[segment] = high[best], c1[best], c2[best]
        first: int = segment << self.shape.segment_bits
        return (first + np.flatnonzero(short[best])).tolist() if count[best] < _NEVER else None
