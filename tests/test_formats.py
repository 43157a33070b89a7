# SPDX-License-Identifier: Apache-2.0
"""Formats, rounding and overflow against an oracle written from the definitions, in Fractions."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwact.formats
from hwact.errors import ArgumentError, FormatError
from hwact.formats import Format, Overflow, Rounding, member, round_fraction, round_shift

SMALL = [
    Format(signed, width - frac_bits, frac_bits)
    for width, signed in product(range(1, 7), (False, True))
    for frac_bits in (-3, 0, 2, width + 3)
]
CODES_OF_SMALL = sum(2**width for width in range(1, 7)) * 2 * 4
SHIFTS = range(8)


def nearest(value: Fraction, tie: Any) -> int:
    """The nearest integer; of two equally near ones the one with the greatest ``tie``."""
    around = range(int(value) - 1, int(value) + 2)
    return max(around, key=lambda n: (-abs(n - value), tie(n)))


def oracle_round(value: Fraction, rounding: str) -> int:
    """Rounding, each mode by its definition as a choice among the integers around the value."""
    around = range(int(value) - 1, int(value) + 2)
    match rounding:
        case "half_up":
            return nearest(value, tie=lambda n: n)
        case "half_even":
            return nearest(value, tie=lambda n: n % 2 == 0)
        case "half_away":
            return nearest(value, tie=abs)
        case "floor":
            return max(n for n in around if n <= value)
        case "toward_zero":
            return max((n for n in around if abs(n) <= abs(value) and n * value >= 0), key=abs)
    raise AssertionError(rounding)


def oracle_range(fmt: Format) -> range:
    """All codes of a format: those of its width, from minus half of them where signed."""
    return range(-(2**fmt.width) // 2, 2**fmt.width // 2) if fmt.signed else range(2**fmt.width)


def oracle_fit(code: int, fmt: Format, overflow: str) -> int:
    """The nearest code (saturate), or the one code that agrees in the low bits (wrap)."""
    codes = oracle_range(fmt)
    if overflow == "saturate":
        return min(codes, key=lambda c: abs(c - code))
    return codes[(code - codes[0]) % len(codes)]


def test_ranges_values_and_types_of_all_small_formats() -> None:
    checked = 0
    for fmt in SMALL:
        codes = oracle_range(fmt)
        assert (fmt.min_code, fmt.max_code) == (codes[0], codes[-1])
        assert fmt.codes().tolist() == list(codes)
        assert fmt.codes().dtype == np.int64
        assert np.array_equal(fmt.codes().astype(fmt.dtype), fmt.codes())
        assert fmt.to_bits(fmt.codes()).tolist() == [code % 2**fmt.width for code in codes]
        assert [fmt.value(code) for code in codes] == [code / Fraction(2) ** fmt.frac_bits for code in codes]
        checked += len(codes)
    assert checked == CODES_OF_SMALL == 1008


@pytest.mark.parametrize("rounding", Rounding)
def test_rounding_of_all_small_codes_by_all_shifts(rounding: Rounding) -> None:
    codes = range(-64, 64)  # covers every code of 1 to 6 bits, and the most negative one of 7
    checked = 0
    for shift in SHIFTS:
        expected = [oracle_round(Fraction(code, 2**shift), rounding) for code in codes]
        assert [round_shift(code, shift, rounding) for code in codes] == expected
        assert [round_fraction(Fraction(code, 2**shift), rounding) for code in codes] == expected
        rounded = round_shift(np.array(codes, dtype=np.int64), shift, rounding)
        assert rounded.dtype == np.int64
        assert rounded.tolist() == expected
        checked += len(expected)
    assert checked == 8 * 128


@pytest.mark.parametrize("rounding", Rounding)
def test_rounding_of_thirds_and_sevenths(rounding: Rounding) -> None:
    values = [Fraction(n, d) for n in range(-50, 51) for d in (3, 5, 6, 7, 10)]
    assert [round_fraction(v, rounding) for v in values] == [oracle_round(v, rounding) for v in values]


@pytest.mark.parametrize("overflow", Overflow)
def test_overflow_of_all_small_formats(overflow: Overflow) -> None:
    numbers = range(-150, 150)  # more than twice the range of 6 bits on both sides
    checked = 0
    for fmt in SMALL:
        expected = [oracle_fit(number, fmt, overflow) for number in numbers]
        assert [fmt.fit(number, overflow) for number in numbers] == expected
        fitted = fmt.fit(np.array(numbers, dtype=np.int64), overflow)
        assert fitted.dtype == np.int64
        assert fitted.tolist() == expected
        checked += len(expected)
    assert checked == len(SMALL) * 300


@pytest.mark.parametrize(("rounding", "overflow"), list(product(Rounding, Overflow)))
def test_conversion_of_all_codes_of_all_small_formats(rounding: Rounding, overflow: Overflow) -> None:
    checked = 0
    for source, (width, signed, lost) in product(SMALL, product((1, 4), (False, True), (-1, 0, 1, 3))):
        target = Format(signed, width - source.frac_bits + lost, source.frac_bits - lost)
        codes = source.codes()
        expected = [
            oracle_fit(oracle_round(Fraction(code) / Fraction(2) ** lost, rounding), target, overflow)
            for code in codes.tolist()
        ]
        assert [target.quantise(source.value(c), rounding, overflow) for c in codes.tolist()] == expected
        shifted = round_shift(codes, lost, rounding) if lost >= 0 else codes << -lost
        assert target.fit(shifted, overflow).tolist() == expected
        checked += len(codes)
    assert checked == CODES_OF_SMALL * 16


@given(st.integers(-(2**61), 2**61), st.integers(0, 60), st.sampled_from(Rounding))
def test_rounding_of_wide_codes(code: int, shift: int, rounding: Rounding) -> None:
    expected = oracle_round(Fraction(code, 2**shift), rounding)
    assert round_shift(code, shift, rounding) == expected
    assert round_shift(np.array([code], dtype=np.int64), shift, rounding).tolist() == [expected]


@pytest.mark.parametrize("rounding", Rounding)
def test_floats_beside_every_tie(rounding: Rounding) -> None:
    fmt = Format(True, 8, 0)
    halves = np.arange(-40, 41) / 2
    values = np.concatenate((np.nextafter(halves, -np.inf), halves, np.nextafter(halves, np.inf)))
    expected = [oracle_round(Fraction(value), rounding) for value in values.tolist()]
    assert fmt.quantise_array(values, rounding, Overflow.SATURATE).tolist() == expected
    assert len(expected) == 3 * 81


@given(st.integers(-(2**200), 2**200), st.integers(1, 150), st.sampled_from(Rounding))
def test_rounding_of_codes_beyond_64_bits(code: int, shift: int, rounding: Rounding) -> None:
    assert round_shift(code, shift, rounding) == oracle_round(Fraction(code, 2**shift), rounding)


@st.composite
def wide_formats(draw: st.DrawFn, max_width: int = 64) -> Format:
    width = draw(st.integers(1, max_width))
    integer_bits = draw(st.integers(-80, 80))
    return Format(draw(st.booleans()), integer_bits, width - integer_bits)


@given(wide_formats(), st.data())
def test_quantise_of_wide_formats(fmt: Format, data: st.DataObject) -> None:
    ulps = data.draw(st.fractions(max_denominator=10**6)) * 2 ** data.draw(st.integers(0, fmt.width))
    rounding, overflow = data.draw(st.sampled_from(Rounding)), data.draw(st.sampled_from(Overflow))
    code = fmt.quantise(ulps * fmt.ulp, rounding, overflow)
    whole = oracle_round(ulps, rounding)
    assert fmt.min_code <= code <= fmt.max_code
    if overflow is Overflow.WRAP:
        assert (code - whole) % 2**fmt.width == 0
    else:
        assert code == sorted((fmt.min_code, whole, fmt.max_code))[1]


@given(wide_formats(max_width=62), st.integers(-(2**62), 2**62), st.sampled_from(Overflow))
def test_arrays_overflow_like_integers(fmt: Format, code: int, overflow: Overflow) -> None:
    array = fmt.fit(np.array([code], dtype=np.int64), overflow)
    assert array.tolist() == [fmt.fit(code, overflow)]


@given(wide_formats())
def test_both_spellings_round_trip(fmt: Format) -> None:
    sign = "" if fmt.signed else "u"
    assert Format.parse(str(fmt)) == fmt
    assert Format.parse(str(fmt).lower()) == fmt
    assert Format.parse(f" ap_{sign}fixed< {fmt.width} , {fmt.integer_bits} > ") == fmt
    assert Format.parse(fmt) is fmt


@given(wide_formats(), st.data())
def test_values_round_trip_exactly(fmt: Format, data: st.DataObject) -> None:
    code = data.draw(st.integers(fmt.min_code, fmt.max_code))
    assert fmt.quantise(fmt.value(code)) == code
    assert fmt.dtype.itemsize * 8 >= fmt.width
    assert int(np.array([code], dtype=fmt.dtype)[0]) == code


@pytest.mark.parametrize(
    ("text", "signed", "integer_bits", "frac_bits", "identifier"),
    [
        ("SQ4.12", True, 4, 12, "sq4_12"),
        ("UQ0.8", False, 0, 8, "uq0_8"),
        ("uq-2.9", False, -2, 9, "uqm2_9"),
        ("SQ9.-3", True, 9, -3, "sq9_m3"),
        ("ap_fixed<16,4>", True, 4, 12, "sq4_12"),
        ("ap_ufixed<8,0>", False, 0, 8, "uq0_8"),
        ("ap_fixed<8,-2>", True, -2, 10, "sqm2_10"),
        ("ap_ufixed<6, 9>", False, 9, -3, "uq9_m3"),
    ],
)
def test_parse(text: str, signed: bool, integer_bits: int, frac_bits: int, identifier: str) -> None:
    fmt = Format.parse(text)
    assert fmt == Format(signed, integer_bits, frac_bits)
    assert fmt.identifier == identifier


@pytest.mark.parametrize("width", [2, 3, 8, 16, 64])
def test_width_alone_is_the_domain_from_minus_8_to_8(width: int) -> None:
    fmt = Format.of_width(width)
    assert fmt.width == width
    assert fmt.value(fmt.min_code) == -8
    assert fmt.value(fmt.max_code) + fmt.ulp == 8


UNPARSABLE = ["", "Q4.12", "SQ4", "SQ4.12.1", "SQ4,12", "XQ4.12", "SQ4.x", "ap_fixed<16>", "ap_fixed(16)", 16]


@pytest.mark.parametrize("text", UNPARSABLE)
def test_a_format_that_cannot_be_parsed(text: Any) -> None:
    known = "SQ4.12, UQ0.8, ap_fixed<16,4>, ap_ufixed<8,0>, int8:0.05:-3 or uint8:0.05f"
    message = f"a format must look like {known}, not {text!r}"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Format.parse(text)


@pytest.mark.parametrize(
    ("text", "width"), [("SQ0.0", 0), ("UQ4.-6", -2), ("SQ9.56", 65), ("ap_fixed<99,4>", 99)]
)
def test_a_format_of_impossible_width(text: str, width: int) -> None:
    with pytest.raises(FormatError, match=rf"^a format must have 1 to 64 bits in all, not {width} in '[SU]Q"):
        Format.parse(text)


@pytest.mark.parametrize("width", [0, 1, 65, 200, -4, True, 16.0, "16", None])
def test_an_impossible_width_alone(width: Any) -> None:
    message = re.escape(f"width must be an integer from 2 to 64, not {width!r}; ")
    with pytest.raises(FormatError, match=message):
        Format.of_width(width)


def test_nothing_is_quantised_silently() -> None:
    fmt = Format.parse("SQ4.4")
    inexact = r"SQ4\.4 must represent the value exactly, not Fraction\(1, 3\); name a rounding mode"
    with pytest.raises(FormatError, match=inexact):
        fmt.quantise(Fraction(1, 3), overflow=Overflow.SATURATE)
    outside = r"a code of SQ4\.4 must be in -128\.\.127, not 128; name an overflow mode"
    with pytest.raises(FormatError, match=outside):
        fmt.quantise(8, Rounding.FLOOR)


@pytest.mark.parametrize(("codes", "bad"), [([0, 128], 128), ([-129, 0], -129), ([-200, 200], -200)])
def test_codes_out_of_range_without_an_overflow_mode(codes: list[int], bad: int) -> None:
    with pytest.raises(FormatError, match=rf"in -128\.\.127, not {bad};"):
        Format.parse("SQ4.4").fit(np.array(codes))


def test_codes_in_range_pass_untouched() -> None:
    codes = Format.parse("SQ4.4").codes()
    assert Format.parse("SQ4.4").fit(codes) is codes


@pytest.mark.parametrize(
    ("enum", "name", "listed"),
    [
        (Rounding, "rounding", "half_up, half_even, half_away, floor, toward_zero"),
        (Overflow, "overflow", "saturate, wrap"),
    ],
)
def test_modes_by_name(enum: Any, name: str, listed: str) -> None:
    assert [member(enum, name, mode) for mode in listed.split(", ")] == list(enum)
    with pytest.raises(ArgumentError, match=f"^{name} must be one of {listed}, not 'up'$"):
        member(enum, name, "up")


def test_a_negative_shift() -> None:
    with pytest.raises(ArgumentError, match="shift must be at least 0, not -1"):
        round_shift(1, -1, Rounding.FLOOR)


def test_the_documented_table_of_ties_is_what_the_code_does() -> None:
    text = hwact.formats.__doc__ or ""
    header = re.search(r"^mode .*?((?:\s+-?\d+\.5)+)$", text, re.MULTILINE)
    assert header is not None
    ties = [Fraction(word) for word in header[1].split()]
    assert ties == [Fraction(n, 2) for n in (-5, -3, -1, 1, 3, 5)]
    rows = re.findall(r"^``(\w+)``.*?((?:\s+-?\d+){6})$", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(Rounding)
    for name, numbers in rows:
        documented = [int(word) for word in numbers.split()]
        assert [round_fraction(tie, Rounding(name)) for tie in ties] == documented, name
