# SPDX-License-Identifier: Apache-2.0
"""The interfaces of a unit as Amaranth components, and their ports in Verilog.

A unit's inputs and outputs have names, ``x`` and ``y`` for the codes of the function, and formats. Each has a
port of its own, or the lanes of one follow those of another, the first in the least significant bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, Signature

from hwact.datapath.rtl import Pipeline, resized
from hwact.datapath.schedule import Schedule
from hwact.errors import ArgumentError
from hwact.formats import Format

MAX_LANES = 64

PORT_MEANINGS: Mapping[str, tuple[str, str]] = {
    "clk": ("input", "clock; everything happens on its rising edge"),
    "rst": ("input", "synchronous reset, active high: drops all words under way"),
    "ce": ("input", "clock enable: everything holds while it is low"),
    "x": ("input", "input codes"),
    "y": ("output", "output codes"),
    "log2_beta": ("input", "log2 of beta, in two's complement; comes with x"),
    "gradient": ("output", "the gradient's codes"),
    "i_data": ("input", "input codes"),
    "i_log2_beta": ("input", "log2 of beta, in two's complement; comes with i_data"),
    "i_valid": ("input", "an input word is offered"),
    "i_ready": ("output", "the offered word is taken at this edge"),
    "o_data": ("output", "output codes; hold still while stalled"),
    "o_gradient": ("output", "the gradient's codes; come and hold still with o_data"),
    "o_valid": ("output", "an output word is offered"),
    "o_ready": ("input", "the offered word is taken at this edge"),
    "aclk": ("input", "clock; everything happens on its rising edge"),
    "aresetn": ("input", "synchronous reset, active low: drops all words under way"),
    "s_axis_tdata": (
        "input",
        "input codes, each in the low bits of whole bytes; the bits above it are ignored",
    ),
    "s_axis_tvalid": ("input", "an input word is offered"),
    "s_axis_tready": ("output", "the offered word is taken at this edge"),
    "s_axis_tlast": ("input", "goes with its word"),
    "s_axis_tuser": ("input", "goes with its word"),
    "m_axis_tdata": (
        "output",
        "output codes, each extended to whole bytes by its sign; hold still while stalled",
    ),
    "m_axis_tvalid": ("output", "an output word is offered"),
    "m_axis_tready": ("input", "the offered word is taken at this edge"),
    "m_axis_tlast": ("output", "that of the input word"),
    "m_axis_tuser": ("output", "that of the input word"),
}

Formats: TypeAlias = Mapping[str, Format]


class UnitComponent(Component):
    """A scheduled datapath behind an interface.

    Parameters
    ----------
    schedule : Schedule
    inputs, outputs : mapping of str to Format
        Formats by name; the outputs in the order of the datapath's.
    lanes : int
        Codes processed side by side; lane 0 is in the least significant bits of a word.

    Attributes
    ----------
    clocked_ports, data_ports : mapping of str to str
        Names of the Verilog ports, in order, to the names of Amaranth's signals.
    """

    clocked_ports: ClassVar[Mapping[str, str]]
    data_ports: ClassVar[Mapping[str, str]]
    words: ClassVar[Mapping[str, str]]  # the port of the first input and of the first output
    beside: ClassVar[str | None]  # the ports of the others; none where they share that of the first

    def __init__(self, schedule: Schedule, inputs: Formats, outputs: Formats, lanes: int = 1) -> None:
        self.schedule = schedule
        self.inputs, self.outputs, self.lanes = inputs, outputs, lanes
        super().__init__(self._signature())

    @classmethod
    def carried(cls, direction: str, formats: Formats) -> dict[str, Formats]:
        """The data ports of a direction, ``input`` or ``output``, and the formats on each, low bits first."""
        if cls.beside is None:
            return {cls.words[direction]: formats}
        first, *others = ({name: each} for name, each in formats.items())
        ports = {cls.beside.format(side=direction[0], name=name): each for each in others for name in each}
        return {cls.words[direction]: first, **ports}

    @classmethod
    def ports(cls, latency: int, inputs: Formats, outputs: Formats) -> Mapping[str, str]:
        """Verilog ports in order, to Amaranth's names; a combinational unit has no clock."""
        ports = dict(cls.clocked_ports) if latency else {}
        carried = [cls.carried("input", inputs), cls.carried("output", outputs)]
        for port, signal in cls.data_ports.items():
            group = next((names for names in carried if port in names), {})
            ports |= {port: signal} | {name: name for name in group if name != port}
        return ports

    @classmethod
    def lane_bits(cls, number_format: Format) -> int:
        """Bits of a port that one lane takes; a code is in the low ones."""
        return number_format.width

    @classmethod
    def port_bits(cls, held: Formats, lanes: int) -> int:
        """Bits of a port that carries these formats."""
        return sum(map(cls.lane_bits, held.values())) * lanes

    def _signature(self) -> Signature:
        raise AssertionError("every interface states its signature")

    def _shapes(self, direction: str, formats: Formats) -> dict[str, Shape]:
        """The shapes of the data ports of a direction; signed where a port holds one signed code."""
        shapes = {}
        for port, held in self.carried(direction, formats).items():
            bits = self.port_bits(held, self.lanes)
            alone = self.lanes == 1 and len(held) == 1 and all(each.signed for each in held.values())
            shapes[port] = signed(bits) if alone else unsigned(bits)
        return shapes

    def _logic(self, m: Module, word: Value, enable: Value) -> Value:
        """All lanes' pipelines, from the word of all inputs to that of all outputs."""
        results = [self._lane(m, word, lane, enable) for lane in range(self.lanes)]
        return Cat(*(codes[output] for output in range(len(self.outputs)) for codes in results))

    def _lane(self, m: Module, word: Value, lane: int, enable: Value) -> list[Value]:
        """One lane's pipeline: its output codes, in as many bits as they take."""
        codes, place = {}, 0
        for name, given in self.inputs.items():
            bits = self.lane_bits(given)
            codes[name] = word.as_unsigned()[place + lane * bits :][: given.width]
            place += self.lanes * bits
        prefix = f"lane{lane}_" if self.lanes > 1 else ""
        pipeline = Pipeline(m, self.schedule, codes, enable, prefix)
        results = []
        nodes = pipeline.schedule.datapath.outputs
        for node, bits, made in zip(nodes, pipeline.outputs, self.outputs.values(), strict=True):
            code = resized(bits, node.signed, made.width)
            results.append(resized(code, made.signed, self.lane_bits(made)))
        return results


