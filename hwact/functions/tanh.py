# SPDX-License-Identifier: Apache-2.0
"""Hyperbolic tangent."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import tanh
from hwact.functions.shape import ODD, Line
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    import torch

    return torch.tanh(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="tanh",
        summary="Hyperbolic tangent",
        formula="tanh(x)",
        expression=tanh(X),
        symmetry=ODD,
        left=Line(Fraction(0), Fraction(-1)),
        right=Line(Fraction(0), Fraction(1)),
        monotonic=True,
        counterpart=counterpart,
    )
