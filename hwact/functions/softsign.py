# SPDX-License-Identifier: Apache-2.0
"""Softsign."""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import absolute
from hwact.functions.shape import ODD, Line
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.softsign(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="softsign",
        summary="Softsign",
        formula="x / (1 + |x|)",
        expression=X / (1 + absolute(X)),
        symmetry=ODD,
        left=Line(Fraction(0), Fraction(-1)),
        right=Line(Fraction(0), Fraction(1)),
        monotonic=True,
        counterpart=counterpart,
    )
