# SPDX-License-Identifier: Apache-2.0
"""Every function of the catalogue and its derivative once more, from the literature, for the tests.

Piecewise rational functions in `fractions.Fraction`, the others with mpmath; nothing of hwact is used.
At kinks the derivative is PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from mpmath import mp, mpf

Number = Any  # Fraction or mpf: mpmath is not typed
DIGITS = 60

# The fixed point of mean 0 and variance 1, https://arxiv.org/abs/1706.02515, in closed form with mpmath at 40
# digits: alpha = -sqrt(2/pi) / (erfc(sqrt(1/2)) exp(1/2) - 1); PyTorch prints 32 digits of both.
SELU_ALPHA = Fraction("1.6732632423543772848170429916717")
SELU_SCALE = Fraction("1.0507009873554804934193349852946")


def real(x: Fraction) -> Number:
    """A rational number as one of mpmath's."""
    return mpf(x.numerator) / x.denominator


def _clip(x: Fraction, low: Fraction | int, high: Fraction | int) -> Fraction:
    return min(max(x, Fraction(low)), Fraction(high))


def _smelu(x: Fraction, b: Fraction) -> Fraction:
    return max(x, Fraction(0)) + max(b - abs(x), Fraction(0)) ** 2 / (4 * b)


def _gsmelu(x: Fraction, a: Fraction, c: Fraction, left: Fraction, right: Fraction) -> Fraction:
    return left * x + (right - left) * _smelu(x - (c - a) / 2, (a + c) / 2)


RATIONAL: dict[str, tuple[Callable[..., Fraction], Callable[..., Fraction]]] = {
    "relu": (lambda x: max(x, Fraction(0)), lambda x: Fraction(x > 0)),
    "leaky_relu": (lambda x, s: x if x > 0 else s * x, lambda x, s: Fraction(1) if x > 0 else s),
    "prelu": (lambda x, s: x if x > 0 else s * x, lambda x, s: Fraction(1) if x > 0 else s),
    "relu6": (lambda x: _clip(x, 0, 6), lambda x: Fraction(0 < x < 6)),
    "smelu": (_smelu, lambda x, b: _clip((x + b) / (2 * b), 0, 1)),
    "gsmelu": (_gsmelu, lambda x, a, c, left, right: left + (right - left) * _clip((x + a) / (a + c), 0, 1)),
    "hardswish": (
        lambda x: x * _clip(x + 3, 0, 6) / 6,
        lambda x: Fraction(0) if x <= -3 else Fraction(1) if x >= 3 else (2 * x + 3) / 6,
    ),
    "hardsigmoid": (lambda x: _clip(x + 3, 0, 6) / 6, lambda x: Fraction(-3 < x < 3, 6)),
    "hardtanh": (_clip, lambda x, low, high: Fraction(low < x < high)),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
}


def _sigmoid(x: Number) -> Number:
    return 1 / (1 + mp.exp(-x))


def _swish_slope(x: Number, b: Number) -> Number:
    return _sigmoid(b * x) + b * x * _sigmoid(b * x) * _sigmoid(-b * x)


def _gate(x: Number) -> Number:
    return 2 * mp.sqrt(2 / mp.pi) * (x + mpf(44715) / 10**6 * x**3)


def _gate_slope(x: Number) -> Number:
    return 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mpf(44715) / 10**6 * x**2)


def _mish_slope(x: Number) -> Number:
    gate = mp.tanh(mp.log1p(mp.exp(x)))
    return gate + x * (1 - gate**2) * _sigmoid(x)


def _trelu_scale(s: Number) -> Number:
    return mp.sqrt(2 / (1 + s**2))


