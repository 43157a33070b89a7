# SPDX-License-Identifier: Apache-2.0
"""The Amaranth reading of a scheduled datapath.

Every signal is a plain vector of bits; sign extension is explicit, so that all operands of an
operation have one width and linters have nothing to say about widths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwact.datapath import graph as g
from hwact.datapath.schedule import Schedule
from hwact.formats import Rounding


class Extended(Protocol):
    """The bits of an operand, extended or cut to a width; the node's own unless given."""

    def __call__(self, operand: g.Node, width: int = ...) -> Value: ...


class Pipeline:
    """Writes a scheduled datapath into a module: logic, and data registers between its stages.

    Registers load while ``enable`` is high and have no reset.

    Parameters
    ----------
    m : Module
        Receives the statements; registers are in its domain ``sync``.
    schedule : Schedule
    inputs : mapping of str to Value
        The input code, ``x``, and further inputs by their names.
    enable : Value
    prefix : str
        Put before every signal name, to tell lanes apart.

    Attributes
    ----------
    outputs : tuple of Value
        The output codes, ``schedule.latency`` ranks after their input.
    """

    def __init__(
        self, m: Module, schedule: Schedule, inputs: Mapping[str, Value], enable: Value, prefix: str = ""
    ) -> None:
        self.schedule = schedule
        self._inputs, self._enable, self._prefix = inputs, enable, prefix
        self._names = signal_names(schedule.datapath)
        self._values: dict[tuple[g.Node, int], Value] = {}
        for node in schedule.datapath.nodes:
            if not isinstance(node, g.Constant):
                self._place(m, node)
        self.outputs = tuple(self._output(m, y) for y in schedule.datapath.outputs)

    def _name(self, node: g.Node) -> str:
        return self._prefix + self._names[node]

    def _place(self, m: Module, node: g.Node) -> None:
        """Compute a node in its stage."""
        stage = self.schedule.stages[node]
        if isinstance(node, g.Input):
            self._values[node, stage] = self._inputs[node.name]
            return
        value = self._expression(m, node, stage)
        if isinstance(node, g.Lookup) or (isinstance(node, g.WIRING) and not (node.name or node.kept)):
            self._values[node, stage] = value
            return
        attributes = {"keep": True} if node.kept else {}
        signal = Signal(node.width, name=self._name(node), attrs=attributes)
        m.d.comb += signal.eq(value)
        self._values[node, stage] = signal

    def _output(self, m: Module, y: g.Node) -> Value:
        """The output code; where it is wiring, that is registered and not what it is made of."""
        latency = self.schedule.latency
        changes = latency and not isinstance(y, g.Constant)
        return self._registered(m, y, latency) if changes else self._at(m, y, latency)

    def _at(self, m: Module, node: g.Node, stage: int) -> Value:
        """The bits of a node as they stand in a stage; wiring as wiring, the rest through registers."""
        if isinstance(node, g.Constant):
            return Const(node.low & ((1 << node.width) - 1), node.width)
        if (node, stage) not in self._values:
            wires = isinstance(node, g.WIRING) and not isinstance(node, g.Input)
            made = self._expression(m, node, stage) if wires else self._registered(m, node, stage)
            self._values[node, stage] = made
        return self._values[node, stage]

    def _registered(self, m: Module, node: g.Node, stage: int) -> Value:
        """The bits of a node as they stood one stage before, in a register."""
        rank = stage - self.schedule.stages[node]
        register = Signal(node.width, name=f"{self._name(node)}_s{rank}", reset_less=True)
        with m.If(self._enable):
            m.d.sync += register.eq(self._at(m, node, stage - 1))
        return register

    def _expression(self, m: Module, node: g.Node, stage: int) -> Value:
        """The logic of one node."""

        def extended(operand: g.Node, width: int = node.width) -> Value:
            return resized(self._at(m, operand, stage), operand.signed, width)

        match node:
            case g.Add():
                return extended(node.a) + extended(node.b)
            case g.Subtract():
                return extended(node.a) - extended(node.b)
            case g.Multiply():
                return extended(node.a) * extended(node.b)
            case g.Square():
                return extended(node.a) * extended(node.a)
            case g.Invert():
                return ~extended(node.a)
            case g.Negate():
                return _negated(extended(node.a), self._at(m, node.condition, stage), node.form)
            case g.Known():
                return extended(node.a, max(node.width, node.a.width))[: node.width]
            case g.ShiftLeft():
                return Cat(Const(0, node.amount), self._at(m, node.a, stage))[: node.width]
            case g.ShiftRight():
                return extended(node.a, node.amount + node.width)[node.amount :]
            case g.RoundShift():
                return self._rounded(m, node, extended(node.a, _rounding_width(node)))
            case g.Bits():
                return extended(node.a, node.offset + node.width)[node.offset : node.offset + node.width]
            case g.Compare():
                return _compared(node, extended)
            case g.Select():
                return Mux(self._at(m, node.condition, stage), extended(node.if_one), extended(node.if_zero))
            case g.Concat():
                lower = extended(node.lower, node.lower_width)
                return Cat(lower, self._at(m, node.upper, stage))[: node.width]
            case g.Saturate():
                return _saturated(node, extended)
            case g.Lookup():
                return self._table(m, node, stage)
        raise AssertionError(f"no RTL for {type(node).__name__}")

    def _rounded(self, m: Module, node: g.RoundShift, a: Value) -> Value:
        """Add what the mode asks for, and shift."""
        total = Signal(len(a), name=f"{self._name(node)}_sum")
        half, just_less = Const(1 << (node.amount - 1), len(a)), Const((1 << (node.amount - 1)) - 1, len(a))
        match node.rounding:
            case Rounding.HALF_UP:
                m.d.comb += total.eq(a + half)
            case Rounding.HALF_EVEN:
                m.d.comb += total.eq(a + Mux(a[node.amount], half, just_less))
            case Rounding.HALF_AWAY:
                m.d.comb += total.eq(a + Mux(a[-1], just_less, half))
            case Rounding.TOWARD_ZERO:
                m.d.comb += total.eq(a + resized(a[-1].replicate(node.amount), False, len(a)))
            case Rounding.FLOOR:
                m.d.comb += total.eq(a)
        return total[node.amount : node.amount + node.width]

    def _table(self, m: Module, node: g.Lookup, stage: int) -> Value:
        name, words = self._name(node), node.words
        attributes = {"lut_inputs": node.lut_inputs} if node.lut_inputs else {}
        memory = Memory(shape=node.width, depth=len(words), init=words, attrs=attributes)
        m.submodules[table_name(name)] = memory
        port = memory.read_port(domain="comb")
        data = Signal(node.width, name=name)
        m.d.comb += [port.addr.eq(self._at(m, node.address, stage)), data.eq(port.data)]
        return data


