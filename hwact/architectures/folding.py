# SPDX-License-Identifier: Apache-2.0
"""Folding by symmetry and base: what is left to tabulate, and the logic around it.

A function is computed as ``(B(x) + D(u)) >> guard_bits`` where ``u`` addresses the core (a table or
polynomial segments) and ``B`` is wiring: 0, x, or x on one side. Functions that are odd about a
centre mirror ``D`` for negative inputs instead. The codes that share an address intersect their
permitted intervals, so whatever a folding cannot represent shows as an empty interval, and the
freedom that is left is known exactly.

===============  ===================================================================
kind             address
===============  ===================================================================
``plain``        the code itself, offset to start at 0; B = 0
``based``        the same; B = the asymptotes' slopes
``magnitude``    ``|x|``
``complement``   ``x`` or its one's complement: no carry chain, half an ulp off for x < 0
===============  ===================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from hwact.architectures.problem import InfeasibleError, UnitSpec
from hwact.datapath import Input, Node
from hwact.datapath.graph import Negation, as_node
from hwact.formats import Codes
from hwact.functions.shape import Symmetry

KINDS = ("plain", "based", "magnitude", "complement")

_FREE = 1 << 62  # beyond all bounds


@dataclass(frozen=True)
class Folding:
    """One way to fold a unit's function.

    Parameters
    ----------
    spec : UnitSpec
    kind : str
        One of ``KINDS``.
    guard_bits : int
        Fraction bits of the core's result below the output's ulp.
    saturated : bool
        Whether a saturation follows, so that the core's result may lie beyond the output format.
    magnitude, mirror : Negation
        How ``|x|`` is made, and the core's result mirrored.
    chosen : bool
        Where the base is ``x`` on one side: whether the sum with ``x`` is chosen there, or ``x`` gated and
        added on both sides.
    subtracted : bool
        Whether the core's result is subtracted from the base.
    nearest : bool
        Whether an odd function is rounded to nearest behind the mirror: then the core's result is the
        function itself, without half an ulp.

    Raises
    ------
    InfeasibleError
        The function or its formats do not fold this way.
    """

    spec: UnitSpec
    kind: str
    guard_bits: int
    saturated: bool = True
    magnitude: Negation = Negation.CHAIN
    mirror: Negation = Negation.CHAIN
    chosen: bool = False
    subtracted: bool = False
    nearest: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InfeasibleError(f"folding must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.folded and not (self.spec.function.symmetry and self.spec.input_format.signed):
            raise self._unfit("a signed input and a symmetric function")
        if self.address_bits < 1:
            raise self._unfit("an input of at least 2 bits")
        if self.kind != "plain" and self.spec.input_format.zero_point:
            raise self._unfit("an input whose code 0 means 0")
        if self.odd and (self._symmetry.slope or (self._symmetry.offset * self._one).denominator != 1):
            raise self._unfit("a function whose centre is a code")
        if not {*self.slopes} <= {0, 1} or (self.kind == "based" and not any(self.slopes)):
            raise self._unfit("asymptotes of slope 0 or 1")
        if any(self.slopes) and not self.spec.aligned:
            raise self._unfit("ulps whose ratio is a power of two")
        if self._base_shift < 0 and any(self.slopes):
            raise self._unfit(f"at least {-self.spec.frac_shift} guard bits")

    def _unfit(self, requirement: str) -> InfeasibleError:
        return InfeasibleError(
            f"folding {self.kind} needs {requirement}, not {self.spec.function.name!r} with "
            f"{self.spec.input_format} in, {self.spec.output_format} out and {self.guard_bits} guard bits; "
            "choose the folding plain"
        )

    @property
    def folded(self) -> bool:
        """Whether x and -x share an address."""
        return self.kind in ("magnitude", "complement")

    @property
    def odd(self) -> bool:
        """Whether negative inputs mirror the core's result."""
        return self.folded and self._symmetry.sign < 0

    @property
    def _symmetry(self) -> Symmetry:
        symmetry = self.spec.function.symmetry
        assert symmetry is not None
        return symmetry

    @cached_property
    def slopes(self) -> tuple[Fraction, Fraction]:
        """Slope of the base for x < 0 and for x >= 0."""
        function, none = self.spec.function, Fraction(0)
        if self.kind == "plain" or self.odd:
            return none, none
        right = function.right.slope if function.right else none
        if self.kind == "based":
            return (function.left.slope if function.left else none), right
        return -self._symmetry.slope - right, right

    @property
    def _one(self) -> Fraction:
        """The value 1 in units of the core's result."""
        return (1 << self.guard_bits) / self.spec.output_format.ulp

    @cached_property
    def centre(self) -> tuple[int, int]:
        """``c, r``: the function is ``c + D(u)`` for x >= 0, and ``c + r - D(u)`` for x < 0.

        With guard bits, and where the centre is between two codes, r = -1: one's complement mirrors,
        without a carry.
        """
        if not self.odd:
            return 0, 0
        zero = self.spec.output_format.zero_point << self.guard_bits
        centre, rest = divmod(int(self._symmetry.offset * self._one) + 2 * zero, 2)
        half = 1 << self.guard_bits >> 1 if self.nearest else 0
        return centre + rest + half, -1 if rest or self.guard_bits else 0

    @property
    def _base_shift(self) -> int:
        """Left shift from an input code to the units of the core's result."""
        return self.spec.frac_shift + self.guard_bits

    @property
    def address_bits(self) -> int:
        """Width of the address."""
        return self.spec.input_format.width - self.folded

    def _base_codes(self) -> Codes:
        codes = self.spec.input_format.codes()
        left, right = (int(slope) for slope in self.slopes)
        return np.where(codes < 0, left, right) * codes

    def sides(self, bounds: Codes, free: int) -> Codes:
        """Bounds of the output by address, shape (2, n): for x < 0, for x >= 0; ``free`` where is no code."""
        half = bounds.size // 2
        negative, positive = bounds[:half][::-1], bounds[half:]
        if self.kind == "magnitude":
            negative, positive = np.append(free, negative), np.append(positive, free)
        return np.stack((negative, positive))

    def intervals(self, *, wrapped: bool = False) -> tuple[Codes, Codes]:
        """Inclusive bounds of ``D`` for every address, in units of ``2**-guard_bits`` ulp.

        ``|x|`` of the most negative code has no address: it shares the last one, or, `wrapped`, the first.
        """
        low, high = self.spec.unclamped() if self.saturated else self.spec.allowed
        centre, rest = self.centre
        base = (self._base_codes() << max(0, self._base_shift)) + centre
        low, high = (low << self.guard_bits) - base, ((high + 1) << self.guard_bits) - 1 - base
        if self.subtracted:
            low, high = -high, -low
        if not self.folded:
            return low, high
        half = low.size // 2
        mirrored = (low[:half][::-1], high[:half][::-1])
        if self.odd:
            mirrored = (rest - mirrored[1], rest - mirrored[0])
        if self.kind == "magnitude":
            lowest = mirrored[0][-1], mirrored[1][-1]
            mirrored = np.roll(mirrored[0], 1), np.roll(mirrored[1], 1)
            if not wrapped:
                mirrored[0][0], mirrored[1][0] = -_FREE, _FREE
                mirrored[0][-1] = max(mirrored[0][-1], lowest[0])
                mirrored[1][-1] = min(mirrored[1][-1], lowest[1])
        return np.maximum(low[half:], mirrored[0]), np.minimum(high[half:], mirrored[1])

    def targets(self, resolution: int) -> Codes:
        """The exact ``D`` for every address, in units of ``2**-resolution`` ulp.

        Of two codes that share an address, the one that is not negative counts.
        """
        exact = self.spec.exact
        values = exact.floor >> (exact.guard_bits - resolution)
        shift = self.spec.frac_shift + resolution
        base = self._base_codes()
        values = values - (base << shift if shift >= 0 else base >> -shift)
        centre = self.centre[0]
        missing = self.guard_bits - resolution
        values = values - (centre >> missing if missing >= 0 else centre << -missing)
        return values[values.size // 2 :] if self.folded else values

    def address(self, x: Node) -> Node:
        """The address; ``magnitude`` reaches one beyond the last one."""
        if self.kind == "complement":
            return x.less_than(0).select(~x, x).known(0, x.high).named("folded")
        if self.kind == "magnitude":
            return x.negated_where(x.less_than(0), self.magnitude).known(0, -x.low).named("magnitude")
        return x

    def result(self, x: Node, core: Node) -> Node:
        """The output before saturation, from the core's result."""
        if self.odd:
            core = self._mirrored(core, x.less_than(0)).named("mirrored")
        elif any(self.slopes):
            core = self._with_base(x, core)
        return core >> self.guard_bits

    def _mirrored(self, core: Node, negative: Node) -> Node:
        core, (centre, _) = self._inverted(core, negative), self.centre
        through = (centre & -centre).bit_length() - 1  # low bits that the sum does not change
        if not centre:
            return core
        return ((core >> through) + (centre >> through)).concat(core.bits(0, through), through)

    def _inverted(self, core: Node, negative: Node) -> Node:
        """Either complement for x < 0."""
        if self.centre[1]:
            return negative.select(~core, core)
        return core.negated_where(negative, self.mirror)

    def split(self, x: Node, core: Node) -> Node:
        """As `result`, of an odd function whose upper bits the sign tells; see :class:`Clipped`."""
        negative, width, (centre, _) = x.less_than(0), max(1, core.high.bit_length()), self.centre
        if centre % (1 << width):
            return self.result(x, core)
        upper = negative.select((centre >> width) - 1, centre >> width)
        return upper.concat(self._inverted(core, negative).bits(0, width), width)

    def _with_base(self, x: Node, core: Node) -> Node:
        left, right = self.slopes
        negative, shifted = x.less_than(0), x << self._base_shift
        if left == right:
            return self._sum(shifted, core)
        if self.chosen:
            both = self._sum(shifted, core), self._sum(as_node(0), core)
            return negative.select(*(both if left else both[::-1]))
        base = negative.select(0, x).known(0, x.high) if right else negative.select(x, 0).known(x.low, 0)
        return self._sum(base.named("base") << self._base_shift, core)

    def _sum(self, base: Node, core: Node) -> Node:
        return base - core if self.subtracted else base + core


@dataclass(frozen=True)
class Region:
    """The addresses for which a core is needed; beyond them its result is constant.

    Parameters
    ----------
    folding : Folding
    bits : int
        Width of the core's address.
    low, high : int64 arrays, shape (2**bits,)
        Inclusive bounds of the core's result.
    tails : tuple of int
        The core's result to the left and to the right of the region; empty where it covers all codes.
    wrapped : bool
        Whether the most negative code then has the address 0, for ``|x|``; else the last.
    """

    folding: Folding
    bits: int
    low: Codes
    high: Codes
    tails: tuple[int, ...]
    wrapped: bool = False

    @classmethod
    def of(cls, folding: Folding) -> Region:
        """The smallest region whose size is a power of two."""
        low, high = folding.intervals()
        signed = folding.spec.input_format.signed and not folding.folded
        for bits in range(1 + signed, folding.address_bits):
            inside = slice(low.size // 2 - (1 << (bits - 1)), low.size // 2 + (1 << (bits - 1)))
            if not signed:
                inside = slice(0, 1 << bits)
            outside = [(low[: inside.start], high[: inside.start]), (low[inside.stop :], high[inside.stop :])]
            ends = [(int(b.max()), int(t.min())) for b, t in outside if b.size]
            if all(bottom <= top for bottom, top in ends):
                tails = [int(roundest(np.array([bottom]), np.array([top]))[0]) for bottom, top in ends]
                return cls(folding, bits, low[inside], high[inside], (tails[0], tails[-1]))
        if folding.kind == "magnitude":
            wrapped = folding.intervals(wrapped=True)
            if (wrapped[0] <= wrapped[1]).all():
                return cls(folding, folding.address_bits, *wrapped, (), wrapped=True)
        return cls(folding, folding.address_bits, low, high, ())

    def targets(self, resolution: int) -> Codes:
        """The exact core results, in units of ``2**-resolution`` ulp, shape (2**bits,)."""
        values = self.folding.targets(resolution)
        start = 0 if self._from_zero else values.size // 2 - (1 << (self.bits - 1))
        return values[start : start + (1 << self.bits)]

    @property
    def _from_zero(self) -> bool:
        return self.folding.folded or not self.folding.spec.input_format.signed

    def build(self, core: Callable[[Node], Node]) -> tuple[Input, Node]:
        """The whole unit around a core: the input node and the result before saturation.

        Parameters
        ----------
        core : callable
            From the address node, ``0 .. 2**bits - 1``, to the core's result.
        """
        x = self.folding.spec.input()
        folded = self.folding.address(x)
        if not self.tails and not self.wrapped and folded.high >= 1 << self.bits:
            folded = folded.saturate(0, (1 << self.bits) - 1).named("address")
        d = core(self._index(folded))
        if self.tails:
            left, right = self.tails
            tail = as_node(right) if left == right else x.less_than(0).select(left, right)
            d = self._inside(x, folded).select(d, tail).named("core")
        return x, self.folding.result(x, d)

    def _index(self, folded: Node) -> Node:
        if self._from_zero:
            return folded.bits(0, self.bits)
        top = folded.bits(self.bits - 1, 1).equal_to(0)
        return top.concat(folded.bits(0, self.bits - 1), self.bits - 1) if self.bits > 1 else top

    def _inside(self, x: Node, folded: Node) -> Node:
        """1 where all bits above the region's are copies of the sign."""
        if self._from_zero:
            return (folded >> self.bits).equal_to(0).named("in_region")
        above = x >> (self.bits - 1)
        return x.less_than(0).select(~above, above).known(0, above.high).equal_to(0).named("in_region")


@dataclass(frozen=True)
class Clipped:
    """An odd function: the addresses for which a core is needed, and the two codes beyond them.

    Beyond the last address the outputs are constants, so that no saturation follows.

    Parameters
    ----------
    folding : Folding
    first : int
        The first address beyond.
    low, high : int64 arrays, shape (2**bits,)
        Inclusive bounds of the core's result; from ``first`` on, those of the address before.
    ends : tuple of int
        The outputs beyond, for x < 0 and for x >= 0.
    split : bool
        Whether all core's results are 0 or more, and none that is to be negated is 0.
    """

    folding: Folding
    first: int
    low: Codes
    high: Codes
    ends: tuple[int, int]
    split: bool

    @classmethod
    def of(cls, folding: Folding) -> Clipped:
        """With the fewest addresses that the accuracy permits."""
        spec, (centre, rest) = folding.spec, folding.centre
        low, high = folding.sides(spec.allowed[0], -_FREE), folding.sides(spec.allowed[1], _FREE)
        bottom = np.maximum.accumulate(low[:, ::-1], axis=1)[:, ::-1]
        top = np.minimum.accumulate(high[:, ::-1], axis=1)[:, ::-1]
        first = max(1, int((bottom <= top).all(axis=0).argmax()))
        rounded = spec.exact.rounded(spec.rounding)[[0, -1]]
        left, right = rounded.clip(bottom[:, first], top[:, first]).tolist()
        least = np.maximum(low[1] - centre, centre + rest - high[0])[:first]
        most = np.minimum(high[1] - centre, centre + rest - low[0])[:first]
        signs = np.full(first, 1 + rest)
        signs[: folding.kind == "magnitude"] = 0
        split = bool((most >= signs).all())
        if split:
            least = np.maximum(least, signs)
        missing = (1 << max(1, (first - 1).bit_length())) - first
        least, most = (np.pad(bounds, (0, missing), "edge") for bounds in (least, most))
        return cls(folding, first, least, most, (left, right), split)

    def build(self, core: Callable[[Node], Node]) -> tuple[Input, Node]:
        """As :meth:`Region.build`."""
        x = self.folding.spec.input()
        folded = self.folding.address(x)
        d = core(folded.bits(0, (self.low.size - 1).bit_length()))
        y = self.folding.split(x, d) if self.split else self.folding.result(x, d)
        return x, folded.at_least(self.first).select(x.less_than(0).select(*self.ends), y)


def roundest(low: Codes, high: Codes) -> Codes:
    """Of every interval ``low..high`` the integer with the most trailing zeros."""
    result = low.copy()
    largest = max((int(abs(bound).max()) for bound in (low, high) if bound.size), default=0)
    for shift in range(1, largest.bit_length() + 1):
        multiple = -((-low) >> shift) << shift
        result = np.where(multiple <= high, multiple, result)
    return result


def roundest_integer(low: int, high: int) -> int:
    """Of the interval ``low..high`` the integer with the most trailing zeros, however large."""
    result = low
    for shift in range(1, max(abs(low), abs(high)).bit_length() + 2):
        multiple = -(-low >> shift) << shift
        result = multiple if multiple <= high else result
    return result


def foldings(spec: UnitSpec, guard_bits: int) -> Iterator[Folding]:
    """The foldings that fit a function and its formats."""
    for kind in KINDS:
        try:
            yield Folding(spec, kind, guard_bits)
        except InfeasibleError:
            continue
