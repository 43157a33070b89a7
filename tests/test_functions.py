# SPDX-License-Identifier: Apache-2.0
"""The catalogue: names, parameters, values and gradients."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from mpmath import mp, mpf

from hwact import functions
from hwact.errors import ArgumentError
from hwact.functions.algebra import exact_value
from hwact.functions.selu import ALPHA, SCALE
from tests.oracles import ALL, DEFAULTS, DIGITS, NAMES, PLAIN, POINTS, RATIONAL, real, value

CATALOGUE = (
    "relu leaky_relu prelu trelu relu6 smelu gsmelu gelu gelu_tanh swish silu softplus sigmoid tanh elu "
    "selu celu mish hardswish hardsigmoid hardtanh softsign exp erf"
)
HUGE = [Fraction(sign) * n for sign in (-1, 1) for n in (30, 700, 10**5, 10**15, 10**100)]
TINY = [Fraction(sign, 10**n) for sign in (-1, 1) for n in (3, 8, 20, 300)]


# The catalogue


def test_the_catalogue_is_complete() -> None:
    assert functions.names() == tuple(sorted(CATALOGUE.split()))
    assert sorted(NAMES) == sorted(CATALOGUE.split())
    assert (len(functions.names()), len(ALL), len(PLAIN)) == (24, 68, 34)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_and_texts(name: str) -> None:
    function = functions.get(name)
    assert function.name == name
    assert function.parameters == DEFAULTS.get(name, {}) == dict(function.defaults)
    assert list(function.parameters) == [p.name for p in functions.parameters_of(name)]
    assert function.summary
    assert function.formula
    assert all(p.doc for p in functions.parameters_of(name))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gelo", "did you mean gelu"),
        ("SmeLU", "did you mean smelu"),
        ("hardsigmoi", "did you mean hardsigmoid"),
        ("zzz", "choose from celu, elu, erf, exp, "),
        ("", "choose from celu"),
        ("shape", "choose from celu"),
    ],
)
def test_unknown_functions(name: str, near: str) -> None:
    with pytest.raises(
        ArgumentError, match=re.escape(f"the function must be one of the catalogue, not {name!r}; {near}")
    ):
        functions.get(name)


@pytest.mark.parametrize(
    ("name", "key", "takes"),
    [("gelu", "beta", "none"), ("swish", "alpha", "beta"), ("hardtanh", "low", "min_val, max_val")],
)
def test_unknown_parameters(name: str, key: str, takes: str) -> None:
    expected = f"a parameter of {name} must be one it knows, not {key!r}; it takes {takes}"
    unknown: dict[str, Any] = {key: 1}
    with pytest.raises(ArgumentError, match=f"^{expected}$"):
        functions.get(name, **unknown)


POSITIVE = [
    ("smelu", "beta"),
    ("gsmelu", "alpha"),
    ("gsmelu", "beta"),
    ("swish", "beta"),
    ("softplus", "beta"),
    ("elu", "alpha"),
    ("celu", "alpha"),
]
FREE = [
    ("leaky_relu", "negative_slope"),
    ("prelu", "weight"),
    ("trelu", "negative_slope"),
    ("gsmelu", "slope_neg"),
    ("gsmelu", "slope_pos"),
    ("hardtanh", "min_val"),
    ("hardtanh", "max_val"),
]
NO_NUMBERS = [
    float("nan"),
    float("inf"),
    float("-inf"),
    np.float32("nan"),
    "nan",
    "one",
    "",
    "1/0",
    "1e9999",
    None,
    True,
    1j,
    [1],
    10**31,
    -(10**31),
]


def test_every_parameter_is_in_one_of_the_two_lists() -> None:
    assert {(name, key) for name, keys in DEFAULTS.items() for key in keys} == {*POSITIVE, *FREE}


@pytest.mark.parametrize(("name", "key"), [*POSITIVE, *FREE])
def test_illegal_parameters(name: str, key: str) -> None:
    positive = (name, key) in POSITIVE
    bad = [*NO_NUMBERS, *([0, -1, -0.5, 0.0, "-1/3"] if positive else [])]
    for given in bad:
        chosen: dict[str, Any] = {key: given}
        start = f"{key} must be a finite number{' and above 0' if positive else ''}, not {given!r}; it is the"
        with pytest.raises(
            ArgumentError, match=f"^{re.escape(start[:-4])} .*\\(default {DEFAULTS[name][key]}\\)$"
        ):
            functions.get(name, **chosen)
    assert len(bad) == (20 if positive else 15)


def test_hardtanh_needs_an_interval() -> None:
    for low, high in ((1, 1), (2, "-1/2")):
        message = f"max_val must be above min_val = {low}, not {str(high)!r}; swap"
        with pytest.raises(ArgumentError, match=message):
            functions.get("hardtanh", min_val=low, max_val=high)


@pytest.mark.parametrize(
    "given", [0.3, "0.3", " 3/10 ", ".3", "3e-1", Fraction(3, 10), np.float64(0.3)], ids=repr
)
def test_numbers_are_exact_decimals(given: object) -> None:
    function = functions.get("smelu", beta=given)
    assert function.parameters == {"beta": Fraction(3, 10)}
    assert function == functions.get("smelu", beta="3/10")


def test_a_third_is_a_third() -> None:
    assert functions.get("smelu", beta="1/3").parameters["beta"] == Fraction(1, 3)
    assert functions.get("smelu", beta=2).parameters["beta"] == 2
    assert functions.get("elu", alpha=np.int64(3)).parameters["alpha"] == 3


# Values


def oracle_value(name: str, gradient: bool, x: Fraction, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """The value, and the slope of the function itself, with mpmath."""
    if name in RATIONAL:
        near, rest = x, Fraction(0)
    else:  # mpmath works in as many digits as the exponents have: from 10^5 on, take the tangent
        near = min(max(x, Fraction(-(10**5))), Fraction(10**5))
        rest = x - near
    both = (value(name, which, near, parameters) for which in (gradient, True))
    expected, slope = (real(part) if isinstance(part, Fraction) else part for part in both)
    return (expected if gradient else expected + slope * real(rest)), slope


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_float_form_against_mpmath(name: str, gradient: bool, parameters: dict[str, Any]) -> None:
    """Within a few roundings of the value and of x, so to full relative accuracy in the tails too.

    Derivatives are sums of terms about 1 in size, and are held to an absolute error.
    """
    points = [Fraction(float(x)) for x in (*POINTS, *HUGE, *TINY)]
    function = functions.get(name, gradient=gradient, **parameters)
    values = function.float_form(np.array([float(x) for x in points]))
    checked = 0
    with mp.workdps(50):
        for x, got in zip(points, values.tolist(), strict=True):
            checked += 1
            if name == "exp" and x > 700:
                assert got == np.inf
                continue
            expected, slope = oracle_value(name, gradient, x, parameters)
            allowed = 4e-15 * (max(1, abs(expected)) if gradient else abs(expected) + abs(real(x) * slope))
            assert abs(mpf(got) - expected) <= allowed + 1e-307, f"{function.name} at {float(x)!r}: {got!r}"
    assert checked == 321 + 47 + 10 + 8


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_pytorch_agrees(name: str, gradient: bool, parameters: dict[str, Any]) -> None:
    """Values, and autograd through PyTorch's function for gradients; the points include every kink."""
    function = functions.get(name, gradient=gradient, **parameters)
    points = np.array([float(x) for x in {*POINTS, *function.kinks}])
    got = function.torch_form(torch.from_numpy(points)).numpy()
    assert got.dtype == np.float64
    expected = function.float_form(points)
    # PyTorch's kernel for the derivative of hardsigmoid has 1/6 in float32, in float64 too.
    allowed = 5e-9 if (name, gradient) == ("hardsigmoid", True) else 4e-14 * np.maximum(1, np.abs(expected))
    assert np.all(np.abs(got - expected) <= allowed)