TRANSCENDENTAL: dict[str, tuple[Callable[..., Number], Callable[..., Number]]] = {
    "trelu": (
        lambda x, s: _trelu_scale(s) * (x if x > 0 else s * x),
        lambda x, s: _trelu_scale(s) * (1 if x > 0 else s),
    ),
    "gelu": (lambda x: x * mp.ncdf(x), lambda x: mp.ncdf(x) + x * mp.npdf(x)),
    "gelu_tanh": (
        lambda x: x * _sigmoid(_gate(x)),
        lambda x: _sigmoid(_gate(x)) + x * _gate_slope(x) * _sigmoid(_gate(x)) * _sigmoid(-_gate(x)),
    ),
    "swish": (lambda x, b: x * _sigmoid(b * x), _swish_slope),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _swish_slope(x, mpf(1))),
    "softplus": (lambda x, b: mp.log1p(mp.exp(b * x)) / b, lambda x, b: _sigmoid(b * x)),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "tanh": (mp.tanh, lambda x: mp.sech(x) ** 2),
    "elu": (lambda x, a: x if x > 0 else a * mp.expm1(x), lambda x, a: mpf(1) if x > 0 else a * mp.exp(x)),
    "selu": (
        lambda x: real(SELU_SCALE) * (x if x > 0 else real(SELU_ALPHA) * mp.expm1(x)),
        lambda x: real(SELU_SCALE) * (1 if x > 0 else real(SELU_ALPHA) * mp.exp(x)),
    ),
    "celu": (
        lambda x, a: x if x > 0 else a * mp.expm1(x / a),
        lambda x, a: mpf(1) if x > 0 else mp.exp(x / a),
    ),
    "mish": (lambda x: x * mp.tanh(mp.log1p(mp.exp(x))), _mish_slope),
    "exp": (mp.exp, mp.exp),
    "erf": (mp.erf, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-(x**2))),
}

# DESIGN's parameters and their defaults, in order.
DEFAULTS: dict[str, dict[str, Fraction]] = {
    "leaky_relu": {"negative_slope": Fraction(1, 100)},
    "prelu": {"weight": Fraction(1, 4)},
    "trelu": {"negative_slope": Fraction(0)},
    "smelu": {"beta": Fraction(1)},
    "gsmelu": {"alpha": Fraction(1), "beta": Fraction(1), "slope_neg": Fraction(0), "slope_pos": Fraction(1)},
    "hardtanh": {"min_val": Fraction(-1), "max_val": Fraction(1)},
    "swish": {"beta": Fraction(1)},
    "softplus": {"beta": Fraction(1)},
    "elu": {"alpha": Fraction(1)},
    "celu": {"alpha": Fraction(1)},
}
# One more set of parameters for each function that takes some.
OTHERS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": Fraction(-1, 3)},
    "prelu": {"weight": Fraction(3, 2)},
    "trelu": {"negative_slope": Fraction(3, 10)},
    "smelu": {"beta": Fraction(3, 10)},
    "gsmelu": {
        "alpha": Fraction(3, 2), "beta": Fraction(1, 3),
        "slope_neg": Fraction(-1, 10), "slope_pos": Fraction(5, 4),
    },
    "hardtanh": {"min_val": Fraction(-1, 3), "max_val": Fraction(5, 2)},
    "swish": {"beta": Fraction("1.702")},
    "softplus": {"beta": Fraction(5, 2)},
    "elu": {"alpha": Fraction(7, 10)},
    "celu": {"alpha": Fraction(3)},
}  # fmt: skip
NAMES = (*RATIONAL, *TRANSCENDENTAL)
CASES = list(product(NAMES, (False, True)))
CASE_IDS = [f"{name}{'_grad' * gradient}" for name, gradient in CASES]
POINTS = [Fraction(n, 16) for n in range(-160, 161)] + [Fraction(n, 7) for n in range(-70, 71, 3)]


def every_set(name: str) -> list[dict[str, Fraction]]:
    return [DEFAULTS.get(name, {})] + ([OTHERS[name]] if name in OTHERS else [])


def bound(gradient: bool | None = None) -> list[Any]:
    """Every function and gradient with its default and its other parameters."""
    chosen = [(name, g, p) for name, g in CASES for p in every_set(name) if gradient in (None, g)]
    ids = [f"{n}{'_grad' * g}{'_other' * (p is OTHERS.get(n))}" for n, g, p in chosen]
    return [pytest.param(*case, id=label) for case, label in zip(chosen, ids, strict=True)]


ALL, PLAIN = bound(), bound(gradient=False)


def value(name: str, gradient: bool, x: Fraction, parameters: dict[str, Fraction] | None = None) -> Number:
    """The function's value at x: a Fraction, or an mpf at mpmath's current precision."""
    chosen = (DEFAULTS.get(name, {}) if parameters is None else parameters).values()
    if name in RATIONAL:
        return RATIONAL[name][gradient](x, *chosen)
    return TRANSCENDENTAL[name][gradient](real(x), *map(real, chosen))


def floor_of(number: Number, bits: int) -> tuple[int, bool]:
    """``floor(number * 2**bits)`` and whether the number lies above it."""
    if isinstance(number, Fraction):
        scaled = number * Fraction(2) ** bits
        return scaled.numerator // scaled.denominator, scaled.denominator != 1
    scaled = mp.ldexp(number, bits)
    return int(mp.floor(scaled)), bool(mp.floor(scaled) != scaled)
