# SPDX-License-Identifier: Apache-2.0
"""The error of a design over all input codes, stated exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.architectures.problem import BLOCK, UnitSpec
from hwact.formats import Codes


@dataclass(frozen=True, kw_only=True)
class AccuracyReport:
    """How far a unit is from the exact function.

    Errors are against the exact value, clamped to the output format where the unit saturates and
    taken modulo its range where it wraps.

    Parameters
    ----------
    class_ : str
        ``correct``, ``faithful`` (below one ulp), or ``max_ulp`` where neither holds.
    max_error_ulp : float
        Upper bound of the largest error, tight to 2**-24 ulp.
    mean_error_ulp : float
        Mean of the errors' magnitudes.
    correctly_rounded_fraction : float
        Share of the codes whose output is the exact value rounded in the unit's mode.
    codes_checked : int
        All codes of the input format.
    worst_code : int
        The first input code with the largest error.
    monotonic : bool
        Whether the output never falls, or never rises, over ascending inputs.
    """

    class_: str
    max_error_ulp: float
    mean_error_ulp: float
    correctly_rounded_fraction: float
    codes_checked: int
    worst_code: int
    monotonic: bool

    def as_dict(self) -> dict[str, Any]:
        """The report under the manifest's keys."""
        values = dict(vars(self))
        return {"class": values.pop("class_"), **values}


def report(spec: UnitSpec, codes: Codes) -> AccuracyReport:
    """Judge output codes over all input codes by the exact reference."""
    correct = faithful = 0
    total, largest, worst = 0.0, -1.0, 0
    rises = falls = False
    for start in range(0, codes.size, BLOCK):
        block, exact = codes[start : start + BLOCK], spec.exact.part(start, start + BLOCK)
        errors = exact.error_bounds(block)
        low, high = exact.allowed()
        correct += int((block == exact.rounded(spec.rounding)).sum())
        faithful += int(((low <= block) & (block <= high)).sum())
        total += float(errors.sum())
        first = int(errors.argmax())
        if errors[first] > largest:
            largest, worst = float(errors[first]), start + first
        steps = np.diff(codes[start : start + BLOCK + 1])
        rises, falls = rises or bool((steps > 0).any()), falls or bool((steps < 0).any())
    return AccuracyReport(
        class_="correct" if correct == codes.size else "faithful" if faithful == codes.size else "max_ulp",
        max_error_ulp=largest,
        mean_error_ulp=round(total / codes.size, 9),
        correctly_rounded_fraction=correct / codes.size,
        codes_checked=codes.size,
        worst_code=worst + spec.input_format.min_code,
        monotonic=not (rises and falls),
    )


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a picture of a unit shows: bins of neighbouring input codes, none left out.

    Parameters
    ----------
    inputs, outputs : tuple of float
        Values at the first code of every bin.
    least, most : tuple of float
        Smallest and largest signed error within the bin; ulp of the output.
    """

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]
    least: tuple[float, ...]
    most: tuple[float, ...]


def signed_errors(spec: UnitSpec, codes: Codes) -> npt.NDArray[np.float64]:
    """Output less exact value, over all input codes from the most negative; ulp of the output."""
    exact = spec.exact
    return ((codes.astype(np.int64) << exact.guard_bits) - exact.floor) / float(1 << exact.guard_bits)


def envelope(spec: UnitSpec, codes: Codes, bins: int = 256) -> Envelope:
    """The outputs and the band of errors of a unit over all input codes."""
    found = signed_errors(spec, codes)
    starts = np.arange(0, found.size, max(1, found.size // bins))
    inputs = spec.input_format.values(spec.input_format.codes()[starts])
    outputs = spec.output_format.values(codes[starts])
    least, most = np.minimum.reduceat(found, starts), np.maximum.reduceat(found, starts)
    columns = (tuple(column.round(6).tolist()) for column in (inputs, outputs, least, most))
    return Envelope(**dict(zip(("inputs", "outputs", "least", "most"), columns, strict=True)))
