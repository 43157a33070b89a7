# SPDX-License-Identifier: Apache-2.0
"""Entries and slopes of NVDLA's look-up tables, fitted in the stage's own integer arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwact.architectures.problem import UnitSpec
from hwact.export.fit import Chain, Costs
from hwact.export.nvdla_sdp import (
    HIT,
    INT16,
    OVERFLOW,
    UNDERFLOW,
    Booleans,
    Converter,
    Program,
    Ranges,
    Slope,
    Table,
    interpolated,
)
from hwact.export.nvdla_search import Curve, Floats, Layout, slopes
from hwact.formats import Codes, Rounding

_SHIFTS = (0, 5, 10, 15)
_SLOPES = 3  # that are fitted together with an outermost entry


@dataclass(frozen=True, eq=False)
class _Line:
    """The codes beyond one end of a table."""

    distance: Codes
    exact: Floats
    converter: Converter
    candidates: Sequence[Slope]

    @classmethod
    def of(cls, distance: Codes, exact: Floats, entry: float, converter: Converter) -> _Line:
        line = cls(distance, exact, converter, _quantised(distance, exact, converter))
        ranked = sorted(line.candidates, key=lambda slope: line.cost(round(entry), slope))
        return cls(distance, exact, converter, ranked[:_SLOPES])

    def cost(self, entry: int, slope: Slope) -> tuple[float, float]:
        """Largest error and sum of errors of a line."""
        errors = np.abs(self.converter.code(entry + slope.rise(self.distance)) - self.exact)
        return float(errors.max(initial=0)), float(errors.sum())

    def best(self, entry: int) -> Slope:
        """The best slope for an entry."""
        return min(self.candidates, key=lambda slope: self.cost(entry, slope))

    def costs(self, entries: Codes) -> Costs:
        """Costs of some values of the outermost entry, each with its best slope."""
        found = np.array([min(self.cost(int(e), slope) for slope in self.candidates) for e in entries])
        return found[:, 0], found[:, 1]


def _quantised(distance: Codes, exact: Floats, converter: Converter) -> list[Slope]:
    """Slopes that may suit, as the registers hold them."""
    if not distance.size:
        return [Slope()]
    found = (
        Slope(scale=round(slope * (1 << shift)), shift=shift)
        for slope in slopes(distance, np.ldexp(exact, converter.shift))
        for shift in _SHIFTS
    )
    return [*dict.fromkeys(slope for slope in found if INT16.min <= slope.scale <= INT16.max), Slope()]


def program(spec: UnitSpec, layout: Layout) -> Program:
    """Both tables of a layout."""
    x = spec.input_format.codes()
    curve, converter = Curve.of(spec), _converter(spec)
    flows = [ranges.read(x)[0] for ranges in (layout.le, layout.lo)]
    from_lo = layout.priorities.choose_lo(*flows)
    return Program(
        le=_table(layout.le, curve, converter, x, ~from_lo),
        lo=_table(layout.lo, curve, converter, x, from_lo),
        priorities=layout.priorities,
        converter=converter,
    )


def _converter(spec: UnitSpec) -> Converter:
    """As many bits below the output's ulp as 16-bit entries leave."""
    codes = spec.exact.rounded(Rounding.HALF_UP)
    low, high = int(codes.min()), int(codes.max())
    shift = 0
    while shift < INT16.max.bit_length() and (high - low) << (shift + 1) <= INT16.max - INT16.min:
        shift += 1
    fits = INT16.min <= low << shift and high << shift <= INT16.max
    return Converter(offset=0 if fits else INT16.min - (low << shift), shift=shift)


def _table(ranges: Ranges, curve: Curve, converter: Converter, x: Codes, owned: Booleans) -> Table:
    """One table, fitted to the codes whose result it gives."""
    flow, index, fraction = ranges.read(x)
    sampled = np.ldexp(curve.at(ranges.knots), converter.shift) + converter.offset
    guess = np.clip(np.round(sampled), INT16.min, INT16.max).astype(np.int64)
    hit, below, above = (owned & (flow == kind) for kind in (HIT, UNDERFLOW, OVERFLOW))
    lines = [
        _Line.of(x[side] - anchor, curve.at(x[side]), float(guess[end]), converter)
        for side, anchor, end in ((below, ranges.start, 0), (above, ranges.end, -1))
    ]
    chain = Chain(
        size=ranges.entries,
        segment=index[hit],
        position=fraction[hit],
        exact=curve.at(x[hit]),
        interpolate=lambda lower, upper, place: converter.code(interpolated(lower, upper, place)),
        low=INT16.min,
        high=INT16.max,
        first=lines[0].costs,
        last=lines[1].costs,
    )
    entries = chain.fitted(guess)
    return Table(
        ranges=ranges,
        entries=entries,
        underflow=lines[0].best(int(entries[0])),
        overflow=lines[1].best(int(entries[-1])),
    )


def error(spec: UnitSpec, fitted: Program) -> tuple[float, float]:
    """Largest and mean error over all codes, in ulp."""
    errors = spec.exact.error_bounds(fitted.codes(spec.input_format.codes()))
    return float(errors.max()), float(errors.mean())
