# SPDX-License-Identifier: Apache-2.0
"""Units: their golden model, by code and by value, and their accuracy report."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import hwact
from hwact.accuracy import AccuracyReport, envelope, signed_errors
from hwact.errors import ArgumentError
from tests import oracles

FORMATS = [
    ("SQ1.0", "SQ1.0"), ("UQ1.0", "UQ1.0"), ("SQ1.1", "SQ2.0"), ("UQ0.2", "SQ1.1"), ("SQ3.0", "SQ1.2"),
    ("SQ2.2", "UQ1.5"), ("UQ2.2", "UQ3.2"), ("SQ2.3", "SQ2.3"), ("SQ-1.6", "SQ1.5"), ("SQ4.2", "SQ3.6"),
]  # fmt: skip
CODES = 2 + 2 + 4 + 4 + 8 + 16 + 16 + 32 + 32 + 64


@pytest.fixture(scope="module")
def gelu() -> hwact.Unit:
    return hwact.build("gelu", width=6)


def all_of(unit: hwact.Unit) -> list[int]:
    """The golden model's output over all input codes."""
    return [int(code) for code in unit.evaluate(unit.input_format.codes())]


# The golden model


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", ["gelu", "smelu", "tanh", "softplus", "exp"])
def test_correct_units_equal_the_reference_on_every_code(name: str, gradient: bool) -> None:
    checked = 0
    for inside, outside in FORMATS:
        unit = hwact.build(name, input_format=inside, output_format=outside, gradient=gradient)
        expected = list(hwact.reference.codes(name, inside, outside, gradient=gradient))
        assert all_of(unit) == expected, (inside, outside)
        checked += len(expected)
    assert checked == CODES


@pytest.mark.parametrize(("rounding", "overflow"), [*product(("half_even", "floor"), ("saturate", "wrap"))])
def test_rounding_and_overflow_reach_the_codes(rounding: str, overflow: str) -> None:
    options: dict[str, Any] = {"rounding": rounding, "overflow": overflow}
    unit = hwact.build("smelu", input_format="SQ4.3", output_format="SQ2.2", **options)
    assert all_of(unit) == list(hwact.reference.codes("smelu", "SQ4.3", "SQ2.2", **options))
    assert all_of(unit) != list(hwact.reference.codes("smelu", "SQ4.3", "SQ2.2"))


@pytest.mark.parametrize(
    ("name", "gradient", "outside"),
    [("gelu", False, "SQ4.6"), ("tanh", False, "SQ1.9"), ("swish", True, "SQ2.8")],
)
def test_faithful_units_are_below_one_ulp(name: str, gradient: bool, outside: str) -> None:
    unit = hwact.build(
        name,
        input_format="SQ4.6",
        output_format=outside,
        gradient=gradient,
        accuracy="faithful",
        architecture="piecewise",
    )
    errors = exact_errors(unit)
    assert len(errors) == 1024
    assert 0.5 < max(errors) < 1


def test_any_shape_comes_back_in_that_shape(gelu: hwact.Unit) -> None:
    table = dict(zip(range(-32, 32), all_of(gelu), strict=True))
    grid = np.arange(-32, 28).reshape(3, 4, 5)
    views: list[Any] = [
        grid,
        grid[:, ::2, ::-1],
        grid.T,
        np.asfortranarray(grid),
        grid[0, 0, 0],
        grid[:0],
        [[]],
    ]
    for codes in views:
        result = gelu.evaluate(codes)
        expected = [table[int(code)] for code in np.asarray(codes).flat]
        assert result.shape == np.shape(codes)
        assert [int(code) for code in result.flat] == expected


@pytest.mark.parametrize("codes", [5, [5], [[5], [7]], (1, 2), range(3), np.int8(3)])
def test_plain_integers_are_codes(codes: Any, gelu: hwact.Unit) -> None:
    expected = np.array(all_of(gelu))[np.asarray(codes, dtype=int) + 32]
    assert gelu.evaluate(codes).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("given", "inside", "outside", "result"),
    [
        ("int8", "SQ4.2", "SQ4.2", "int8"),
        ("int16", "SQ4.2", "SQ4.2", "int16"),
        ("int64", "SQ4.2", "SQ4.2", "int64"),
        ("uint8", "UQ3.3", "UQ3.3", "uint8"),
        ("uint16", "UQ3.3", "UQ3.3", "uint16"),
        ("uint64", "SQ4.2", "SQ4.2", "int8"),
        ("int8", "SQ4.2", "UQ3.5", "uint8"),
        ("int16", "SQ4.2", "UQ3.5", "int16"),
        ("int8", "SQ4.2", "SQ4.6", "int16"),
        (">i2", "SQ4.2", "SQ4.6", ">i2"),
    ],
)
def test_codes_keep_their_type_where_it_holds_the_output(
    given: str, inside: str, outside: str, result: str
) -> None:
    unit = hwact.build("smelu", input_format=inside, output_format=outside)
    first = 0 if given.startswith("u") else unit.input_format.min_code
    codes = np.arange(first, unit.input_format.max_code + 1)
    assert unit.evaluate(codes.astype(given)).dtype == np.dtype(result)
    assert unit.evaluate(codes.astype(given)).tolist() == all_of(unit)[-codes.size :]


