# SPDX-License-Identifier: Apache-2.0
"""The datapath graph: exact integer operations, each with its proven range.

An architecture builds its arithmetic once, over unbounded integers; NumPy evaluation, RTL, the
schedule and the cost estimate are readings of the same graph. Ranges give widths: no width is
typed by hand, and no operation can overflow. What narrows a number (:class:`Bits`,
:class:`Saturate`, :class:`ShiftRight`) is a node of its own.

Nodes are made by the methods and operators of :class:`Node`, which compute the ranges::

    x = Input.of(Format.parse("SQ4.12"))
    negative = x.less_than(0).named("negative")
    magnitude = x.negated_where(negative).known(0, -x.low).named("magnitude")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Self

from hwact.datapath.network import Network, network
from hwact.errors import ArgumentError
from hwact.formats import Format, Rounding, round_shift


class Negation(StrEnum):
    """How a value is negated under a condition."""

    CHAIN = "chain"  # invert, and add 1 by a chain of carries
    CHOICE = "choice"  # subtract 1 by a chain of carries and invert; choose between that and the value
    GATES = "gates"  # invert the bits above the lowest that is set


class Relation(StrEnum):
    """Relation of a comparison."""

    LESS = "<"
    AT_LEAST = ">="
    EQUAL = "=="


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One exact integer operation.

    Parameters
    ----------
    low, high : int
        Inclusive range that holds every value the node can take.
    name : str
        Name of the signal in the RTL; empty for a name made from the operation.
    kept : bool
        Whether synthesis is asked to leave the signal as it is.
    """

    low: int
    high: int
    name: str = ""
    kept: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ArgumentError(f"a range must not be empty, not {(self.low, self.high)!r}")

    @property
    def operands(self) -> tuple[Node, ...]:
        """The nodes that this one reads, in order."""
        return tuple(value for value in vars(self).values() if isinstance(value, Node))

    @property
    def signed(self) -> bool:
        """Whether the range reaches below zero."""
        return self.low < 0

    @property
    def width(self) -> int:
        """Bits of the smallest two's complement (or unsigned) register that holds the range; at least 1."""
        return max(
            1, max(self.high.bit_length(), (~self.low).bit_length() if self.signed else 0) + self.signed
        )

    def named(self, name: str) -> Self:
        """The same operation under a signal name."""
        return dataclasses.replace(self, name=name)

    def keep(self) -> Self:
        """The same operation, whose signal synthesis is asked to leave as it is.

        Else Yosys makes one adder tree of a chain of sums, which is faster but takes twice the area.
        """
        return dataclasses.replace(self, kept=True)

    def __add__(self, other: Node | int) -> Node:
        other = as_node(other)
        return Add(a=self, b=other, low=self.low + other.low, high=self.high + other.high)

    def __sub__(self, other: Node | int) -> Node:
        other = as_node(other)
        return Subtract(a=self, b=other, low=self.low - other.high, high=self.high - other.low)

    def __rsub__(self, other: int) -> Node:
        return as_node(other) - self

    def __mul__(self, other: Node | int) -> Node:
        other = as_node(other)
        corners = [p * q for p in (self.low, self.high) for q in (other.low, other.high)]
        return Multiply(a=self, b=other, low=min(corners), high=max(corners))

    def square(self) -> Node:
        """``self * self``, whose range knows that no square is negative."""
        ends = (self.low**2, self.high**2)
        return Square(a=self, low=0 if self.low <= 0 <= self.high else min(ends), high=max(ends))

    def __lshift__(self, amount: int) -> Node:
        return ShiftLeft(a=self, amount=amount, low=self.low << amount, high=self.high << amount)

    def __rshift__(self, amount: int) -> Node:
        return ShiftRight(a=self, amount=amount, low=self.low >> amount, high=self.high >> amount)

    def __invert__(self) -> Node:
        return Invert(a=self, low=~self.high, high=~self.low)

    def negated_where(self, condition: Node, form: Negation = Negation.CHAIN) -> Node:
        """``-self`` where a 0/1 node is 1, else ``self``."""
        low, high = min(self.low, -self.high), max(self.high, -self.low)
        return Negate(a=self, condition=condition, form=form, low=low, high=high)

    def bits(self, offset: int, width: int, *, signed: bool = False) -> Node:
        """``width`` bits of the two's complement form from bit ``offset`` up, read as a number."""
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        inner = (self.low >> offset, self.high >> offset)
        if low <= inner[0] and inner[1] <= high:
            low, high = inner
        return Bits(a=self, offset=offset, count=width, low=low, high=high)

    def less_than(self, other: Node | int) -> Compare:
        """1 where ``self < other``, else 0."""
        return Compare(a=self, b=as_node(other), relation=Relation.LESS, low=0, high=1)

    def at_least(self, other: Node | int) -> Compare:
        """1 where ``self >= other``, else 0."""
        return Compare(a=self, b=as_node(other), relation=Relation.AT_LEAST, low=0, high=1)

    def equal_to(self, other: Node | int) -> Compare:
        """1 where ``self == other``, else 0."""
        return Compare(a=self, b=as_node(other), relation=Relation.EQUAL, low=0, high=1)

    def select(self, if_one: Node | int, if_zero: Node | int) -> Node:
        """``if_one`` where this 0/1 node is 1, else ``if_zero``."""
        if (self.low, self.high) != (0, 1):
            raise ArgumentError(f"a select condition must have the range 0..1, not {(self.low, self.high)!r}")
        one, zero = as_node(if_one), as_node(if_zero)
        return Select(
            condition=self,
            if_one=one,
            if_zero=zero,
            low=min(one.low, zero.low),
            high=max(one.high, zero.high),
        )

    def concat(self, lower: Node, width: int) -> Node:
        """``self * 2**width + lower`` as wiring; ``lower`` must lie in ``0..2**width - 1``."""
        if lower.low < 0 or lower.high >= 1 << width:
            raise ArgumentError(
                f"the lower part must be in 0..2**{width} - 1, not {(lower.low, lower.high)!r}"
            )
        low, high = (self.low << width) + lower.low, (self.high << width) + lower.high
        return Concat(upper=self, lower=lower, lower_width=width, low=low, high=high)

    def lookup(self, table: tuple[int, ...], *, lut_inputs: int = 0) -> Node:
        """``table[self]``; the range of this node must lie inside the table.

        Parameters
        ----------
        table : tuple of int
        lut_inputs : int
            Whether, and for look-up tables of how many inputs, the table becomes a network of them;
            else, for 0, it is left to synthesis.
        """
        if self.low < 0 or self.high >= len(table):
            raise ArgumentError(
                f"a table address must be in 0..{len(table) - 1}, not {(self.low, self.high)!r}"
            )
        used = table[self.low : self.high + 1]
        if len(set(used)) == 1:
            return as_node(used[0])
        return Lookup(address=self, table=table, lut_inputs=lut_inputs, low=min(used), high=max(used))

    def saturate(self, low: int, high: int) -> Node:
        """Clamp into ``low..high``."""
        if low <= self.low and self.high <= high:
            return self
        ends = (min(max(end, low), high) for end in (self.low, self.high))
        return Saturate(a=self, minimum=low, maximum=high, low=next(ends), high=next(ends))

    def round_shift(self, amount: int, rounding: Rounding) -> Node:
        """Divide by ``2**amount`` and round."""
        if amount == 0:
            return self
        ends = (round_shift(end, amount, rounding) for end in (self.low, self.high))
        return RoundShift(a=self, amount=amount, rounding=rounding, low=next(ends), high=next(ends))

    def known(self, low: int, high: int) -> Node:
        """State a tighter range that is known from outside the graph; evaluation checks it."""
        return Known(a=self, low=max(low, self.low), high=min(high, self.high))


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """An input of the unit: a code, or a setting that comes with it."""

    @classmethod
    def of(cls, number_format: Format) -> Input:
        """The input ``x`` over all codes of a format."""
        return cls(low=number_format.min_code, high=number_format.max_code, name="x")


