# SPDX-License-Identifier: Apache-2.0
"""SiLU: Swish with beta = 1."""

from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import sigmoid
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.silu(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="silu",
        summary="Sigmoid linear unit",
        formula="x * sigmoid(x)",
        expression=X * sigmoid(X),
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        counterpart=counterpart,
    )