KINKS = [
    ("relu", 0, 0),
    ("leaky_relu", 0, Fraction(1, 100)),
    ("prelu", 0, Fraction(1, 4)),
    ("relu6", 0, 0),
    ("relu6", 6, 0),
    ("hardtanh", -1, 0),
    ("hardtanh", 1, 0),
    ("hardswish", -3, 0),
    ("hardswish", 3, 1),
    ("hardsigmoid", -3, 0),
    ("hardsigmoid", 3, 0),
    ("elu", 0, 1),
    ("celu", 0, 1),
    ("softsign", 0, 1),
    ("smelu", -1, 0),
    ("smelu", 1, 1),
    ("trelu", 0, 0),
    ("gsmelu", -1, 0),
    ("gsmelu", 1, 1),
]


@pytest.mark.parametrize(("name", "kink", "slope"), KINKS, ids=lambda part: str(part))
def test_gradients_at_kinks_are_pytorchs(name: str, kink: int, slope: Fraction | int) -> None:
    function = functions.get(name, gradient=True)
    assert exact_value(function.expression, Fraction(kink)) == slope
    assert function.torch_form(torch.tensor([float(kink)], dtype=torch.float64)).item() == float(slope)


def test_every_kink_of_the_catalogue_was_looked_at() -> None:
    kinks = {(name, kink) for name in NAMES for kink in functions.get(name).kinks}
    assert kinks == {(name, Fraction(kink)) for name, kink, _ in KINKS} | {("selu", Fraction(0))}


