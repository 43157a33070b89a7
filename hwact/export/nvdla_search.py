# SPDX-License-Identifier: Apache-2.0
"""Where NVDLA's two look-up tables lie best for a function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwact.architectures.problem import UnitSpec
from hwact.export.nvdla_sdp import (
    FRACTION_BITS,
    LE_ENTRIES,
    LO_ENTRIES,
    OVERFLOW,
    UNDERFLOW,
    Priorities,
    Ranges,
)
from hwact.formats import Codes, Format

_SAMPLES = 1 << 13  # codes that the search looks at; every one is judged afterwards
_BEST = 4
_ROUNDING = 0.5  # ulp
_STARTS = 4  # starts tried per reach of a table

Floats = npt.NDArray[np.float64]
Error = tuple[float, float]  # largest and mean, in ulp


@dataclass(frozen=True, eq=False)
class Curve:
    """The exact values in ulp of the output, and lines beyond the last input code."""

    first: int
    values: Floats

    @classmethod
    def of(cls, spec: UnitSpec) -> Curve:
        """The function of a specification."""
        return cls(spec.input_format.min_code, spec.exact.floor / float(1 << spec.exact.guard_bits))

    def at(self, codes: Codes) -> Floats:
        """Values at input codes, which may lie beyond the last."""
        place = codes - self.first
        last = self.values.size - 1
        beyond = np.maximum(place - last, 0) * (self.values[-1] - self.values[-2])
        return self.values[np.clip(place, 0, last)] + beyond


@dataclass(frozen=True)
class Layout:
    """Ranges of both tables, and the priorities between them."""

    le: Ranges
    lo: Ranges
    hybrid: bool

    @cached_property
    def priorities(self) -> Priorities:
        """On either side the table goes on that reaches further."""
        return Priorities(
            underflow=self.lo.start <= self.le.start,
            overflow=self.lo.end >= self.le.end,
            hybrid=self.hybrid,
        )


@dataclass(frozen=True, eq=False)
class _View:
    """What one table by itself does to some codes, when it is fitted.

    Between entries fitting halves the error of plain interpolation, which lies on one side of a curve, and
    the result is rounded; beyond them the line is moved to the middle of its errors, and rounded unless its
    slope is an integer.
    """

    flow: Codes
    errors: Floats

    @classmethod
    def of(cls, ranges: Ranges, curve: Curve, x: Codes) -> _View:
        flow, index, fraction = ranges.read(x)
        knots, exact = curve.at(ranges.knots), curve.at(x)
        lower, upper = knots[index], knots[np.minimum(index + 1, ranges.entries - 1)]
        place = np.ldexp(fraction.astype(np.float64), -FRACTION_BITS)
        errors = np.abs(lower + (upper - lower) * place - exact) / 2 + _ROUNDING
        for side in (flow == UNDERFLOW, flow == OVERFLOW):
            if side.any():
                lines = [_line_errors(slope, x[side], exact[side]) for slope in slopes(x[side], exact[side])]
                errors[side] = min(lines, key=lambda line: float(line.max()))
        return cls(flow, errors)


def _line_errors(slope: float, codes: Codes, values: Floats) -> Floats:
    rest = values - slope * codes
    middle = (rest.max() + rest.min()) / 2
    return np.abs(rest - round(middle)) if slope == round(slope) else np.abs(rest - middle) + _ROUNDING


def slopes(codes: Codes, values: Floats) -> list[float]:
    """Slopes of a line that may suit values at ascending codes."""
    half = codes.size // 2
    rises = ((values[b] - values[a], codes[b] - codes[a]) for a, b in ((0, -1), (0, half), (half, -1)))
    found = [float(rise / run) for rise, run in rises if run]
    return sorted({0.0, *found, *(float(round(slope)) for slope in found)})


def layouts(spec: UnitSpec) -> list[Layout]:
    """The most promising layouts, improved step by step, each of its own density."""
    given = spec.input_format
    search = _Search(Curve.of(spec), given.codes()[:: max(1, (1 << given.width) // _SAMPLES)])
    les, los = list(_ranges(LE_ENTRIES, given)), _ranges(LO_ENTRIES, given)
    every = sorted(
        (Layout(le, lo, hybrid) for lo in los for le in les for hybrid in (False, True)), key=search.error
    )
    densities = {(one.le.select, one.lo.select): one for one in reversed(every)}
    coarse = sorted(densities.values(), key=search.error)[:_BEST]
    return list(dict.fromkeys(search.improved(layout, given) for layout in coarse))


def _ranges(entries: int, given: Format) -> Iterator[Ranges]:
    """Ranges from a coarse one over all codes to fine ones over a part."""
    widest = max(0, given.width - (entries - 1).bit_length() + 1)
    for select in range(max(0, widest - 4), widest + 1):
        reach = (entries - 1) << select
        for start in range(given.min_code, given.max_code + 1, max(1, reach // _STARTS)):
            yield Ranges(entries=entries, start=start, select=select)


class _Search:
    """Errors of layouts on some codes."""

    def __init__(self, curve: Curve, x: Codes) -> None:
        self.curve, self.x = curve, x
        self._views: dict[Ranges, _View] = {}

    def _view(self, ranges: Ranges) -> _View:
        if ranges not in self._views:
            self._views[ranges] = _View.of(ranges, self.curve, self.x)
        return self._views[ranges]

    def error(self, layout: Layout) -> Error:
        """Largest and mean error to expect, but for rounding."""
        le, lo = self._view(layout.le), self._view(layout.lo)
        errors = np.where(layout.priorities.choose_lo(le.flow, lo.flow), lo.errors, le.errors)
        return float(errors.max()), float(errors.mean())

    def improved(self, layout: Layout, given: Format) -> Layout:
        """The layout after every move of one table that makes it better."""
        best, error = layout, self.error(layout)
        while True:
            moves = {move: self.error(move) for move in _moves(best, given)}
            better = min(moves, key=lambda move: moves[move], default=best)
            if better == best or moves[better] >= error:
                return best
            best, error = better, moves[better]


def _moves(layout: Layout, given: Format) -> Iterator[Layout]:
    inside = range(given.min_code, given.max_code + 1)
    yield replace(layout, hybrid=not layout.hybrid)
    yield from (replace(layout, le=le) for le in _neighbours(layout.le) if le.start in inside)
    yield from (replace(layout, lo=lo) for lo in _neighbours(layout.lo) if lo.start in inside)


def _neighbours(ranges: Ranges) -> Iterator[Ranges]:
    unit = 1 << ranges.select
    for steps in (1, 4, ranges.entries // 8):
        for sign in (-1, 1):
            yield replace(ranges, start=ranges.start + sign * steps * unit)
    for change in (-1, 1):
        if ranges.select + change >= 0:
            yield replace(ranges, select=ranges.select + change)