@dataclass(frozen=True, eq=False, kw_only=True)
class Constant(Node):
    """A finished integer; its range is its value."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Unary(Node):
    a: Node


@dataclass(frozen=True, eq=False, kw_only=True)
class _Binary(Node):
    a: Node
    b: Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(_Binary):
    """``a + b``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subtract(_Binary):
    """``a - b``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Multiply(_Binary):
    """``a * b``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Square(_Unary):
    """``a * a``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Invert(_Unary):
    """One's complement, ``-1 - a``: wiring and inverters, no carry."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Negate(_Unary):
    """``-a`` where the condition is 1, else ``a``."""

    condition: Node
    form: Negation


@dataclass(frozen=True, eq=False, kw_only=True)
class Known(_Unary):
    """``a`` with a range that is known to be tighter."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Shift(_Unary):
    amount: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount < 0:
            raise ArgumentError(f"a shift must be at least 0, not {self.amount!r}")


@dataclass(frozen=True, eq=False, kw_only=True)
class ShiftLeft(_Shift):
    """``a * 2**amount``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ShiftRight(_Shift):
    """``floor(a / 2**amount)``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RoundShift(_Shift):
    """``a / 2**amount``, rounded."""

    rounding: Rounding


@dataclass(frozen=True, eq=False, kw_only=True)
class Bits(_Unary):
    """A slice of the two's complement form; signed when its range is."""

    offset: int
    count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Compare(_Binary):
    """1 where the relation holds, else 0."""

    relation: Relation


