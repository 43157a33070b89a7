# SPDX-License-Identifier: Apache-2.0
"""Q and C maps against independent integrals; TAT and DKS against their conditions and the published code."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest

import hwact
from hwact import functions
from hwact.errors import ArgumentError
from hwact.functions.expr import Floats
from hwact.tailoring import (
    Layers,
    Network,
    Residual,
    Shaped,
    dks,
    edge_of_chaos,
    he,
    local_map,
    plain,
    tailored_rectifier,
    tat,
)
from hwact.tailoring.maps import COUNT, Pieces, kernel_of_pieces, rectifier_map, staircase
from hwact.tailoring.rounding import signed_digits, terms

GRID = np.linspace(0, 1, 41)
RESIDUAL = Network((Layers(1), Residual(Network((Layers(2),)), math.sqrt(0.6), 10)))
NETWORKS = {"plain": plain(50), "residual": RESIDUAL}


def densities(z: Floats) -> Floats:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


# Local maps


def product_rule(function: Callable[[Floats], Floats], c: float) -> float:
    """E[f(u) f(v)] by NumPy's Gauss-Hermite nodes in two dimensions."""
    z, w = np.polynomial.hermite_e.hermegauss(100)
    u, v = np.meshgrid(z, z)
    weights = np.outer(w, w) / (2 * math.pi)
    return float((weights * function(u) * function(c * u + math.sqrt(1 - c * c) * v)).sum())


@pytest.mark.parametrize("text", ["tanh(x)", "softplus(x)", "x*sigmoid(x)", "0.3 + erf(x/2)", "x**3 - x"])
@pytest.mark.parametrize("q", [0.7, 1.0])
def test_maps_of_smooth_functions(text: str, q: float) -> None:
    spec = functions.from_expression(text)

    def scaled(z: Floats) -> Floats:
        return spec.float_form(math.sqrt(q) * z)

    second, c = local_map(spec)(q, GRID)
    assert second == pytest.approx(product_rule(scaled, 1.0), rel=1e-9)
    for correlation, found in zip(GRID, c, strict=True):
        assert found == pytest.approx(product_rule(scaled, correlation) / second, abs=1e-8)


@pytest.mark.parametrize("slope", ["0", "0.25", "-0.5"])
def test_leaky_relu_by_its_jumps_is_leaky_relu_by_its_formula(slope: str) -> None:
    spec = functions.get("leaky_relu", negative_slope=slope)
    pieces = Pieces.of(spec)
    assert pieces is not None
    kernel = kernel_of_pieces(pieces)
    assert kernel.second_moment == pytest.approx((1 + float(slope) ** 2) / 2, rel=1e-15)
    exact = rectifier_map(float(slope))(1.0, GRID)[1]
    difference = exact - kernel.correlation(GRID)
    assert (np.abs(difference) <= kernel.rest * GRID**COUNT + 1e-14).all()
    assert 1e-7 < kernel.rest < 1e-3
    assert kernel.correlation(np.ones(1))[0] == pytest.approx(1, abs=1e-15)


def bivariate(pieces: Pieces, c: float) -> float:
    """E[s(u) s(v)] of a staircase: the inner mean by `math.erf`, the outer by panels between the cuts."""
    levels, s = pieces.coefficients[:, 0], math.sqrt(1 - c * c)
    ends = np.unique(np.concatenate([[-9.0], pieces.cuts, np.linspace(-9, 9, 181), [9.0]]))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
    z = middle[:, None] + half[:, None] * nodes
    value = levels[np.searchsorted(pieces.cuts, z)]
    below = [[0.5 * (1 + math.erf((t - c * x) / s / math.sqrt(2))) for t in pieces.cuts] for x in z.ravel()]
    shares = np.diff(np.array(below), axis=1, prepend=0, append=1)
    inner = (shares @ levels).reshape(z.shape)
    return float((half[:, None] * weights * densities(z) * value * inner).sum())


