# SPDX-License-Identifier: Apache-2.0
"""From 32-bit accumulators to output codes: a scale for each channel, batch normalisation, activation.

A layer's integer sum ``a`` stands for the value ``scale * a``. Behind it come, for every channel, batch
normalisation by its moving averages and the activation::

    y = f(gamma * (scale * a - mean) / sqrt(variance + epsilon) + beta)

Two forms of the whole are offered, both integer arithmetic:

- :class:`Thresholds`: the accumulators at which the output code changes. Exact: every code is y, correctly
  rounded. A comparison tree or a search in hardware.
- :class:`Requantiser`: ``(multiplier * a + bias) >> shift``, rounded into the input format of a unit of f.
  A multiplier in hardware; off by a stated bound ahead of the unit.

Numbers of a network (scale, gamma, ...) are floats and taken exactly as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import flint
import numpy as np
import numpy.typing as npt
from flint import arb, fmpq

from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow, Rounding, round_shift
from hwact.functions.algebra import Piece, exact_root, exact_value, sign_of
from hwact.functions.expr import Expr
from hwact.functions.spec import FunctionSpec

ACCUMULATOR_BITS = 32
_PRECISION = 128
_MAX_PRECISION = 1 << 16
_BIAS_BITS = 61
_FAR = 1 << 12  # bits; no format reaches as far

Numbers = float | Sequence[float] | npt.NDArray[Any]


@dataclass(frozen=True)
class Channel:
    """The value ahead of the activation, ``offset + (factor * a + constant) / sqrt(radicand)``; exact.

    Parameters
    ----------
    factor, constant, offset : Fraction
    radicand : Fraction
        Above 0.
    """

    factor: Fraction
    constant: Fraction = Fraction(0)
    offset: Fraction = Fraction(0)
    radicand: Fraction = Fraction(1)

    def exact(self, accumulator: int) -> Fraction | None:
        """The value where it is rational, else none."""
        inner = self.factor * accumulator + self.constant
        root = Fraction(0) if inner == 0 else exact_root(self.radicand)
        return None if root is None else self.offset + (inner / root if inner else 0)

    def ball(self, first: int, last: int) -> Any:
        """An enclosure of the values for accumulators ``first..last``."""
        ends = (_ball(self.factor * end + self.constant) for end in (first, last))
        low, high = (_ball(self.offset) + end / _ball(self.radicand).sqrt() for end in ends)
        return low.union(high)


def channels(
    scale: Numbers,
    *,
    gamma: Numbers = 1.0,
    beta: Numbers = 0.0,
    mean: Numbers = 0.0,
    variance: Numbers = 1.0,
    epsilon: float = 0.0,
) -> tuple[Channel, ...]:
    """The channels of a layer; without batch normalisation, of its scales alone.

    Parameters
    ----------
    scale : float or array, shape (channels,)
        Value of one unit of the accumulator: input scale times weight scale.
    gamma, beta, mean, variance : float or array, shape (channels,)
        Of the batch normalisation; the moving averages.
    epsilon : float
        Added to the variance.

    Raises
    ------
    ArgumentError
        A number is not finite, the shapes differ, or a variance with epsilon is not above 0.
    """
    given = {"scale": scale, "gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    arrays = {name: np.atleast_1d(np.asarray(values, dtype=np.float64)) for name, values in given.items()}
    sizes = sorted({array.size for array in arrays.values()} - {1})
    if len(sizes) > 1 or any(array.ndim > 1 for array in arrays.values()):
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ArgumentError(f"all numbers must have the shape (channels,) or be one, not {shapes!r}")
    for name, array in {**arrays, "epsilon": np.asarray(epsilon)}.items():
        if not np.isfinite(array).all():
            raise ArgumentError(f"{name} must be finite, not {array.tolist()!r}")
    if not (arrays["variance"] + epsilon > 0).all():
        least = float(arrays["variance"].min())
        raise ArgumentError(f"the variance with epsilon must be above 0, not {least!r} + {epsilon!r}")
    rows = np.broadcast_arrays(*arrays.values())
    rest = Fraction(float(epsilon))
    return tuple(
        Channel(Fraction(g) * Fraction(s), -Fraction(g) * Fraction(m), Fraction(b), Fraction(v) + rest)
        for s, g, b, m, v in zip(*(row.tolist() for row in rows), strict=True)
    )


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Output codes by comparison of accumulators.

    Made by :meth:`of`. Codes are constant between neighbouring starts: at both sides of every start the code
    is decided by enclosures or rational arithmetic, and between them the function is proven to be monotonic,
    or to stay within one code.

    Parameters
    ----------
    starts : tuple of int64 arrays
        For each channel the accumulators from which on a code holds; the first is the least accumulator.
    codes : tuple of int64 arrays
        For each channel those codes, of the same shape.
    output_format : Format
    bits : int
        Of the accumulator, signed.
    """

    starts: tuple[Codes, ...]
    codes: tuple[Codes, ...]
    output_format: Format
    bits: int

    @classmethod
    def of(
        cls,
        function: FunctionSpec,
        channels: Sequence[Channel],
        output_format: Format,
        *,
        rounding: Rounding | None = None,
        bits: int = ACCUMULATOR_BITS,
    ) -> Thresholds:
        """The thresholds of a function behind some channels; saturating.

        Raises
        ------
        ArgumentError
            A code cannot be decided: the function is undefined there, or an irrational number lies too close
            to the boundary of two codes.
        """
        if not 2 <= bits <= 62:
            raise ArgumentError(f"an accumulator must have 2 to 62 bits, not {bits!r}")
        mode = output_format.default_rounding if rounding is None else rounding
        tables = [_Search(function, channel, output_format, mode).table(bits) for channel in channels]
        starts, codes = zip(*tables, strict=True)
        return cls(starts, codes, output_format, bits)

    def evaluate(self, accumulators: npt.ArrayLike, axis: int = -1) -> Codes:
        """The output codes of accumulators; int64, of the same shape.

        Parameters
        ----------
        accumulators : integers
        axis : int
            The axis of the channels.
        """
        return _by_channel(accumulators, axis, len(self.starts), self.bits, self._channel)

    def _channel(self, channel: int, accumulators: Codes) -> Codes:
        where = np.searchsorted(self.starts[channel], accumulators, side="right") - 1
        return self.codes[channel][where]


