# SPDX-License-Identifier: Apache-2.0
"""A multiplier, a bias and a shift for each channel, with a proven bound of their error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import flint
import numpy as np
import numpy.typing as npt
from flint import arb

from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow, Rounding, round_shift
from hwact.requantise.channel import ACCUMULATOR_BITS, PRECISION, Channel, ball, by_channel, changes, fraction

_BIAS_BITS = 60


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
    channels : tuple of Channel
    multiplier_bits : int
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
    channels: tuple[Channel, ...]
    multiplier_bits: int
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
        with flint.ctx.workprec(PRECISION):
            rows = [_multiplier(channel, output_format, multiplier_bits, bits) for channel in channels]
        mode = output_format.default_rounding if rounding is None else rounding
        multipliers, biases, shifts, bounds = zip(*rows, strict=True)
        given = tuple(channels), multiplier_bits
        return cls(multipliers, biases, shifts, bounds, *given, output_format, mode, bits)

    def evaluate(self, accumulators: npt.ArrayLike, axis: int = -1) -> Codes:
        """The unit's input codes; arguments as of :meth:`Thresholds.evaluate`."""
        return by_channel(accumulators, axis, len(self.shifts), self.bits, self.channel_codes)

    @cached_property
    def starts(self) -> tuple[Codes, ...]:
        """For each channel the accumulators from which on a code holds; the first is the least accumulator.

        A multiplier, a shift and a rounding keep the order of the accumulators, or turn it around: between
        neighbouring starts the code cannot change.
        """
        least, most = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        rows = (partial(self.channel_codes, channel) for channel in range(len(self.shifts)))
        return tuple(np.append(least, changes(codes_at, least, most)) for codes_at in rows)

    def channel_codes(self, channel: int, accumulators: Codes) -> Codes:
        """The unit's input codes of one channel's accumulators, int64."""
        sums = self.multipliers[channel] * accumulators + self.biases[channel]
        steps = round_shift(sums, self.shifts[channel], self.rounding)
        return self.output_format.fit(steps + self.output_format.zero_point, Overflow.SATURATE)


def _multiplier(
    channel: Channel, target: Format, multiplier_bits: int, bits: int
) -> tuple[int, int, int, float]:
    """Multiplier, bias, shift and bound of a channel, in ulps of the target."""
    root = ball(channel.radicand).sqrt()
    slope = ball(channel.factor / target.ulp) / root
    offset = ball(channel.offset / target.ulp) + ball(channel.constant / target.ulp) / root
    near = abs(fraction(slope.mid()))
    beyond = abs(fraction(offset.mid()))
    shift = min(multiplier_bits - _bits_of(near), _BIAS_BITS - max(_bits_of(beyond), 0), _BIAS_BITS)
    if shift < 0:
        raise ArgumentError(
            f"a channel must need a multiplier of at most {multiplier_bits} bits and a bias of {_BIAS_BITS}, "
            f"not {float(near)!r} and {float(beyond)!r} ulp; choose a coarser format"
        )
    multiplier, bias = (round(fraction(each.mid()) * 2**shift) for each in (slope, offset))
    steepness = abs(slope - ball(Fraction(multiplier, 1 << shift)))
    start = abs(offset - ball(Fraction(bias, 1 << shift)))
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
    return math.nextafter(float(fraction(bound.upper())), math.inf)