def test_int8_codes_are_all_codes_of_an_eight_bit_format() -> None:
    unit = hwact.build("gelu", width=8)
    codes = np.arange(-128, 128).astype(np.int8)
    assert unit.evaluate(codes).tolist() == list(hwact.reference.codes("gelu", "SQ4.4", "SQ4.4"))


def test_an_array_of_many_blocks_is_its_elements(gelu: hwact.Unit) -> None:
    single = {code: int(gelu.evaluate(code)) for code in range(-32, 32)}
    codes = np.random.default_rng(1).integers(-32, 32, size=3 * (1 << 14) + 7, dtype=np.int8)
    for chosen in (codes, codes[::-3], codes[: 1 << 14], codes[: (1 << 14) + 1]):
        assert gelu.evaluate(chosen).tolist() == [single[code] for code in chosen.tolist()]


@pytest.mark.parametrize("values", [False, True])
def test_the_input_is_not_changed(values: bool, gelu: hwact.Unit) -> None:
    given = np.linspace(-20, 20, 9) if values else np.arange(-32, 32, dtype=np.int8)
    before = given.copy()
    result = gelu(given) if values else gelu.evaluate(given)
    result[...] = 1
    assert np.array_equal(given, before)
    given.flags.writeable = False
    assert not np.array_equal(gelu(given) if values else gelu.evaluate(given), result)


@pytest.mark.parametrize(
    ("codes", "bad"),
    [
        (32, 32),
        (-33, -33),
        ([0, 40], 40),
        ([-40, 40], -40),
        (np.array([[31, 32]], np.int8), 32),
        (np.array([200], np.uint8), 200),
        (np.array([2**64 - 1], np.uint64), 2**64 - 1),
        (np.array([-(2**63)]), -(2**63)),
    ],
)
def test_codes_out_of_range_are_refused(codes: Any, bad: int, gelu: hwact.Unit) -> None:
    message = f"codes of SQ4.2 must be in -32..31, not {bad!r}; saturate or wrap them first"
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        gelu.evaluate(codes)


def test_negative_codes_of_an_unsigned_format_are_refused() -> None:
    unit = hwact.build("gelu", input_format="UQ2.2")
    with pytest.raises(ArgumentError, match=r"must be in 0\.\.15, not -1; "):
        unit.evaluate(np.array([-1], np.int8))


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (1.0, "float64"),
        (np.zeros(2, np.float32), "float32"),
        ([True], "bool"),
        (np.array([1], object), "object"),
        ([2**70], "object"),
        (1j, "complex128"),
        (["1"], "str32"),
        (None, "object"),
    ],
)
def test_what_is_no_integer_is_no_code(codes: Any, kind: str, gelu: hwact.Unit) -> None:
    message = f"codes must be integers, not {kind!r}; call the unit itself to pass values"
    with pytest.raises(ArgumentError, match=re.escape(message)):
        gelu.evaluate(codes)


# Values


def test_values_are_quantised_evaluated_and_scaled() -> None:
    unit = hwact.build("tanh", input_format="SQ4.2", output_format="SQ1.5")
    values = np.array([[-0.13, -0.125, -0.12], [0.12, 0.125, 2.3]])
    codes = np.array([[-1, 0, 0], [0, 1, 9]])  # ties go up
    assert unit.quantise(values).tolist() == codes.tolist()
    assert np.array_equal(unit(values), unit.evaluate(codes) / 32)
    assert unit(values).dtype == np.float64


def test_values_follow_the_units_rounding_and_overflow() -> None:
    unit = hwact.build("relu", width=6, rounding="floor", overflow="wrap")
    assert unit.quantise([0.49, -0.01, 8.0, 9.0]).tolist() == [1, -1, -32, -28]


