# SPDX-License-Identifier: Apache-2.0
"""The elementary functions that expressions are made of, and the common ones built from them.

``erfcx(u) = exp(u^2) erfc(u)`` and its kin are what `Primitive.factor` splits off, so that signs
can be proven where the function itself is smaller than any enclosure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from hwact.functions.expr import ONE, PI, ZERO, Const, Expr, Floats, Number, select, wrap

_HALF = Fraction(1, 2)

Maker = Callable[[Expr | Number], Expr]


@dataclass(frozen=True)
class Primitive:
    """An elementary function: its evaluations and the facts that proofs in the tails use.

    Parameters
    ----------
    name : str
    ball, series, array : callable
        Evaluation on ``arb``, ``arb_series`` and float64 arrays.
    tensor : callable
        Takes the module ``torch`` and a tensor.
    diff : callable
        The argument u as an expression -> the derivative with respect to u.
    monotone : bool
        Over a wide ball the two end points then enclose the function.
    sign : int or None
        +1: positive everywhere; 0: odd and increasing, so it has its argument's sign; None: neither.
    far : callable, optional
        u -> (p, r) with f(u) = p + r for every u and r small where u is large and positive.
    near : callable, optional
        The same for u large and negative.
    factor : callable, optional
        u -> (exponent, rest) with f(u) = exp(exponent) * rest, the rest tame where f is tiny.
    special : tuple, optional
        Rational pairs (u, f(u)).
    """

    name: str
    ball: Callable[[Any], Any]
    series: Callable[[Any], Any]
    array: Callable[[Floats], Floats]
    tensor: Callable[[Any, Any], Any]
    diff: Callable[[Expr], Expr]
    monotone: bool = False
    sign: int | None = None
    far: Callable[[Expr], tuple[Expr, Expr]] | None = None
    near: Callable[[Expr], tuple[Expr, Expr]] | None = None
    factor: Callable[[Expr], tuple[Expr, Expr]] | None = None
    special: tuple[tuple[Fraction, Fraction], ...] = ()


@dataclass(frozen=True)
class Call(Expr):
    """A primitive applied to an expression."""

    name: str
    argument: Expr
    primitive: Primitive = field(compare=False, repr=False)

    def ball(self, x: Any) -> Any:
        u = self.argument.ball(x)
        if not self.primitive.monotone or u.is_exact() or not u.is_finite():
            return self.primitive.ball(u)
        return self.primitive.ball(u.lower()).union(self.primitive.ball(u.upper()))

    def series(self, x: Any) -> Any:
        return self.primitive.series(self.argument.series(x))

    def array(self, x: Floats) -> Floats:
        return self.primitive.array(self.argument.array(x))

    def tensor(self, x: Any) -> Any:
        import torch

        return self.primitive.tensor(torch, self.argument.tensor(x))

    def diff(self) -> Expr:
        inner = self.argument.diff()
        return ZERO if inner == ZERO else inner * self.primitive.diff(self.argument)

    def children(self) -> tuple[Expr, ...]:
        return (self.argument,)

    def rebuild(self, *children: Expr) -> Expr:
        return Call(self.name, children[0], self.primitive)

    def squared(self) -> Expr | None:
        return self.argument if self.name == "sqrt" and isinstance(self.argument, Const) else None


def _maker(name: str) -> Maker:
    def make(argument: Expr | Number) -> Expr:
        primitive, argument = _TABLE[name], wrap(argument)
        if isinstance(argument, Const):
            value = dict(primitive.special).get(argument.value)
            if value is not None:
                return Const(value)
        return Call(name, argument, primitive)

    make.__name__ = name
    make.__doc__ = f"The expression ``{name}(argument)``."
    return make


exp: Maker = _maker("exp")
expm1: Maker = _maker("expm1")
log: Maker = _maker("log")
log1p: Maker = _maker("log1p")
sqrt: Maker = _maker("sqrt")
sin: Maker = _maker("sin")
cos: Maker = _maker("cos")
atan: Maker = _maker("atan")
sinh: Maker = _maker("sinh")
cosh: Maker = _maker("cosh")
tanh: Maker = _maker("tanh")
sigmoid: Maker = _maker("sigmoid")
softplus: Maker = _maker("softplus")
softplus_gate: Maker = _maker("softplus_gate")
erf: Maker = _maker("erf")
erfc: Maker = _maker("erfc")
erfcx: Maker = _maker("erfcx")


def _scalar(function: Any, u: Floats) -> Floats:
    """A function of Python floats on an array."""
    return np.asarray(np.frompyfunc(function, 1, 1)(u), dtype=np.float64)


def _sigmoid_array(u: Floats) -> Floats:
    small = np.exp(-np.abs(u))
    return np.where(u >= 0, 1.0, small) / (1.0 + small)


def _softplus_array(u: Floats) -> Floats:
    return np.maximum(u, 0.0) + np.log1p(np.exp(-np.abs(u)))


def _gate_array(u: Floats) -> Floats:
    small = np.exp(-np.abs(u))
    top = np.where(u > 0, 1 + 2 * small, small * (small + 2))
    return top / (top + np.where(u > 0, 2 * small**2, 2.0))


def _gate_ball(u: Any) -> Any:
    grown = u.exp()
    top = grown * (grown + 2)
    return 1 / (1 + 2 / top)


def _gate_series(u: Any) -> Any:
    grown = u.exp()
    return 1 - 2 / (grown * (grown + 2) + 2)


def _gate_rest(u: Expr) -> Expr:
    grown = exp(u)
    return (grown + 2) / (grown * (grown + 2) + 2)


def _gate_slope(u: Expr) -> Expr:
    plus = softplus(u)
    return 4 * sigmoid(2 * plus) * sigmoid(-2 * plus) * sigmoid(u)


def _tanh_series(u: Any) -> Any:
    return 1 - 2 / ((2 * u).exp() + 1)


def _primitive(name: str, **facts: Any) -> Primitive:
    """A primitive whose evaluations default to the methods and functions of its own name."""
    facts.setdefault("ball", lambda u: getattr(u, name)())
    facts.setdefault("series", lambda u: getattr(u, name)())
    facts.setdefault("array", getattr(np, name, None) or (lambda u: _scalar(getattr(math, name), u)))
    facts.setdefault("tensor", lambda torch, u: getattr(torch, name)(u))
    facts["special"] = tuple((Fraction(u), Fraction(y)) for u, y in facts.get("special", ()))
    return Primitive(name=name, **facts)


_TABLE = {
    p.name: p
    for p in (
        _primitive("exp", diff=lambda u: exp(u), monotone=True, sign=1, special=[(0, 1)],
                   factor=lambda u: (u, ONE)),
        _primitive("expm1", diff=lambda u: exp(u), monotone=True, sign=0, special=[(0, 0)],
                   series=lambda u: u.exp() - 1, near=lambda u: (-ONE, exp(u))),
        _primitive("log", diff=lambda u: 1 / u, monotone=True, special=[(1, 0)]),
        _primitive("log1p", diff=lambda u: 1 / (1 + u), monotone=True, sign=0, special=[(0, 0)],
                   series=lambda u: (1 + u).log()),
        _primitive("sqrt", diff=lambda u: 1 / (2 * sqrt(u)), monotone=True),
        _primitive("sin", diff=lambda u: cos(u), special=[(0, 0)]),
        _primitive("cos", diff=lambda u: -sin(u), special=[(0, 1)]),
        _primitive("atan", diff=lambda u: 1 / (1 + u**2), monotone=True, sign=0, special=[(0, 0)],
                   array=np.arctan),
        _primitive("sinh", diff=lambda u: cosh(u), monotone=True, sign=0, special=[(0, 0)],
                   series=lambda u: (u.exp() - (-u).exp()) / 2),
        _primitive("cosh", diff=lambda u: sinh(u), sign=1, special=[(0, 1)],
                   series=lambda u: (u.exp() + (-u).exp()) / 2),
        _primitive("tanh", diff=lambda u: 4 * sigmoid(2 * u) * sigmoid(-2 * u), monotone=True, sign=0,
                   special=[(0, 0)], series=_tanh_series,
                   far=lambda u: (ONE, -2 * sigmoid(-2 * u)), near=lambda u: (-ONE, 2 * sigmoid(2 * u))),
        _primitive("sigmoid", diff=lambda u: sigmoid(u) * sigmoid(-u), monotone=True, sign=1,
                   special=[(0, _HALF)], ball=lambda u: 1 / (1 + (-u).exp()),
                   series=lambda u: 1 / (1 + (-u).exp()), array=_sigmoid_array,
                   far=lambda u: (ONE, -sigmoid(-u)), factor=lambda u: (u, sigmoid(-u))),
        _primitive("softplus", diff=lambda u: sigmoid(u), monotone=True, sign=1,
                   ball=lambda u: u.exp().log1p(), series=lambda u: (1 + u.exp()).log(),
                   array=_softplus_array, far=lambda u: (u, softplus(-u)),
                   tensor=lambda torch, u: torch.nn.functional.softplus(u)),
        _primitive("softplus_gate", diff=_gate_slope, monotone=True, sign=1,
                   special=[(0, Fraction(3, 5))], ball=_gate_ball, series=_gate_series,
                   array=_gate_array, far=lambda u: (ONE, -2 * sigmoid(-2 * softplus(u))),
                   factor=lambda u: (u, _gate_rest(u)),
                   tensor=lambda torch, u: torch.tanh(torch.nn.functional.softplus(u))),
        _primitive("erf", diff=lambda u: 2 / sqrt(PI) * exp(-(u**2)), monotone=True, sign=0,
                   special=[(0, 0)], far=lambda u: (ONE, -erfc(u)), near=lambda u: (-ONE, erfc(-u))),
        _primitive("erfc", diff=lambda u: -2 / sqrt(PI) * exp(-(u**2)), monotone=True, sign=1,
                   special=[(0, 1)], near=lambda u: (wrap(2), -erfc(-u)),
                   factor=lambda u: (-(u**2), erfcx(u))),
        _primitive("erfcx", diff=lambda u: 2 * u * erfcx(u) - 2 / sqrt(PI), monotone=True, sign=1,
                   special=[(0, 1)], ball=lambda u: (u * u).exp() * u.erfc(),
                   series=lambda u: (u * u).exp() * u.erfc(),
                   array=lambda u: np.exp(u * u) * _scalar(math.erfc, u)),
    )
}  # fmt: skip


def relu(u: Expr | Number) -> Expr:
    """``max(u, 0)``, with derivative 0 at the kink."""
    return select(wrap(u), 0, 0, u)


def absolute(u: Expr | Number) -> Expr:
    """``|u|``, with derivative 0 at the kink."""
    return select(wrap(u), -wrap(u), 0, u)


def maximum(u: Expr | Number, v: Expr | Number) -> Expr:
    """The larger; where both are equal the derivative is the mean of both."""
    return select(wrap(u) - wrap(v), v, (wrap(u) + wrap(v)) / 2, u)


def minimum(u: Expr | Number, v: Expr | Number) -> Expr:
    """The smaller; where both are equal the derivative is the mean of both."""
    return select(wrap(u) - wrap(v), u, (wrap(u) + wrap(v)) / 2, v)


def clip(u: Expr | Number, low: Expr | Number, high: Expr | Number) -> Expr:
    """The argument u limited to [low, high], with derivative 0 at both kinks."""
    return select(wrap(u) - wrap(low), low, low, select(wrap(u) - wrap(high), u, high, high))


__all__ = [
    "absolute", "atan", "clip", "cos", "cosh", "erf", "erfc", "erfcx", "exp", "expm1",
    "log", "log1p", "maximum", "minimum", "relu", "sigmoid", "sin", "sinh", "softplus", "softplus_gate",
    "sqrt", "tanh",
]  # fmt: skip
