# SPDX-License-Identifier: Apache-2.0
"""The channels of a layer: what a 32-bit sum stands for ahead of the activation, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, fmpq

from hwact.errors import ArgumentError
from hwact.formats import Codes
from hwact.functions.algebra import exact_root

ACCUMULATOR_BITS = 32
PRECISION = 128  # bits of enclosures, to begin with

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

    @property
    def numbers(self) -> tuple[Fraction, ...]:
        """Factor, constant, offset and radicand."""
        return self.factor, self.constant, self.offset, self.radicand

    def value(self, accumulator: int) -> float:
        """The value in float64."""
        inner = self.factor * accumulator + self.constant
        return float(self.offset) + float(inner) / math.sqrt(self.radicand)

    def values(self, accumulators: Codes) -> npt.NDArray[np.float64]:
        """The values in float64, of the same shape, less precise than one by one.

        Raises
        ------
        OverflowError
            A number of the channel is beyond float64.
        """
        factor, constant, offset, radicand = map(float, self.numbers)
        with np.errstate(all="ignore"):
            return np.asarray(offset + (factor * accumulators + constant) / math.sqrt(radicand))

    def exact(self, accumulator: int) -> Fraction | None:
        """The value where it is rational, else none."""
        inner = self.factor * accumulator + self.constant
        root = Fraction(0) if inner == 0 else exact_root(self.radicand)
        return None if root is None else self.offset + (inner / root if inner else 0)

    def ball(self, first: int, last: int) -> Any:
        """An enclosure of the values for accumulators ``first..last``."""
        ends = (ball(self.factor * end + self.constant) for end in (first, last))
        low, high = (ball(self.offset) + end / ball(self.radicand).sqrt() for end in ends)
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


def by_channel(
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


def changes(codes_at: Callable[[Codes], Codes], least: int, most: int) -> Codes:
    """The accumulators in ``least + 1 .. most`` from which on a code holds, ascending; int64.

    Parameters
    ----------
    codes_at : callable
        The codes of an array of accumulators; if they neither keep the order of these nor turn it around,
        the result is only some accumulators.
    """
    ends = codes_at(np.array([least, most]))
    if most - least <= abs(int(ends[1]) - int(ends[0])):
        codes = codes_at(np.arange(least, most + 1))
        return least + 1 + np.flatnonzero(np.diff(codes))
    direction = 1 if ends[0] <= ends[1] else -1
    wanted = np.arange(ends[0] + direction, ends[1] + direction, direction)
    below, reached = np.full(wanted.shape, least), np.full(wanted.shape, most)
    while (reached - below > 1).any():
        middle = (below + reached) >> 1
        there = (codes_at(middle) - wanted) * direction >= 0
        below, reached = np.where(there, below, middle), np.where(there, middle, reached)
    return np.unique(reached)


def ball(value: Fraction | int) -> Any:
    """An enclosure of a rational number."""
    value = Fraction(value)
    return arb(fmpq(value.numerator, value.denominator))


def fraction(end: Any) -> Fraction:
    """An exact ``arb``."""
    mantissa, exponent = end.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
