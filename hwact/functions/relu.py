# SPDX-License-Identifier: Apache-2.0
"""ReLU."""

from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import relu
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    import torch

    return torch.relu(x)


def define() -> FunctionSpec:
    """The function; its derivative is 0 at the kink, as PyTorch's."""
    return FunctionSpec(
        name="relu",
        summary="Rectified linear unit",
        formula="max(x, 0)",
        expression=relu(X),
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        monotonic=True,
        counterpart=counterpart,
    )
