# SPDX-License-Identifier: Apache-2.0
"""Parametric ReLU: leaky ReLU whose slope is learned."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.shape import IDENTITY, Line, Symmetry
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (Parameter(name="weight", doc="the learned slope for x < 0", default=Fraction(1, 4)),)


def counterpart(x: Any, weight: float) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.prelu(x, x.new_tensor([weight]))


def define(weight: Fraction) -> FunctionSpec:
    """The function; its derivative is ``weight`` at the kink, as PyTorch's."""
    return FunctionSpec(
        name="prelu",
        summary="Parametric rectified linear unit",
        formula="x for x > 0, weight * x otherwise",
        expression=select(X, weight * X, weight * X, X),
        base="relu(x)",
        symmetry=Symmetry(1, Fraction(0), -(1 + weight)),
        left=Line(weight),
        right=IDENTITY,
        monotonic=weight >= 0,
        counterpart=counterpart,
    )
