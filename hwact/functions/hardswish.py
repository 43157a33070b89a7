# SPDX-License-Identifier: Apache-2.0
"""Hard Swish: x gated by a hard sigmoid.

Howard et al.: Searching for MobileNetV3, arXiv 1905.02244.
"""

from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.hardswish(x)


def define() -> FunctionSpec:
    """The function; its derivative is 0 at -3 and 1 at 3, as PyTorch's."""
    return FunctionSpec(
        name="hardswish",
        summary="Hard Swish",
        formula="x * min(max(x + 3, 0), 6) / 6",
        expression=select(X + 3, 0, 0, select(X - 3, X * (X + 3) / 6, X, X)),
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        counterpart=counterpart,
    )
