# SPDX-License-Identifier: Apache-2.0
"""Tailored ReLU: leaky ReLU scaled so that a unit Gaussian keeps its second moment.

Zhang, Botev, Martens: Deep Learning without Shortcuts: Shaping the Kernel with Tailored
Rectifiers, ICLR 2022. The output scale ``sqrt(2 / (1 + negative_slope^2))`` is in general
irrational, and then so are the slopes of symmetry and asymptotes: they are given where rational.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.algebra import exact_root
from hwact.functions.expr import X, select
from hwact.functions.primitives import sqrt
from hwact.functions.shape import FLAT, Line, Symmetry
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(name="negative_slope", doc="the slope for x < 0 before scaling", default=Fraction(0)),
)


def counterpart(x: Any, negative_slope: float) -> Any:
    """A scaled leaky ReLU: PyTorch has no such function."""
    from torch.nn import functional

    return functional.leaky_relu(x, negative_slope) * (2 / (1 + negative_slope**2)) ** 0.5


def define(negative_slope: Fraction) -> FunctionSpec:
    """The function; at the kink its derivative is that of the left side."""
    square = 2 / (1 + negative_slope**2)
    inner = select(X, negative_slope * X, negative_slope * X, X)
    scale = exact_root(square)
    return FunctionSpec(
        name="trelu",
        summary="Tailored rectified linear unit",
        formula="sqrt(2 / (1 + negative_slope^2)) * (x for x > 0, negative_slope * x otherwise)",
        expression=sqrt(square) * inner if scale is None else scale * inner,
        symmetry=None if scale is None else Symmetry(1, Fraction(0), -scale * (1 + negative_slope)),
        left=FLAT if negative_slope == 0 else None if scale is None else Line(scale * negative_slope),
        right=None if scale is None else Line(scale),
        monotonic=negative_slope >= 0,
        counterpart=counterpart,
    )
