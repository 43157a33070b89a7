# SPDX-License-Identifier: Apache-2.0
"""A user's formula: what it means, that it equals the catalogue, and that nothing else gets through."""

from __future__ import annotations

import math
import re
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from hwact import functions
from hwact.errors import ArgumentError
from hwact.formats import Format, Overflow
from hwact.functions import smelu
from hwact.functions.algebra import exact_value
from hwact.functions.parse import FUNCTIONS, MAX_DEPTH, MAX_EXPONENT, MAX_SIZE, MAX_TEXT, parse
from hwact.functions.shape import Line, Symmetry
from hwact.reference import exact_values


def at(text: str, x: Fraction | int) -> Fraction | None:
    return exact_value(parse(text), Fraction(x))


# Meaning


@pytest.mark.parametrize(
    ("text", "at_three"),
    [
        ("x", 3),
        ("  x\n", 3),
        ("-x**2", -9),
        ("(-x)**2", 9),
        ("2**3*x", 24),
        ("2**2**3 - x", 253),
        ("x**-2", Fraction(1, 9)),
        ("x**0 + 0*x + x", 4),
        ("x - 2 - 1", 0),
        ("x - (2 - 1)", 2),
        ("12/x/2", 2),
        ("12/(x/2)", 8),
        ("12/x*2", 8),
        ("1 + 2*x", 7),
        ("(1 + 2)*x", 9),
        ("+-+x", -3),
        ("x*0.1", Fraction(3, 10)),
        ("x*1e-2", Fraction(3, 100)),
        (".5*x + 1.", Fraction(5, 2)),
        ("x*1.2E+1", 36),
        ("x/3", 1),
        ("relu(x - 4)", 0),
        ("relu(4 - x)", 1),
        ("abs(-x)", 3),
        ("min(x, 2)", 2),
        ("max(x, 2)", 3),
        ("min(3, x)", 3),
        ("clip(x, -1, 1/2)", Fraction(1, 2)),
        ("clip(x, 4, 5)", 4),
        ("relu6(2*x) + relu6(3*x)", 12),
        ("hardtanh(x) + hardsigmoid(x) + hardswish(x)", 5),
        ("softsign(x)", Fraction(3, 4)),
        ("sqrt(x + 1)", 2),
        ("exp(x - 3) + log(x - 2) + cos(x - 3)", 2),
        ("sigmoid(x - 3)", Fraction(1, 2)),
    ],
)
def test_formulas_mean_what_they_say(text: str, at_three: Fraction | int) -> None:
    assert at(text, 3) == at_three


