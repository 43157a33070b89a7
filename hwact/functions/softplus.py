# SPDX-License-Identifier: Apache-2.0
"""Softplus, the smooth maximum of 0 and x. A larger beta is narrower."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import softplus
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(name="beta", doc="the steepness", default=Fraction(1), low=Fraction(0), open_low=True),
)


def counterpart(x: Any, beta: float) -> Any:
    """PyTorch's function; its linear part begins where the difference is below 1e-34."""
    from torch.nn import functional

    return functional.softplus(x, beta, threshold=80)


def define(beta: Fraction) -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="softplus",
        summary="Softplus",
        formula="log(1 + exp(beta * x)) / beta",
        expression=softplus(beta * X) / beta,
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        monotonic=True,
        counterpart=counterpart,
    )
