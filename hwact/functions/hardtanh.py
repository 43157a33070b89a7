# SPDX-License-Identifier: Apache-2.0
"""Hard tanh: x limited to a range."""

from fractions import Fraction
from typing import Any

from hwact.errors import ArgumentError
from hwact.functions.expr import X
from hwact.functions.primitives import clip
from hwact.functions.shape import ODD, Line
from hwact.functions.spec import FunctionSpec, Parameter

PARAMETERS = (
    Parameter(name="min_val", doc="the lower limit", default=Fraction(-1)),
    Parameter(name="max_val", doc="the upper limit, above min_val", default=Fraction(1)),
)


def counterpart(x: Any, min_val: float, max_val: float) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.hardtanh(x, min_val, max_val)


def define(min_val: Fraction, max_val: Fraction) -> FunctionSpec:
    """The function; its derivative is 0 at both kinks, as PyTorch's."""
    if min_val >= max_val:
        raise ArgumentError(
            f"max_val must be above min_val = {min_val}, not {str(max_val)!r}; swap them or widen the range"
        )
    symmetry = ODD if min_val == -max_val else None
    return FunctionSpec(
        name="hardtanh",
        summary="Hard tanh",
        formula="min(max(x, min_val), max_val)",
        expression=clip(X, min_val, max_val),
        symmetry=symmetry,
        left=Line(Fraction(0), min_val),
        right=Line(Fraction(0), max_val),
        monotonic=True,
        counterpart=counterpart,
    )
