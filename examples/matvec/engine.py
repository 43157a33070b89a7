# SPDX-License-Identifier: Apache-2.0
"""A small integer matrix-vector engine with an activation: one layer of a quantised network.

int8 inputs come one a cycle; every output has an int32 accumulator and a multiplier of its own. When a vector
is in, the accumulators are read out one after another, brought into the activation's input format by a
multiplier and a rounding shift, and sent through a hwact unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, connect, flipped

from hwact.datapath.verilog import convert
from hwact.unit import Unit

Integers = npt.NDArray[np.int64]
SIDES = {
    f"{side}_{wire}": f"{side}__{name}"
    for side in "io"
    for wire, name in (("data", "payload"), ("valid", "valid"), ("ready", "ready"))
}
PORTS = {"clk": "clk", "rst": "rst", **SIDES}


@dataclass(frozen=True)
class Layer:
    """The integers of a layer: ``code = (weights @ x + bias) * multiplier / 2**shift``, rounded half up.

    Parameters
    ----------
    weights : int8 values, shape ``(outputs, inputs)``
    bias : int32 values, shape ``(outputs,)``
    multiplier, shift : int
        The multiplier has at most 15 bits.
    """

    weights: Integers
    bias: Integers
    multiplier: int
    shift: int

    def codes(self, x: Integers, unit: Unit) -> Integers:
        """The activation's input codes of int8 vectors, shape ``(..., inputs)`` to ``(..., outputs)``."""
        sums = x @ self.weights.T + self.bias
        scaled = (sums * self.multiplier + (1 << (self.shift - 1))) >> self.shift
        return np.clip(scaled, unit.input_format.min_code, unit.input_format.max_code)


class Engine(Component):
    """The hardware of a layer, around the component of a unit.

    In Verilog, ``activation_i__payload``, ``_valid`` and ``_ready`` are the stream into the unit.

    Members
    -------
    i : stream of int8, in
        The elements of a vector, from the first.
    o : stream of output codes, out
        The elements of the result, from the first. The engine takes no input while it sends them.
    """

    def __init__(self, layer: Layer, unit: Unit) -> None:
        self.layer, self.unit = layer, unit
        self.activation = unit.component()
        super().__init__({"i": In(stream.Signature(signed(8))), "o": self.activation.signature.members["o"]})

    @property
    def words(self) -> tuple[int, ...]:
        """The weights that meet each input, the first output's in the lowest byte."""
        columns = self.layer.weights.T.astype(np.int8)
        return tuple(int.from_bytes(column.tobytes(), "little") for column in columns)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.activation = activation = self.activation
        outputs, inputs = self.layer.weights.shape
        element = Signal(range(inputs))
        result = Signal(range(outputs))
        code_valid = Signal()  # high from a vector's last element to its last result

        m.submodules.weights_table = memory = Memory(shape=8 * outputs, depth=inputs, init=self.words)
        port = memory.read_port(domain="comb")
        weights = Signal(8 * outputs)
        m.d.comb += [port.addr.eq(element), weights.eq(port.data), self.i.ready.eq(~code_valid)]
        sums = [Signal(signed(32), init=int(bias), name=f"sum_{n}") for n, bias in enumerate(self.layer.bias)]
        with m.If(self.i.valid & self.i.ready):
            for n, total in enumerate(sums):
                m.d.sync += total.eq(total + weights.word_select(n, 8).as_signed() * self.i.payload)
            last = element == inputs - 1
            m.d.sync += [element.eq(Mux(last, 0, element + 1)), code_valid.eq(last)]

        code = self.requantised(m, Array(sums)[result])
        m.d.comb += [activation.i.payload.eq(code), activation.i.valid.eq(code_valid)]
        connect(m, activation.o, flipped(self.o))
        with m.If(code_valid & activation.i.ready):
            m.d.sync += result.eq(result + 1)
            with m.If(result == outputs - 1):
                m.d.sync += [result.eq(0), code_valid.eq(0)]
                m.d.sync += [total.eq(total.init) for total in sums]
        return m

    def requantised(self, m: Module, total: Value) -> Signal:
        """An accumulator as a code of the unit's input format: multiply, round, shift, saturate."""
        target, layer = self.unit.input_format, self.layer
        scaled = Signal(signed(48))
        code = Signal(target.width)
        m.d.comb += scaled.eq((total * layer.multiplier + (1 << (layer.shift - 1))) >> layer.shift)
        with m.If(scaled > target.max_code):
            m.d.comb += code.eq(target.max_code)
        with m.Elif(scaled < target.min_code):
            m.d.comb += code.eq(target.min_code)
        with m.Else():
            m.d.comb += code.eq(scaled)
        return code

    def verilog(self) -> str:
        """The module ``engine``, with the ports `PORTS`."""
        return convert(self, "engine", PORTS)
