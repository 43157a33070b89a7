# SPDX-License-Identifier: Apache-2.0
"""Activations tailored to a network, so that it trains at its depth without shortcuts.

DKS: Martens et al., Rapid training of deep neural networks without skip connections or normalization
layers using deep kernel shaping, arXiv 2110.01765. TAT: Zhang, Botev, Martens, Deep learning without
shortcuts: shaping the kernel with tailored rectifiers, ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from hwact import functions
from hwact.errors import ArgumentError
from hwact.functions.expr import Expr, Floats
from hwact.functions.spec import FunctionSpec
from hwact.tailoring.maps import NODES, WEIGHTS, LocalMap, Pieces, check_smooth, local_map, rectifier_map
from hwact.tailoring.networks import Network
from hwact.tailoring.rounding import signed_digits

_OFFSETS = np.linspace(-6.0, 6.0, 121)
_SCALES = 1e-3 * 2.0 ** np.arange(0, 14)  # up to 8
_TOLERANCE = 1e-9  # of scale and offset; rounding errors let the last steps be about 1e-12


@dataclass(frozen=True)
class Rectifier:
    """A tailored leaky ReLU (TReLU), ``sqrt(2 / (1 + slope^2)) * leaky_relu(x, slope)``."""

    slope: Fraction

    @property
    def arguments(self) -> dict[str, str]:
        """What `hwact.build` takes."""
        return {"function": "trelu", "negative_slope": str(self.slope)}

    @property
    def constants(self) -> dict[str, float]:
        """By their names in the literature."""
        slope = float(self.slope)
        return {"alpha": slope, "scale": math.sqrt(2 / (1 + slope**2))}

    @property
    def local(self) -> LocalMap:
        """The local Q and C maps."""
        return rectifier_map(float(self.slope))

    def rounded(self, digits: int) -> Rectifier:
        """The slope to so many signed digits."""
        return Rectifier(signed_digits(self.slope, digits))


@dataclass(frozen=True)
class Shaped:
    """A tailored smooth activation, ``gamma * (base(alpha * x + beta) + delta)``."""

    base: str
    alpha: Fraction
    beta: Fraction
    delta: Fraction
    gamma: Fraction

    @cached_property
    def expression(self) -> str:
        """The formula with its constants inside, as `hwact.build` takes it."""
        alpha, beta, delta, gamma = (_decimal(v) for v in (self.alpha, self.beta, self.delta, self.gamma))
        return f"{gamma}*({self.base}({alpha}*x + {beta}) + {delta})"

    @property
    def arguments(self) -> dict[str, str]:
        """What `hwact.build` takes."""
        return {"expression": self.expression, "name": f"tailored_{self.base}"}

    @property
    def constants(self) -> dict[str, float]:
        """By their names in the literature."""
        names = ("alpha", "beta", "delta", "gamma")
        return {name: float(getattr(self, name)) for name in names}

    @property
    def local(self) -> LocalMap:
        """The local Q and C maps."""
        return local_map(functions.from_expression(self.expression))

    def rounded(self, digits: int) -> Shaped:
        """All four constants to so many signed digits."""
        values = (self.alpha, self.beta, self.delta, self.gamma)
        return Shaped(self.base, *(signed_digits(value, digits) for value in values))


Tailored = Rectifier | Shaped


def _decimal(value: Fraction) -> str:
    """The shortest text: exact for dyadic numbers of few digits and for decimals."""
    return f"({float(value)!r})" if value < 0 else repr(float(value))


def tailored_rectifier(network: Network, eta: float = 0.9) -> Rectifier:
    """TAT for leaky ReLU: the slope of 0 to 1 for which the largest C_f(0) of all subnetworks f is eta.

    Raises
    ------
    ArgumentError
        No slope reaches eta; the message says what is reachable.
    """

    def reached(slope: float) -> float:
        local = rectifier_map(slope)
        return network.peak(0.0, lambda c: float(local(1.0, np.asarray(c))[1]))

    highest = reached(0.0)
    if not 0 <= eta <= highest:
        raise ArgumentError(
            f"eta must be at least 0 and at most {math.floor(highest * 1e6) / 1e6}, what ReLU itself "
            f"reaches in this network, not {eta!r}; choose one in this range or a deeper network"
        )
    return Rectifier(Fraction(repr(_bisected(lambda slope: reached(slope) > eta, 0.0, 1.0))))


def _bisected(below: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds at ``low`` and not at ``high`` ends, to 15 digits."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return round((low + high) / 2, 15)


def tat(base: str, network: Network, tau: float = 0.3) -> Shaped:
    """TAT for a smooth function: Q(1) = Q'(1) = C'(1) = 1 and the largest C_f''(1) of all subnetworks is tau.

    Parameters
    ----------
    base : str
        A smooth function of formulas, such as tanh, softplus or smelu.
    tau : float
        Above 0; ICLR 2022 has 0.3.
    """
    _above("tau", tau, 0)
    curvature = tau / network.peak(0.0, lambda total: total + 1)

    def residuals(means: _Means) -> tuple[Floats, Floats]:
        inner = means.scale**2 * means.second_squared - curvature * means.first_squared
        delta = -means.cross / means.second
        spread = means.square + 2 * delta * means.value + delta**2
        return inner, (spread - means.scale**2 * means.first_squared) * means.second**2

    return _solved(base, residuals, lambda means: -means.cross / means.second, f"tau={tau!r}")


def dks(base: str, network: Network, zeta: float = 1.5) -> Shaped:
    """DKS: Q(1) = Q'(1) = 1, C(0) = 0, and the largest C_f'(1) of all subnetworks is zeta (above 1)."""
    _above("zeta", zeta, 1)

    def below(slope: float) -> bool:
        return network.peak(1.0, lambda total: min(total * slope, 1e100)) < zeta

    slope = _bisected(below, 1.0, zeta**2 + 1)

    def residuals(means: _Means) -> tuple[Floats, Floats]:
        variance = means.square - means.value**2
        first = means.scale**2 * means.first_squared
        growth = first + means.scale**2 * (means.cross - means.value * means.second)
        return first - slope * variance, growth - variance

    return _solved(base, residuals, lambda means: -means.value, f"zeta={zeta!r}")


def _above(name: str, value: float, least: float) -> None:
    if not least < value < math.inf:
        raise ArgumentError(f"{name} must be a finite number above {least}, not {value!r}")


@dataclass(frozen=True)
class _Means:
    """Expectations over u = scale z + offset, arrays of one shape: of f, f^2, f'^2, f'', f''^2 and f f''."""

    scale: Floats
    value: Floats
    square: Floats
    first_squared: Floats
    second: Floats
    second_squared: Floats
    cross: Floats


