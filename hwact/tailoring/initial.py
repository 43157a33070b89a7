# SPDX-License-Identifier: Apache-2.0
"""How to draw weights and biases for a function as it is, from its Q map at 1."""

from __future__ import annotations

from hwact.errors import ArgumentError
from hwact.functions.spec import FunctionSpec
from hwact.tailoring.maps import NODES, WEIGHTS, Pieces, check_smooth


def he(function: FunctionSpec) -> float:
    """The variance of weights, times the number of inputs, that keeps the second moment at 1; 2 for ReLU."""
    return 1 / _squares(function)[0]


def edge_of_chaos(function: FunctionSpec) -> tuple[float, float]:
    """Variances of weights, times the number of inputs, and of biases, at the edge of chaos with q = 1.

    The second moment stays at 1, and so does the slope of the C map there.

    Raises
    ------
    ArgumentError
        The function has none at q = 1: its biases would need a variance below 0.
    """
    square, slope_squared = _squares(function)
    bias = 1 - square / slope_squared
    if bias < -1e-12:
        raise ArgumentError(
            f"the function must have an edge of chaos at q = 1, not {function.formula!r}, whose biases would "
            f"need the variance {bias:.6f}; tailor it"
        )
    return 1 / slope_squared, max(0.0, bias)


def _squares(function: FunctionSpec) -> tuple[float, float]:
    """The means of f^2 and f'^2 under a unit Gaussian."""
    pieces = Pieces.of(function)
    if pieces is not None:
        slope = pieces.diff()
        return float((pieces * pieces).mean()), float((slope * slope).mean())
    check_smooth(function)
    expressions = function.expression, function.expression.diff()
    values, slopes = (float(WEIGHTS @ expression.array(NODES) ** 2) for expression in expressions)
    return values, slopes
