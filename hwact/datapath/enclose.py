# SPDX-License-Identifier: Apache-2.0
"""The proven reading of a datapath: a polynomial and bounds for its error, over a block of codes at once.

Over neighbouring input codes every node's value is a polynomial in the code, exact in integers, and a
remainder between proven bounds: what shifts drop adds to the bounds, all else is polynomial
arithmetic. Where a comparison, a table's address or a slice is not the same over the whole block, the
reading says where to split it. Over a single code it is exact, so splitting always ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from hwact.datapath import graph as g
from hwact.errors import CheckError
from hwact.formats import Rounding, round_shift


class SplitError(Exception):
    """A block must be split: ``args[0]`` is how many codes its first part has."""


@dataclass(frozen=True)
class Enclosure:
    """The values of a node over ``size`` neighbouring codes, times ``2**scale``.

    At the code number t of the block the value is ``polynomial(tau) + r`` with ``tau = 2*t - (size - 1)`` and
    ``low <= r <= high``.

    Parameters
    ----------
    coefficients : tuple of int
        Of the polynomial, from the constant upwards.
    low, high : int
        Bounds of the remainder.
    scale : int
    size : int
        Codes of the block.
    change : int, optional
        The first code, by its number, at which a part of the value that is an integer changes.
    exact : pair, optional
        Where the value is a polynomial rounded once: the enclosure of that polynomial, and the rounding.
    """

    coefficients: tuple[int, ...]
    low: int
    high: int
    scale: int
    size: int
    change: int | None = None
    exact: tuple[Enclosure, Rounding] | None = None

    @property
    def is_polynomial(self) -> bool:
        """Whether there is no remainder."""
        return self.low == self.high == 0

    @property
    def is_constant(self) -> bool:
        """Whether it is one number."""
        return self.is_polynomial and len(self.coefficients) == 1

    def scaled(self, scale: int) -> Enclosure:
        """The same with more fraction bits."""
        more = scale - self.scale
        coefficients = tuple(c << more for c in self.coefficients)
        return replace(
            self, coefficients=coefficients, low=self.low << more, high=self.high << more, scale=scale
        )

    def polynomial_range(self) -> tuple[int, int]:
        """Bounds of the polynomial, times ``2**scale``."""
        low = high = self.coefficients[0]
        power = reach = self.size - 1
        for degree, c in enumerate(self.coefficients[1:], start=1):
            if degree % 2:
                low, high = low - abs(c) * power, high + abs(c) * power
            else:
                low, high = low + min(c, 0) * power, high + max(c, 0) * power
            power *= reach
        return low, high

    def range(self) -> tuple[int, int]:
        """The least and the largest integer that the value can be."""
        low, high = self.polynomial_range()
        return -((-low - self.low) >> self.scale), (high + self.high) >> self.scale

    def first_change(self, step: int, offset: int = 0) -> int | None:
        """The first code, by its number, at which ``floor((value - offset) / step)`` is another."""
        if not self.is_polynomial or len(self.coefficients) > 2:
            return self.change
        c0, c1 = (*self.coefficients, 0)[:2]
        start, slope = c0 - c1 * (self.size - 1) - (offset << self.scale), 2 * c1
        step <<= self.scale
        below = start // step * step
        if slope == 0:
            return None
        first = -((start - below - step) // slope) if slope > 0 else (start - below) // -slope + 1
        return first if first < self.size else None


class Reading:
    """Reads one datapath, block by block.

    Parameters
    ----------
    datapath : Datapath
    limits : pair of int, optional
        Those of a saturation that is left out where it comes last.
    """

    def __init__(self, datapath: g.Datapath, limits: tuple[int, int] | None = None) -> None:
        self.x, y = datapath.x, datapath.y
        last = isinstance(y, g.Saturate) and (y.minimum, y.maximum) == limits
        self.y = y.a if isinstance(y, g.Saturate) and last else y

    def over(self, first: int, size: int) -> Enclosure:
        """The output over the codes ``first ... first + size - 1``.

        Raises
        ------
        SplitError
            The output is not one polynomial and bounded remainders there, or is not seen to be.
        CheckError
            A range that the graph states does not hold.
        """
        x = Enclosure((2 * first + size - 1, 1), 0, 0, 1, size)
        if size == 1:
            x = Enclosure((first,), 0, 0, 0, 1)
        return _Block(self.x, x).read(self.y)


class _Block:
    """Values of nodes over one block; branches that are not selected are never looked at."""

    def __init__(self, x: g.Node, value: Enclosure) -> None:
        self.size, self.values = value.size, {id(x): value}

    def read(self, node: g.Node) -> Enclosure:
        if id(node) not in self.values:
            self.values[id(node)] = self._value(node)
        return self.values[id(node)]

    def _value(self, node: g.Node) -> Enclosure:
        match node:
            case g.Constant():
                return self.number(node.low)
            case g.Select():
                return self.read(node.if_one if self._decided(node.condition) else node.if_zero)
            case g.Lookup():
                return self.number(node.table[self._decided(node.address)])
            case g.Compare():
                return self.number(self._compared(node))
            case g.Add():
                return _sum(self.read(node.a), self.read(node.b))
            case g.Subtract():
                return _sum(self.read(node.a), _negative(self.read(node.b)))
            case g.Multiply():
                return _product(self.read(node.a), self.read(node.b))
            case g.Square():
                return _product(self.read(node.a), self.read(node.a))
            case g.Negate():
                a = self.read(node.a)
                return _negative(a) if self._decided(node.condition) else a
            case g.Invert():
                return _sum(_negative(self.read(node.a)), self.number(-1))
            case g.Concat():
                return _sum(_left(self.read(node.upper), node.lower_width), self.read(node.lower))
            case g.ShiftLeft():
                return _left(self.read(node.a), node.amount)
            case g.ShiftRight():
                return _right(self.read(node.a), node.amount, Rounding.FLOOR)
            case g.RoundShift():
                return _right(self.read(node.a), node.amount, node.rounding)
            case g.Bits():
                return self._bits(node)
            case g.Saturate():
                return self._saturated(node)
            case g.Known():
                return self._known(node)
        raise AssertionError(f"no enclosure for {type(node).__name__}")

    def number(self, value: int) -> Enclosure:
        """The same number over the whole block."""
        return Enclosure((value,), 0, 0, 0, self.size)

    def _decided(self, node: g.Node) -> int:
        """The one value of a node."""
        value = self.read(node)
        low, high = value.range()
        if low != high:
            self._split(value.first_change(1))
        return low

    def _split(self, place: int | None) -> None:
        if self.size == 1:
            raise AssertionError("a single code leaves nothing open")
        raise SplitError(place or self.size // 2)

    def _compared(self, node: g.Compare) -> int:
        difference = _sum(self.read(node.a), _negative(self.read(node.b)))
        low, high = difference.range()
        if node.relation is g.Relation.EQUAL:
            if low > 0 or high < 0 or low == high:
                return int(low == high == 0)
            step = 1 << max(abs(low), abs(high)).bit_length() + 1
            self._split(_earliest(difference.first_change(step), difference.first_change(step, 1)))
        if low < 0 <= high:
            self._split(difference.first_change(1 << max(high.bit_length(), (~low).bit_length())))
        return int((low >= 0) == (node.relation is g.Relation.AT_LEAST))

    def _bits(self, node: g.Bits) -> Enclosure:
        a = self.read(node.a)
        least = -(1 << (node.count - 1)) if node.signed else 0
        size = node.offset + node.count
        ends = [(end - (least << node.offset)) >> size for end in a.range()]
        if ends[0] != ends[1]:
            self._split(a.first_change(1 << size, least << node.offset))
        field = _right(a, node.offset, Rounding.FLOOR)
        return _sum(field, self.number(-ends[0] << node.count)) if ends[0] else field

    def _saturated(self, node: g.Saturate) -> Enclosure:
        a = self.read(node.a)
        low, high = a.range()
        if node.minimum <= low and high <= node.maximum:
            return a
        if high <= node.minimum or node.maximum <= low:
            return self.number(node.minimum if high <= node.minimum else node.maximum)
        limit = node.minimum if low < node.minimum else node.maximum + 1
        self._split(a.first_change(1 << max(abs(low), abs(high)).bit_length() + 1, limit))
        raise AssertionError

    def _known(self, node: g.Known) -> Enclosure:
        a = self.read(node.a)
        low, high = a.range()
        if node.low <= low and high <= node.high:
            return a
        if self.size == 1 or high < node.low or node.high < low:
            raise CheckError(
                f"{node.name or 'a node'} must stay in {node.low}..{node.high}, not {low!r}..{high!r}; "
                "the architecture stated a range that does not hold"
            )
        self._split(None)
        raise AssertionError


def _earliest(*changes: int | None) -> int | None:
    return min((change for change in changes if change is not None), default=None)


def _negative(a: Enclosure) -> Enclosure:
    coefficients = tuple(-c for c in a.coefficients)
    return Enclosure(coefficients, -a.high, -a.low, a.scale, a.size, a.change)


def _sum(a: Enclosure, b: Enclosure) -> Enclosure:
    scale = max(a.scale, b.scale)
    a, b = a.scaled(scale), b.scaled(scale)
    coefficients = tuple(p + q for p, q in zip_longest(a.coefficients, b.coefficients, fillvalue=0))
    change = b.change if a.is_constant else a.change if b.is_constant else None
    return _trimmed(coefficients, a.low + b.low, a.high + b.high, scale, a.size, change)


def _trimmed(
    coefficients: tuple[int, ...], low: int, high: int, scale: int, size: int, change: int | None
) -> Enclosure:
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients = coefficients[:-1]
    return Enclosure(coefficients, low, high, scale, size, change)


def _product(a: Enclosure, b: Enclosure) -> Enclosure:
    coefficients = [0] * (len(a.coefficients) + len(b.coefficients) - 1)
    for i, p in enumerate(a.coefficients):
        for j, q in enumerate(b.coefficients):
            coefficients[i + j] += p * q
    rests = [
        *_corners(a.polynomial_range(), (b.low, b.high)),
        *_corners(b.polynomial_range(), (a.low, a.high)),
        *_corners((a.low, a.high), (b.low, b.high)),
    ]
    low, high = sum(rests[0::2]), sum(rests[1::2])
    return _trimmed(tuple(coefficients), low, high, a.scale + b.scale, a.size, None)


def _corners(a: tuple[int, int], b: tuple[int, int]) -> Iterator[int]:
    """The least and the largest product of numbers within bounds."""
    products = [p * q for p in a for q in b]
    yield from (min(products), max(products))


def _left(a: Enclosure, amount: int) -> Enclosure:
    coefficients = tuple(c << amount for c in a.coefficients)
    return Enclosure(coefficients, a.low << amount, a.high << amount, a.scale, a.size, a.change)


def _right(a: Enclosure, amount: int, rounding: Rounding) -> Enclosure:
    """``a / 2**amount``, rounded."""
    if amount == 0:
        return a
    ends = [round_shift(end, amount, rounding) for end in a.range()]
    if ends[0] == ends[1]:
        return Enclosure((ends[0],), 0, 0, 0, a.size)
    low, high = _dropped(amount, rounding)
    source = replace(a, scale=a.scale + amount, change=None, exact=None)
    return replace(
        source,
        low=a.low + (low << a.scale),
        high=a.high + (high << a.scale),
        change=a.first_change(1 << amount),
        exact=(source, rounding) if a.is_polynomial else None,
    )


def _dropped(amount: int, rounding: Rounding) -> tuple[int, int]:
    """Bounds of what rounding adds to an integer's ``2**amount``-th part, in these parts."""
    most = (1 << amount) - 1
    match rounding:
        case Rounding.FLOOR:
            return -most, 0
        case Rounding.TOWARD_ZERO:
            return -most, most
        case _:
            return -(1 << amount >> 1), 1 << amount >> 1