def _by_channel(
    accumulators: npt.ArrayLike, axis: int, count: int, bits: int, one: Callable[[int, Codes], Codes]
) -> Codes:
    """Apply a function of (channel, accumulators) to every slice of an axis."""
    array = np.asarray(accumulators)
    if array.dtype.kind not in "iu":
        raise ArgumentError(f"accumulators must be integers, not {array.dtype.name!r}")
    if not array.ndim or array.shape[axis] != count:
        raise ArgumentError(f"axis {axis} must have {count} channels, not the shape {array.shape!r}")
    limit = 1 << (bits - 1)
    if array.size and not -limit <= int(array.min()) <= int(array.max()) < limit:
        raise ArgumentError(f"accumulators must have {bits} bits, not {int(abs(array).max())!r}")
    moved = np.moveaxis(array.astype(np.int64), axis, 0)
    return np.moveaxis(np.stack([one(channel, part) for channel, part in enumerate(moved)]), 0, axis)


class _Search:
    """Finds where the code of one channel changes."""

    def __init__(
        self, function: FunctionSpec, channel: Channel, output_format: Format, rounding: Rounding
    ) -> None:
        self.function, self.channel = function, channel
        self.output_format, self.rounding = output_format, rounding
        self.pieces = [(piece, piece.expression.diff()) for piece in function.pieces()]
        self.found: dict[int, int] = {}

    def table(self, bits: int) -> tuple[Codes, Codes]:
        """First accumulators and codes of the intervals of one code."""
        first, last = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        self.found[first] = self.code(first)
        with flint.ctx.workprec(_PRECISION):
            self._interval(first, last)
        starts = sorted(self.found)
        kept = [starts[0], *(b for a, b in pairwise(starts) if self.found[a] != self.found[b])]
        return np.array(kept, np.int64), np.array([self.found[a] for a in kept], np.int64)

    def _interval(self, first: int, last: int) -> None:
        """All changes among the accumulators ``first + 1 .. last``; the code at first is known."""
        if first == last:
            return
        t = self.channel.ball(first, last)
        piece = self._piece(t)
        if piece is not None and self._code_of(piece[0].expression.ball(t)) is not None:
            return
        self.found[last] = self.code(last)
        if piece is not None and (sign_of(piece[1], t) or self.channel.factor == 0):
            self._monotonic(first, last)
        elif last - first > 1:
            middle = (first + last) // 2
            self._interval(first, middle)
            self.found[middle] = self.code(middle)
            self._interval(middle, last)

    def _monotonic(self, first: int, last: int) -> None:
        """Changes where the function does not turn: none where both ends have the same code."""
        if self.found[first] == self.found[last] or last - first == 1:
            return
        middle = (first + last) // 2
        self.found[middle] = self.code(middle)
        self._monotonic(first, middle)
        self._monotonic(middle, last)

    def _piece(self, t: Any) -> tuple[Piece, Expr] | None:
        """The smooth piece in which a whole enclosure lies, with its derivative; else none."""
        for piece, slope in self.pieces:
            above = piece.low is None or t > _ball(piece.low)
            if above and (piece.high is None or t < _ball(piece.high)):
                return piece, slope
        return None

    def _code_of(self, value: Any) -> int | None:
        """The code that all values of an enclosure have; rounding and clamping keep their order."""
        if not value.is_finite():
            return None
        low, high = (
            self.output_format.quantise(_outward(end, sign), self.rounding, Overflow.SATURATE)
            for end, sign in ((value.lower(), -1), (value.upper(), 1))
        )
        return low if low == high else None

    def code(self, accumulator: int) -> int:
        """The code of one accumulator."""
        x = self.channel.exact(accumulator)
        exact = None if x is None else exact_value(self.function.expression, x)
        if exact is not None:
            return self.output_format.quantise(exact, self.rounding, Overflow.SATURATE)
        precision = _PRECISION
        while precision <= _MAX_PRECISION:
            with flint.ctx.workprec(precision):
                t = self.channel.ball(accumulator, accumulator) if x is None else _ball(x)
                code = self._code_of(self.function.expression.ball(t))
            if code is not None:
                return code
            precision *= 2
        raise ArgumentError(
            f"{self.function.name} must have a code that {_MAX_PRECISION} bits decide, "
            f"not at the accumulator {accumulator!r}; choose another function or output format"
        )