def test_values_out_of_range_saturate(gelu: hwact.Unit) -> None:
    values = [7.9, 8.0, 1e300, -8.0, -8.2, -1e300]
    assert gelu.quantise(values).tolist() == [31, 31, 31, -32, -32, -32]
    assert gelu(values).tolist() == [7.75, 7.75, 7.75, 0, 0, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_must_be_finite(value: float, gelu: hwact.Unit) -> None:
    with pytest.raises(ArgumentError, match=f"values must be finite, not {value!r}; replace NaN"):
        gelu([0.0, value])


@pytest.mark.parametrize("value", [True, "1", None, 1j])
def test_values_must_be_real_numbers(value: Any, gelu: hwact.Unit) -> None:
    with pytest.raises(ArgumentError, match="values must be real numbers, not of type '"):
        gelu(value)


@pytest.mark.parametrize("value", [1.5, np.float32(1.5), np.float16(1.5), np.array(1.5)])
def test_a_scalar_value_gives_a_scalar(value: Any, gelu: hwact.Unit) -> None:
    assert np.shape(gelu(value)) == ()
    assert float(gelu(value)) == int(gelu.evaluate(6)) / 4 == 1.5


def test_values_may_be_floats_of_any_width_or_integers(gelu: hwact.Unit) -> None:
    expected = gelu(np.array([-1.0, 2.0, 3.0]))
    for kind in ("float16", "float32", "int8", "uint8"):
        numbers = np.array([-1, 2, 3]).astype(kind)
        assert gelu(numbers)[1:].tolist() == expected[1:].tolist()
    assert gelu(np.array([-1], np.float32)).tolist() == [expected[0]] == [-0.25]


# The accuracy report


def exact_errors(unit: hwact.Unit) -> list[float]:
    """The error of every code in ulp, by mpmath or fractions alone."""
    out = unit.output_format
    low, high = out.value(out.min_code), out.value(out.max_code)
    errors = []
    with mp.workdps(oracles.DIGITS):
        for code, y in zip(unit.input_format.codes(), all_of(unit), strict=True):
            x = unit.input_format.value(int(code))
            exact = oracles.value(unit.function.name, unit.function.is_gradient, x)
            value = oracles.real(exact) if isinstance(exact, Fraction) else exact
            value = min(max(value, oracles.real(low)), oracles.real(high))
            errors.append(float(abs(oracles.real(out.value(y)) - value) * 2**out.frac_bits))
    return errors


def correct_codes(unit: hwact.Unit) -> int:
    """How many codes are the exact value rounded half up, by mpmath or fractions alone."""
    out, count = unit.output_format, 0
    with mp.workdps(oracles.DIGITS):
        for code, y in zip(unit.input_format.codes(), all_of(unit), strict=True):
            x = unit.input_format.value(int(code))
            value = oracles.value(unit.function.name, unit.function.is_gradient, x)
            twice = oracles.floor_of(value, out.frac_bits + 1)[0]
            count += min(max((twice + 1) // 2, out.min_code), out.max_code) == y
    return count


ROUGH = {"accuracy": "faithful", "architecture": "piecewise"}


@pytest.mark.parametrize(
    ("function", "options", "kind"),
    [
        ("gelu", {"width": 6}, "correct"),
        ("smelu", {"width": 7}, "correct"),
        ("gelu", {"width": 10, **ROUGH}, "faithful"),
        ("tanh", {"input_format": "SQ4.5", "output_format": "SQ1.8", **ROUGH}, "faithful"),
        ("gelu", {"width": 10, "accuracy": "max_ulp=3", "architecture": "rows"}, "max_ulp"),
    ],
)
def test_the_report_is_what_is_counted_anew(function: str, options: dict[str, Any], kind: str) -> None:
    unit = hwact.build(function, **options)
    report, errors = unit.accuracy, exact_errors(unit)
    assert report.codes_checked == len(errors) == 2**unit.input_format.width
    assert 0 <= report.max_error_ulp - max(errors) <= 2.0**-24
    assert report.mean_error_ulp == pytest.approx(sum(errors) / len(errors), abs=2e-7)
    value_squared = sum(error**2 for error in errors) / len(errors) * float(unit.output_format.ulp) ** 2
    assert value_squared <= report.mean_squared_error <= value_squared + 1e-6 * float(unit.output_format.ulp)
    assert report.correctly_rounded_fraction == correct_codes(unit) / len(errors)
    assert errors[report.worst_code - unit.input_format.min_code] == pytest.approx(max(errors), abs=2.0**-24)
    assert report.class_ == kind
    assert {"correct": 0.5, "faithful": 1, "max_ulp": 3}[kind] >= max(errors)


@pytest.mark.parametrize(
    ("expression", "monotonic"),
    [("x", True), ("-x", True), ("x*x/8", False), ("tanh(x)", True), ("-x*sigmoid(x)", False)],
)
def test_monotonic_outputs_never_turn(expression: str, monotonic: bool) -> None:
    unit = hwact.build(expression=expression, width=8)
    codes = all_of(unit)
    assert (codes in (sorted(codes), sorted(codes, reverse=True))) is monotonic
    assert unit.accuracy.monotonic is monotonic


def test_the_report_has_the_manifests_keys(gelu: hwact.Unit) -> None:
    assert isinstance(gelu.accuracy, AccuracyReport)
    assert list(gelu.accuracy.as_dict()) == [
        "class", "max_error_ulp", "mean_error_ulp", "mean_squared_error", "correctly_rounded_fraction",
        "codes_checked", "worst_code", "monotonic", "proof",
    ]  # fmt: skip


def test_the_envelope_leaves_no_error_out() -> None:
    unit = hwact.build("gelu", width=12, accuracy="faithful")
    errors = signed_errors(unit.spec, unit.design.codes)
    assert errors.size == 4096
    assert np.abs(errors).max() == pytest.approx(unit.accuracy.max_error_ulp, abs=2**-20)
    drawn = envelope(unit.spec, unit.design.codes, bins=100)
    assert len(drawn.inputs) == 103  # bins of 40 codes, and the rest
    assert min(drawn.least) == pytest.approx(errors.min(), abs=1e-6)
    assert max(drawn.most) == pytest.approx(errors.max(), abs=1e-6)
    assert errors.min() < 0 < errors.max()
