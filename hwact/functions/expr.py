# SPDX-License-Identifier: Apache-2.0
"""Expressions in one variable x: what a function is, before any number format.

Nodes are immutable and compare by structure. Each can be evaluated four ways: as a proven
enclosure (`ball`), as a power series of enclosures (`series`), in float64 (`array`) and with
PyTorch (`tensor`); and differentiated (`diff`). The elementary functions are in
`hwact.functions.primitives`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, arb_series, fmpq

Floats = npt.NDArray[np.float64]
Number = int | Fraction


class UndecidedError(Exception):
    """An enclosure is too wide to tell which branch of a `Select` holds."""


class Expr:
    """A real function of x. Operators build new expressions and fold rational constants."""

    def ball(self, x: Any) -> Any:
        """Proven enclosure (``flint.arb``) of the function over the ball x, at ``flint.ctx.prec`` bits."""
        raise NotImplementedError

    def series(self, x: Any) -> Any:
        """Power series (``flint.arb_series``) of the function composed with the series x."""
        raise NotImplementedError

    def array(self, x: Floats) -> Floats:
        """Float64 values; numerically stable, not proven."""
        raise NotImplementedError

    def tensor(self, x: Any) -> Any:
        """The same with PyTorch operations, differentiable by autograd."""
        raise NotImplementedError

    def diff(self) -> Expr:
        """The derivative; at a kink what the ``zero`` branch of its `Select` says."""
        raise NotImplementedError

    def children(self) -> tuple[Expr, ...]:
        """The operands."""
        return ()

    def rebuild(self, *children: Expr) -> Expr:
        """The same operation on other operands."""
        return self

    def squared(self) -> Expr | None:
        """The square, where it is simpler than a `Power`."""
        return None

    def walk(self) -> Iterator[Expr]:
        """The node and all below it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def __add__(self, other: Expr | Number) -> Expr:
        return _add(self, wrap(other))

    def __radd__(self, other: Number) -> Expr:
        return _add(wrap(other), self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return _add(self, -wrap(other))

    def __rsub__(self, other: Number) -> Expr:
        return _add(wrap(other), -self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return _multiply(self, wrap(other))

    def __rmul__(self, other: Number) -> Expr:
        return _multiply(wrap(other), self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return _divide(self, wrap(other))

    def __rtruediv__(self, other: Number) -> Expr:
        return _divide(wrap(other), self)

    def __pow__(self, exponent: int) -> Expr:
        return _power(self, exponent)

    def __neg__(self) -> Expr:
        return _multiply(Const(Fraction(-1)), self)


@dataclass(frozen=True)
class Const(Expr):
    """An exact rational number."""

    value: Fraction

    def ball(self, x: Any) -> Any:
        return arb(fmpq(self.value.numerator, self.value.denominator))

    def series(self, x: Any) -> Any:
        return arb_series([self.ball(x)])

    def array(self, x: Floats) -> Floats:
        return np.full_like(x, float(self.value))

    def tensor(self, x: Any) -> Any:
        return x.new_full((), float(self.value))

    def diff(self) -> Expr:
        return ZERO


@dataclass(frozen=True)
class Named(Expr):
    """The constant ``pi`` or ``e``."""

    name: str

    def ball(self, x: Any) -> Any:
        return arb.pi() if self.name == "pi" else arb.const_e()

    def series(self, x: Any) -> Any:
        return arb_series([self.ball(x)])

    def array(self, x: Floats) -> Floats:
        return np.full_like(x, getattr(np, self.name))

    def tensor(self, x: Any) -> Any:
        return x.new_full((), getattr(np, self.name))

    def diff(self) -> Expr:
        return ZERO


@dataclass(frozen=True)
class Variable(Expr):
    """The variable x."""

    def ball(self, x: Any) -> Any:
        return x

    def series(self, x: Any) -> Any:
        return x

    def array(self, x: Floats) -> Floats:
        return x

    def tensor(self, x: Any) -> Any:
        return x

    def diff(self) -> Expr:
        return ONE


@dataclass(frozen=True)
class _Binary(Expr):
    left: Expr
    right: Expr

    @staticmethod
    def combine(left: Any, right: Any) -> Any:
        """The operation on any kind of number."""
        raise NotImplementedError

    def ball(self, x: Any) -> Any:
        return self.combine(self.left.ball(x), self.right.ball(x))

    def series(self, x: Any) -> Any:
        return self.combine(self.left.series(x), self.right.series(x))

    def array(self, x: Floats) -> Floats:
        result: Floats = self.combine(self.left.array(x), self.right.array(x))
        return result

    def tensor(self, x: Any) -> Any:
        return self.combine(self.left.tensor(x), self.right.tensor(x))

    def children(self) -> tuple[Expr, ...]:
        return self.left, self.right

    def rebuild(self, *children: Expr) -> Expr:
        result: Expr = self.combine(*children)
        return result


class Add(_Binary):
    """Sum."""

    @staticmethod
    def combine(left: Any, right: Any) -> Any:
        return left + right

    def diff(self) -> Expr:
        return self.left.diff() + self.right.diff()


class Multiply(_Binary):
    """Product."""

    @staticmethod
    def combine(left: Any, right: Any) -> Any:
        return left * right

    def diff(self) -> Expr:
        return self.left.diff() * self.right + self.left * self.right.diff()


class Divide(_Binary):
    """Quotient."""

    @staticmethod
    def combine(left: Any, right: Any) -> Any:
        return left / right

    def diff(self) -> Expr:
        top, bottom = self.left.diff(), self.right.diff()
        return top / self.right - self.left * bottom / self.right**2


@dataclass(frozen=True)
class Power(Expr):
    """Integer power, exponent at least 2 (negative ones are quotients)."""

    base: Expr
    exponent: int

    def ball(self, x: Any) -> Any:
        return self.base.ball(x) ** self.exponent

    def series(self, x: Any) -> Any:
        return self.base.series(x) ** self.exponent

    def array(self, x: Floats) -> Floats:
        result: Floats = self.base.array(x) ** self.exponent
        return result

    def tensor(self, x: Any) -> Any:
        return self.base.tensor(x) ** self.exponent

    def diff(self) -> Expr:
        return self.exponent * self.base ** (self.exponent - 1) * self.base.diff()

    def children(self) -> tuple[Expr, ...]:
        return (self.base,)

    def rebuild(self, *children: Expr) -> Expr:
        return children[0] ** self.exponent


@dataclass(frozen=True)
class Select(Expr):
    """One of three expressions, by the sign of a fourth: the only source of kinks.

    With the selector ``x - c`` this is a piecewise function with breakpoint c; ``zero`` says
    what holds at the breakpoint itself and so which side owns it.
    """

    selector: Expr
    negative: Expr
    zero: Expr
    positive: Expr

    def ball(self, x: Any) -> Any:
        u = self.selector.ball(x)
        if u < 0:
            return self.negative.ball(x)
        if u > 0:
            return self.positive.ball(x)
        if u.is_zero():
            return self.zero.ball(x)
        return self.negative.ball(x).union(self.zero.ball(x)).union(self.positive.ball(x))

    def series(self, x: Any) -> Any:
        u = self.selector.series(x)[0]
        if u < 0:
            return self.negative.series(x)
        if u > 0:
            return self.positive.series(x)
        raise UndecidedError

    def array(self, x: Floats) -> Floats:
        u = self.selector.array(x)
        branches = [self.negative.array(x), self.zero.array(x), self.positive.array(x)]
        return np.select([u < 0, u == 0, u > 0], branches, np.nan)

    def tensor(self, x: Any) -> Any:
        import torch

        u, negative, zero, positive = (child.tensor(x) for child in self.children())
        return torch.where(u < 0, negative, torch.where(u > 0, positive, zero))

    def diff(self) -> Expr:
        return select(self.selector, self.negative.diff(), self.zero.diff(), self.positive.diff())

    def children(self) -> tuple[Expr, ...]:
        return self.selector, self.negative, self.zero, self.positive

    def rebuild(self, *children: Expr) -> Expr:
        return select(*children)


X = Variable()
ZERO = Const(Fraction(0))
ONE = Const(Fraction(1))
PI = Named("pi")
E = Named("e")


def wrap(value: Expr | Number) -> Expr:
    """An expression from an exact number."""
    return value if isinstance(value, Expr) else Const(Fraction(value))


def select(selector: Expr, negative: Expr | Number, zero: Expr | Number, positive: Expr | Number) -> Expr:
    """A `Select`, folded when its branches are the same or its selector is a number."""
    branches = wrap(negative), wrap(zero), wrap(positive)
    if branches[0] == branches[1] == branches[2]:
        return branches[0]
    if isinstance(selector, Const):
        return branches[1 + (selector.value > 0) - (selector.value < 0)]
    return Select(selector, *branches)


def _add(left: Expr, right: Expr) -> Expr:
    if isinstance(left, Const) and isinstance(right, Const):
        return Const(left.value + right.value)
    if left == ZERO or right == ZERO:
        return right if left == ZERO else left
    if isinstance(left, Const):
        left, right = right, left
    if isinstance(right, Const) and isinstance(left, Add) and isinstance(left.right, Const):
        return _add(left.left, Const(left.right.value + right.value))
    return Add(left, right)


def _multiply(left: Expr, right: Expr) -> Expr:
    if isinstance(left, Const) and isinstance(right, Const):
        return Const(left.value * right.value)
    if isinstance(right, Const):
        left, right = right, left
    if left in (ZERO, ONE):
        return ZERO if left == ZERO else right
    # Rational factors gather at the left, so that they cancel exactly.
    if isinstance(left, Const):
        inner = right.left if isinstance(right, Multiply) else None
        if isinstance(right, Multiply) and isinstance(inner, Const):
            return _multiply(Const(left.value * inner.value), right.right)
        return Multiply(left, right)
    for factor, other, swap in ((left, right, False), (right, left, True)):
        if isinstance(factor, Multiply) and isinstance(factor.left, Const):
            rest = _multiply(other, factor.right) if swap else _multiply(factor.right, other)
            return _multiply(factor.left, rest)
    return Multiply(left, right)


def _divide(left: Expr, right: Expr) -> Expr:
    if isinstance(right, Const):
        return _multiply(Const(1 / right.value), left)
    return ZERO if left == ZERO else Divide(left, right)


def _power(base: Expr, exponent: int) -> Expr:
    if isinstance(base, Const):
        return Const(base.value**exponent)
    if exponent < 0:
        return _divide(ONE, _power(base, -exponent))
    if exponent < 2:
        return base if exponent else ONE
    if isinstance(base, Multiply):
        return _power(base.left, exponent) * _power(base.right, exponent)
    square = base.squared()
    if square is not None:
        return _power(square, exponent // 2) * (base if exponent % 2 else ONE)
    return Power(base, exponent)