def _ball(value: Fraction | int) -> Any:
    value = Fraction(value)
    return arb(fmpq(value.numerator, value.denominator))


def _fraction(end: Any) -> Fraction:
    """An exact ``arb``."""
    mantissa, exponent = end.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _outward(end: Any, sign: int) -> Fraction:
    """An exact ``arb``, or a short number beyond it where it is astronomically small or large."""
    if abs(end) > arb(2) ** _FAR:
        return Fraction(2) ** _FAR * (1 if end > 0 else -1)
    if end != 0 and abs(end) < arb(2) ** -_FAR:
        return Fraction(sign, 1 << _FAR) if (end > 0) == (sign > 0) else Fraction(0)
    return _fraction(end)


@dataclass(frozen=True, eq=False)
class Requantiser:
    """``(multiplier * a + bias) >> shift``, rounded, as input codes of a unit.

    Made by :meth:`of`. In 64-bit integers nothing overflows.

    Parameters
    ----------
    multipliers, biases, shifts : tuple of int
        One of each a channel.
    bounds : tuple of float
        For each channel, an upper bound of the distance between what is rounded and the exact value,
        in ulp of the format, wherever the two are not clamped to the same code.
    output_format : Format
        The unit's input format.
    rounding : Rounding
    bits : int
        Of the accumulator, signed.
    """

    multipliers: tuple[int, ...]
    biases: tuple[int, ...]
    shifts: tuple[int, ...]
    bounds: tuple[float, ...]
    output_format: Format
    rounding: Rounding
    bits: int

    @classmethod
    def of(
        cls,
        channels: Sequence[Channel],
        output_format: Format,
        *,
        rounding: Rounding | None = None,
        multiplier_bits: int = 24,
        bits: int = ACCUMULATOR_BITS,
    ) -> Requantiser:
        """The multipliers of some channels: so many bits, and a sign."""
        if not 2 <= multiplier_bits <= 28 or not 2 <= bits <= ACCUMULATOR_BITS:
            raise ArgumentError(
                f"a multiplier must have 2 to 28 bits and an accumulator 2 to {ACCUMULATOR_BITS}, "
                f"not {multiplier_bits!r} and {bits!r}"
            )
        with flint.ctx.workprec(_PRECISION):
            rows = [_multiplier(channel, output_format, multiplier_bits, bits) for channel in channels]
        mode = output_format.default_rounding if rounding is None else rounding
        multipliers, biases, shifts, bounds = zip(*rows, strict=True)
        return cls(multipliers, biases, shifts, bounds, output_format, mode, bits)

    def evaluate(self, accumulators: npt.ArrayLike, axis: int = -1) -> Codes:
        """The unit's input codes; arguments as of :meth:`Thresholds.evaluate`."""
        return _by_channel(accumulators, axis, len(self.shifts), self.bits, self._channel)

    def _channel(self, channel: int, accumulators: Codes) -> Codes:
        sums = self.multipliers[channel] * accumulators + self.biases[channel]
        steps = round_shift(sums, self.shifts[channel], self.rounding)
        return self.output_format.fit(steps + self.output_format.zero_point, Overflow.SATURATE)