def test_maps_of_a_unit_are_those_of_its_staircase() -> None:
    unit = hwact.build("tanh", width=6)
    kernel = kernel_of_pieces(staircase(unit))
    for c in (0.0, 0.5, 0.9, 0.99):
        difference = bivariate(staircase(unit), c) / kernel.second_moment - kernel.correlation(np.array(c))
        assert abs(difference) <= kernel.rest * c**COUNT + 1e-10
    generator = np.random.default_rng(0)
    u, w = generator.normal(size=(2, 400_000))
    v = 0.9 * u + math.sqrt(0.19) * w
    second, c9 = local_map(unit)(1.0, np.array([0.9]))
    assert np.mean(unit(u) ** 2) == pytest.approx(second, rel=0.005)
    assert np.mean(unit(u) * unit(v)) / second == pytest.approx(c9[0], abs=0.005)


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "half_away", "floor", "toward_zero"])
@pytest.mark.parametrize("form", ["SQ4.3", "int7:0.11:-9"])
def test_the_staircase_is_the_unit(rounding: str, form: str) -> None:
    unit = hwact.build("exp", input_format=form, rounding=rounding)
    values = np.linspace(-9, 9, 36001) + 1e-7
    pieces = staircase(unit)
    stairs = pieces.coefficients[np.searchsorted(pieces.cuts, values), 0]
    assert np.array_equal(stairs, unit(values))
    assert stairs.size == 36001
    assert len(pieces.coefficients) > 15


def test_a_unit_that_wraps_has_no_maps() -> None:
    with pytest.raises(ArgumentError, match=r"overflow must be saturate .*not 'wrap'"):
        staircase(hwact.build("relu", width=5, overflow="wrap"))


def test_functions_with_kinks_that_are_no_polynomials_are_refused() -> None:
    with pytest.raises(ArgumentError, match="must be smooth or a piecewise polynomial, not"):
        local_map(functions.get("elu"))


# Solutions


def test_the_slope_of_fifty_layers() -> None:
    assert float(tailored_rectifier(plain(50), 0.9).slope) == pytest.approx(0.430522948502, abs=1e-12)


def test_trelu_without_shortcuts_is_relu_with_them() -> None:
    """A ReLU block of shortcut weight w^2 = 2a/(1+a^2) has the C map of leaky ReLU of slope a."""
    block = Network((Residual(Network((Layers(1),)), math.sqrt(2 * 0.3 / 1.09), 7),))
    shaped = plain(7).maps(rectifier_map(0.3), GRID)[1]
    assert block.maps(rectifier_map(0.0), GRID)[1] == pytest.approx(shaped, abs=1e-12)


def test_eta_out_of_reach_names_what_is_reachable() -> None:
    with pytest.raises(ArgumentError, match=r"at most 0.604825, what ReLU itself reaches .*not 0.9"):
        tailored_rectifier(plain(3), 0.9)
    assert float(tailored_rectifier(plain(3), 0.604825).slope) < 1e-5
    with pytest.raises(ArgumentError, match=r"at least 0 .*not -0.1"):
        tailored_rectifier(plain(3), -0.1)


def test_a_branch_may_reach_higher_than_the_whole() -> None:
    network = Network((Residual(Network((Layers(20),)), 0.95),))
    tailored = tailored_rectifier(network, 0.5)
    assert tailored.slope == tailored_rectifier(plain(20), 0.5).slope


# From google-deepmind/dks 021816e, quadrature order lowered to 1500 nodes; mirrored into canonical form.
# Its GELU is the tanh form. Its bisections stop at 1e-8.
PUBLISHED = [
    ("plain", tat, "tanh", (0.081655235, 0.525848944, -0.483188955, 15.941633676)),
    ("plain", tat, "softplus", (0.212101216, 0.540025075, -0.997045585, 7.455736272)),
    ("plain", tat, "swish", (0.123358864, 0.447484479, -0.271572395, 11.304155681)),
    ("plain", dks, "tanh", (0.128440479, 0.570779548, -0.509807242, 10.604447627)),
    ("plain", dks, "erf", (0.111158082, 0.589644442, -0.589927882, 11.284620324)),
    ("residual", tat, "softplus", (0.526302962, 0.562681536, -1.001447097, 2.969456542)),
    ("residual", dks, "tanh", (0.310103927, 0.661314499, -0.545506066, 4.786475649)),
    ("residual", dks, "swish", (0.458098187, 0.34026305, -0.246194542, 3.271697422)),
]


