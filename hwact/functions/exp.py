# SPDX-License-Identifier: Apache-2.0
"""The exponential function."""

from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import exp
from hwact.functions.shape import FLAT
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    import torch

    return torch.exp(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="exp",
        summary="Exponential",
        formula="exp(x)",
        expression=exp(X),
        left=FLAT,
        monotonic=True,
        counterpart=counterpart,
    )