def table_name(signal_name: str) -> str:
    """Name of the memory behind a table's signal."""
    return f"{signal_name}_table"


def signal_names(datapath: g.Datapath) -> Mapping[g.Node, str]:
    """A name of its own for every node: the given one, or the operation's, numbered where it repeats."""
    wanted = {node: node.name or type(node).__name__.lower() for node in datapath.nodes}
    repeats, seen = Counter(wanted.values()), Counter[str]()
    names = {}
    for node, name in wanted.items():
        seen[name] += 1
        names[node] = f"{name}_{seen[name]}" if repeats[name] > 1 else name
    return names


def resized(value: Value, is_signed: bool, width: int) -> Value:
    """Bits extended to a width, by copies of the sign or by zeros; or cut to it."""
    missing = width - len(value)
    if missing <= 0:
        return value[:width] if missing else value
    return Cat(value, value[-1].replicate(missing) if is_signed else Const(0, missing))


def _compared(node: g.Compare, extended: Extended) -> Value:
    is_signed = node.a.signed or node.b.signed
    width = max(operand.width + (is_signed and not operand.signed) for operand in node.operands)
    a, b = extended(node.a, width), extended(node.b, width)
    if node.relation is g.Relation.EQUAL:
        return a == b
    if isinstance(node.b, g.Constant) and node.b.low == 0 and is_signed:
        less: Value = a[-1]
    else:
        less = a.as_signed() < b.as_signed() if is_signed else a < b
    return less if node.relation is g.Relation.LESS else ~less


def _negated(a: Value, condition: Value, form: g.Negation) -> Value:
    match form:
        case g.Negation.CHAIN:
            return (a ^ condition.replicate(len(a))) + resized(condition, False, len(a))
        case g.Negation.CHOICE:
            return Mux(condition, ~(a - 1)[: len(a)], a)
    return Cat(a[:1], *(a[bit] ^ (condition & a[:bit].any()) for bit in range(1, len(a))))


def _saturated(node: g.Saturate, extended: Extended) -> Value:
    """Compare with both ends, as far as the range reaches beyond them."""
    result = extended(node.a)
    if node.a.high > node.maximum:
        above = _compared(node.a.at_least(node.maximum + 1), extended)
        result = Mux(above, _bits(node.maximum, node), result)
    if node.a.low < node.minimum:
        below = _compared(node.a.less_than(node.minimum), extended)
        result = Mux(below, _bits(node.minimum, node), result)
    return result


def _bits(number: int, node: g.Node) -> Value:
    return Const(number & ((1 << node.width) - 1), node.width)


def _rounding_width(node: g.RoundShift) -> int:
    """A width at which adding the rounding constant cannot overflow."""
    return max(node.a.width + 1, node.width + node.amount)
