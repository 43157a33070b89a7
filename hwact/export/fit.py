# SPDX-License-Identifier: Apache-2.0
"""Entries of an interpolated table, chosen for the smallest largest error over all codes.

A receiver computes every output from one entry and the next. So the largest error of a whole table is that
of a path through its entries, and dynamic programming over a window of values at each entry finds the best
path of that window: first by the largest error, then, among the paths that reach it, by the sum of errors.
The window follows the best path until it stays, with coarse steps first and single integers last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwact.formats import Codes

_REACH = 4  # values to either side of an entry
_ROUNDS = 12  # with one step; a table that still moves then is good enough

Floats = npt.NDArray[np.float64]
Interpolation = Callable[[Codes, Codes, Codes], Codes]
Costs = tuple[Floats, Floats]  # largest error and sum of errors, for each value in the window


@dataclass(frozen=True, eq=False)
class Chain:
    """A table whose neighbouring entries are interpolated.

    Parameters
    ----------
    size : int
        Number of entries.
    segment, position : int64 arrays, shape (codes,)
        For each input code that reads the table: its lower entry, ascending, and what `interpolate` needs
        to know of its place between that entry and the next.
    exact : float64 array, shape (codes,)
        The exact values, in ulp of the output.
    interpolate : callable
        Lower entries, upper entries and positions to output codes.
    low, high : int
        Inclusive range of an entry.
    first, last : callable
        Costs of values of the first and the last entry, for codes that read no other.
    """

    size: int
    segment: Codes
    position: Codes
    exact: Floats
    interpolate: Interpolation
    low: int
    high: int
    first: Callable[[Codes], Costs] | None = None
    last: Callable[[Codes], Costs] | None = None

    def fitted(self, entries: Codes) -> Codes:
        """Better entries than those given, shape (size,), int64."""
        entries = np.clip(entries, self.low, self.high)
        step = self._first_step(entries)
        while step:
            for _ in range(_ROUNDS):
                before, entries = entries, self._best(entries, step)
                if np.array_equal(before, entries):
                    break
            step //= 2
        return entries

    def _first_step(self, entries: Codes) -> int:
        """A power of 2 with which the window reaches as far as the present error."""
        if not self.segment.size:
            return 1
        spread = int(np.abs(np.diff(entries)).max())
        codes = self.interpolate(entries[self.segment], entries[self.segment + 1], self.position)
        error = min(spread, int(np.abs(codes - self.exact).max()))
        return 1 << max(0, (error // _REACH).bit_length() - 1)

    def _best(self, entries: Codes, step: int) -> Codes:
        """The best path through the windows around some entries."""
        window = np.arange(-_REACH, _REACH + 1) * step
        values = np.clip(entries[:, np.newaxis] + window, self.low, self.high)
        largest, total = self._costs(values)
        ends = [
            end(values[at]) if end else (np.zeros(window.size), np.zeros(window.size))
            for end, at in ((self.first, 0), (self.last, -1))
        ]
        # With ties the middle of the window wins, so that a path without a reason to move stays.
        preference = np.abs(window) * 1e-9
        bound, _ = _path(largest, ends[0][0], ends[1][0], np.maximum)
        limited = [np.where(worst <= bound, cost, np.inf) for worst, cost in ((largest, total), *ends)]
        first, last = limited[1] + preference, limited[2]
        _, chosen = _path(limited[0] + preference[np.newaxis, np.newaxis, :], first, last, np.add)
        return values[np.arange(self.size), chosen]

    def _costs(self, values: Codes) -> tuple[Floats, Floats]:
        """Largest error and sum of errors of every segment, for every pair of values at its ends.

        Shape (size - 1, window, window) each; 0 where no code reads the segment.
        """
        count = values.shape[1]
        shape = (self.size - 1, count, count)
        largest, total = np.zeros(shape), np.zeros(shape)
        starts = np.flatnonzero(np.diff(self.segment, prepend=-1))
        if not starts.size:
            return largest, total
        present = self.segment[starts]
        for lower in range(count):
            for upper in range(count):
                ends = values[self.segment, lower], values[self.segment + 1, upper]
                errors = np.abs(self.interpolate(*ends, self.position) - self.exact)
                largest[present, lower, upper] = np.maximum.reduceat(errors, starts)
                total[present, lower, upper] = np.add.reduceat(errors, starts)
        return largest, total


def _path(segments: Floats, first: Floats, last: Floats, joined: np.ufunc) -> tuple[float, Codes]:
    """The cheapest path through all entries, and its cost; costs join by `maximum` or `add`."""
    cost, came = first, np.empty((len(segments), first.size), dtype=np.int64)
    for index, segment in enumerate(segments):
        ways = joined(cost[:, np.newaxis], segment)
        came[index] = ways.argmin(axis=0)
        cost = ways.min(axis=0)
    cost = joined(cost, last)
    chosen = [int(cost.argmin())]
    for back in came[::-1]:
        chosen.append(int(back[chosen[-1]]))
    return float(cost.min()), np.array(chosen[::-1])
