# SPDX-License-Identifier: Apache-2.0
"""The approximation of GELU by tanh, a function of its own.

Hendrycks, Gimpel: Gaussian error linear units, arXiv 1606.08415. It differs from `gelu` by up to
4.73e-4. With ``(1 + tanh(z)) / 2 = sigmoid(2 z)`` it loses nothing where it is small.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import PI, X
from hwact.functions.primitives import sigmoid, sqrt
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.gelu(x, approximate="tanh")


def define() -> FunctionSpec:
    """The function."""
    inner = 2 * sqrt(2 / PI) * (X + Fraction(44715, 1000000) * X**3)
    return FunctionSpec(
        name="gelu_tanh",
        summary="Gaussian error linear unit (tanh form)",
        formula="x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))",
        expression=X * sigmoid(inner),
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        counterpart=counterpart,
    )
