# SPDX-License-Identifier: Apache-2.0
"""Hard sigmoid, PyTorch's form.

Courbariaux, Bengio, David: BinaryConnect, arXiv 1511.00363, with the slope 1/6 of MobileNetV3.
"""

from fractions import Fraction
from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import clip
from hwact.functions.shape import FLAT, Line, Symmetry
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.hardsigmoid(x)


def define() -> FunctionSpec:
    """The function; its derivative is 0 at both kinks, as PyTorch's."""
    return FunctionSpec(
        name="hardsigmoid",
        summary="Hard sigmoid",
        formula="min(max(x + 3, 0), 6) / 6",
        expression=clip(X + 3, 0, 6) / 6,
        symmetry=Symmetry(-1, Fraction(1)),
        left=FLAT,
        right=Line(Fraction(0), Fraction(1)),
        monotonic=True,
        counterpart=counterpart,
    )
