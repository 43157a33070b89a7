# SPDX-License-Identifier: Apache-2.0
"""Registers around a module, so that place and route can tell its clock.

All inputs come from a shift register and all outputs go to registers, which a second shift register takes to
one pin: every path of the module lies between registers, none is optimised away, and five pins are enough
for any number of ports.
"""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from hwact.synth.source import CLOCK, Source


class Harness(Component):
    """A module between registers.

    Members
    -------
    shift_in, load : Signal(1), in
        The next bit of the inputs; whether the outputs are taken along or moved on.
    shift_out : Signal(1), out
        A bit of the outputs.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        super().__init__(Signature({"shift_in": In(1), "load": In(1), "shift_out": Out(1)}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inputs: list[Signal] = []
        outputs: list[Signal] = []
        connections: dict[str, Value] = {}
        for port in self.source.ports:
            kind = "i" if port.direction == "input" else "o"
            if port.name == CLOCK:
                connections[f"{kind}_{port.name}"] = ClockSignal()
                continue
            signal = connections[f"{kind}_{port.name}"] = Signal(port.width, name=f"unit_{port.name}")
            (inputs if kind == "i" else outputs).append(signal)
        m.submodules.unit = Instance(self.source.name, **connections)

        driven = Signal(len(Cat(inputs)))
        m.d.sync += driven.eq(Cat(self.shift_in, driven))
        m.d.comb += Cat(inputs).eq(driven)

        taken, moved = Signal(len(Cat(outputs))), Signal(len(Cat(outputs)))
        m.d.sync += taken.eq(Cat(outputs))
        with m.If(self.load):
            m.d.sync += moved.eq(taken)
        with m.Else():
            m.d.sync += moved.eq(moved[1:])
        m.d.comb += self.shift_out.eq(moved[0])
        return m


def registers(source: Source) -> int:
    """Flip-flops of the harness itself; synthesis drops those of constant or equal outputs."""
    widths = {"input": 0, "output": 0}
    for port in source.ports:
        widths[port.direction] += port.width * (port.name != CLOCK)
    return widths["input"] + 2 * widths["output"]


def top(source: Source) -> str:
    """The harness's own name."""
    return f"{source.name}_harness"


def convert(source: Source) -> str:
    """The harness as RTLIL."""
    return rtlil.convert(Harness(source), name=top(source), emit_src=False)