@pytest.mark.parametrize(("network", "method", "base", "constants"), PUBLISHED)
def test_agreement_with_the_published_implementation(
    network: str, method: Callable[[str, Network], Shaped], base: str, constants: tuple[float, ...]
) -> None:
    found = list(method(base, NETWORKS[network]).constants.values())
    assert found[:3] == pytest.approx(constants[:3], abs=1e-7)
    assert found[3] == pytest.approx(constants[3], abs=1e-6)


@pytest.mark.parametrize(
    ("network", "eta", "slope"), [("plain", 0.9, 0.430522949), ("residual", 0.6, 0.321656972)]
)
def test_slopes_agree_with_the_published_implementation(network: str, eta: float, slope: float) -> None:
    assert float(tailored_rectifier(NETWORKS[network], eta).slope) == pytest.approx(slope, abs=1e-7)


Derivatives = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]
# Each base with its derivatives, and where it is cut: mpmath's own functions.
BASES: dict[str, tuple[Derivatives, tuple[int, ...]]] = {
    "tanh": (
        (mpmath.tanh, lambda u: mpmath.sech(u) ** 2, lambda u: -2 * mpmath.tanh(u) * mpmath.sech(u) ** 2),
        (),
    ),
    "softplus": (
        (
            lambda u: mpmath.log1p(mpmath.exp(u)),
            lambda u: 1 / (1 + mpmath.exp(-u)),
            lambda u: 1 / (2 + mpmath.exp(u) + mpmath.exp(-u)),
        ),
        (),
    ),
    "smelu": (
        (
            lambda u: (max(u + 1, 0) ** 2 - max(u - 1, 0) ** 2) / 4,
            lambda u: (min(max(u, -1), 1) + 1) / 2,
            lambda u: mpmath.mpf(abs(u) < 1) / 2,
        ),
        (-1, 1),
    ),
}


def moments(shaped: Shaped) -> tuple[Any, ...]:
    """Q(1), Q'(1), C(0), C'(1), C''(1) by mpmath's quadrature in 30 digits."""
    (value, first, second), cuts = BASES[shaped.base]
    a, b, d, g = (mpmath.mpf(v.numerator) / v.denominator for v in (
        shaped.alpha, shaped.beta, shaped.delta, shaped.gamma
    ))  # fmt: skip
    ends = sorted([*range(-10, 11, 2), *(point for cut in cuts if abs(point := (cut - b) / a) < 10)])

    def mean(integrand: Callable[[Any, Any], Any]) -> Any:
        return mpmath.quad(lambda z: integrand(z, a * z + b) * mpmath.npdf(z), ends)

    q = mean(lambda z, u: (g * (value(u) + d)) ** 2)
    growth = mean(lambda z, u: g * g * a * z * (value(u) + d) * first(u))
    zero = mean(lambda z, u: g * (value(u) + d)) ** 2
    return (
        q,
        growth,
        zero,
        mean(lambda z, u: (g * a * first(u)) ** 2),
        mean(lambda z, u: (g * a * a * second(u)) ** 2),
    )


@pytest.mark.parametrize("base", BASES)
def test_the_four_conditions_hold(base: str) -> None:
    with mpmath.workdps(30):
        q, growth, _, slope, curvature = moments(tat(base, plain(50), tau=0.4))
        assert [float(v) for v in (q, growth, slope)] == pytest.approx([1, 1, 1], abs=1e-9)
        assert float(curvature) == pytest.approx(0.4 / 50, rel=1e-8)
        q, growth, zero, slope, _ = moments(dks(base, RESIDUAL, zeta=1.3))
        assert [float(v) for v in (q, growth)] == pytest.approx([1, 1], abs=1e-9)
        assert abs(float(zero)) < 1e-18
        chained = RESIDUAL.peak(1.0, lambda total: total * float(slope))
        assert chained == pytest.approx(1.3, rel=1e-9)


