# SPDX-License-Identifier: Apache-2.0
"""SELU: ELU with the two constants that make unit Gaussians a fixed point.

Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks, arXiv 1706.02515. The
decimals are those of PyTorch's documentation of ``torch.nn.SELU``, taken as exact.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X, select
from hwact.functions.primitives import expm1
from hwact.functions.shape import Line
from hwact.functions.spec import FunctionSpec

ALPHA = Fraction("1.6732632423543772848170429916717")
SCALE = Fraction("1.0507009873554804934193349852946")


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.selu(x)


def define() -> FunctionSpec:
    """The function; its derivative at 0 is ``scale * alpha``, as PyTorch's."""
    curve = SCALE * ALPHA * expm1(X)
    return FunctionSpec(
        name="selu",
        summary="Scaled exponential linear unit",
        formula="scale * (x for x > 0, alpha * (exp(x) - 1) otherwise)",
        expression=select(X, curve, curve, SCALE * X),
        left=Line(Fraction(0), -SCALE * ALPHA),
        right=Line(SCALE),
        monotonic=True,
        counterpart=counterpart,
    )