def _multiplier(
    channel: Channel, target: Format, multiplier_bits: int, bits: int
) -> tuple[int, int, int, float]:
    """Multiplier, bias, shift and bound of a channel, in ulps of the target."""
    root = _ball(channel.radicand).sqrt()
    slope = _ball(channel.factor / target.ulp) / root
    offset = _ball(channel.offset / target.ulp) + _ball(channel.constant / target.ulp) / root
    near = abs(_fraction(slope.mid()))
    beyond = abs(_fraction(offset.mid()))
    shift = min(multiplier_bits - _bits_of(near), _BIAS_BITS - max(_bits_of(beyond), 0), _BIAS_BITS)
    if shift < 0:
        raise ArgumentError(
            f"a channel must need a multiplier of at most {multiplier_bits} bits and a bias of {_BIAS_BITS}, "
            f"not {float(near)!r} and {float(beyond)!r} ulp; choose a coarser format"
        )
    multiplier, bias = (round(_fraction(each.mid()) * 2**shift) for each in (slope, offset))
    steepness = abs(slope - _ball(Fraction(multiplier, 1 << shift)))
    start = abs(offset - _ball(Fraction(bias, 1 << shift)))
    reach = arb(1 << (bits - 1))
    least = abs(slope) - steepness
    if least > 0:  # further out both are clamped
        ends = abs(target.min_code - target.zero_point), abs(target.max_code - target.zero_point)
        reach = reach.min((max(ends) + 2 + abs(offset)) / least)
    return multiplier, bias, shift, _float_above(steepness * reach + start)


def _bits_of(value: Fraction) -> int:
    """The least n with ``value <= 2**n``, about; of 0 as of 2**-62."""
    return max(value.numerator.bit_length() - value.denominator.bit_length() + 1, -_BIAS_BITS)


def _float_above(bound: Any) -> float:
    return math.nextafter(float(_fraction(bound.upper())), math.inf)