def test_tailored_smelu_has_little_gain() -> None:
    """By homogeneity gamma smelu(alpha x + ...) is gamma alpha times a SmeLU of half width 1/alpha."""
    found = tat("smelu", plain(50)).constants
    assert 1.1 < found["gamma"] * found["alpha"] < 1.2


@pytest.mark.parametrize("base", ["relu", "hardswish", "softsign", "frobnicate"])
def test_functions_that_cannot_be_tailored_are_refused(base: str) -> None:
    with pytest.raises(ArgumentError, match=f"must .*not '{base}"):
        tat(base, plain(9))


def test_goals_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match="tau must be a finite number above 0, not 0"):
        tat("tanh", plain(9), tau=0)
    with pytest.raises(ArgumentError, match="zeta must be a finite number above 1, not 1"):
        dks("tanh", plain(9), zeta=1)
    with pytest.raises(ArgumentError, match=r"must have a tailored form for zeta=1e\+30 .*not 'tanh'"):
        dks("tanh", plain(1), zeta=1e30)


# Rounding


def test_signed_digits_are_canonical_and_near() -> None:
    """For all half percents up to 2; two digits against all sums of two powers of two."""
    powers = [Fraction(2) ** e for e in range(-12, 3)]
    sums = {s * p + t * r for p in powers for r in powers for s in (-1, 0, 1) for t in (-1, 0, 1)}
    checked = 0
    for numerator in range(-400, 401):
        value = Fraction(numerator, 200)
        error = abs(signed_digits(value, 2) - value)
        assert error <= min(abs(s - value) for s in sums) * 2
        assert signed_digits(value, 30) == pytest.approx(value, abs=2**-28)
        sizes = [abs(term) for term in terms(value, 8)]
        assert all(4 * low <= high for high, low in pairwise(sizes))
        checked += 1
    assert checked == 801
    assert signed_digits(Fraction("0.430522948502"), 2) == Fraction(7, 16)


def test_digits_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match="digits must be an integer from 1 to 40, not 0"):
        signed_digits(Fraction(1, 3), 0)


# From constants to a unit


def test_a_tailored_unit_keeps_the_maps_where_one_around_a_rounded_tanh_does_not() -> None:
    """The constants stand inside what is tabulated."""
    shaped = tat("tanh", plain(50))
    direct = hwact.build(expression=shaped.expression, input_format="SQ3.5")
    exact = plain(50).maps(shaped.local, np.array([0.9]))[1][0]
    inside = plain(50).maps(local_map(direct), np.array([0.9]))[1][0]
    base = staircase(hwact.build("tanh", input_format="SQ3.5"))
    levels = shaped.constants["gamma"] * (base.coefficients + shaped.constants["delta"])
    cuts = (base.cuts - shaped.constants["beta"]) / shaped.constants["alpha"]
    around = kernel_of_pieces(Pieces(cuts, levels))
    wrapped = np.array([0.9])
    for _ in range(50):
        wrapped = around.correlation(wrapped)
    assert exact == pytest.approx(0.9015, abs=1e-4)
    assert inside == pytest.approx(exact, abs=0.03)
    assert wrapped[0] < exact - 0.4


def test_smelu_in_formulas_is_smelu() -> None:
    x = np.linspace(-3, 3, 601)
    formula = functions.from_expression("smelu(x)")
    assert np.array_equal(formula.float_form(x), functions.get("smelu").float_form(x))


def test_edges_of_chaos_exist_where_they_are_known_to() -> None:
    assert he(functions.get("relu")) == pytest.approx(2, rel=1e-14)
    assert edge_of_chaos(functions.get("relu")) == pytest.approx((2, 0), abs=1e-14)
    for name in ("tanh", "swish", "gelu", "leaky_relu"):
        weights, biases = edge_of_chaos(functions.get(name))
        square = local_map(functions.get(name))(1.0, GRID)[0]
        assert weights * square + biases == pytest.approx(1, rel=1e-12)
        assert weights > 1
        assert biases >= 0
    for name in ("softplus", "sigmoid", "smelu"):
        with pytest.raises(ArgumentError, match=r"must have an edge of chaos at q = 1, not .*; tailor it"):
            edge_of_chaos(functions.get(name))