def test_every_known_function_is_evaluated_right() -> None:
    """On float64, against Python's and PyTorch's own, at points inside every domain."""
    own = {name: getattr(math, name) for name in FUNCTIONS if hasattr(math, name)}
    pytorch: dict[str, Any] = {
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "abs": torch.abs,
        **{name: getattr(torch.nn.functional, name) for name in (
            "softplus", "relu6", "hardtanh", "hardsigmoid", "hardswish", "softsign", "gelu", "silu", "mish",
        )},
        "swish": torch.nn.functional.silu,
        "smelu": lambda x: smelu.counterpart(x, 1.0),
        "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    }  # fmt: skip
    points = np.array([0.0625, 0.5, 1.0, 2.25, 6.0])
    checked = set()
    for name, (count, _) in FUNCTIONS.items():
        if count > 1:
            continue
        got = functions.from_expression(f"{name}(x)").float_form(points)
        if name in own:
            expected = np.array([own[name](x) for x in points])
        else:
            expected = pytorch[name](torch.from_numpy(points)).numpy()
        assert np.allclose(got, expected, rtol=1e-14, atol=1e-15), name
        checked.add(name)
    assert checked == set(FUNCTIONS) - {"min", "max", "clip"}
    assert len(checked) == 28


def test_pi_and_e() -> None:
    got = functions.from_expression("x*pi + e").float_form(np.array([0.0, 1.0]))
    assert np.allclose(got, [math.e, math.pi + math.e], rtol=1e-15)


EQUAL = {
    "x*erfc(-x*sqrt(1/2))/2": "gelu",
    "x/2*(1 + erf(x/sqrt(2)))": "gelu",
    "gelu_tanh(x)": "gelu_tanh",
    "x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))": "gelu_tanh",
    "x*sigmoid(x)": "silu",
    "x/(1 + exp(-x))": "silu",
    "log(1 + exp(x))": "softplus",
    "1/(1 + exp(-x))": "sigmoid",
    "(1 + tanh(x/2))/2": "sigmoid",
    "1 - 2/(exp(2*x) + 1)": "tanh",
    "x*tanh(softplus(x))": "mish",
    "x*min(max(x + 3, 0), 6)/6": "hardswish",
    "max(min(x, 1), -1)": "hardtanh",
    "x/(1 + abs(x))": "softsign",
    "relu(x) + relu(1 - abs(x))**2/4": "smelu",
    "(relu(x + 1)**2 - relu(x - 1)**2)/4": "smelu",
    "max(x, 0) + min(expm1(min(x, 0)), 0)": "elu",
}


@pytest.mark.parametrize(("text", "name"), EQUAL.items())
def test_formula_equals_the_catalogue(text: str, name: str) -> None:
    """All exact values at 10 bits, both overflow modes, bit by bit."""
    formats = Format.parse("SQ4.6"), Format.parse("SQ3.9")
    for overflow in Overflow:
        mine = exact_values(functions.from_expression(text), *formats, overflow)
        theirs = exact_values(functions.get(name), *formats, overflow)
        assert np.array_equal(mine.floor, theirs.floor)
        assert np.array_equal(mine.inexact, theirs.inexact)
        assert mine.floor.size == 1024


def test_quickgelu() -> None:
    function = functions.from_expression("x*sigmoid(1.702*x)", "quickgelu")
    assert (function.name, function.formula) == ("quickgelu", "x*sigmoid(1.702*x)")
    assert (function.symmetry, function.left, function.right) == (
        Symmetry(1, Fraction(0), Fraction(-1)), Line(Fraction(0)), Line(Fraction(1)),
    )  # fmt: skip
    assert not function.monotonic
    assert function.parameters == {}
    swish = functions.get("swish", beta="1.702")
    assert function.expression == swish.expression
    assert function.gradient().expression == swish.gradient().expression


def test_without_a_name_it_is_custom() -> None:
    assert functions.from_expression("x*x").name == "custom"


@pytest.mark.parametrize(
    ("text", "symmetry", "left", "right", "monotonic"),
    [
        ("x**3", Symmetry(-1), None, None, True),
        ("x**2", Symmetry(1), None, None, False),
        ("x/3 + 1/7", Symmetry(1, Fraction(0), Fraction(-2, 3)), ("1/3", "1/7"), ("1/3", "1/7"), True),
        ("(x**2 + 1)/(x**2 + 2)", Symmetry(1), (0, 1), (0, 1), False),
        ("exp(-x)", None, None, (0, 0), True),
        ("-tanh(x)/3", Symmetry(-1), (0, Fraction(1, 3)), (0, Fraction(-1, 3)), True),
        ("x + sin(x)", Symmetry(-1), None, None, True),
        ("softplus(-x)", Symmetry(1, Fraction(0), Fraction(1)), (-1, 0), (0, 0), True),
        ("log(1 + exp(-x))", Symmetry(1, Fraction(0), Fraction(1)), None, (0, 0), True),  # missed, harmlessly
    ],
)  # fmt: skip
def test_detected_shape(text: str, symmetry: Symmetry | None, left: Any, right: Any, monotonic: bool) -> None:
    function = functions.from_expression(text)
    assert function.symmetry == symmetry
    assert function.left == (left and Line(*map(Fraction, left)))
    assert function.right == (right and Line(*map(Fraction, right)))
    assert function.monotonic == monotonic


@pytest.mark.parametrize(
    "text",
    [
        *EQUAL,
        "x*sigmoid(1.702*x)",
        "sin(x)*cos(x/2) + atan(x)",
        "sinh(x)/cosh(x)**2",
        "log1p(x*x)",
        "sqrt(1 + x**4)",
        "exp(-x**2)*x**3",
        "erf(x)**2/(2 + x**2)",
    ],
)
def test_gradient_against_autograd(text: str) -> None:
    function = functions.from_expression(text)
    points = np.linspace(-5, 5, 99)  # meets no kink but 0
    points = points[points != 0]
    slope = function.gradient()
    got, autograd = slope.float_form(points), slope.torch_form(torch.from_numpy(points)).numpy()
    assert got.shape == (98,)
    assert np.allclose(got, autograd, rtol=1e-12, atol=1e-13)


# What is refused

BOMBS = [
    "(" * 60 + "x" + ")" * 60 + "+(" * 60 + "x" + ")" * 60,
    "-" * 300 + "x",
    "relu(" * 60 + "x" + ")" * 60,
    "x" + "+(x" * 60 + ")" * 60,
    "(" * 240 + "x" + ")" * 240 + "'",
]
HOSTILE = [
    "9**9**9 + x",
    "x**9**9**9",
    "x**65",
    "x**-65",
    "x**0.5",
    "x**x",
    "2**x",
    "((x**64)**64)**64 + (2**64)**64",
    "((((2**60)**60)**60)**60)**60*x",
    "1e999999999*x",
    "1e100*x",
    "1" * 41 + "*x",
    "0x10*x",
    "1_000*x",
    "1j*x",
    "'x'",
    "b'x'*x",
    "f'{x}'",
    "x + 'a'*10**9",
    "True*x",
    "None",
    "...",
    "x/0",
    "x/(1 - 1)",
    "0**-1*x",
    "__import__('os').system('true')",
    "__import__",
    "x.__class__",
    "x.real",
    "().__class__.__bases__[0].__subclasses__()",
    "x[0]",
    "[x]",
    "(x, x)",
    "{x}",
    "{'a': x}",
    "[x for x in x]",
    "(x for x in x)",
    "lambda: x",
    "(lambda x: x)(x)",
    "(x := 3)",
    "x = 3",
    "x; x",
    "x\nx",
    "import os",
    "x if x else x",
    "x and x",
    "not x",
    "~x",
    "x < 1",
    "x == x",
    "x % 2",
    "x // 2",
    "x @ x",
    "x << 2",
    "x ^ 2",
    "x | 1",
    "*x",
    "exp(*x)",
    "exp(**x)",
    "exp(x=x)",
    "exp(x, x)",
    "exp()",
    "min(x)",
    "clip(x, 1)",
    "exp",
    "exp*x",
    "eval(x)",
    "exec('x')",
    "open('x')",
    "getattr(x, 'a')",
    "sigmoid(x)(x)",
    "math.exp(x)",
    "y*2",
    "х",  # noqa: RUF001  (Cyrillic)
    "ｘ + ｙ",  # noqa: RUF001  (full width: Python reads them as x and y)
    "x × 2",  # noqa: RUF001
    "x²",
    "π*x",
    "x\x00",
    "x #" + "!" * 600,
    "await x",
    "yield x",
    "",
    "   ",
    "x +",
    "((x)",
    "x x",
    *BOMBS,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_is_refused_at_once(text: str) -> None:
    start = time.monotonic()
    with pytest.raises(ArgumentError, match=r"^an expression must be .*, not .*; .") as caught:
        functions.from_expression(text)
    assert time.monotonic() - start < 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [None, 3, b"x", ["x"]])
def test_only_text_is_read(text: Any) -> None:
    with pytest.raises(
        ArgumentError, match=rf"^an expression must be a text of 1 to {MAX_TEXT} characters, not "
    ):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2", "a formula that depends on x, not '1 + 2'; use x in it"),
        ("x*0 + 1", "a formula that depends on x, not 'x*0 + 1'; use x in it"),
        ("y", "in x alone, with the constants pi and e, not 'y'; rename the variable to x"),
        ("sigmod(x)", "made of known functions, not 'sigmod'; did you mean sigmoid"),
        ("qqq(x)", "made of known functions, not 'qqq'; choose from abs, atan, "),
        ("x**0.5", "free of exponents but integers from -64 to 64, not '0.5'; use exp and log"),
        ("1 + x/0", "free of divisions by zero, not 'x/0'; correct the divisor"),
        ("x + clip(x)", "such that clip has 3 arguments, not 'clip(x)'; correct the call"),
        ("x < 1", "made of numbers, operators and known functions, not 'x < 1'; known are + - * / **, x"),
        ("x +", "a formula in x, not 'x +'; write it such as"),
        ("0x10*x", "made of short decimal numbers, not '0x10'; write at most 40 digits"),
    ],
)
def test_messages(text: str, expected: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{re.escape('an expression must be ' + expected)}"):
        parse(text)


def test_long_formulas_are_shortened_in_messages() -> None:
    text = "+".join(["1"] * 39)
    with pytest.raises(ArgumentError, match=re.escape(f"not {text[:57] + '...'!r}; use x in it")):
        parse(text)


def test_the_limits_themselves_are_allowed() -> None:
    deep = "tanh(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH
    assert sum(1 for _ in parse(deep).walk()) == MAX_DEPTH + 1
    with pytest.raises(ArgumentError, match=f"nested at most {MAX_DEPTH} deep"):
        parse(f"tanh({deep})")
    # relu(u) is a choice between 0, 0 and u by the sign of u: s(n) = 2 s(n - 1) + 3
    assert sum(1 for _ in parse("relu(" * 6 + "x" + ")" * 6).walk()) == 253 <= MAX_SIZE
    for text in ("relu(" * 7 + "x" + ")" * 7, "abs(" * 40 + "x" + ")" * 40, "gelu(" * 30 + "x" + ")" * 30):
        with pytest.raises(ArgumentError, match=f"made of at most {MAX_SIZE} operations, written out, not"):
            parse(text)
    assert at(f"x**{MAX_EXPONENT}", 2) == 2**64
    assert at("x" + " " * (MAX_TEXT - 3) + "+1", 1) == 2
    with pytest.raises(ArgumentError, match="a text of 1 to"):
        parse("x" + " " * (MAX_TEXT - 2) + "+1")


def test_an_expression_takes_little_time_even_at_the_limits() -> None:
    limits = ["tanh(" * 40 + "x" + ")" * 40, "relu(" * 6 + "x" + ")" * 6, "x**64", "+".join(["silu(x)"] * 38)]
    limits += ["gelu(gelu(gelu(gelu(x))))", "(x+1)/(" * 19 + "x" + "+3)" * 19]
    for text in limits:
        start = time.monotonic()
        functions.from_expression(text).gradient()
        assert time.monotonic() - start < 10, text
