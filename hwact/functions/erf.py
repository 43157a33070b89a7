# SPDX-License-Identifier: Apache-2.0
"""The error function."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import erf
from hwact.functions.shape import ODD, Line
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    import torch

    return torch.erf(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="erf",
        summary="Error function",
        formula="2 / sqrt(pi) * integral of exp(-t^2) from 0 to x",
        expression=erf(X),
        symmetry=ODD,
        left=Line(Fraction(0), Fraction(-1)),
        right=Line(Fraction(0), Fraction(1)),
        monotonic=True,
        counterpart=counterpart,
    )