def test_selus_slope_at_its_kink_and_its_constants() -> None:
    gradient = functions.get("selu", gradient=True)
    assert exact_value(gradient.expression, Fraction(0)) == SCALE * ALPHA
    with mp.workdps(DIGITS):
        alpha = -mp.sqrt(2 / mp.pi) / (mp.erfc(mp.sqrt(mpf(1) / 2)) * mp.exp(mpf(1) / 2) - 1)
        assert abs(alpha - real(ALPHA)) < mpf(10) ** -30

        def moment(power: int) -> Any:
            curve = lambda x: (alpha * mp.expm1(x) if x < 0 else x) ** power * mp.npdf(x)  # noqa: E731
            return mp.quad(curve, [-12, -4, 0, 4, 12])

        with mp.workdps(25):
            assert abs(1 / mp.sqrt(moment(2)) - real(SCALE)) < mpf(10) ** -20


@pytest.mark.parametrize("parameters", [{"beta": b} for b in (1, "1/4", "0.3", 2, "7/3")], ids=str)
def test_smelus_identities_are_exact(parameters: dict[str, Any]) -> None:
    smelu, slope = functions.get("smelu", **parameters), functions.get("smelu", gradient=True, **parameters)
    b = smelu.parameters["beta"]
    twice = functions.get("smelu", beta=2 * b)
    points = [Fraction(n, 24) for n in range(-96, 97)] + [b, -b]

    def at(function: functions.FunctionSpec, x: Fraction) -> Fraction:
        result = exact_value(function.expression, x)
        assert result is not None
        return result

    def relu(x: Fraction) -> Fraction:
        return max(x, Fraction(0))

    for x in points:
        y, m = at(smelu, x), at(slope, x)
        assert m == min(max((x + b) / (2 * b), Fraction(0)), Fraction(1))
        assert y == relu(x) + relu(b - abs(x)) ** 2 / (4 * b)
        assert y == b * m**2 + relu(x - b)
        assert y == (relu(x + b) ** 2 - relu(x - b) ** 2) / (4 * b)
        assert y - at(smelu, -x) == x
        assert at(twice, 2 * x) == 2 * y
        assert y - relu(x) <= b / 4 == at(smelu, Fraction(0))
    assert len(points) == 195


def test_generalised_smelu_at_its_defaults_is_smelu() -> None:
    plain, general = functions.get("smelu"), functions.get("gsmelu")
    assert all(exact_value(plain.expression, x) == exact_value(general.expression, x) for x in POINTS)


def test_gelus_two_forms_are_two_functions() -> None:
    x = np.linspace(-8, 8, 160001)
    gap = np.abs(functions.get("gelu").float_form(x) - functions.get("gelu_tanh").float_form(x))
    assert 4.725e-4 < gap.max() < 4.735e-4
    assert abs(abs(x[gap.argmax()]) - 2.7) < 0.1


# Derivatives


@pytest.mark.parametrize(("name", "_gradient", "parameters"), PLAIN)
def test_gradient_is_a_function_of_its_own(name: str, _gradient: bool, parameters: dict[str, Any]) -> None:
    function = functions.get(name, **parameters)
    gradient = function.gradient()
    assert gradient == functions.get(name, gradient=True, **parameters)
    assert (gradient.name, gradient.is_gradient, gradient.base) == (name, True, "0")
    assert gradient.arguments == function.arguments
    expected = f"the function must not be a gradient already, not {name!r}"
    with pytest.raises(ArgumentError, match=expected):
        gradient.gradient()


def test_torch_form_of_a_gradient_needs_no_gradient_outside() -> None:
    with torch.no_grad():
        slope = functions.get("gelu", gradient=True).torch_form(torch.zeros(3, dtype=torch.float64))
    assert slope.tolist() == [0.5] * 3
    assert not slope.requires_grad


@pytest.mark.parametrize(("shape", "gradient"), list(product([(), (0,), (2, 3, 4)], (False, True))))
def test_any_shape(shape: tuple[int, ...], gradient: bool) -> None:
    x = np.full(shape, 0.5)
    for name in NAMES:
        function = functions.get(name, gradient=gradient)
        assert function.float_form(x).shape == shape
        assert tuple(function.torch_form(torch.from_numpy(x)).shape) == shape
