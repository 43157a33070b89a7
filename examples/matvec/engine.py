# SPDX-License-Identifier: Apache-2.0
"""A small integer matrix-vector engine with an activation: one layer of a quantised network.

int8 inputs come one a cycle; every output has an int32 accumulator. When a vector is in, the accumulators are
read out one after another and sent through a hwact unit, which requantises them, each output by its own
scale, and computes the activation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hwact.datapath.verilog import convert
from hwact.requantise import RequantisingUnit

Integers = npt.NDArray[np.int64]
SIDES = {
    f"{side}_{wire}": f"{side}__{name}"
    for side in "io"
    for wire, name in (("data", "payload"), ("valid", "valid"), ("ready", "ready"))
}
WATCHED = {name: name for name in ("word", "word_valid", "word_ready")}
PORTS = {"clk": "clk", "rst": "rst", **SIDES, **WATCHED}


@dataclass(frozen=True)
class Layer:
    """The integers of a layer: ``sums = weights @ x + bias``.

    Parameters
    ----------
    weights : int8 values, shape ``(outputs, inputs)``
    bias : int32 values, shape ``(outputs,)``
    """

    weights: Integers
    bias: Integers

    def sums(self, x: Integers) -> Integers:
        """The accumulators of int8 vectors, shape ``(..., inputs)`` to ``(..., outputs)``."""
        return x @ self.weights.T + self.bias


class Engine(Component):
    """The hardware of a layer, around the component of a unit with a channel for each output.

    Members
    -------
    i : stream of int8, in
        The elements of a vector, from the first.
    o : stream of output codes, out
        The elements of the result, from the first. The engine takes no input while it sends them.
    word, word_valid, word_ready
        The stream into the unit, for a bench to look at.
    """

    def __init__(self, layer: Layer, unit: RequantisingUnit) -> None:
        self.layer, self.unit = layer, unit
        self.activation = unit.component()
        watched = {"word": Out(len(self.activation.i.payload)), "word_valid": Out(1), "word_ready": Out(1)}
        output = self.activation.signature.members["o"]
        super().__init__({"i": In(stream.Signature(signed(8))), "o": output, **watched})

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
        sums_valid = Signal()  # high from a vector's last element to its last result

        m.submodules.weights_table = memory = Memory(shape=8 * outputs, depth=inputs, init=self.words)
        port = memory.read_port(domain="comb")
        weights = Signal(8 * outputs)
        m.d.comb += [port.addr.eq(element), weights.eq(port.data), self.i.ready.eq(~sums_valid)]
        sums = [Signal(signed(32), init=int(bias), name=f"sum_{n}") for n, bias in enumerate(self.layer.bias)]
        with m.If(self.i.valid & self.i.ready):
            for n, total in enumerate(sums):
                m.d.sync += total.eq(total + weights.word_select(n, 8).as_signed() * self.i.payload)
            last = element == inputs - 1
            m.d.sync += [element.eq(Mux(last, 0, element + 1)), sums_valid.eq(last)]

        take = ~self.word_valid | self.word_ready
        m.d.comb += [activation.i.payload.eq(self.word), activation.i.valid.eq(self.word_valid)]
        m.d.comb += self.word_ready.eq(activation.i.ready)
        connect(m, activation.o, flipped(self.o))
        with m.If(take):
            m.d.sync += [self.word.eq(Cat(Array(sums)[result], result)), self.word_valid.eq(sums_valid)]
        with m.If(take & sums_valid):
            m.d.sync += result.eq(result + 1)
            with m.If(result == outputs - 1):
                m.d.sync += [result.eq(0), sums_valid.eq(0)]
                m.d.sync += [total.eq(total.init) for total in sums]
        return m

    def verilog(self) -> str:
        """The module ``engine``, with the ports `PORTS`."""
        return convert(self, "engine", PORTS)
