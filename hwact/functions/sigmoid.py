# SPDX-License-Identifier: Apache-2.0
"""The logistic sigmoid."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import sigmoid
from hwact.functions.shape import FLAT, Line, Symmetry
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    import torch

    return torch.sigmoid(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="sigmoid",
        summary="Logistic sigmoid",
        formula="1 / (1 + exp(-x))",
        expression=sigmoid(X),
        symmetry=Symmetry(-1, Fraction(1)),
        left=FLAT,
        right=Line(Fraction(0), Fraction(1)),
        monotonic=True,
        counterpart=counterpart,
    )
