# SPDX-License-Identifier: Apache-2.0
"""The exact reference on every code of all small formats, against a brute-force oracle in Fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from hwact import functions
from hwact.formats import Format, Overflow, Rounding
from hwact.reference import exact_values
from tests.oracles import DIGITS, OTHERS, RATIONAL, value


def oracle_round(number: Fraction, rounding: str) -> int:
    """Rounding by what Python offers: floor, int (towards zero) and round (half to even)."""
    match rounding:
        case "half_up":
            return math.floor(number + Fraction(1, 2))
        case "half_even":
            return round(number)
        case "half_away":
            return math.floor(abs(number) + Fraction(1, 2)) * (1 if number > 0 else -1)
        case "floor":
            return math.floor(number)
        case "toward_zero":
            return int(number)
    raise AssertionError(rounding)


def oracle_fit(code: int, fmt: Format, overflow: str) -> int:
    low = -(1 << fmt.width - 1) if fmt.signed else 0
    high = low + (1 << fmt.width) - 1
    return min(max(code, low), high) if overflow == "saturate" else (code - low) % (1 << fmt.width) + low


SMALL = [
    Format(signed, integer_bits, width - integer_bits)
    for width, signed in product(range(1, 7), (False, True))
    for integer_bits in (-1, 2, width + 1)
]
# Each input format with five of the output formats, so that each is used as often.
PAIRS = [(fmt, SMALL[(7 * i + 11 * k) % len(SMALL)]) for i, fmt in enumerate(SMALL) for k in range(5)]
CODES_OF_PAIRS = 5 * 3 * 2 * sum(2**width for width in range(1, 7))
TRANSCENDENTAL_CASES = [("gelu", False), ("exp", False), ("tanh", False), ("sigmoid", False), ("mish", True)]
SMALL_CASES = [*product(RATIONAL, (False, True)), *TRANSCENDENTAL_CASES]


def as_fraction(number: Any) -> Fraction:
    if isinstance(number, Fraction):
        return number
    sign, mantissa, exponent, _ = mpf(number)._mpf_
    return (-1) ** sign * int(mantissa) * Fraction(2) ** exponent


def oracle_values(name: str, gradient: bool, fmt: Format, parameters: dict[str, Fraction]) -> list[Fraction]:
    result = []
    for code in fmt.codes().tolist():
        x = code / Fraction(2) ** fmt.frac_bits
        with mp.workdps(DIGITS + int(abs(x))):  # the others' rests fall no faster than exp(-2 |x|)
            if (name, gradient) == ("gelu", False):  # gelu(x) = relu(x) + gelu(-|x|), however small
                result.append(max(x, Fraction(0)) + as_fraction(value(name, gradient, -abs(x), parameters)))
            else:
                result.append(as_fraction(value(name, gradient, x, parameters)))
    return result


@pytest.mark.parametrize(("name", "gradient"), SMALL_CASES, ids=lambda part: str(part))
def test_all_codes_of_all_small_formats_in_all_modes(name: str, gradient: bool) -> None:
    parameters = OTHERS.get(name, {})
    function = functions.get(name, gradient=gradient, **parameters)
    checked, known = 0, {fmt: oracle_values(name, gradient, fmt, parameters) for fmt in SMALL}
    for (source, target), overflow in product(PAIRS, Overflow):
        exact = exact_values(function, source, target, overflow)
        ulps = [number * Fraction(2) ** target.frac_bits for number in known[source]]
        for rounding in Rounding:
            expected = [oracle_fit(oracle_round(ulp, rounding), target, overflow) for ulp in ulps]
            got = exact.rounded(rounding).tolist()
            assert got == expected, f"{function.name} {source} {target} {rounding} {overflow}"
            checked += len(got)
    assert checked == CODES_OF_PAIRS * 10 == 37800


def wrapped(ulp: Fraction, fmt: Format, overflow: Overflow) -> Fraction:
    """What a value means in a format: the nearest one in its range, or the one modulo its range."""
    low = -(1 << fmt.width - 1) if fmt.signed else 0
    high = low + (1 << fmt.width) - 1
    if overflow is Overflow.SATURATE:
        return min(max(ulp, Fraction(low)), Fraction(high))
    return (ulp - low) % (1 << fmt.width) + low


def distance(code: int, ulp: Fraction, fmt: Format, overflow: Overflow) -> Fraction:
    gap = abs(code - ulp)
    return min(gap, (1 << fmt.width) - gap) if overflow is Overflow.WRAP else gap


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize(
    ("name", "gradient"), [("softsign", False), ("gsmelu", False), ("leaky_relu", True), ("exp", False)]
)
def test_permitted_codes_and_errors_of_all_small_formats(
    name: str, gradient: bool, overflow: Overflow
) -> None:
    parameters = OTHERS.get(name, {})
    function = functions.get(name, gradient=gradient, **parameters)
    checked = 0
    for source, target in PAIRS:
        exact = exact_values(function, source, target, overflow)
        step = Fraction(1, 1 << exact.guard_bits)
        numbers = oracle_values(name, gradient, source, parameters)
        ulps = [wrapped(number * Fraction(2) ** target.frac_bits, target, overflow) for number in numbers]
        low, high = (codes.tolist() for codes in exact.allowed())
        assert low == [math.floor(ulp) for ulp in ulps]
        if overflow is Overflow.SATURATE:
            assert high == [math.ceil(ulp) for ulp in ulps]
        else:  # an interval across the seam keeps its lower end
            assert high == [min(math.ceil(ulp), target.max_code) for ulp in ulps]
        for max_ulp in (Fraction(1, 8), Fraction(1, 2), 1 - step, Fraction(1), Fraction(7, 3)):
            first, last = (codes.tolist() for codes in exact.within(max_ulp))
            for ulp, a, b in zip(ulps, first, last, strict=True):
                assert all(abs(code - ulp) <= max_ulp for code in (a, b) if a <= b)
                assert a == target.min_code or abs(a - 1 - ulp) > max_ulp - step
                assert b == target.max_code or abs(b + 1 - ulp) > max_ulp - step
        for code in {target.min_code, target.max_code, (target.min_code + target.max_code) // 2}:
            for ulp, bound in zip(ulps, exact.error_bounds(np.full(len(ulps), code)).tolist(), strict=True):
                true = distance(code, ulp, target, overflow)
                assert true <= Fraction(bound) < true + step or true == Fraction(bound)
        checked += len(ulps)
    assert checked == CODES_OF_PAIRS == 3780
