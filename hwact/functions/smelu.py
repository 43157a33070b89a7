# SPDX-License-Identifier: Apache-2.0
"""SmeLU, the smooth ReLU: slope 0 joined to slope 1 by a parabola.

Shamir, Lin, Coviello: Smooth activations and reproducibility in deep networks, arXiv 2010.09931.
A larger beta is wider. The derivative is ``clip((x + beta) / (2 beta), 0, 1)``.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(
        name="beta",
        doc="half the width of the transition",
        default=Fraction(1),
        low=Fraction(0),
        open_low=True,
    ),
)


def counterpart(x: Any, beta: float) -> Any:
    """The difference of two squared ReLUs: PyTorch has no such function."""
    import torch

    inside = (torch.relu(x + beta) - torch.relu(x - beta)) / (2 * beta)
    return beta * inside**2 + torch.relu(x - beta)


def define(beta: Fraction) -> FunctionSpec:
    """The function; it has no kink in its value or slope."""
    parabola = (X + beta) ** 2 / (4 * beta)
    return FunctionSpec(
        name="smelu",
        summary="Smooth ReLU",
        formula="0 for x <= -beta, (x + beta)^2 / (4 beta) for |x| < beta, x for x >= beta",
        expression=select(X + beta, 0, 0, select(X - beta, parabola, X, X)),
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        monotonic=True,
        counterpart=counterpart,
    )
