# SPDX-License-Identifier: Apache-2.0
"""Running numbers and recorded tensors through a unit's golden model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact import recordings
from hwact.errors import ArgumentError
from hwact.exact import ExactValues
from hwact.formats import Codes, Format
from hwact.tools import write_at_once
from hwact.unit import Unit

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Evaluated:
    """One input and what the unit makes of it.

    Parameters
    ----------
    value, code : float, int
        Of the input.
    exact : float
        The exact function's value, to 2**-24 ulp, within the output format's range.
    result, result_code : float, int
        The unit's output.
    error_ulp : float
        Upper bound of the distance between exact value and result.
    """

    value: float
    code: int
    bits: str
    exact: float
    result: float
    result_code: int
    result_bits: str
    error_ulp: float

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        numbers = f"{self.value:.10g}", str(self.code), self.bits, f"{self.exact:.10g}", f"{self.result:.10g}"
        return *numbers, str(self.result_code), self.result_bits, f"{self.error_ulp:.6f}"


def evaluate_numbers(unit: Unit, numbers: Sequence[str]) -> list[Evaluated]:
    """Evaluate texts: values such as ``-1.5``, or register bits such as ``0x1000``."""
    codes = [_code(unit, text) for text in numbers]
    return [_evaluated(unit, code) for code in codes]


def _code(unit: Unit, text: str) -> int:
    """The input code that a text means."""
    given = unit.input_format
    try:
        if text.lower().startswith("0x"):
            return _from_register(int(text, 16), text, given)
        value = Fraction(text) if len(text) <= 60 and "e" not in text.lower() else Fraction(float(text))
    except ArgumentError:
        raise
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ArgumentError(
            f"a number must be a finite value such as -1.5 or a code such as 0x1000, not {text!r}"
        ) from None
    return given.quantise(value, unit.spec.rounding, unit.spec.overflow)


def _from_register(bits: int, text: str, given: Format) -> int:
    if bits >= 1 << given.width:
        raise ArgumentError(f"a code of {given} must have at most {given.width} bits, not {text!r}")
    return bits - (1 << given.width) if given.signed and bits >> (given.width - 1) else bits


def _evaluated(unit: Unit, code: int) -> Evaluated:
    inside, outside = unit.input_format, unit.output_format
    place = np.array([code])
    exact = unit.spec.exact_at(place)
    results = unit.evaluate(place)
    result = int(results[0])
    return Evaluated(
        value=float(inside.value(code)),
        code=code,
        bits=_hex(inside.to_bits(code), inside.width),
        exact=float(_value(int(exact.floor[0]), exact)),
        result=float(outside.value(result)),
        result_code=result,
        result_bits=_hex(outside.to_bits(result), outside.width),
        error_ulp=float(exact.error_bounds(results)[0]),
    )


def _value(floor: int, exact: ExactValues) -> Fraction:
    """The value that an exact result stands for."""
    given = exact.output_format
    return (Fraction(floor, 1 << exact.guard_bits) - given.zero_point) * given.ulp


def _hex(bits: int, width: int) -> str:
    return f"0x{bits:0{(width + 3) // 4}x}"


def errors(unit: Unit) -> npt.NDArray[np.float64]:
    """The error of every input code, in ulp, from the most negative."""
    return unit.spec.exact.error_bounds(unit.design.codes)


def evaluate_file(unit: Unit, source: Path, output: Path | None) -> dict[str, Any]:
    """Run a recorded tensor through the golden model.

    Parameters
    ----------
    source : Path
        ``.npy`` of floats (values, quantised first) or integers (codes), any shape.
    output : Path, optional
        Receives the same kind: values as float64, or codes.

    Returns
    -------
    dict
        What was done and its error, under readable keys.
    """
    recorded = recordings.read(source)
    values = recorded.dtype.kind == "f"
    codes = recordings.codes_of(recorded, unit, source)
    results = unit.evaluate(codes)
    if output is not None:
        _save(output, unit.output_format.values(results) if values else results)
    summary: dict[str, Any] = {"unit": unit.name, "numbers": int(codes.size), "kind": "codes"}
    summary |= _error_of(unit, codes)
    if values:
        summary |= {"kind": "values", **_error_of_values(unit, recorded, results)}
    return summary | {"output": str(output) if output is not None else None}


def _save(output: Path, array: Array) -> None:
    """Write an ``.npy`` file at once."""
    content = io.BytesIO()
    np.save(content, array)
    try:
        write_at_once(output, content.getvalue())
    except OSError as error:
        raise ArgumentError(
            f"the output must be a file that can be written, not {str(output)!r} "
            f"({error.strerror or error}); choose another with --output"
        ) from None


def _error_of(unit: Unit, codes: Array) -> dict[str, float]:
    """The unit's own error on these codes; where it has too many codes, the largest on all of them."""
    if not codes.size:
        return {}
    if not unit.spec.listed:
        return {"max_error_ulp": unit.accuracy.max_error_ulp}
    found = errors(unit)[np.asarray(codes, dtype=np.int64) - unit.input_format.min_code]
    return {"max_error_ulp": float(found.max()), "mean_error_ulp": float(found.mean())}


def _error_of_values(unit: Unit, values: Array, results: Codes) -> dict[str, Any]:
    """The error with the input's quantisation, against the float64 function of the values themselves."""
    if not values.size:
        return {}
    target = unit.output_format
    ideal = unit.function.float_form(values.astype(np.float64)) / float(target.ulp) + target.zero_point
    low = float(unit.input_format.value(unit.input_format.min_code))
    high = float(unit.input_format.value(unit.input_format.max_code))
    found = np.abs(results - ideal)
    return {
        "max_error_ulp_with_input_quantisation": float(found.max()),
        "mean_error_ulp_with_input_quantisation": float(found.mean()),
        "values_outside_the_input_format": int(((values < low) | (values > high)).sum()),
    }
