# SPDX-License-Identifier: Apache-2.0
"""Building units: what the arguments mean, and which are refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import hwact
from hwact.errors import ArgumentError, UnreachableError
from hwact.formats import Format


def all_of(unit: hwact.Unit) -> list[int]:
    """The golden model's output over all input codes."""
    return [int(code) for code in unit.evaluate(unit.input_format.codes())]


def test_a_width_stands_for_both_formats() -> None:
    unit = hwact.build("gelu", width=6)
    assert unit.input_format == unit.output_format == Format(True, 4, 2)
    assert (unit.function.name, unit.interface, unit.lanes) == ("gelu", "stream", 1)


def test_a_width_stands_for_the_format_that_is_not_given() -> None:
    unit = hwact.build("gelu", width=6, output_format="UQ3.3")
    assert (str(unit.input_format), str(unit.output_format)) == ("SQ4.2", "UQ3.3")


def test_the_output_has_the_inputs_format_unless_given() -> None:
    assert str(hwact.build("gelu", input_format="UQ2.3").output_format) == "UQ2.3"


@pytest.mark.parametrize("spelling", ["SQ2.4", "ap_fixed<6,2>", Format(True, 2, 4)])
def test_every_spelling_of_a_format_gives_the_same_unit(spelling: str | Format) -> None:
    unit = hwact.build("tanh", input_format=spelling, output_format="ap_ufixed<5,1>")
    assert unit.name == "tanh_sq2_4_uq1_4"
    assert all_of(unit) == list(hwact.reference.codes("tanh", "SQ2.4", "UQ1.4"))


@pytest.mark.parametrize("beta", [0.5, " 0.50", "1/2", Fraction(1, 2)])
def test_parameters_reach_the_function(beta: object) -> None:
    unit = hwact.build("smelu", width=7, beta=beta)
    assert all_of(unit) == list(hwact.reference.codes("smelu", "SQ4.3", "SQ4.3", beta=0.5))
    assert all_of(unit) != all_of(hwact.build("smelu", width=7))


def test_a_gradient_is_the_derivatives_unit() -> None:
    unit = hwact.build("gelu", width=7, gradient=True)
    assert all_of(unit) == list(hwact.reference.codes("gelu", "SQ4.3", "SQ4.3", gradient=True))
    assert max(all_of(unit)) == 9  # GELU's slope reaches 1.13, its value 7.9


def test_an_expression_is_the_function_that_it_writes() -> None:
    unit = hwact.build(expression="x*sigmoid(1.5*x)", name="quick", width=7)
    assert all_of(unit) == list(hwact.reference.codes("swish", "SQ4.3", "SQ4.3", beta=1.5))
    slope = hwact.build(expression="x*sigmoid(1.5*x)", width=7, gradient=True)
    assert all_of(slope) == list(hwact.reference.codes("swish", "SQ4.3", "SQ4.3", beta=1.5, gradient=True))
    assert (unit.name, slope.name) == ("quick", "custom_grad_sq4_3")


