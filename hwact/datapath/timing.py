# SPDX-License-Identifier: Apache-2.0
"""Estimated delays of datapath operations: what pipelining goes by.

Two effects decide whether a sum of delays says anything about a clock. Synthesis makes one look-up table of
neighbouring functions of few bits, and the carries of chained additions ripple side by side: the second
addition starts when the first one's lowest bit is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log, log2
from typing import NamedTuple

from hwact.datapath import graph as g
from hwact.datapath.cost import RESHAPED, Target

# A bit that a function reads: of which node, at which place, and whether that moves with the function's own.
_Bit = tuple[int, int, bool]


class Arrival(NamedTuple):
    """When the bits of a node are there; ps after the registers in front of its stage.

    Parameters
    ----------
    first, last : int
        Of its lowest and its highest bit; in between they come evenly.
    inputs : frozenset
        The bits that a function of each of its bits reads.
    since : tuple of int
        When these are there: first and last.
    """

    first: int
    last: int
    inputs: frozenset[_Bit]
    since: tuple[int, int]

    @classmethod
    def of(cls, node: g.Node, first: int = 0, last: int = 0) -> Arrival:
        """A node that is a function of itself alone: registered, or the end of a chain of carries."""
        bits = frozenset() if isinstance(node, g.Constant) else frozenset({(id(node), 0, True)})
        return cls(first, last, bits, (first, last))


def arrival(node: g.Node, operands: Sequence[Arrival], hardware: Target) -> Arrival:
    """When a node is there, from when its operands are, in their order."""
    if isinstance(node, (g.Input, g.Constant)):
        return Arrival.of(node)
    if isinstance(node, g.WIRING):
        return _wired(node, operands)
    if g.is_sign(node):
        return _moved(operands[0], node.operands[0], node.operands[0].width - 1, 1)
    match node:
        case g.Select():
            condition = _single(operands[0], node.condition, 0)
            reads = [(each, Arrival.of(o)) for each, o in zip(operands[1:], node.operands[1:], strict=True)]
            return _function([condition, *reads], hardware)
        case g.Lookup():
            return _table(node, operands[0], hardware)
        case g.Add() | g.Subtract():
            return _sum(node, operands, hardware)
        case g.Negate():
            return _negated(node, operands[0], operands[1], hardware)
    start = max(operand.last for operand in operands)
    end = start + _DELAY[type(node)](node, hardware)
    return Arrival.of(node, end, end)


def _wired(node: g.Node, operands: Sequence[Arrival]) -> Arrival:
    match node:
        case g.Bits():
            return _moved(operands[0], node.a, node.offset, node.width)
        case g.ShiftRight():
            return _moved(operands[0], node.a, node.amount, node.width)
        case g.ShiftLeft():
            return _moved(operands[0], node.a, -node.amount, node.width)
        case g.Concat():
            upper, lower = operands
            return Arrival.of(node, min(upper.first, lower.first), max(upper.last, lower.last))
    return operands[0]


def _moved(a: Arrival, node: g.Node, offset: int, count: int) -> Arrival:
    """Some bits of a node; a single one stays where it is, whatever reads it."""
    last = max(1, node.width - 1)

    def at(ends: tuple[int, int], place: int) -> int:
        return ends[0] + (ends[1] - ends[0]) * min(max(place, 0), last) // last

    places = offset, offset + count - 1
    ends = [(at(each, places[0]), at(each, places[1])) for each in ((a.first, a.last), a.since)]
    inputs = frozenset((of, place + offset * moves, moves and count > 1) for of, place, moves in a.inputs)
    return Arrival(*ends[0], inputs, ends[1])


def _single(a: Arrival, node: g.Node, place: int) -> tuple[Arrival, Arrival]:
    """A bit of a node, and the same as a look-up table's input."""
    moved = _moved(a, node, place, 1)
    own = frozenset({(id(node), place, False)})
    return moved, Arrival(moved.first, moved.last, own, moved.since)