def _means_of(function: FunctionSpec) -> Callable[[Floats, Floats], _Means]:
    """The expectations as a function of scale and offset; piecewise polynomials in closed form."""
    pieces = Pieces.of(function)
    if pieces is not None:
        first, second = pieces.diff(), pieces.diff().diff()
        if second.coefficients.shape[-1] == 0 or max(*np.abs(pieces.jumps()), *np.abs(first.jumps())) > 1e-9:
            raise ArgumentError(
                f"the function must bend and have no kink, not {function.formula!r}; take smelu, or trelu "
                "with its tailored slope"
            )
        trio = pieces, first, second

        def closed(scale: Floats, offset: Floats) -> _Means:
            p, d, s = (part.of_line(scale, offset) for part in trio)
            pairs = (p, p * p, d * d, s, s * s, p * s)
            return _Means(scale, *(pair.mean() for pair in pairs))

        return closed
    check_smooth(function)
    expressions: list[Expr] = [function.expression, function.expression.diff()]
    expressions.append(expressions[1].diff())

    def integrated(scale: Floats, offset: Floats) -> _Means:
        points = np.multiply.outer(scale, NODES) + np.asarray(offset)[..., None]
        p, d, s = (expression.array(points) for expression in expressions)
        return _Means(scale, *(values @ WEIGHTS for values in (p, p * p, d * d, s, s * s, p * s)))

    return integrated


def _solved(
    base: str,
    residuals: Callable[[_Means], tuple[Floats, Floats]],
    shift: Callable[[_Means], Floats],
    asked: str,
) -> Shaped:
    """The solution of least offset, of mirrored ones that with offset at least 0."""
    means = _means_of(functions.from_expression(f"{base}(x)"))

    def both(scale: Floats, offset: Floats) -> tuple[Floats, Floats]:
        with np.errstate(all="ignore"):
            return residuals(means(scale, offset))

    scales = _smallest_scales(lambda scale: both(scale, _OFFSETS)[0])
    outer = both(scales, _OFFSETS)[1]
    found = []
    for index in np.flatnonzero(outer[:-1] * outer[1:] < 0):
        middle = [math.log(scales[index : index + 2].mean()), _OFFSETS[index : index + 2].mean()]
        root = _newton(both, np.array(middle))
        if root is None:
            continue
        at = means(*root)
        delta = shift(at)
        gamma = 1 / math.sqrt(float(at.square + 2 * delta * at.value + delta**2))
        if root[0] > 0 and math.isfinite(gamma):
            found.append((*map(float, root), float(delta), gamma))
    if not found:
        raise ArgumentError(
            f"the function must have a tailored form for {asked} in this network, not {base!r}, which has "
            "none with scale up to 8 and offset of -6 to 6; choose a smaller value or another function"
        )
    least = min(found, key=lambda constants: (round(abs(constants[1]), 6), -constants[1]))
    return Shaped(base, *(Fraction(f"{value:.13g}") for value in least))


def _smallest_scales(inner: Callable[[Floats], Floats]) -> Floats:
    """For each offset the smallest scale where the inner condition holds; NaN where none was found."""
    low = np.full(_OFFSETS.shape, np.nan)
    for scale in _SCALES[::-1]:  # the last one that is written is the smallest bracket
        here = np.full(_OFFSETS.shape, scale)
        low = np.where((inner(here) < 0) & (inner(2 * here) > 0), here, low)
    high = 2 * low
    for _ in range(24):
        middle = (low + high) / 2
        under = inner(middle) < 0
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return low


def _newton(both: Callable[[Floats, Floats], tuple[Floats, Floats]], point: Floats) -> Floats | None:
    """Scale and offset from a guess (log scale, offset), or None where it does not converge."""
    step, move = 1e-5, np.array([math.inf])
    for _ in range(20):
        around = point + step * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        values = np.stack(both(np.exp(around[:, 0]), around[:, 1]))
        jacobian = np.stack([values[:, 1] - values[:, 2], values[:, 3] - values[:, 4]], axis=1) / (2 * step)
        if not np.isfinite(jacobian).all() or abs(np.linalg.det(jacobian)) < 1e-300:
            return None
        move = np.linalg.solve(jacobian, values[:, 0])
        point = point - np.clip(move, -0.1, 0.1)
    return np.array([math.exp(point[0]), point[1]]) if abs(move).max() < _TOLERANCE else None