def is_sign(node: Node) -> bool:
    """Whether a comparison reads nothing but a sign."""
    return (
        isinstance(node, Compare)
        and node.relation is not Relation.EQUAL
        and isinstance(node.b, Constant)
        and node.b.low == 0
        and node.a.signed
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Select(Node):
    """A two-way multiplexer."""

    condition: Node
    if_one: Node
    if_zero: Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Node):
    """``upper * 2**lower_width + lower``, as wiring."""

    upper: Node
    lower: Node
    lower_width: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Node):
    """A read-only table."""

    address: Node
    table: tuple[int, ...]
    lut_inputs: int

    @property
    def words(self) -> tuple[int, ...]:
        """The table's words as bits, as far as the address reaches."""
        mask = (1 << self.width) - 1
        return tuple(word & mask for word in self.table[: self.address.high + 1])

    @cached_property
    def network(self) -> Network | None:
        """The look-up tables of a table that is not left to synthesis; they are searched when first read."""
        return network(self.words, self.width, self.lut_inputs) if self.lut_inputs else None


@dataclass(frozen=True, eq=False, kw_only=True)
class Saturate(_Unary):
    """``a`` clamped into ``minimum..maximum``."""

    minimum: int
    maximum: int


# Nodes that are wires (and inverters) in hardware.
WIRING = (Input, Constant, Invert, Known, ShiftLeft, ShiftRight, Bits, Concat)


def as_node(value: Node | int) -> Node:
    """A node as it is; an integer as a constant."""
    return value if isinstance(value, Node) else Constant(low=value, high=value)


@dataclass(frozen=True, eq=False)
class Datapath:
    """A graph with one input and one output, or more.

    Parameters
    ----------
    x : Input
        The input code. Further inputs have names of their own; evaluation asks for constants in their place.
    y : Node
        The output code; the range lies inside the output format.
    others : tuple of Node
        Further outputs; evaluation and C read the first one only.
    """

    x: Input
    y: Node
    others: tuple[Node, ...] = ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs, the code first."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @property
    def outputs(self) -> tuple[Node, ...]:
        """All outputs."""
        return (self.y, *self.others)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, operands before their users, in a fixed order."""
        return ordered((self.x, *self.outputs))

    def alone(self, output: int) -> Datapath:
        """The same nodes with one of the outputs."""
        return Datapath(self.x, self.outputs[output])


def ordered(roots: tuple[Node, ...]) -> tuple[Node, ...]:
    """The roots and all that they read, operands before their users."""
    return tuple(_ordered(roots))


def _ordered(roots: tuple[Node, ...]) -> Iterator[Node]:
    """Depth-first order without recursion, so that deep graphs do not exhaust the stack."""
    done: set[int] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, expanded = stack.pop()
        if id(node) in done:
            continue
        if expanded:
            done.add(id(node))
            yield node
        else:
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(node.operands))
