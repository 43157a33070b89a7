# SPDX-License-Identifier: Apache-2.0
"""Swish: x gated by its own sigmoid.

Ramachandran, Zoph, Le: Searching for activation functions, arXiv 1710.05941. A larger beta is
narrower; beta = 1 is `silu`.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import sigmoid
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(
        name="beta", doc="the steepness of the gate", default=Fraction(1), low=Fraction(0), open_low=True
    ),
)


def counterpart(x: Any, beta: float) -> Any:
    """As PyTorch users write it; `silu` is PyTorch's own for beta = 1."""
    import torch

    return x * torch.sigmoid(beta * x)


def define(beta: Fraction) -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="swish",
        summary="Swish",
        formula="x * sigmoid(beta * x)",
        expression=X * sigmoid(beta * X),
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        counterpart=counterpart,
    )
