# SPDX-License-Identifier: Apache-2.0
"""Exact values over codes, and what follows from them: rounded codes, permitted codes, errors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hwact.formats import Codes, Format, Overflow, Rounding, round_shift

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ExactValues:
    """A function's exact values over codes, in ulps of the output format, from where its code is 0.

    With ``saturate`` the values are clamped to the format's range; with ``wrap`` they are taken modulo it.

    Parameters
    ----------
    floor : int64 array
        ``floor((value / ulp + zero_point) * 2**guard_bits)``.
    inexact : bool array
        Whether the value lies above that floor.
    negative : bool array
        With ``wrap``, whether the value was below 0 before it wrapped; else all false.
    guard_bits : int
    output_format : Format
    overflow : Overflow
    """

    floor: Codes
    inexact: Booleans
    negative: Booleans
    guard_bits: int
    output_format: Format
    overflow: Overflow

    def part(self, start: int, stop: int) -> ExactValues:
        """Those of the codes from a place on."""
        some = slice(start, stop)
        return replace(self, floor=self.floor[some], inexact=self.inexact[some], negative=self.negative[some])

    def rounded(self, rounding: Rounding) -> Codes:
        """The correctly rounded codes."""
        zero_point = self.output_format.zero_point
        floor = self.floor - (zero_point << self.guard_bits)
        if self.overflow is Overflow.WRAP:  # towards or away from zero asks for the sign before wrapping
            span = 1 << (self.output_format.width + self.guard_bits)
            floor = floor + span * (~self.negative & (floor < 0)) - span * (self.negative & (floor >= 0))
        sticky = (floor << 1) | self.inexact
        rounded = round_shift(sticky, self.guard_bits + 1, rounding) + zero_point
        return self.output_format.fit(rounded, self.overflow)

    def allowed(self) -> tuple[Codes, Codes]:
        """Lowest and highest faithful code: the neighbours of the value, or the value where it is a code."""
        low = self.floor >> self.guard_bits
        fraction = (self.floor & ((1 << self.guard_bits) - 1) != 0) | self.inexact
        if self.overflow is Overflow.WRAP:  # an interval across the seam has no order: keep its lower end
            fraction &= low != self.output_format.max_code
        return low, low + fraction

    def within(self, max_ulp: Fraction) -> tuple[Codes, Codes]:
        """Lowest and highest code at most ``max_ulp`` from the value; low above high where there is none."""
        reach = math.floor(max_ulp * (1 << self.guard_bits))
        low = -((reach - self.floor - self.inexact) >> self.guard_bits)
        high = (self.floor + reach) >> self.guard_bits
        first, last = self.output_format.min_code, self.output_format.max_code
        return np.maximum(low, first), np.minimum(high, last)

    def error_bounds(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Upper bounds of ``|code - value|`` in ulp, tight to ``2**-guard_bits``; multiples of it."""
        distance = (codes.astype(np.int64) << self.guard_bits) - self.floor
        bound = np.maximum(np.abs(distance), np.abs(distance - self.inexact))
        if self.overflow is Overflow.WRAP:
            span = 1 << (self.output_format.width + self.guard_bits)
            bound = np.minimum(bound, np.abs(span - bound) + self.inexact)
        return bound / float(1 << self.guard_bits)
