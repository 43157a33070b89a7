# SPDX-License-Identifier: Apache-2.0
"""ELU.

Clevert, Unterthiner, Hochreiter: Fast and accurate deep network learning by exponential linear
units, arXiv 1511.07289.
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

    return functional.elu(x, alpha)


def define(alpha: Fraction) -> FunctionSpec:
    """The function; its derivative at 0 is ``alpha``, as PyTorch's."""
    curve = alpha * expm1(X)
    return FunctionSpec(
        name="elu",
        summary="Exponential linear unit",
        formula="x for x > 0, alpha * (exp(x) - 1) otherwise",
        expression=select(X, curve, curve, X),
        base="relu(x)",
        left=Line(Fraction(0), -alpha),
        right=IDENTITY,
        monotonic=True,
        counterpart=counterpart,
    )
