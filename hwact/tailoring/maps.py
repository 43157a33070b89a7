# SPDX-License-Identifier: Apache-2.0
"""Local Q and C maps: what an activation does to the second moment and the correlation of its inputs.

For two unit Gaussians of correlation c, ``C(c) = sum a_k^2 c^k / sum a_k^2`` with the Hermite coefficients
``a_k = E[f(z) h_k(z)]``. For piecewise polynomials, staircases among them, the coefficients follow in closed
form from the jumps of f and its derivatives. The weight that lies beyond the last coefficient is counted at
its power of c, so the error of C(c) is between 0 and ``rest * c^count``, and C(1) is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwact.errors import ArgumentError
from hwact.formats import Overflow, Rounding
from hwact.functions.expr import Floats, X
from hwact.functions.primitives import erf
from hwact.functions.spec import FunctionSpec
from hwact.unit import Unit

FAR = 38.0  # the density of a unit Gaussian is below 1e-313 there
COUNT = 512
LocalMap = Callable[[float, Floats], tuple[float, Floats]]
"""Second moment q of the input and correlations c -> the same of the output."""

_STEP = 0.05  # of the trapezoidal rule, whose error falls as exp(-2 pi * distance of poles / step)
_NODES = np.arange(-12.0, 12.0 + _STEP / 2, _STEP)
_ERF = erf(X)


def density(z: Floats) -> Floats:
    """Of a unit Gaussian."""
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


NODES, WEIGHTS = _NODES, density(_NODES) * _STEP
"""Quadrature for smooth functions of a unit Gaussian: ``E[f(z)] = WEIGHTS @ f(NODES)``."""


@dataclass(frozen=True)
class Pieces:
    """Polynomials in z side by side.

    Parameters
    ----------
    cuts : float64, shape (..., n - 1)
        Where one ends and the next begins, ascending.
    coefficients : float64, shape (..., n, degree + 1)
        From the constant upwards.
    """

    cuts: Floats
    coefficients: Floats

    @classmethod
    def of(cls, function: FunctionSpec) -> Pieces | None:
        """The pieces of a function, or None where it is not piecewise polynomial."""
        pieces = function.piecewise_polynomial()
        if pieces is None:
            return None
        pieces = tuple(p for p in pieces if p.low is None or p.low != p.high)
        size = max(len(piece.coefficients) for piece in pieces)
        rows = [[*map(float, p.coefficients)] + [0.0] * (size - len(p.coefficients)) for p in pieces]
        return cls(np.array([float(p.high) for p in pieces[:-1] if p.high is not None]), np.array(rows))

    def of_line(self, alpha: Floats, beta: Floats) -> Pieces:
        """The pieces of ``f(alpha z + beta)``, for alpha above 0; both of one shape."""
        alpha, beta = np.asarray(alpha)[..., None], np.asarray(beta)[..., None]
        size = self.coefficients.shape[-1]
        result = np.zeros((*alpha.shape[:-1], len(self.coefficients), size))
        for coefficient in self.coefficients.T[::-1]:
            shifted = np.roll(result, 1, axis=-1) * alpha[..., None]
            result = shifted + result * beta[..., None]
            result[..., 0] += coefficient
        return Pieces((self.cuts - beta) / alpha, result)

    def diff(self) -> Pieces:
        """The derivative, without what jumps contribute."""
        return Pieces(self.cuts, self.coefficients[..., 1:] * np.arange(1.0, self.coefficients.shape[-1]))

    def __mul__(self, other: Pieces) -> Pieces:
        left, right = self.coefficients, other.coefficients
        result = np.zeros((*left.shape[:-1], left.shape[-1] + right.shape[-1] - 1))
        for power in range(right.shape[-1]):
            result[..., power : power + left.shape[-1]] += left * right[..., power, None]
        return Pieces(self.cuts, result)

    def jumps(self) -> Floats:
        """How far the function jumps up at each cut."""
        value = np.zeros_like(self.cuts)
        for coefficient in np.moveaxis(np.diff(self.coefficients, axis=-2), -1, 0)[::-1]:
            value = value * self.cuts + coefficient
        return value

    def mean(self) -> Floats:
        """The expectation under a unit Gaussian, in closed form."""
        size, shape = self.coefficients.shape[-1], (*self.cuts.shape[:-1], 1)
        ends = np.concatenate([np.full(shape, -FAR), np.clip(self.cuts, -FAR, FAR), np.full(shape, FAR)], -1)
        at_ends = density(ends)
        moments = [np.diff(_ERF.array(ends / math.sqrt(2)), axis=-1) / 2]
        for power in range(1, size):
            moment = -np.diff(ends ** (power - 1) * at_ends, axis=-1)
            moments.append(moment + (power - 1) * moments[power - 2] if power > 1 else moment)
        result: Floats = (self.coefficients * np.stack(moments[:size], axis=-1)).sum(axis=(-2, -1))
        return result


@dataclass(frozen=True)
class Kernel:
    """Second moment of a function of a unit Gaussian, and the squares of its Hermite coefficients."""

    second_moment: float
    squares: Floats

    @property
    def rest(self) -> float:
        """The weight of the coefficients left out, relative to the second moment."""
        return max(0.0, 1 - float(self.squares.sum()) / self.second_moment)

    def correlation(self, c: Floats) -> Floats:
        """C(c), any shape; between 0 and ``rest * |c|^count`` from the exact one, for c of 0 to 1."""
        scaled = self.squares / self.second_moment
        result = np.full_like(c, self.rest)
        for square in scaled[::-1]:
            result = result * c + square
        return result


def kernel_of_pieces(pieces: Pieces, count: int = COUNT) -> Kernel:
    """Of a piecewise polynomial or a staircase, in closed form."""
    order = pieces.coefficients.shape[-1]
    derivatives = [pieces]
    while len(derivatives) < order:
        derivatives.append(derivatives[-1].diff())
    jumps = np.stack([d.jumps() for d in derivatives])
    sums = np.array([jumps @ g for g in _hermite_functions(pieces.cuts, count)])
    above = np.zeros(count)
    for index in range(order - 1, -1, -1):
        here = np.empty(count)
        here[0] = derivatives[index].mean()
        here[1:] = (sums[:-1, index] + above[:-1]) / np.sqrt(np.arange(1, count))
        above = here
    return Kernel(float((pieces * pieces).mean()), above**2)


def _hermite_functions(z: Floats, count: int) -> list[Floats]:
    """Normalised Hermite polynomials times the density, by the recursion over their order."""
    before, here = np.zeros_like(z), density(z)
    rows = []
    for order in range(count):
        rows.append(here)
        before, here = here, (z * here - math.sqrt(order) * before) / math.sqrt(order + 1)
    return rows


def kernel_of_smooth(function: Callable[[Floats], Floats], count: int = 128) -> Kernel:
    """Of an analytic function, by quadrature; relative error about 1e-13."""
    values = function(NODES)
    coefficients = np.array([g @ values for g in _hermite_functions(NODES, count)]) * _STEP
    return Kernel(float(WEIGHTS @ values**2), coefficients**2)


def staircase(unit: Unit) -> Pieces:
    """The function of real numbers that a bit-exact unit is, rounding of its inputs included."""
    if unit.spec.overflow is not Overflow.SATURATE:
        raise ArgumentError(
            f"overflow must be saturate for Q and C maps, not {str(unit.spec.overflow)!r}; build it so"
        )
    upper = (unit.input_format.codes()[1:] - unit.input_format.zero_point).astype(np.float64)
    if unit.spec.rounding is Rounding.TOWARD_ZERO:
        upper -= upper <= 0
    elif unit.spec.rounding is not Rounding.FLOOR:
        upper -= 0.5
    levels = unit.output_format.values(unit.design.codes)
    cuts = upper * float(unit.input_format.ulp)
    changes = np.flatnonzero(np.diff(levels))
    return Pieces(cuts[changes], levels[np.concatenate([[0], changes + 1])][:, None])


def local_map(function: FunctionSpec | Unit) -> LocalMap:
    """The local Q and C maps of a function, or of a bit-exact unit.

    Smooth functions are integrated numerically; piecewise polynomials and units have closed forms.
    Where the second moment fades or grows by more than 1e9, both maps are NaN from there on.
    """
    pieces = staircase(function) if isinstance(function, Unit) else Pieces.of(function)
    if pieces is None:
        assert isinstance(function, FunctionSpec)
        check_smooth(function)
    known: dict[float, Kernel] = {}  # at a fixed point of Q every layer asks for the same

    def kernel(q: float) -> Kernel:
        scale = math.sqrt(q)
        if pieces is not None:
            return kernel_of_pieces(pieces.of_line(np.array(scale), np.array(0.0)))
        assert isinstance(function, FunctionSpec)
        return kernel_of_smooth(lambda z: function.float_form(scale * z))

    def apply(q: float, c: Floats) -> tuple[float, Floats]:
        if not 1e-9 < q < 1e9:  # faded or blown up: nothing can be said further on
            return math.nan, np.full_like(c, math.nan)
        key = float(f"{q:.12g}")
        if key not in known:
            known[key] = kernel(key)
        return known[key].second_moment, known[key].correlation(c)

    return apply


def check_smooth(function: FunctionSpec) -> None:
    """Refuse functions with kinks that are no piecewise polynomials: quadrature would be wrong there."""
    if function.kinks:
        raise ArgumentError(
            f"the function must be smooth or a piecewise polynomial, not {function.formula!r}; "
            "take tanh, softplus, swish, gelu, smelu or another without kinks"
        )


def rectifier_map(slope: float) -> LocalMap:
    """The maps of leaky ReLU with output scale ``sqrt(2 / (1 + slope^2))``, in closed form."""
    factor = (1 - slope) ** 2 / (1 + slope**2) / math.pi

    def apply(q: float, c: Floats) -> tuple[float, Floats]:
        inside = np.clip(c, -1.0, 1.0)
        return q, c + factor * (np.sqrt(1 - inside**2) - inside * np.arccos(inside))

    return apply
