# SPDX-License-Identifier: Apache-2.0
"""NVDLA's look-up stage of the single data point processor (SDP), integer pipeline.

Source: NVDLA's hardware manual, "LUT programming", and for roundings and widths, of which the manual does
not speak, its published C model (nvdlav1, cmod/hls/sdp).

Two tables, LE with 65 entries and LO with 257, are read at once, both in linear mode here (LE's other mode
has its entries at powers of 2): ``2**select`` codes lie from one entry to the next. Inputs up to a table's
start underflow and inputs from its last entry on overflow: there it continues as a straight line. Where one
table is hit it gives the result, else three priority bits choose. An output converter then subtracts, shifts
and saturates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwact.formats import Codes, Rounding, round_shift

FRACTION_BITS = 35
LE_ENTRIES, LO_ENTRIES = 65, 257
HIT, UNDERFLOW, OVERFLOW = 0, -1, 1
INT16 = np.iinfo(np.int16)

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Where one table's entries lie.

    Parameters
    ----------
    entries : int
    start : int
        Input code of the first entry.
    select : int
        Logarithm of the codes from one entry to the next.
    """

    entries: int
    start: int
    select: int

    @property
    def knots(self) -> Codes:
        """The input codes of the entries."""
        return self.start + (np.arange(self.entries) << self.select)

    @property
    def end(self) -> int:
        """Input code of the last entry."""
        return self.start + ((self.entries - 1) << self.select)

    def read(self, x: Codes) -> tuple[Codes, Codes, Codes]:
        """Of every input: hit, underflow or overflow; lower entry; place behind it, in 2**-35."""
        flow = np.where(x <= self.start, UNDERFLOW, np.where(x >= self.end, OVERFLOW, HIT))
        distance = np.clip(x, self.start, self.end) - self.start
        fraction = distance & ((1 << self.select) - 1)
        return flow, distance >> self.select, fraction << (FRACTION_BITS - self.select)


@dataclass(frozen=True, kw_only=True)
class Slope:
    """A line beyond a table: ``scale * distance``, shifted right by `shift` with rounding."""

    scale: int = 0
    shift: int = 0

    def rise(self, distance: Codes) -> Codes:
        """What the line adds to the table's outermost entry."""
        return round_shift(distance * self.scale, self.shift, Rounding.HALF_AWAY)


@dataclass(frozen=True, kw_only=True)
class Converter:
    """The output converter: less `offset`, shifted right by `shift` with rounding, saturated to 16 bits."""

    offset: int
    shift: int

    def code(self, result: Codes) -> Codes:
        """Output codes of the look-up stage's results."""
        shifted = round_shift(result - self.offset, self.shift, Rounding.HALF_AWAY)
        return np.clip(shifted, INT16.min, INT16.max)


def interpolated(lower: Codes, upper: Codes, fraction: Codes) -> Codes:
    """Between two entries, rounded to an integer, ties away from zero."""
    whole = np.int64(1) << FRACTION_BITS
    return round_shift(lower * (whole - fraction) + upper * fraction, FRACTION_BITS, Rounding.HALF_AWAY)


@dataclass(frozen=True, kw_only=True)
class Priorities:
    """The table whose result counts where the tables disagree: LO's where set, else LE's.

    Parameters
    ----------
    underflow, overflow : bool
        Where both tables underflow, or both overflow.
    hybrid : bool
        Where both are hit, or one underflows and the other overflows.
    """

    underflow: bool
    overflow: bool
    hybrid: bool

    def choose_lo(self, le: Codes, lo: Codes) -> Booleans:
        """Whether the result is LO's, from what :meth:`Ranges.read` says of both tables."""
        both_beyond = (le == lo) & (le != HIT)
        one_hit = (le == HIT) != (lo == HIT)
        beyond = np.where(le == UNDERFLOW, self.underflow, self.overflow)
        return np.asarray(
            np.where(both_beyond, beyond, np.where(one_hit, lo == HIT, self.hybrid)), dtype=np.bool_
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table: where its entries lie, what they are, and how it goes on beyond them."""

    ranges: Ranges
    entries: Codes
    underflow: Slope
    overflow: Slope

    def results(self, x: Codes) -> tuple[Codes, Codes]:
        """Of every input: hit, underflow or overflow; the table's result."""
        flow, index, fraction = self.ranges.read(x)
        upper = np.minimum(index + 1, self.ranges.entries - 1)
        between = interpolated(self.entries[index], self.entries[upper], fraction)
        below = self.entries[0] + self.underflow.rise(x - self.ranges.start)
        above = self.entries[-1] + self.overflow.rise(x - self.ranges.end)
        return flow, np.where(flow == HIT, between, np.where(flow == UNDERFLOW, below, above))


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """All that the look-up stage is programmed with."""

    le: Table
    lo: Table
    priorities: Priorities
    converter: Converter

    def codes(self, x: Codes) -> Codes:
        """Output codes of input codes."""
        (le_flow, le), (lo_flow, lo) = self.le.results(x), self.lo.results(x)
        return self.converter.code(np.where(self.priorities.choose_lo(le_flow, lo_flow), lo, le))
