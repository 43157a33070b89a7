# SPDX-License-Identifier: Apache-2.0
"""Generalised SmeLU: any two slopes joined by a parabola.

Shamir, Lin: Real world large scale recommendation systems reproducibility and smooth activations,
arXiv 2202.06499. The transition goes from -alpha to beta. The left branch is exactly
``slope_neg * x``, i.e. the value at -alpha is ``-slope_neg * alpha``, which fixes the constant
that the paper leaves free: the right branch is then ``slope_pos * x`` plus
``(slope_pos - slope_neg) * (alpha - beta) / 2``. With the defaults this is ``smelu(beta=1)``.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.shape import Line, Symmetry
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(
        name="alpha",
        doc="minus the point where the transition begins",
        default=Fraction(1),
        low=Fraction(0),
        open_low=True,
    ),
    Parameter(
        name="beta",
        doc="the point where the transition ends",
        default=Fraction(1),
        low=Fraction(0),
        open_low=True,
    ),
    Parameter(name="slope_neg", doc="the slope left of the transition", default=Fraction(0)),
    Parameter(name="slope_pos", doc="the slope right of the transition", default=Fraction(1)),
)


def counterpart(x: Any, alpha: float, beta: float, slope_neg: float, slope_pos: float) -> Any:
    """The integral of a clipped ramp: PyTorch has no such function."""
    import torch

    passed = torch.clamp(x + alpha, min=0)
    inside = torch.clamp(passed, max=alpha + beta)
    ramp = inside**2 / (2 * (alpha + beta)) + (passed - inside)
    return slope_neg * x + (slope_pos - slope_neg) * ramp


def define(alpha: Fraction, beta: Fraction, slope_neg: Fraction, slope_pos: Fraction) -> FunctionSpec:
    """The function; it has no kink in its value or slope."""
    left = slope_neg * X
    bend = slope_pos - slope_neg
    parabola = left + bend * (X + alpha) ** 2 / (2 * (alpha + beta))
    offset = bend * (alpha - beta) / 2
    right = slope_pos * X + offset
    symmetry = Symmetry(1, Fraction(0), -(slope_neg + slope_pos)) if alpha == beta else None
    return FunctionSpec(
        name="gsmelu",
        summary="Generalised smooth ReLU",
        formula="slope_neg * x + (slope_pos - slope_neg) * (0 for x <= -alpha, "
        "(x + alpha)^2 / (2 (alpha + beta)) between, x + (alpha - beta) / 2 for x >= beta)",
        expression=select(X + alpha, left, left, select(X - beta, parabola, right, right)),
        symmetry=symmetry,
        left=Line(slope_neg),
        right=Line(slope_pos, offset),
        monotonic=slope_neg * slope_pos >= 0,
        counterpart=counterpart,
    )
