# SPDX-License-Identifier: Apache-2.0
"""CELU: ELU whose slope is continuous for every alpha.

Barron: Continuously differentiable exponential linear units, arXiv 1704.07483.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.primitives import expm1
from hwact.functions.shape import IDENTITY, Line
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(
        name="alpha",
        doc="the depth of the negative side",
        default=Fraction(1),
        low=Fraction(0),
        open_low=True,
    ),
)


def counterpart(x: Any, alpha: float) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.celu(x, alpha)


def define(alpha: Fraction) -> FunctionSpec:
    """The function."""
    curve = alpha * expm1(X / alpha)
    return FunctionSpec(
        name="celu",
        summary="Continuously differentiable exponential linear unit",
        formula="x for x > 0, alpha * (exp(x / alpha) - 1) otherwise",
        expression=select(X, curve, curve, X),
        base="relu(x)",
        left=Line(Fraction(0), -alpha),
        right=IDENTITY,
        monotonic=True,
        counterpart=counterpart,
    )