def _function(operands: Sequence[tuple[Arrival, Arrival]], hardware: Target) -> Arrival:
    """A look-up table for each bit, which takes in those of its operands as far as it has inputs.

    Parameters
    ----------
    operands : pairs of Arrival
        An operand, whose own function may be taken in, and its bits as inputs.
    """
    inputs = [own.inputs for _, own in operands]
    starts = [taken[:2] for taken, _ in operands]
    for i in sorted(range(len(operands)), key=lambda i: -operands[i][0].last):
        taken = operands[i][0]
        more = [*inputs[:i], taken.inputs, *inputs[i + 1 :]]
        if len(frozenset().union(*more)) <= hardware.level_inputs:
            inputs, starts[i] = more, taken.since
    first, last = (max(start[end] for start in starts) for end in (0, 1))
    delay = hardware.lut_delay
    return Arrival(first + delay, last + delay, frozenset().union(*inputs), (first, last))


def _table(node: g.Lookup, address: Arrival, hardware: Target) -> Arrival:
    """Its network; or leaves, and multiplexers by the bits that one level selects by.

    These select by the address, or by what that is a function of. To reach many leaves takes a level more.
    """
    bits = [_single(address, node.address, i) for i in range(node.address.width)]
    if len(bits) <= hardware.level_inputs:
        return _function(bits, hardware)
    if node.lut_inputs > RESHAPED and node.network is not None:
        end = address.last + hardware.lut_delay * node.network.depth
        return Arrival.of(node, end, end)
    by = 1 if hardware.level_inputs < 5 else 2
    read = frozenset().union(*(taken.inputs for taken, _ in bits))
    reach = 1 + (len(node.table) * node.width > hardware.largest_table)
    ends = [
        start + hardware.lut_delay * (reach + ceil(max(0, count - hardware.level_inputs) / by))
        for start, count in ((address.last, len(bits)), (address.since[1], len(read)))
    ]
    return Arrival.of(node, min(ends), min(ends))


def _sum(node: g.Node, operands: Sequence[Arrival], hardware: Target) -> Arrival:
    """A chain of carries; look-up tables of six inputs take one operand's function in."""
    ends = [operand[:2] for operand in operands]
    if hardware.lut_inputs > 4:
        fitting = [i for i, each in enumerate(operands) if len(each.inputs) < hardware.lut_inputs]
        late = max(fitting, key=lambda i: operands[i].last - operands[i].since[1], default=None)
        if late is not None:
            ends[late] = operands[late].since
    first, last = (max(each[end] for each in ends) + hardware.adder_delay for end in (0, 1))
    return Arrival.of(node, first, max(last, first + hardware.carry_delay * node.width))


def _negated(node: g.Negate, a: Arrival, condition: Arrival, hardware: Target) -> Arrival:
    """A chain of carries; or for each bit the OR of those below it, and one look-up table of all that."""
    if node.form is g.Negation.CHAIN:
        first, last = (max(end, condition.last) + hardware.adder_delay for end in a[:2])
        return Arrival.of(node, first, max(last, first + hardware.carry_delay * node.width))
    if node.form is g.Negation.CHOICE:
        first, last = (end + hardware.adder_delay for end in a[:2])
        last = max(last, first + hardware.carry_delay * node.width)
        return Arrival.of(node, *(max(end, condition.last) + hardware.lut_delay for end in (first, last)))
    below = max(1, node.width - 1)
    ors = ceil(log(max(1, below / (hardware.lut_inputs - 2)), hardware.lut_inputs))
    ends = [
        max(end + levels * hardware.lut_delay, condition.last) + hardware.lut_delay
        for end, levels in ((a.first, 0), (a.last, ors))
    ]
    return Arrival.of(node, *ends)


def _adder(width: int, hardware: Target) -> int:
    return hardware.adder_delay + hardware.carry_delay * width


def _multiplier(node: g.Multiply | g.Square, hardware: Target) -> int:
    if hardware.block and hardware.blocks(node):
        return hardware.block.delay
    rows = min(operand.width for operand in node.operands)
    return _adder(node.width, hardware) + hardware.lut_delay * ceil(log2(max(2, rows)))


def _compare(node: g.Compare, hardware: Target) -> int:
    return _adder(max(operand.width for operand in node.operands) // 2, hardware)


_DELAY: dict[type[g.Node], Callable[..., int]] = {
    g.Multiply: _multiplier,
    g.Square: _multiplier,
    g.RoundShift: lambda node, hardware: _adder(node.a.width, hardware),
    g.Compare: _compare,
    g.Saturate: lambda node, hardware: 2 * hardware.lut_delay,
}
