# SPDX-License-Identifier: Apache-2.0
"""What each file of the catalogue declares, and what is read off its expression: shape and pieces."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx, fmpq

from hwact import functions
from hwact.functions.algebra import evaluate_polynomial, exact_value
from hwact.functions.shape import asymptotes_of, is_monotonic, symmetry_of
from tests.oracles import ALL, NAMES, POINTS, RATIONAL


def enclosed(expression: Any, x: Fraction) -> Any:
    with ctx.workprec(300):
        return expression.ball(arb_of(x))


def arb_of(x: Fraction) -> Any:
    return arb(fmpq(x.numerator, x.denominator))


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_declared_symmetry_holds_everywhere(name: str, gradient: bool, parameters: dict[str, Any]) -> None:
    function = functions.get(name, gradient=gradient, **parameters)
    points = [*POINTS, *function.kinks]
    symmetry = function.symmetry
    if symmetry is None:
        return
    for x in points:
        here, there = exact_value(function.expression, x), exact_value(function.expression, -x)
        if here is not None and there is not None:
            assert symmetry.mirror(x, here) == there, f"at {x}"
            continue
        y, z = enclosed(function.expression, x), enclosed(function.expression, -x)
        mirrored = symmetry.sign * y + arb_of(symmetry.offset + symmetry.slope * x)
        assert mirrored.overlaps(z), f"at {x}"


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_detected_shape_is_the_declared_one(name: str, gradient: bool, parameters: dict[str, Any]) -> None:
    function = functions.get(name, gradient=gradient, **parameters)
    assert symmetry_of(function.expression) == function.symmetry
    assert asymptotes_of(function.expression) == (function.left, function.right)
    assert is_monotonic(function.expression) == function.monotonic


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_declared_asymptotes_are_approached(name: str, gradient: bool, parameters: dict[str, Any]) -> None:
    function = functions.get(name, gradient=gradient, **parameters)
    for side, line in ((-1, function.left), (1, function.right)):
        gaps = []
        for x in (Fraction(side * 100), Fraction(side * 10**6)):
            if line is not None:
                limit = arb_of(line.slope * x + line.intercept)
                gaps.append(float(abs(enclosed(function.expression, x) - limit).upper()))
        assert not gaps or (gaps[0] < 1e-2 and gaps[1] < 1e-6 + (name == "softsign") * 1e-5)


def test_which_functions_have_no_line_or_symmetry() -> None:
    plain = [functions.get(name) for name in NAMES]
    assert [f.name for f in plain if f.left is None] == []
    assert [f.name for f in plain if f.right is None] == ["trelu", "exp"]
    without = "relu6 trelu elu selu celu mish exp"
    assert sorted(f.name for f in plain if f.symmetry is None) == sorted(without.split())
    assert sorted(f.name for f in plain if not f.monotonic) == [
        "gelu",
        "gelu_tanh",
        "hardswish",
        "mish",
        "silu",
        "swish",
    ]
    broken = [f.name for f in plain if f.symmetry is not None and f.gradient().symmetry is None]
    assert sorted(broken) == ["leaky_relu", "prelu", "relu"]  # the kink belongs to one side


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_declared_monotonicity_holds_at_samples(
    name: str, gradient: bool, parameters: dict[str, Any]
) -> None:
    function = functions.get(name, gradient=gradient, **parameters)
    values = function.float_form(np.linspace(-12, 12, 9601))
    steps = np.diff(values)
    assert function.monotonic == bool((steps >= -1e-14).all() or (steps <= 1e-14).all())


# Pieces


@pytest.mark.parametrize(("name", "gradient", "parameters"), ALL)
def test_pieces_cover_the_line_once_and_match(name: str, gradient: bool, parameters: dict[str, Any]) -> None:
    function = functions.get(name, gradient=gradient, **parameters)
    pieces = function.pieces()
    assert pieces[0].low is None
    assert pieces[-1].high is None
    for left, right in pairwise(pieces):
        assert left.high == right.low
        assert left.owns_high != right.owns_low
    points = [*POINTS, *function.kinks]
    for x in points:
        owners = [p for p in pieces if (p.low is None or p.low < x or (p.low == x and p.owns_low))
                  and (p.high is None or x < p.high or (p.high == x and p.owns_high))]  # fmt: skip
        assert len(owners) == 1
        expected = exact_value(function.expression, x)
        assert exact_value(owners[0].expression, x) == expected
        if expected is None:
            assert enclosed(owners[0].expression, x).overlaps(enclosed(function.expression, x))
    polynomials = function.piecewise_polynomial()
    assert (polynomials is not None) == (name in RATIONAL and name != "softsign")
    for piece, polynomial in zip(pieces, polynomials or (), strict=polynomials is not None):
        ends = (polynomial.low, polynomial.high, polynomial.owns_low, polynomial.owns_high)
        assert ends == (piece.low, piece.high, piece.owns_low, piece.owns_high)
        assert all(
            evaluate_polynomial(polynomial.coefficients, x) == exact_value(piece.expression, x)
            for x in POINTS
        )
