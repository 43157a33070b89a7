# SPDX-License-Identifier: Apache-2.0
"""ReLU6."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import clip
from hwact.functions.shape import FLAT, Line
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.relu6(x)


def define() -> FunctionSpec:
    """The function; its derivative is 0 at both kinks, as PyTorch's."""
    return FunctionSpec(
        name="relu6",
        summary="Rectified linear unit limited to 6",
        formula="min(max(x, 0), 6)",
        expression=clip(X, 0, 6),
        left=FLAT,
        right=Line(Fraction(0), Fraction(6)),
        monotonic=True,
        counterpart=counterpart,
    )
