# SPDX-License-Identifier: Apache-2.0
"""Moving averages of mean and variance in integers, as batch normalisation keeps them.

``m += (x - m + 2^(k-1)) >> k`` with g guard bits below the codes of x. For a constant x the average stops
at most ``2^(k-1-g)`` ulp away and in the worst case exactly there, so g = k guard bits let the mean that is
read out arrive at x itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwact.errors import ArgumentError
from hwact.formats import Format

Integers = TypeVar("Integers", int, npt.NDArray[np.int64])
_MAX_SHIFT = 16


@dataclass(frozen=True, kw_only=True)
class MovingStatistics:
    """The update rule: the golden model of `MovingStatisticsComponent`.

    Parameters
    ----------
    input_format : Format
        Of x, signed. With f fraction bits the mean's register has f + guard_bits of them, and the variance's
        2 f + guard_bits.
    shift : int
        k, 1 to 16: the newest x weighs 2^-k.
    guard_bits : int, optional
        g, 1 to 16; k unless given.
    """

    input_format: Format
    shift: int
    guard_bits: int | None = None

    def __post_init__(self) -> None:
        if not self.input_format.signed or self.widths[1] > 62:
            raise ArgumentError(
                "the input format must be signed, with 2 * (width + 1) + guard bits of at most 62, "
                f"not {str(self.input_format)!r}; take a narrower one"
            )
        for name, value in (("shift", self.shift), ("guard_bits", self.guard)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_SHIFT:
                raise ArgumentError(f"{name} must be an integer from 1 to {_MAX_SHIFT}, not {value!r}")

    @property
    def guard(self) -> int:
        """The guard bits."""
        return self.shift if self.guard_bits is None else self.guard_bits

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of the registers of mean (signed) and variance (unsigned)."""
        return self.input_format.width + self.guard, 2 * self.input_format.width + self.guard

    def follow(self, state: Integers, target: Integers) -> Integers:
        """One step of an average towards a number of the same fraction bits."""
        return state + ((target - state + (1 << (self.shift - 1))) >> self.shift)

    def update(self, mean: Integers, variance: Integers, codes: Integers) -> tuple[Integers, Integers]:
        """The registers after one x: the variance takes the square of x less the mean before it.

        Any shape, Python ints or int64; channels side by side are independent.
        """
        target = codes << self.guard
        difference = target - mean
        square = (difference * difference + (1 << (self.guard - 1))) >> self.guard
        return self.follow(mean, target), self.follow(variance, square)

    def mean_code(self, mean: Integers) -> Integers:
        """The mean in codes of x: to nearest, ties downwards, where a steady state may lie above x."""
        return (mean + ((1 << (self.guard - 1)) - 1)) >> self.guard

    def component(self) -> MovingStatisticsComponent:
        """A fresh Amaranth component."""
        return MovingStatisticsComponent(self)


class MovingStatisticsComponent(wiring.Component):
    """Registers that follow mean and variance of a stream; one code a cycle.

    Members
    -------
    x : In(signed(width))
        A code.
    en : In(1)
        Takes x at the next clock edge.
    mean : Out(signed(width + guard))
    variance : Out(unsigned(2 * width + guard))
        Both 0 after reset.
    """

    def __init__(self, rule: MovingStatistics) -> None:
        self.rule = rule
        mean, variance = rule.widths
        width = rule.input_format.width
        ports = {"x": In(signed(width)), "en": In(1), "mean": Out(signed(mean)), "variance": Out(variance)}
        super().__init__(ports)

    def elaborate(self, platform: Any) -> Module:
        rule, m = self.rule, Module()
        target = self.x << rule.guard
        difference = Signal(signed(rule.widths[0] + 1))
        square = Signal(unsigned(rule.widths[1] + 2))
        m.d.comb += [
            difference.eq(target - self.mean),
            square.eq((difference * difference + (1 << (rule.guard - 1))) >> rule.guard),
        ]
        half = 1 << (rule.shift - 1)
        with m.If(self.en):
            m.d.sync += [
                self.mean.eq(self.mean + ((difference + half) >> rule.shift)),
                self.variance.eq(self.variance + ((square - self.variance + half) >> rule.shift)),
            ]
        return m
