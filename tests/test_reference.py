# SPDX-License-Identifier: Apache-2.0
"""The exact reference against itself by another way and against mpmath; ties, overflow, what it refuses."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from hwact import functions, reference
from hwact.errors import ArgumentError
from hwact.exact import ExactValues
from hwact.formats import Format, Overflow, Rounding
from hwact.functions import FunctionSpec
from hwact.reference import exact_values
from tests.oracles import CASE_IDS, CASES, DIGITS, OTHERS, floor_of, value

SQ4_12 = Format.parse("SQ4.12")
HARD = ["gelu", "mish", "softplus", "exp", "sigmoid_grad"]


@pytest.fixture(autouse=True)
def _sixty_digits() -> Iterator[None]:
    with mp.workdps(DIGITS):
        yield


def get(case: str, **parameters: object) -> FunctionSpec:
    return functions.get(case.removesuffix("_grad"), gradient=case.endswith("_grad"), **parameters)


def same(a: ExactValues, b: ExactValues) -> bool:
    arrays = ("floor", "inexact", "negative")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)


# Two ways, and two precisions


@pytest.mark.parametrize("case", HARD)
def test_blocks_agree_with_code_by_code_on_all_65536_codes(case: str) -> None:
    blocks = exact_values(get(case), SQ4_12, SQ4_12)
    direct = exact_values(get(case), SQ4_12, SQ4_12, method="direct")
    assert blocks.floor.shape == (65536,)
    assert same(blocks, direct)


@pytest.mark.parametrize("case", ["gelu", "exp", "mish_grad"])
def test_blocks_agree_with_code_by_code_where_everything_wraps(case: str) -> None:
    formats = Format.parse("SQ7.5"), Format.parse("UQ1.11")
    blocks = exact_values(get(case), *formats, Overflow.WRAP)
    assert same(blocks, exact_values(get(case), *formats, Overflow.WRAP, method="direct"))
    assert blocks.floor.size == 1 << 12


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("case", CASE_IDS)
def test_blocks_agree_with_code_by_code_at_8_bits(case: str, overflow: Overflow) -> None:
    for formats in (("SQ4.4", "SQ4.4"), ("SQ6.2", "UQ1.7")):
        arguments = (get(case), *map(Format.parse, formats), overflow)
        assert same(exact_values(*arguments), exact_values(*arguments, method="direct"))


@pytest.mark.parametrize("case", CASE_IDS)
def test_two_precisions_agree(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (get(case), Format.parse("SQ4.6"), Format.parse("SQ2.18"))
    usual = exact_values(*arguments)
    monkeypatch.setattr(reference, "_PRECISION", 700)
    exact_values.cache_clear()
    assert same(usual, exact_values(*arguments, method="direct"))


# A second, independent library


@pytest.mark.parametrize("parameters", ["default", "other"])
@pytest.mark.parametrize(("name", "gradient"), CASES, ids=CASE_IDS)
def test_mpmath_agrees_on_a_sample(name: str, gradient: bool, parameters: str) -> None:
    chosen = OTHERS.get(name, {}) if parameters == "other" else None
    function = functions.get(name, gradient=gradient, **(chosen or {}))
    exact = exact_values(function, SQ4_12, SQ4_12)
    corners = [0, 1, 2, -1, -2, 4096, -4096, 12288, -12288, 24576, 32767, -32767, -32768]
    sample = corners + random.Random(f"{name} {gradient}").sample(range(-32768, 32768), 60)
    for code in sample:
        number = value(name, gradient, SQ4_12.value(code), chosen)
        floor, inexact = floor_of(number, 12 + exact.guard_bits)
        low, high = SQ4_12.min_code << exact.guard_bits, SQ4_12.max_code << exact.guard_bits
        if not low <= floor < high:
            floor, inexact = min(max(floor, low), high), False
        got = int(exact.floor[code + 32768]), bool(exact.inexact[code + 32768])
        assert got == (floor, inexact), (
            f"{function.name} at code {code:#x}: {got}, expected {(floor, inexact)}"
        )
    assert len(sample) == 73


@pytest.mark.parametrize("case", ["gelu", "tanh", "softplus_grad"])
def test_mpmath_agrees_on_a_sample_of_18_bits(case: str) -> None:
    domain, output = Format.parse("SQ4.14"), Format.parse("SQ4.18")
    exact = exact_values(get(case), domain, output)
    for code in random.Random(case).sample(range(-(1 << 17), 1 << 17), 60):
        number = value(case.removesuffix("_grad"), case.endswith("_grad"), domain.value(code))
        got = int(exact.floor[code + (1 << 17)]), bool(exact.inexact[code + (1 << 17)])
        assert got == floor_of(number, 18 + exact.guard_bits), f"{case} at code {code:#x}"


# Limits and sides (-1: just below) far at the left, then far at the right; a limit of None is x itself.
TAILS: dict[str, tuple[int, int | None, int]] = {
    "gelu": (-1, None, -1),
    "gelu_tanh": (-1, None, -1),
    "silu": (-1, None, -1),
    "mish": (-1, None, -1),
    "softplus": (0, None, 0),
    "sigmoid": (0, 1, -1),
    "gelu_grad": (-1, 1, 0),
    "silu_grad": (-1, 1, 0),
    "sigmoid_grad": (0, 0, 0),
    "erf_grad": (0, 0, 0),
}


@pytest.mark.parametrize("case", TAILS)
def test_tails_lie_on_the_right_side_of_their_limits(case: str) -> None:
    domain = Format.parse("SQ10.0")
    codes, (left_side, limit, right_side) = domain.codes(), TAILS[case]
    exact = exact_values(get(case), domain, Format.parse("SQ10.16"))
    scale = 1 << (16 + exact.guard_bits)
    left, right = codes <= -100, codes >= 100  # there the rest is below the last guard bit
    expected = (codes if limit is None else np.full_like(codes, limit)) * scale + right_side
    assert (exact.floor[left] == left_side).all()
    assert (exact.floor[right] == expected[right]).all()
    assert exact.inexact[left | right].all()
    assert left.sum() + right.sum() == 413 + 412


# Ties


@pytest.mark.parametrize("n", range(12))
def test_smelu_ties_with_beta_a_power_of_two(n: int) -> None:
    fmt = Format.parse("SQ4.8")
    exact = exact_values(functions.get("smelu", beta=Fraction(1 << n, 256)), fmt, fmt)
    half = (exact.floor & ((1 << exact.guard_bits) - 1) == 1 << (exact.guard_bits - 1)) & ~exact.inexact
    assert half.sum() == (2 ** ((n - 1) // 2) if n % 2 else 0)
    codes, b = fmt.codes(), 1 << n
    curve = ((codes + b) ** 2 + (b << 1)) >> (n + 2)
    up = np.where(codes <= -b, 0, np.where(codes >= b, codes, curve))
    down, odd = up - half, up % 2 == 1
    expected = {"half_up": up, "half_away": up, "half_even": np.where(half & odd, down, up)}
    assert all((exact.rounded(Rounding(mode)) == codes).all() for mode, codes in expected.items())
    floor = np.where(abs(codes) < b, (codes + b) ** 2 >> (n + 2), up)
    for mode in (Rounding.FLOOR, Rounding.TOWARD_ZERO):
        assert (exact.rounded(mode) == floor).all()


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("half_up", [-2, -1, 0, 1, 2, 3]),
        ("half_even", [-2, -2, 0, 0, 2, 2]),
        ("half_away", [-3, -2, -1, 1, 2, 3]),
        ("floor", [-3, -2, -1, 0, 1, 2]),
        ("toward_zero", [-2, -1, 0, 0, 1, 2]),
    ],
)
def test_ties_of_both_signs(rounding: str, expected: list[int]) -> None:
    codes = reference.codes("hardtanh", "SQ4.1", "SQ4.0", rounding, min_val=-8, max_val=8)
    assert [int(codes[tie + 16]) for tie in (-5, -3, -1, 1, 3, 5)] == expected


# Saturation, wrapping, the most negative code


def test_saturation_at_both_ends() -> None:
    codes = reference.codes("leaky_relu", "SQ4.4", "SQ3.4", negative_slope=2)
    expected = [min(max(c * (2 if c < 0 else 1), -64), 63) for c in range(-128, 128)]
    assert codes.tolist() == expected
    low, high = reference.allowed("exp", "SQ4.4", "UQ4.4")
    saturated = low == 255
    assert (high[saturated] == 255).all()
    assert int(saturated.sum()) == sum(math.exp(c / 16) * 16 > 255 for c in range(-128, 128)) == 83


def test_the_most_negative_code_of_minus_x() -> None:
    """|x| at -8 is 8, which SQ4.12 does not have."""
    for overflow, expected in (("saturate", 32767), ("wrap", -32768)):
        codes = reference.codes("leaky_relu", SQ4_12, SQ4_12, overflow=overflow, negative_slope=-1)
        assert codes[:2].tolist() == [expected, 32767]
        assert codes[32767:32770].tolist() == [1, 0, 1]


def test_exp_wraps_where_values_are_beyond_64_bits() -> None:
    domain = Format.parse("SQ8.1")
    exact = exact_values(functions.get("exp"), domain, SQ4_12, Overflow.WRAP)
    codes, beyond = exact.rounded(Rounding.HALF_UP), 0
    with mp.workdps(150):
        for code, got in zip(domain.codes().tolist(), codes.tolist(), strict=True):
            number = mp.exp(mpf(code) / 2)
            beyond += number > 2**64
            whole = int(mp.floor(number * 4096 + mpf(1) / 2))
            assert got == (whole + 32768) % 65536 - 32768, f"exp at code {code:#x}"
    assert beyond == 256 - math.ceil(128 * math.log(2))


def test_exact_points_are_exact() -> None:
    points = {
        "sigmoid": (0, Fraction(1, 2)),
        "sigmoid_grad": (0, Fraction(1, 4)),
        "exp": (0, Fraction(1)),
        "gelu": (0, Fraction(0)),
        "gelu_grad": (0, Fraction(1, 2)),
        "tanh": (0, Fraction(0)),
        "tanh_grad": (0, Fraction(1)),
        "mish": (0, Fraction(0)),
        "mish_grad": (0, Fraction(3, 5)),
        "elu": (3 << 12, Fraction(3)),
        "softsign": (-3 << 12, Fraction(-3, 4)),
    }
    for case, (code, number) in points.items():
        exact = exact_values(get(case), SQ4_12, SQ4_12)
        scaled = number * 4096 * (1 << exact.guard_bits)
        assert int(exact.floor[code + 32768]) == math.floor(scaled), case
        assert bool(exact.inexact[code + 32768]) == (scaled.denominator > 1), case
    sigmoid = exact_values(get("sigmoid"), SQ4_12, SQ4_12)
    assert int((~sigmoid.inexact).sum()) == 1


# What is refused


def message(text: str) -> str:
    return f"^{re.escape(text)}"


@pytest.mark.parametrize(
    ("text", "where"), [("1/x", "0.0"), ("x/(x-2)", "2.0"), ("log(x)", "-8.0"), ("sqrt(x)", "-8.0")]
)
def test_a_pole_names_its_place(text: str, where: str) -> None:
    function = functions.from_expression(text)
    expected = f"custom must have a finite value at every input, not at x = {where}; choose "
    with pytest.raises(ArgumentError, match=message(expected)):
        reference.codes(function, "SQ4.12", "SQ4.12")


@pytest.mark.parametrize("text", ["log(exp(x))", "sin(x)**2 + cos(x)**2", "exp(x) - exp(x)"])
def test_what_no_precision_decides_is_refused(text: str) -> None:
    expected = r"custom must differ .* or be rational, not undecided with 262144 bits at x = -8.0; simplify"
    with pytest.raises(ArgumentError, match=expected):
        reference.codes(functions.from_expression(text), "SQ4.4", "SQ4.4")


@pytest.mark.parametrize("text", ["relu(tanh(x) - 0.5)", "relu(sin(x))", "max(exp(x) - 1, 0)"])
def test_a_branch_is_chosen_by_an_irrational_selector(text: str) -> None:
    inner = {"r": lambda u: mp.tanh(u) - mpf(1) / 2, "s": mp.sin, "m": mp.expm1}
    key = "s" if "sin" in text else text[0]
    codes = reference.codes(functions.from_expression(text), "SQ4.4", "SQ4.4", "floor")
    expected = [math.floor(max(inner[key](mpf(c) / 16), 0) * 16) for c in range(-128, 128)]
    assert codes.tolist() == [min(code, 127) for code in expected]


@pytest.mark.parametrize(
    ("formats", "text"),
    [
        (("SQ4.21", "SQ4.4"), "the input format must have at most 24 bits, not 25 (SQ4.21)"),
        (("SQ4.4", "SQ4.33"), "the output format must have at most 36 bits, not 37 (SQ4.33)"),
    ],
)
def test_formats_that_are_too_wide(formats: tuple[str, str], text: str) -> None:
    with pytest.raises(ArgumentError, match=message(text)):
        reference.codes("gelu", *formats)


def test_the_widest_output() -> None:
    exact = exact_values(get("silu"), Format.parse("SQ4.4"), Format.parse("SQ4.32"))
    numbers = [value("silu", False, Fraction(code, 16)) for code in range(-128, 128)]
    expected = [floor_of(number, 32 + exact.guard_bits) for number in numbers]
    assert list(zip(exact.floor.tolist(), exact.inexact.tolist(), strict=True)) == expected


def test_bound_functions_take_no_parameters() -> None:
    expected = "parameters must come with a function's name, not with 'swish' already bound"
    more: dict[str, Any]
    for more in ({"beta": 2}, {"gradient": True}):
        with pytest.raises(ArgumentError, match=message(expected)):
            reference.codes(functions.get("swish"), "SQ4.4", "SQ4.4", **more)


@pytest.mark.parametrize(("option", "given"), [("rounding", "up"), ("overflow", "clamp")])
def test_unknown_modes(option: str, given: str) -> None:
    chosen: dict[str, Any] = {option: given}
    with pytest.raises(ArgumentError, match=f"^{option} must be one of .*, not '{given}'$"):
        reference.codes("gelu", "SQ4.4", "SQ4.4", **chosen)


def test_results_are_read_only_and_shared() -> None:
    first = exact_values(get("gelu"), SQ4_12, SQ4_12)
    assert exact_values(get("gelu"), SQ4_12, SQ4_12) is first
    for array in (first.floor, first.inexact, first.negative):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
