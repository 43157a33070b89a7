# SPDX-License-Identifier: Apache-2.0
"""What an activation function is: mathematics and data, no widths."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from hwact.errors import ArgumentError
from hwact.functions.algebra import Piece, Polynomial, as_polynomial, breakpoints, exact_value, pieces
from hwact.functions.expr import Expr, Floats
from hwact.functions.shape import Line, Symmetry, is_monotonic

_NUMBER = re.compile(r"[+-]?(\d{1,50}(\.\d{0,50})?|\.\d{1,50})([eE][+-]?\d{1,3})?(/\d{1,50})?")
_PARAMETER_LIMIT = Fraction(10) ** 30


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a catalogue function.

    Parameters
    ----------
    name, doc : str
    default : Fraction
    low, high : Fraction, optional
        Legal range; the ends belong to it unless ``open_low``.
    open_low : bool
        The lower end itself is not legal.
    """

    name: str
    doc: str
    default: Fraction
    low: Fraction | None = None
    high: Fraction | None = None
    open_low: bool = False

    @property
    def requirement(self) -> str:
        """The legal range in words."""
        words = []
        if self.low is not None:
            words.append(f"{'above' if self.open_low else 'at least'} {self.low}")
        if self.high is not None:
            words.append(f"at most {self.high}")
        return " and ".join(["a finite number", *words])

    def bind(self, value: object) -> Fraction:
        """The exact value of an argument, or a clear error."""
        number = exact_number(value)
        too_low = number is not None and self.low is not None and number < self.low
        if number is not None and self.open_low and number == self.low:
            too_low = True
        too_high = number is not None and self.high is not None and number > self.high
        if number is None or too_low or too_high or abs(number) > _PARAMETER_LIMIT:
            raise ArgumentError(
                f"{self.name} must be {self.requirement}, not {value!r}; "
                f"it is {self.doc} (default {self.default})"
            )
        return number


def exact_number(value: object) -> Fraction | None:
    """A rational number from an int, Fraction, float (its shortest decimal) or text, else None.

    ``0.3``, ``"0.3"`` and ``"3/10"`` all mean exactly 3/10.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Fraction):
        return Fraction(value)
    if isinstance(value, np.generic):
        return exact_number(value.item())
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else None
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        return None
    top, _, bottom = value.strip().partition("/")
    return Fraction(top) / Fraction(bottom or 1) if not bottom or int(bottom) else None


@dataclass(frozen=True)
class PolynomialPiece:
    """A polynomial on an interval: ``coefficients`` from the constant upwards; bounds as in `Piece`."""

    low: Fraction | None
    high: Fraction | None
    owns_low: bool
    owns_high: bool
    coefficients: Polynomial


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """A function with bound parameters, or its derivative.

    Parameters
    ----------
    name : str
        Catalogue name, or the user's; the same for the derivative.
    summary, formula : str
        Text for documentation.
    expression : Expr
        The exact definition.
    base : str
        What the unit may subtract before it tabulates the rest: ``"0"``, ``"x"`` or ``"relu(x)"``.
    symmetry : Symmetry, optional
    left, right : Line, optional
        Asymptotes for x to minus and plus infinity.
    monotonic : bool
        Never decreasing, or never increasing.
    antiderivative : FunctionSpec, optional
        The function that ``name`` means where this is its derivative.
    arguments : tuple of (name, value)
        The bound parameters in their order.
    defaults : tuple of (name, value)
        The values that the parameters have unless said otherwise.
    counterpart : callable, optional
        PyTorch's function: tensor and parameters as floats -> tensor. Without it the expression
        is evaluated with PyTorch operations.
    """

    name: str
    summary: str
    formula: str
    expression: Expr
    base: str = "0"
    symmetry: Symmetry | None = None
    left: Line | None = None
    right: Line | None = None
    monotonic: bool = False
    antiderivative: FunctionSpec | None = field(default=None, compare=False, repr=False)
    arguments: tuple[tuple[str, Fraction], ...] = ()
    defaults: tuple[tuple[str, Fraction], ...] = ()
    counterpart: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    @property
    def is_gradient(self) -> bool:
        """Whether this is a derivative."""
        return self.antiderivative is not None

    @property
    def parameters(self) -> dict[str, Fraction]:
        """The bound parameters by name."""
        return dict(self.arguments)

    @property
    def kinks(self) -> tuple[Fraction, ...]:
        """Rational points where the definition changes from one expression to another."""
        return breakpoints(self.expression)

    def gradient(self) -> FunctionSpec:
        """The derivative as a function of its own; at kinks with PyTorch's convention."""
        if self.is_gradient:
            raise ArgumentError(
                f"the function must not be a gradient already, not {self.name!r} with is_gradient=True; "
                "second derivatives are not offered"
            )
        expression = self.expression.diff()
        return replace(
            self,
            summary=f"Derivative of {self.name}",
            formula=f"d/dx of {self.formula}",
            expression=expression,
            base="0",
            symmetry=self._mirrored_gradient(expression),
            left=self.left and self.left.gradient(),
            right=self.right and self.right.gradient(),
            monotonic=is_monotonic(expression),
            antiderivative=self,
        )

    def _mirrored_gradient(self, expression: Expr) -> Symmetry | None:
        """The symmetry of the derivative, unless the convention at a kink breaks it."""
        if self.symmetry is None:
            return None
        symmetry = self.symmetry.gradient()
        for kink in self.kinks:
            here, there = exact_value(expression, kink), exact_value(expression, -kink)
            if here is not None and there is not None and symmetry.mirror(kink, here) != there:
                return None
        return symmetry

    def float_form(self, x: Floats) -> Floats:
        """Values in float64; stable, quiet on overflow, not proven. Any shape."""
        with np.errstate(all="ignore"):
            return self.expression.array(np.asarray(x, dtype=np.float64))

    def torch_form(self, x: Any) -> Any:
        """Values by PyTorch: its own function where it has one, with autograd for the derivative.

        A user's expression, or its derivative, is evaluated with PyTorch's operations.
        """
        if self.counterpart is None:
            return self.expression.tensor(x).expand_as(x)
        values = {name: float(value) for name, value in self.arguments}
        if not self.is_gradient:
            return self.counterpart(x, **values)
        import torch

        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(self.counterpart(leaf, **values).sum(), leaf)
        return slope

    def pieces(self) -> tuple[Piece, ...]:
        """The intervals on which the function is smooth, from left to right."""
        return pieces(self.expression)

    def piecewise_polynomial(self) -> tuple[PolynomialPiece, ...] | None:
        """The pieces with their coefficients when all are polynomials with rational coefficients."""
        result = []
        for piece in self.pieces():
            coefficients = as_polynomial(piece.expression)
            if coefficients is None:
                return None
            result.append(
                PolynomialPiece(piece.low, piece.high, piece.owns_low, piece.owns_high, coefficients)
            )
        return tuple(result)
