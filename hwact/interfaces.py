# SPDX-License-Identifier: Apache-2.0
"""The interfaces of a unit as Amaranth components, and their ports in Verilog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

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
    "i_data": ("input", "input codes"),
    "i_valid": ("input", "an input word is offered"),
    "i_ready": ("output", "the offered word is taken at this edge"),
    "o_data": ("output", "output codes; hold still while stalled"),
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

_DATA_PORTS = ("x", "y", "i_data", "o_data", "s_axis_tdata", "m_axis_tdata")


class UnitComponent(Component):
    """A scheduled datapath behind an interface.

    Parameters
    ----------
    schedule : Schedule
    input_format, output_format : Format
    lanes : int
        Codes processed side by side; lane 0 is in the least significant bits of a word.

    Attributes
    ----------
    clocked_ports, data_ports : mapping of str to str
        Names of the Verilog ports, in order, to the names of Amaranth's signals.
    """

    clocked_ports: ClassVar[Mapping[str, str]]
    data_ports: ClassVar[Mapping[str, str]]

    def __init__(
        self, schedule: Schedule, input_format: Format, output_format: Format, lanes: int = 1
    ) -> None:
        self.schedule = schedule
        self.input_format, self.output_format, self.lanes = input_format, output_format, lanes
        super().__init__(self._signature())

    @classmethod
    def ports(cls, latency: int) -> Mapping[str, str]:
        """Verilog ports in order, to Amaranth's names; a combinational unit has no clock."""
        return {**(cls.clocked_ports if latency else {}), **cls.data_ports}

    @classmethod
    def lane_bits(cls, number_format: Format) -> int:
        """Bits of a port that one lane takes; a code is in the low ones."""
        return number_format.width

    def _signature(self) -> Signature:
        raise AssertionError("every interface states its signature")

    def _shape(self, number_format: Format) -> Shape:
        bits = self.lane_bits(number_format) * self.lanes
        return signed(bits) if number_format.signed and self.lanes == 1 else unsigned(bits)

    def _logic(self, m: Module, word: Value, enable: Value) -> Value:
        """All lanes' pipelines, from the input word to the output word."""
        results = []
        for lane in range(self.lanes):
            code = word.as_unsigned().word_select(lane, self.lane_bits(self.input_format))
            code = code[: self.input_format.width]
            prefix = f"lane{lane}_" if self.lanes > 1 else ""
            pipeline = Pipeline(m, self.schedule, code, enable, prefix)
            y = pipeline.schedule.datapath.y
            result = resized(pipeline.y, y.signed, self.output_format.width)
            results.append(resized(result, self.output_format.signed, self.lane_bits(self.output_format)))
        return Cat(*results)


class StreamUnit(UnitComponent):
    """A unit with valid/ready streams.

    A word moves when valid and ready are both high. The whole pipeline advances together whenever its
    last stage is empty or taken, so ``i.ready`` follows ``o.ready`` combinationally.

    Members
    -------
    i : stream of input words, in
    o : stream of output words, out
        ``schedule.latency`` cycles after its input when not stalled; one word a cycle.
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

    def _signature(self) -> Signature:
        return Signature(
            {
                "i": In(stream.Signature(self._shape(self.input_format))),
                "o": Out(stream.Signature(self._shape(self.output_format))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid: Value = self.i.valid
        for stage in range(1, self.schedule.latency + 1):
            register = Signal(name=f"valid_s{stage}")
            with m.If(self.i.ready):
                m.d.sync += register.eq(valid)
            valid = register
        m.d.comb += [
            self.i.ready.eq(self.o.ready | ~valid if self.schedule.latency else self.o.ready),
            self.o.valid.eq(valid),
            self.o.payload.eq(self._logic(m, self.i.payload, self.i.ready)),
        ]
        return m


class BareUnit(UnitComponent):
    """A unit of fixed latency without handshake.

    Members
    -------
    x : input word, in
    y : output word, out
        Follows ``x`` by ``schedule.latency`` enabled clock edges.
    ce : Signal(1), in
        Clock enable; everything holds while it is low. There is none when the latency is 0.
    """

    clocked_ports: ClassVar[Mapping[str, str]] = {"clk": "clk", "ce": "ce"}
    data_ports: ClassVar[Mapping[str, str]] = {"x": "x", "y": "y"}

    def _signature(self) -> Signature:
        enable = {"ce": In(1)} if self.schedule.latency else {}
        data = {"x": In(self._shape(self.input_format)), "y": Out(self._shape(self.output_format))}
        return Signature(enable | data)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        enable = self.ce if self.schedule.latency else Const(1)
        m.d.comb += self.y.eq(self._logic(m, self.x, enable))
        return m


class AxisUnit(UnitComponent):
    """A unit with AXI4-Stream interfaces, of the same pipeline and handshake as :class:`StreamUnit`.

    A lane takes whole bytes of TDATA: its code is in the low bits. The input's other bits are ignored;
    the output's are copies of the sign, or zeros for an unsigned format.

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

    @classmethod
    def lane_bits(cls, number_format: Format) -> int:
        return -(-number_format.width // 8) * 8

    def _signature(self) -> Signature:
        reset = {"aresetn": In(1)} if self.schedule.latency else {}
        inputs, outputs = (
            unsigned(self.lane_bits(f) * self.lanes) for f in (self.input_format, self.output_format)
        )
        return Signature(
            reset
            | {"s_axis_tdata": In(inputs), "m_axis_tdata": Out(outputs)}
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
    interface: str, latency: int, input_format: Format, output_format: Format, lanes: int
) -> list[dict[str, str | int]]:
    """Name, direction, width and meaning of every Verilog port."""
    component = INTERFACES[interface]
    formats = {"input": input_format, "output": output_format}
    widths = {direction: component.lane_bits(fmt) * lanes for direction, fmt in formats.items()}
    records: list[dict[str, str | int]] = []
    for name in component.ports(latency):
        direction, meaning = PORT_MEANINGS[name]
        width = widths[direction] if name in _DATA_PORTS else 1
        records.append({"name": name, "direction": direction, "width": width, "meaning": meaning})
    return records


def check_interface(interface: str, lanes: int) -> None:
    """Refuse what is no interface, and no number of lanes."""
    if interface not in INTERFACES:
        raise ArgumentError(f"interface must be one of {', '.join(INTERFACES)}, not {interface!r}")
    if isinstance(lanes, bool) or not isinstance(lanes, int) or not 1 <= lanes <= MAX_LANES:
        raise ArgumentError(f"lanes must be an integer from 1 to {MAX_LANES}, not {lanes!r}")