class StreamUnit(UnitComponent):
    """A unit with valid/ready streams.

    A word moves when valid and ready are both high. The whole pipeline advances together whenever its
    last stage is empty or taken, so ``i.ready`` follows ``o.ready`` combinationally.

    Members
    -------
    i : stream of input words, in
    o : stream of output words, out
        ``schedule.latency`` cycles after its input when not stalled; one word a cycle.
    i_<name>, o_<name> : further input words, in, and output words, out
        Each goes with ``i.payload`` or ``o.payload``.
    """

    clocked_ports: ClassVar[Mapping[str, str]] = {"clk": "clk", "rst": "rst"}
    data_ports: ClassVar[Mapping[str, str]] = {
        "i_data": "i__payload",
        "i_valid": "i__valid",
        "i_ready": "i__ready",
        "o_data": "o__payload",
        "o_valid": "o__valid",
        "o_ready": "o__ready",
    }
    words: ClassVar[Mapping[str, str]] = {"input": "i_data", "output": "o_data"}
    beside = "{side}_{name}"

    def _signature(self) -> Signature:
        source, sink = self._shapes("input", self.inputs), self._shapes("output", self.outputs)
        streams = {
            "i": In(stream.Signature(source.pop("i_data"))),
            "o": Out(stream.Signature(sink.pop("o_data"))),
        }
        beside = {name: In(shape) for name, shape in source.items()}
        return Signature(streams | beside | {name: Out(shape) for name, shape in sink.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid: Value = self.i.valid
        for stage in range(1, self.schedule.latency + 1):
            register = Signal(name=f"valid_s{stage}")
            with m.If(self.i.ready):
                m.d.sync += register.eq(valid)
            valid = register
        given, made = (
            [getattr(self, name) for name in [*self.carried(*each)][1:]]
            for each in (("input", self.inputs), ("output", self.outputs))
        )
        m.d.comb += [
            self.i.ready.eq(self.o.ready | ~valid if self.schedule.latency else self.o.ready),
            self.o.valid.eq(valid),
            Cat(self.o.payload, *made).eq(self._logic(m, Cat(self.i.payload, *given), self.i.ready)),
        ]
        return m


class BareUnit(UnitComponent):
    """A unit of fixed latency without handshake.

    Members
    -------
    x : input word, in
    y : output word, out
        Follows ``x`` by ``schedule.latency`` enabled clock edges; so do further outputs. They, and
        further inputs, are there by their names.
    ce : Signal(1), in
        Clock enable; everything holds while it is low. There is none when the latency is 0.
    """

    clocked_ports: ClassVar[Mapping[str, str]] = {"clk": "clk", "ce": "ce"}
    data_ports: ClassVar[Mapping[str, str]] = {"x": "x", "y": "y"}
    words: ClassVar[Mapping[str, str]] = {"input": "x", "output": "y"}
    beside = "{name}"

    def _signature(self) -> Signature:
        enable = {"ce": In(1)} if self.schedule.latency else {}
        source, sink = self._shapes("input", self.inputs), self._shapes("output", self.outputs)
        data = {name: In(shape) for name, shape in source.items()}
        return Signature(enable | data | {name: Out(shape) for name, shape in sink.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        enable = self.ce if self.schedule.latency else Const(1)
        inputs = [getattr(self, name) for name in self.carried("input", self.inputs)]
        outputs = [getattr(self, name) for name in self.carried("output", self.outputs)]
        m.d.comb += Cat(*outputs).eq(self._logic(m, Cat(*inputs), enable))
        return m


class AxisUnit(UnitComponent):
    """A unit with AXI4-Stream interfaces, of the same pipeline and handshake as :class:`StreamUnit`.

    A lane takes whole bytes of TDATA: its code is in the low bits. The input's other bits are ignored;
    the output's are copies of the sign, or zeros for an unsigned format. All lanes of a further input or
    output lie above those of the first.

    Members
    -------
    aresetn : Signal(1), in
        Synchronous reset, active low. There is none when the latency is 0, and no clock.
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast, s_axis_tuser
        Input words, with one bit of TLAST and of TUSER.
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast, m_axis_tuser
        Output words, ``schedule.latency`` cycles after their input when not stalled; TLAST and TUSER
        are those of the input word.
    """

    clocked_ports: ClassVar[Mapping[str, str]] = {"aclk": "clk", "aresetn": "aresetn"}
    data_ports: ClassVar[Mapping[str, str]] = {
        f"{side}_axis_{wire}": f"{side}_axis_{wire}"
        for side in "sm"
        for wire in ("tdata", "tvalid", "tready", "tlast", "tuser")
    }
    words: ClassVar[Mapping[str, str]] = {"input": "s_axis_tdata", "output": "m_axis_tdata"}
    beside = None

    @classmethod
    def lane_bits(cls, number_format: Format) -> int:
        return -(-number_format.width // 8) * 8

    def _signature(self) -> Signature:
        reset = {"aresetn": In(1)} if self.schedule.latency else {}
        (source,) = self._shapes("input", self.inputs).values()
        (sink,) = self._shapes("output", self.outputs).values()
        return Signature(
            reset
            | {"s_axis_tdata": In(unsigned(source.width)), "m_axis_tdata": Out(unsigned(sink.width))}
            | {"s_axis_tvalid": In(1), "s_axis_tready": Out(1), "s_axis_tlast": In(1), "s_axis_tuser": In(1)}
            | {
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                "m_axis_tuser": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, last, user = self.s_axis_tvalid, self.s_axis_tlast, self.s_axis_tuser
        for stage in range(1, self.schedule.latency + 1):
            registers = [
                Signal(name=f"{name}_s{stage}", reset_less=True) for name in ("valid", "last", "user")
            ]
            with m.If(self.s_axis_tready):
                m.d.sync += [
                    register.eq(bit) for register, bit in zip(registers, (valid, last, user), strict=True)
                ]
            with m.If(~self.aresetn):
                m.d.sync += registers[0].eq(0)
            valid, last, user = registers
        ready = self.m_axis_tready
        m.d.comb += [
            self.s_axis_tready.eq(ready | ~valid if self.schedule.latency else ready),
            self.m_axis_tvalid.eq(valid),
            self.m_axis_tlast.eq(last),
            self.m_axis_tuser.eq(user),
            self.m_axis_tdata.eq(self._logic(m, self.s_axis_tdata, self.s_axis_tready)),
        ]
        return m


INTERFACES: Mapping[str, type[UnitComponent]] = {"stream": StreamUnit, "axis": AxisUnit, "bare": BareUnit}


def port_records(
    interface: str, latency: int, inputs: Formats, outputs: Formats, lanes: int
) -> list[dict[str, str | int]]:
    """Name, direction, width and meaning of every Verilog port."""
    component = INTERFACES[interface]
    carried = component.carried("input", inputs) | component.carried("output", outputs)
    records: list[dict[str, str | int]] = []
    for name in component.ports(latency, inputs, outputs):
        direction, meaning = PORT_MEANINGS[name]
        held = carried.get(name, {})
        width = component.port_bits(held, lanes) if held else 1
        meaning += "".join(f"; above them, likewise, those of {other}" for other in [*held][1:])
        records.append({"name": name, "direction": direction, "width": width, "meaning": meaning})
    return records


def check_interface(interface: str, lanes: int) -> None:
    """Refuse what is no interface, and no number of lanes."""
    if interface not in INTERFACES:
        raise ArgumentError(f"interface must be one of {', '.join(INTERFACES)}, not {interface!r}")
    if isinstance(lanes, bool) or not isinstance(lanes, int) or not 1 <= lanes <= MAX_LANES:
        raise ArgumentError(f"lanes must be an integer from 1 to {MAX_LANES}, not {lanes!r}")
