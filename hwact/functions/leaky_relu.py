# SPDX-License-Identifier: Apache-2.0
"""Leaky ReLU."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.shape import IDENTITY, Line, Symmetry
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (Parameter(name="negative_slope", doc="the slope for x < 0", default=Fraction(1, 100)),)


def counterpart(x: Any, negative_slope: float) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.leaky_relu(x, negative_slope)


def define(negative_slope: Fraction) -> FunctionSpec:
    """The function; its derivative is ``negative_slope`` at the kink, as PyTorch's."""
    return FunctionSpec(
        name="leaky_relu",
        summary="Leaky rectified linear unit",
        formula="x for x > 0, negative_slope * x otherwise",
        expression=select(X, negative_slope * X, negative_slope * X, X),
        base="relu(x)",
        symmetry=Symmetry(1, Fraction(0), -(1 + negative_slope)),
        left=Line(negative_slope),
        right=IDENTITY,
        monotonic=negative_slope >= 0,
        counterpart=counterpart,
    )
