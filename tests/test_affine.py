# SPDX-License-Identifier: Apache-2.0
"""Affine formats: their spelling, values and rounding; the reference; units in every language."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwact
from hwact import functions
from hwact.errors import ArgumentError, FormatError, UnreachableError
from hwact.formats import Format, Overflow, Rounding
from hwact.reference import exact_values
from hwact.verify import verify
from tests import oracles
from tests.commands import Run
from tests.compiled import answers
from tests.test_formats import oracle_fit, oracle_range, oracle_round

SCALES = (Fraction(1, 20), Fraction(13421773, 1 << 28), Fraction(1, 4), Fraction(7, 3))
SMALL = [
    Format.affine(signed, width, SCALES[(width + k) % 4], zero_point)
    for width, signed, k in product((1, 3, 5), (False, True), (0, 1))
    for zero_point in {0, (1 << width - signed) - 1, -((1 << width) // 2) * signed}
]
PAIRS = [(fmt, SMALL[(7 * i + 5 * k) % len(SMALL)]) for i, fmt in enumerate(SMALL) for k in range(3)]


@pytest.mark.parametrize(
    ("text", "signed", "width", "scale", "zero_point", "identifier"),
    [
        ("int8:0.05:-3", True, 8, Fraction(1, 20), -3, "int8_0_05_m3"),
        ("int8:0.05f:-3", True, 8, Fraction(13421773, 1 << 28), -3, "int8_0_05f_m3"),
        ("uint8:1/255", False, 8, Fraction(1, 255), 0, "uint8_1by255"),
        ("int4:2.5e-01:7", True, 4, Fraction(1, 4), 7, "int4_0_25_7"),
        ("uint16:1e-05f:40000", False, 16, Fraction(2748779, 1 << 38), 40000, "uint16_1em05f_40000"),
        ("int12:2", True, 12, Fraction(2), 0, "int12_2_0"),
    ],
)
def test_spellings(
    text: str, signed: bool, width: int, scale: Fraction, zero_point: int, identifier: str
) -> None:
    fmt = Format.parse(text)
    assert fmt == Format.affine(signed, width, scale, zero_point)
    assert (fmt.identifier, Format.parse(str(fmt))) == (identifier, fmt)
    assert fmt.default_rounding is Rounding.HALF_EVEN
    assert fmt != Format.parse("SQ8.0")


@given(st.floats(2.0**-99, 2.0**99, width=32), st.integers(1, 64), st.booleans(), st.data())
def test_every_float32_scale_has_a_spelling(
    scale: float, width: int, signed: bool, data: st.DataObject
) -> None:
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    fmt = Format.affine(signed, width, scale, data.draw(st.integers(low, high)))
    assert (fmt.min_code, fmt.max_code) == (low, high)
    assert Format.parse(str(fmt)) == fmt
    assert len(str(fmt)) <= len("uint64::") + 24 + 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int8", "a format must look like .* int8:0.05:-3 or uint8:0.05f, not 'int8'"),
        ("int8:", "not 'int8:'"),
        ("int8:0", "not 'int8:0'"),
        ("int8:-0.1", "not 'int8:-0.1'"),
        ("int8:1/0", "not 'int8:1/0'"),
        ("int8:nan", "not 'int8:nan'"),
        ("int8:0.1:x", "not 'int8:0.1:x'"),
        ("int8:0.1f/3", "not 'int8:0.1f/3'"),
        ("int8:1e-31", "a scale must be from 1e-30 to 1e30, not 1e-31; scale the network's values"),
        ("int8:1e31", "not 1e[+]31"),
        ("int0:1", "a format must have 1 to 64 bits in all, not 0 in 'int0:1.0'; choose .*"),
        ("int8:0.5:128", r"a zero point must be a code of its affine format, in -128\.\.127, not 128 in .*"),
        ("uint8:0.5:-1", r"in 0\.\.255, not -1 in 'uint8:0.5:-1'"),
    ],
)
def test_what_is_no_affine_format(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Format.parse(text)


def test_fields_that_do_not_fit_together() -> None:
    with pytest.raises(FormatError, match="an affine format must have 0 fraction bits, not 4"):
        Format(True, 4, 4, Fraction(1, 2))
    with pytest.raises(FormatError, match="a zero point must be a code of its affine format"):
        Format(True, 4, 4, None, 1)


@pytest.mark.parametrize(("rounding", "overflow"), list(product(Rounding, Overflow)))
def test_values_are_quantised_exactly(rounding: Rounding, overflow: Overflow) -> None:
    checked = 0
    for fmt in SMALL:
        codes = oracle_range(fmt)
        values = [(code - fmt.zero_point) * fmt.ulp for code in codes]
        assert [fmt.value(code) for code in codes] == values
        assert np.allclose(fmt.values(np.array(codes)), [float(v) for v in values], rtol=2.0**-51, atol=0)
        for sixths in range(-200, 200):
            value = Fraction(sixths, 6) * fmt.ulp
            code = oracle_fit(oracle_round(Fraction(sixths, 6), rounding) + fmt.zero_point, fmt, overflow)
            assert fmt.quantise(value, rounding, overflow) == code
            checked += 1
        floats = np.array([float(Fraction(n, 6) * fmt.ulp) for n in range(-200, 200)] + [0.0, 1e300, -1e300])
        floats = floats if overflow is Overflow.SATURATE else floats[:-2]
        exact = [fmt.quantise(Fraction(x), rounding, overflow) for x in floats.tolist()]
        assert fmt.quantise_array(floats, rounding, overflow).tolist() == exact
    assert checked == len(SMALL) * 400 == 11200


RATIONAL = [
    ("relu", False),
    ("hardswish", False),
    ("smelu", False),
    ("leaky_relu", True),
    ("softsign", False),
]


@pytest.mark.parametrize(("name", "gradient"), RATIONAL)
def test_the_reference_on_all_codes_of_all_small_formats(name: str, gradient: bool) -> None:
    """Ties are real here: every rounding and overflow mode against rational arithmetic."""
    function, checked = functions.get(name, gradient=gradient), 0
    parameters = dict(function.arguments)
    for (source, target), overflow in product(PAIRS, Overflow):
        exact = exact_values(function, source, target, overflow)
        steps = []
        for code in source.codes().tolist():
            value = oracles.value(name, gradient, (code - source.zero_point) * source.ulp, parameters)
            assert isinstance(value, Fraction)
            steps.append(value / target.ulp)
        for rounding in Rounding:
            due = [oracle_fit(oracle_round(s, rounding) + target.zero_point, target, overflow) for s in steps]
            assert exact.rounded(rounding).tolist() == due, (source, target, rounding, overflow)
            checked += len(due)
    assert checked == sum(1 << source.width for source, _ in PAIRS) * 10


@pytest.mark.parametrize("name", ["gelu", "tanh", "exp", "softplus"])
def test_the_reference_of_other_functions_in_two_ways(name: str) -> None:
    """Blocks against code by code, and both against 30 digits; far into the tails, too."""
    checked = 0
    for source, target in [("int10:0.3f:17", "int12:0.0625:5"), ("uint9:0.011:400", "uint10:1/300:7")]:
        formats = Format.parse(source), Format.parse(target)
        function = functions.get(name)
        blocks, direct = (exact_values(function, *formats, method=way) for way in ("blocks", "direct"))
        assert np.array_equal(blocks.floor, direct.floor)
        assert np.array_equal(blocks.inexact, direct.inexact)
        codes = blocks.rounded(Rounding.HALF_EVEN)
        for code, got in zip(formats[0].codes().tolist(), codes.tolist(), strict=True):
            value = oracles.value(name, False, formats[0].value(code), dict(function.arguments))
            steps = float(value) / float(formats[1].ulp) + formats[1].zero_point
            assert abs(min(max(steps, formats[1].min_code), formats[1].max_code) - got) <= 0.5 + 1e-6
            checked += 1
    assert checked == 1024 + 512


UNITS: dict[str, tuple[str, dict[str, Any]]] = {
    "direct": ("gelu", {"input_format": "int8:0.05f:-3", "output_format": "int8:0.02f:-100"}),
    "positive": ("silu", {"input_format": "uint8:0.05f:128", "output_format": "uint8:1/60:20"}),
    "mirrored": ("tanh", {"input_format": "int8:0.03f", "output_format": "int8:1/127:5"}),
    "quadratic": ("relu", {"input_format": "int16:0.001:300", "output_format": "int16:0.001:-7"}),
    "piecewise": ("gelu", {"input_format": "int16:0.0003f", "output_format": "int16:0.0003f:9"}),
    "mixed": ("sigmoid", {"input_format": "SQ4.4", "output_format": "uint8:1/255"}),
}


@pytest.mark.parametrize("name", UNITS)
def test_units_in_c_and_python(name: str, tmp_path: Path) -> None:
    function, options = UNITS[name]
    unit = hwact.build(function, name=name, **options)
    due = hwact.reference.codes(function, **options)
    codes = unit.input_format.codes()
    if unit.accuracy.class_ == "correct":
        assert np.array_equal(unit.evaluate(codes), due)
    assert np.abs(unit.evaluate(codes) - due).max() <= 1
    folder = unit.write(tmp_path)
    got = answers(folder, unit.input_format, unit.output_format)
    assert got.shape == (codes.size, 4)
    assert (got == unit.evaluate(codes)[:, None]).all()
    manifest = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert [manifest[key] for key in options] == [str(Format.parse(text)) for text in options.values()]
    assert hwact.from_manifest(manifest).golden_sha256 == unit.golden_sha256
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"`{unit.input_format.meaning}`" in readme
    package = (folder / f"{name}_pkg.sv").read_text(encoding="utf-8")
    assert f"OUTPUT_ZERO_POINT = {unit.output_format.zero_point};" in package
    values = unit([0.0, 1.0])
    ulps = unit.output_format.ulp + unit.input_format.ulp
    assert np.abs(values - unit.function.float_form(np.array([0.0, 1.0]))).max() <= 2 * float(ulps)


def test_the_verilog_in_simulation_with_pytorch_as_witness(tmp_path: Path) -> None:
    function, options = UNITS["positive"]
    folder = hwact.build(function, name="silu", **options).write(tmp_path)
    report = verify(folder, simulator="icarus", against="torch")
    assert report.passed, report.text()
    assert report.codes_checked >= 256


@pytest.mark.parametrize("kind", ["magnitude", "complement", "based"])
def test_foldings_that_need_other_formats_say_so(kind: str) -> None:
    for formats in (("int8:0.05:1", "int8:0.05"), ("int8:0.05", "int8:0.07")):
        with pytest.raises(UnreachableError, match=f"folding {kind} needs .*; choose the folding plain"):
            hwact.build(
                "gelu",
                input_format=formats[0],
                output_format=formats[1],
                architecture="table",
                architecture_parameters={"folding": kind, "magnitude": "chain", "logic": "cases"},
            )


def test_the_command_line(here: Path, run: Run) -> None:
    options = ("gelu", "--input-format", "int8:0.05f:-3", "--output-format", "int8:0.02f:-100")
    (manifest,) = run("generate", *options, "--json").json()
    assert manifest["name"] == "gelu_int8_0_05f_m3_int8_0_02f_m100"
    assert (manifest["rounding"], manifest["accuracy"]["class"]) == ("half_even", "correct")
    assert (here / "build" / manifest["name"] / f"{manifest['name']}.v").exists()
    (row,) = run("eval", *options, "--json", "--", "0xff").json()
    assert (row["code"], row["value"]) == (-1, 2 * float(np.float32(0.05)))
    scale = float(np.float32(0.02))
    assert row["result"] == (row["result_code"] + 100) * scale
    assert abs(row["exact"] - functions.get("gelu").float_form(np.array([row["value"]]))[0]) < 1e-7
    assert row["error_ulp"] == pytest.approx(abs(row["exact"] - row["result"]) / scale, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "formats", "architecture", "parameters"),
    [
        (
            "tanh",
            ("int8:0.03f", "int8:1/127:5"),
            "table",
            {"folding": "magnitude", "magnitude": "chain", "logic": "cases"},
        ),
        (
            "sigmoid",
            ("int8:0.06f", "uint8:1/128:9"),
            "table",
            {"folding": "magnitude", "magnitude": "chain", "logic": "cases"},
        ),
        (
            "gelu",
            ("int8:0.03f", "int8:0.015f:-90"),
            "table",
            {"folding": "magnitude", "magnitude": "chain", "logic": "cases"},
        ),
        ("smelu", ("int8:1/32:17", "int8:1/32:-60"), "quadratic", {}),
        ("hardswish", ("int10:0.013:100", "int10:0.01:-300"), "quadratic", {}),
    ],
)
def test_other_designs_take_zero_points_too(
    function: str, formats: tuple[str, str], architecture: str, parameters: dict[str, str]
) -> None:
    unit = hwact.build(
        function,
        input_format=formats[0],
        output_format=formats[1],
        architecture=architecture,
        architecture_parameters=parameters,
        rounding="half_up",
    )
    due = hwact.reference.codes(function, *formats, "half_up")
    assert np.array_equal(unit.evaluate(unit.input_format.codes()), due)


def test_a_module_refuses_what_it_cannot_do() -> None:
    from hwact.torch import Activation

    unit = hwact.build("relu", input_format="int4:1/134217729:1", output_format="SQ2.2")
    message = "the input's scale must be a ratio of odd numbers of at most 26 bits, .* append f"
    with pytest.raises(ArgumentError, match=message):
        Activation(unit)


def test_affine_slopes_are_zero_where_the_output_saturates() -> None:
    import torch

    from hwact.torch import Activation

    unit = hwact.build("relu", input_format="int8:0.05f:-3", output_format="uint8:0.02f:10")
    values = torch.tensor([-7.0, -1.0, 1.0, 4.8, 5.0, 7.0], requires_grad=True)
    Activation(unit)(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0, 1, 1, 0, 0]  # 245 steps of 0.02 are 4.9
