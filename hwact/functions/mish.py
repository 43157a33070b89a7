# SPDX-License-Identifier: Apache-2.0
"""Mish: x gated by tanh(softplus(x)).

Misra: Mish: a self regularized non-monotonic activation function, arXiv 1908.08681. Its difference
to ReLU is not even.
"""

from typing import Any

from hwact.functions.expr import X
from hwact.functions.primitives import softplus_gate
from hwact.functions.shape import FLAT, IDENTITY
from hwact.functions.spec import FunctionSpec


def counterpart(x: Any) -> Any:
    """PyTorch's function."""
    from torch.nn import functional

    return functional.mish(x)


def define() -> FunctionSpec:
    """The function."""
    return FunctionSpec(
        name="mish",
        summary="Mish",
        formula="x * tanh(log(1 + exp(x)))",
        expression=X * softplus_gate(X),
        base="relu(x)",
        left=FLAT,
        right=IDENTITY,
        counterpart=counterpart,
    )
