# SPDX-License-Identifier: Apache-2.0
"""The error of a design over all input codes, stated exactly or bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.architectures.problem import BLOCK, UnitSpec
from hwact.errors import CheckError
from hwact.formats import Codes, Format
from hwact.proof import Proof

SPREAD = 0x9E3779B1
_EDGES = 64


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
        Upper bound of the largest error over all codes; tight to 2**-24 ulp where all were checked.
    mean_error_ulp : float
        Mean of the errors' magnitudes.
    mean_squared_error : float
        Upper bound of the mean of the squared errors, in squared units of the output's value.
    correctly_rounded_fraction : float
        Share of the codes whose output is the exact value rounded in the unit's mode.
    codes_checked : int
        How many codes were compared with the exact function. All codes of the input format, unless it has
        more than 24 bits; mean, fraction and worst code are about those that were checked.
    worst_code : int
        The first input code with the largest error.
    monotonic : bool, optional
        Whether the output never falls, or never rises, over ascending inputs; none where not all codes
        were checked.
    proof : str
        How class and largest error are proven: ``exhaustive``, ``interval`` (error bounds over blocks of
        codes), or ``exact`` (interval, and the rounding of polynomials decided by exact arithmetic).
    """

    class_: str
    max_error_ulp: float
    mean_error_ulp: float
    mean_squared_error: float
    correctly_rounded_fraction: float
    codes_checked: int
    worst_code: int
    monotonic: bool | None
    proof: str

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
        mean_squared_error=_rounded_up(spec.mean_squared_error(codes)),
        correctly_rounded_fraction=correct / codes.size,
        codes_checked=codes.size,
        worst_code=worst + spec.input_format.min_code,
        monotonic=not (rises and falls),
        proof="exhaustive",
    )


def proven_report(spec: UnitSpec, proof: Proof, inputs: Codes, codes: Codes) -> AccuracyReport:
    """The report on a unit whose input has too many codes to look at.

    Parameters
    ----------
    proof : Proof
        Of all codes.
    inputs, codes : int64 arrays
        Some input codes, ascending, and the unit's outputs for them.

    Raises
    ------
    CheckError
        An output contradicts the proof.
    """
    exact = spec.exact_at(inputs)
    errors = exact.error_bounds(codes)
    correct = codes == exact.rounded(spec.rounding)
    worst = int(errors.argmax())
    if errors[worst] > proof.max_error_ulp + 2.0**-exact.guard_bits or (proof.correct and not correct.all()):
        raise CheckError(
            f"the error must be at most {proof.max_error_ulp!r} ulp as proven, not {float(errors[worst])!r} "
            f"at input code {int(inputs[worst])}"
        )
    return AccuracyReport(
        class_="correct" if proof.correct else "faithful" if proof.max_error_ulp < 1 else "max_ulp",
        max_error_ulp=proof.max_error_ulp,
        mean_error_ulp=round(float(errors.sum()) / codes.size, 9),
        mean_squared_error=_rounded_up(spec.squared_errors(exact, codes) / codes.size),
        correctly_rounded_fraction=int(correct.sum()) / codes.size,
        codes_checked=codes.size,
        worst_code=int(inputs[worst]),
        monotonic=None,
        proof="exact" if proof.correct else "interval",
    )


def _rounded_up(number: Fraction) -> float:
    nearest = float(number)
    return nearest if nearest >= number else math.nextafter(nearest, math.inf)


def hostile_codes(input_format: Format, starts: Codes) -> Codes:
    """Input codes where errors would show first, ascending.

    Parameters
    ----------
    starts : int64 array
        Codes where the datapath changes from one formula to another.
    """
    near = np.arange(_EDGES, dtype=np.int64)
    zero, first, last = input_format.zero_point, input_format.min_code, input_format.max_code
    powers = zero + (np.int64(1) << np.arange(input_format.width - 1))
    mirrored = 2 * zero - powers
    around = [starts - 1, starts, starts + 1, powers - 1, powers, mirrored, mirrored + 1]
    codes = np.unique(np.concatenate([*around, first + near, last - near, zero + near, zero - near]))
    return codes[(first <= codes) & (codes <= last)]


def spread_codes(input_format: Format, count: int) -> Codes:
    """Input codes spread over a format, in the order in which its digest takes them.

    The k-th is ``k * 0x9E3779B1``, of which the low bits are the code's bits: an odd factor next to
    2**32 over the golden ratio, so that they lie evenly and no low bits are left out.
    """
    bits = (np.arange(count, dtype=np.int64) * SPREAD) & ((1 << input_format.width) - 1)
    return np.where(bits > input_format.max_code, bits - (1 << input_format.width), bits)


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