@pytest.mark.parametrize(
    ("function", "options", "name"),
    [
        ("gelu", {"input_format": "SQ4.12", "architecture": "table"}, "gelu_sq4_12"),
        ("smelu", {"width": 16, "beta": 0.5}, "smelu_beta0_5_sq4_12"),
        ("smelu", {"width": 6, "beta": 1}, "smelu_sq4_2"),
        ("smelu", {"width": 6, "gradient": True}, "smelu_grad_sq4_2"),
        ("smelu", {"width": 6, "beta": 2, "gradient": True}, "smelu_beta2_grad_sq4_2"),
        ("tanh", {"input_format": "SQ4.2", "output_format": "SQ1.5"}, "tanh_sq4_2_sq1_5"),
        ("tanh", {"input_format": "SQ-1.6", "output_format": "UQ8.-2"}, "tanh_sqm1_6_uq8_m2"),
        ("leaky_relu", {"width": 6, "negative_slope": "-1/3"}, "leaky_relu_negative_slopem1_3_sq4_2"),
        ("relu", {"width": 6, "name": "Mine_2"}, "Mine_2"),
    ],
)
def test_a_unit_is_named_after_what_it_is(function: str, options: dict[str, Any], name: str) -> None:
    assert hwact.build(function, **options).name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function": "nope"}, r"function must be one of the catalogue, not 'nope'; choose from celu, "),
        ({"function": "Gelu"}, r"must be one of the catalogue, not 'Gelu'; did you mean gelu"),
        ({"function": None}, r"a function and an expression must be given, not None and None"),
        ({"expression": "x"}, r"exactly one of a function and .* must be given, not 'smelu' and 'x'"),
        ({"width": 0}, r"width must be an integer from 2 to 64, not 0; it stands for"),
        ({"width": 1}, r"width must be .*, not 1; "),
        ({"width": 200}, r"width must be .*, not 200; "),
        ({"width": 33}, r"input format must have at most 32 bits, not 33 in 'SQ4\.29'; choose fewer"),
        ({"output_format": "SQ4.29"}, r"output format must have at most 32 bits, not 33 in 'SQ4\.29'; "),
        ({"width": 3.5}, r"width must be .*, not 3\.5; "),
        ({"width": True}, r"width must be .*, not True; "),
        ({"width": "x"}, r"width must be .*, not 'x'; "),
        ({"width": None}, r"a width or an input format must be given, not neither; say width=16"),
        ({"input_format": "Q4.2"}, r"a format must look like SQ4\.12, .*, not 'Q4\.2'"),
        ({"input_format": "SQ2.3", "output_format": "SQ2.3"}, r"width must .*, not be 6 beside both .*; "),
        ({"latency": -1}, r"latency must be an integer from 0 to 64, not -1; 0 is combinational"),
        ({"latency": 65}, r"latency must be .*, not 65; "),
        ({"latency": 1.0}, r"latency must be .*, not 1\.0; "),
        ({"latency": True}, r"latency must be .*, not True; "),
        ({"lanes": 0}, r"lanes must be an integer from 1 to 64, not 0"),
        ({"lanes": 65}, r"lanes must be .*, not 65"),
        ({"lanes": True}, r"lanes must be .*, not True"),
        ({"accuracy": "exact"}, r"accuracy must be correct, faithful, max_ulp=N or mse=N .*, not 'exact'"),
        ({"accuracy": "max_ulp=0"}, r"accuracy must be .*, not 'max_ulp=0'"),
        ({"beta": 0}, r"beta must be a finite number and above 0, not 0; it is half the width"),
        ({"beta": float("nan")}, r"beta must be .*, not nan; "),
        ({"gamma": 1}, r"a parameter of smelu must be one it knows, not 'gamma'; it takes beta"),
        ({"interface": "axi"}, r"interface must be one of stream, axis, bare, not 'axi'"),
        ({"rounding": "up"}, r"rounding must be one of half_up, .*, not 'up'"),
        ({"overflow": "trap"}, r"overflow must be one of saturate, wrap, not 'trap'"),
        ({"target": "z80"}, r"target must be one of xc7, .*, not 'z80'"),
        ({"architecture": "magic"}, r"architecture must be auto or one of .*, not 'magic'"),
        ({"gradient": "no"}, r"gradient must be True or False, not 'no'"),
        ({"name": "module"}, r"name must not be a SystemVerilog keyword, not 'module'; choose another"),
        ({"name": "logic"}, r"name must not be a SystemVerilog keyword, not 'logic'; "),
        ({"name": "a-b"}, r"name must be 1 to 100 letters, .*, not 'a-b'; choose another"),
        ({"name": "2nd"}, r"name must be .*, not '2nd'; "),
        ({"name": "../up"}, r"name must be .*, not '\.\./up'; "),
        ({"name": "a\n"}, r"name must be .*, not 'a\\n'; "),
        ({"name": ""}, r"name must be .*, not ''; "),
        ({"name": "a" * 101}, r"name must be .*, not 'a{101}'; "),
    ],
)
def test_impossible_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        hwact.build(**{"function": "smelu", "width": 6, **options})


@pytest.mark.parametrize(
    ("expression", "options", "message"),
    [
        ("x*", {}, r"expression must be a formula in x, not 'x\*'; write it such as"),
        ("x*\nx", {}, r"expression must be a formula in x, not 'x\*\\nx'; "),
        ("x", {"beta": 1}, r"expression takes no parameters, not \['beta'\]; write them into it"),
        ("x", {"name": "wire"}, r"name must not be a SystemVerilog keyword, not 'wire'; "),
    ],
)
def test_impossible_expressions_are_refused(expression: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        hwact.build(expression=expression, width=6, **options)


def test_an_accuracy_that_no_design_reaches_is_refused() -> None:
    with pytest.raises(UnreachableError, match=r"accuracy must be .* SQ4\.2, not 'max_ulp=0\.1'; ask for"):
        hwact.build("gelu", width=6, accuracy="max_ulp=0.1")


def test_a_latency_is_chosen_from_the_target_unless_given() -> None:
    options: dict[str, Any] = {"input_format": "SQ4.8", "architecture": "quadratic"}
    latencies = [hwact.build("smelu", target=target, **options).latency for target in ("xc7", "ecp5")]
    assert 1 <= latencies[0] < latencies[1]
    assert [hwact.build("smelu", latency=n, **options).latency for n in (0, 1, 2, 5, 64)] == [0, 1, 2, 5, 64]
