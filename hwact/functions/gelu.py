# SPDX-License-Identifier: Apache-2.0
"""GELU, the form with the error function.

Hendrycks, Gimpel: Gaussian error linear units, arXiv 1606.08415. The form with tanh is
`gelu_tanh`; they differ by up to 4.73e-4.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import erfc, sqrt
from hwact.functions.shape import FLAT, IDENTITY, RECTIFIER
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.gelu(x, approximate="none")


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="gelu",
        summary="Gaussian error linear unit (erf form)",
        formula="x / 2 * (1 + erf(x / sqrt(2)))",
        expression=X * erfc(-X * sqrt(Fraction(1, 2))) / 2,
        base="relu(x)",
        symmetry=RECTIFIER,
        left=FLAT,
        right=IDENTITY,
        counterpart=counterpart,
    )
