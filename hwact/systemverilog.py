# SPDX-License-Identifier: Apache-2.0
"""The golden model in SystemVerilog: a package that imports it, and a bench that uses the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwact.formats import MAX_LISTED_WIDTH, Format
from hwact.golden import Golden
from hwact.interfaces import INTERFACES

_PACKAGE = """\
{origin}
package {name}_pkg;
  /* verilator lint_off UNUSEDPARAM */  // whoever imports the package takes what it needs
{numbers}  localparam int LANES = {lanes};
  localparam int LATENCY = {latency};
  // Of the output codes over {digested}, as in {name}.json.
{digests}  /* verilator lint_on UNUSEDPARAM */

{types}
`ifndef SYNTHESIS
{functions}`endif
endpackage
"""

_NUMBER = """\
  localparam int {side}_WIDTH = {width};
{value}
  localparam bit {side}_SIGNED = 1'b{signed};
  localparam int {side}_LANE_BITS = {lane_bits};{comment}
"""

_DIGEST = """\
  localparam bit [255:0] {golden}_SHA256 =
      256'h{sha256};
"""

_TYPE = """\
  typedef logic {sign}[{side}_WIDTH-1:0] {type};
"""

_FUNCTION = """\
  // {model}.c must be compiled with the simulation.
  import "DPI-C" pure function {result} {model}(input int code{dpi_setting});

  // The {what} code of an input code.
  function automatic {type} {golden}(input input_t code{setting});
    return {type}'({model}(int'(code){setting_argument}));
  endfunction
"""

_BENCH = """\
{origin}
// {which} through every lane, against the C golden model by DPI-C. With Verilator, for example:
//   --binary -CFLAGS -std=c++20 -F {name}.f {name}_tb.sv --top-module {name}_tb
module {name}_tb;
  import {name}_pkg::*;

  localparam int WORDS = {words}
  localparam int PATIENCE = 16 * WORDS + 1000;  // cycles

  typedef logic [LANES*{input_bits}-1:0] input_word_t;
  typedef logic [LANES*{output_bits}-1:0] output_word_t;

  function automatic input_t code_of(input int index, input int lane);
    return input_t'({code});
  endfunction

{setting_of}  function automatic input_word_t sent_word(input int index);
    for (int lane = 0; lane < LANES; lane++)
      sent_word[lane*INPUT_LANE_BITS+:INPUT_LANE_BITS] = INPUT_LANE_BITS'(code_of(index, lane));
{sent_setting}  endfunction

  /* verilator lint_off UNUSEDSIGNAL */  // a combinational unit has no clock, and one by itself no reset
  logic clock, resetting;
  /* verilator lint_on UNUSEDSIGNAL */
  logic go;  // the sink takes a word, or the enable is high
  int cycles, sent, received, failures;
  input_word_t to_unit;
  output_word_t from_unit;
  logic moves_in, moves_out;
  logic in_place;  // what goes with a word came with it
  assign to_unit = sent_word(sent);

{wiring}
  task automatic compare(input int index, input output_word_t word);
    if (!in_place) begin
      failures++;
      $display("word %0d: tlast and tuser must come with their words", index);
    end
{comparisons}  endtask

  // Inputs change while the clock is low, outputs are read before it rises: no race in any simulator.
  task automatic cycle;
    automatic int step_in, step_out;
    resetting = cycles < 2;
    go = $urandom_range(3) != 0;
    #1;
    step_in = int'(moves_in && !resetting);
    step_out = int'(moves_out && !resetting);
    if (step_out == 1) compare(received, from_unit);
    clock = 1'b1;
    #1;
    clock = 1'b0;
    sent += step_in;
    received += step_out;
    cycles++;
  endtask

  initial begin
    {{clock, cycles, sent, received, failures}} = '0;
    while (received < WORDS && cycles < PATIENCE) cycle;
    if (received != WORDS || failures != 0)
      $fatal(1, "{name}: FAILED, %0d of %0d words came, with %0d errors", received, WORDS, failures);
    $display("{name}: passed, %0d codes in %0d cycles", WORDS * LANES, cycles);
    $finish;
  end
endmodule
"""

_COMPARISON = """\
    for (int lane = 0; lane < LANES; lane++) begin
      automatic {type} due = {golden}({given});
      automatic logic [{bits}-1:0] got = word[{offset}lane*{bits}+:{bits}];
      if (got !== {bits}'(due)) begin
        failures++;
        if (failures <= 8)
          $display("word %0d, lane %0d, input code %0d{also}: expected {what}%0d (0x%0h), got 0x%0h",
                   index, lane, {given}, due, {bits}'(due), got);
      end
    end
"""

_SETTING_OF = """\
  function automatic setting_t setting_of(input int index, input int lane);
    return setting_t'((index + lane) >> INPUT_WIDTH);
  endfunction

"""

_SENT_SETTING = """\
    for (int lane = 0; lane < LANES; lane++)
      sent_word[LANES*INPUT_LANE_BITS+lane*SETTING_LANE_BITS+:SETTING_LANE_BITS] =
          SETTING_LANE_BITS'(setting_of(index, lane));
"""
# What a bench sends, by whether there are few enough codes for all of them.
_ALL = {
    "which": "Every input code",
    "words": "1 << {index_bits};  // every code in every lane",
    "code": "index + lane",
}
_SOME = {
    "which": "NOT all input codes, but 65536 that are spread over them,",
    "words": "1 << 16;",
    "code": "(index + lane) * 32'h9E3779B1",
}

# What a bench connects to each port, and when words move.
_STREAM = {
    "clk": "clock",
    "rst": "resetting",
    "i_data": "to_unit",
    "i_valid": "offering",
    "i_ready": "taken",
    "o_data": "from_unit",
    "o_valid": "offered",
    "o_ready": "go",
}
_AXIS = {
    "aclk": "clock",
    "aresetn": "!resetting",
    "s_axis_tdata": "to_unit",
    "s_axis_tvalid": "offering",
    "s_axis_tready": "taken",
    "s_axis_tlast": "sent == WORDS - 1",
    "s_axis_tuser": "sent == 0",
    "m_axis_tdata": "from_unit",
    "m_axis_tvalid": "offered",
    "m_axis_tready": "go",
    "m_axis_tlast": "last",
    "m_axis_tuser": "first",
}
_BARE = {"clk": "clock", "ce": "go", "x": "to_unit", "y": "from_unit"}
_CONNECTIONS: Mapping[str, dict[str, str]] = {"stream": _STREAM, "axis": _AXIS, "bare": _BARE}
# Where a further input or output has a port of its own, the word is in two parts.
_SLICES = {
    "SETTING": {
        **dict.fromkeys(("i_data", "x"), "to_unit[LANES*INPUT_LANE_BITS-1:0]"),
        **dict.fromkeys(
            ("i_log2_beta", "log2_beta"), "to_unit[LANES*INPUT_LANE_BITS+:LANES*SETTING_LANE_BITS]"
        ),
    },
    "GRADIENT": {
        **dict.fromkeys(("o_data", "y"), "from_unit[LANES*OUTPUT_LANE_BITS-1:0]"),
        **dict.fromkeys(
            ("o_gradient", "gradient"), "from_unit[LANES*OUTPUT_LANE_BITS+:LANES*GRADIENT_LANE_BITS]"
        ),
    },
}

_HANDSHAKE = """\
  logic offering, taken, offered;
  assign offering = !resetting && sent < WORDS;
  assign moves_in = offering && taken;
  assign moves_out = offered && go;
"""
_ALONE = """\
  assign in_place = 1'b1;
"""
_SIDEBAND = """\
  logic first, last;
  assign in_place = {first, last} == {received == 0, received == WORDS - 1};
"""
_ENABLED = """\
  assign moves_in = go;
  assign moves_out = go && sent >= LATENCY;
"""
_MOVES: Mapping[str, str] = {
    "stream": _HANDSHAKE + _ALONE,
    "axis": _HANDSHAKE + _SIDEBAND,
    "bare": _ENABLED + _ALONE,
}


@dataclass(frozen=True)
class _Side:
    """What the package calls an input or output, in capitals, its format and the bits of a lane."""

    name: str
    number: Format
    lane_bits: int

    @property
    def type(self) -> str:
        return f"{self.name.lower()}_t"

    def texts(self) -> dict[str, object]:
        return {
            "side": self.name,
            "type": self.type,
            "width": self.number.width,
            "value": _value_parameters(self.name, self.number),
            "signed": int(self.number.signed),
            "sign": "signed " * self.number.signed,
            "lane_bits": self.lane_bits,
            "comment": "  // of the port, for each lane" * (self.name == "INPUT"),
        }


_GOLDENS = ("golden", "golden_gradient")


def _sides(goldens: Sequence[Golden], facts: Mapping[str, Any]) -> tuple[list[_Side], list[_Side]]:
    """The inputs and the outputs in their order."""
    first, lane_bits = goldens[0], INTERFACES[facts["interface"]].lane_bits
    inputs = {"INPUT": first.input_format}
    if first.setting_format:
        inputs["SETTING"] = first.setting_format
    outputs = dict(zip(("OUTPUT", "GRADIENT"), (golden.output_format for golden in goldens), strict=False))
    given, made = ([_Side(n, f, lane_bits(f)) for n, f in side.items()] for side in (inputs, outputs))
    return given, made


def package(goldens: Sequence[Golden], facts: Mapping[str, Any]) -> str:
    """``<name>_pkg.sv``: what a bench or a design around the unit must know, and the golden models."""
    first, (given, made) = goldens[0], _sides(goldens, facts)
    setting = len(given) > 1
    sides = [side.texts() for side in (*given, *made)]
    functions, digests = [], []
    said = (facts, facts.get("gradient_output", {}))
    for golden, name, side, each in zip(goldens, _GOLDENS, made, said, strict=False):
        functions.append(
            _FUNCTION.format(
                type=side.type,
                model=golden.function,
                result="int" if golden.result_type == "int32_t" else "int unsigned",
                golden=name,
                what=side.name.lower(),
                dpi_setting=", input int setting" * setting,
                setting=", input setting_t setting" * setting,
                setting_argument=", int'(setting)" * setting,
            )
        )
        digests.append(_DIGEST.format(golden=name.upper(), sha256=each["golden_sha256"]))
    return _PACKAGE.format(
        **{key: facts[key] for key in ("name", "lanes", "latency")},
        origin=_comment(first),
        digested="all input codes" if first.input_format.width <= MAX_LISTED_WIDTH else "65536 input codes",
        numbers="".join(_NUMBER.format(**side) for side in sides),
        digests="".join(digests),
        types="".join(_TYPE.format(**side) for side in sides),
        functions="\n".join(functions),
    )


def _value_parameters(side: str, number_format: Format) -> str:
    """What a code means, as parameters of the package."""
    if number_format.scale is None:
        return f"  localparam int {side}_FRAC_BITS = {number_format.frac_bits};"
    scale = f"{float(number_format.scale):#.17g}"
    return (
        f"  localparam real {side}_SCALE = {scale};  // the value is {number_format.meaning}\n"
        f"  localparam longint {side}_ZERO_POINT = {number_format.zero_point};"
    )


def bench(goldens: Sequence[Golden], facts: Mapping[str, Any]) -> str:
    """``<name>_tb.sv``: the unit beside the golden models, for any simulator with DPI-C."""
    interface = facts["interface"]
    inputs, outputs = _sides(goldens, facts)
    setting = len(inputs) > 1
    comparisons, offset = [], ""
    for side, golden in zip(outputs, _GOLDENS, strict=False):
        bits = f"{side.name}_LANE_BITS"
        comparisons.append(
            _COMPARISON.format(
                type=side.type,
                golden=golden,
                given="code_of(index, lane)" + ", setting_of(index, lane)" * setting,
                also=", setting %0d" * setting,
                bits=bits,
                offset=offset,
                what="" if side is outputs[0] else f"{side.name.lower()} ",
            )
        )
        offset += f"LANES*{bits}+"
    wired = dict(_CONNECTIONS[interface])
    for side in (*inputs[1:], *outputs[1:]):
        wired |= _SLICES[side.name]
    connections = ",\n".join(f"      .{port['name']}({wired[port['name']]})" for port in facts["ports"])
    wiring = f"{_MOVES[interface]}\n  {facts['name']} dut (\n{connections}\n  );\n"
    sent = _ALL if goldens[0].input_format.width <= MAX_LISTED_WIDTH else _SOME
    index_bits = _sum(f"{side.name}_WIDTH" for side in inputs)
    return _BENCH.format(
        name=facts["name"],
        origin=_comment(goldens[0]),
        wiring=wiring,
        **{key: text.format(index_bits=index_bits) for key, text in sent.items()},
        input_bits=_sum(f"{side.name}_LANE_BITS" for side in inputs),
        output_bits=_sum(f"{side.name}_LANE_BITS" for side in outputs),
        setting_of=_SETTING_OF * setting,
        sent_setting=_SENT_SETTING * setting,
        comparisons="".join(comparisons),
    )


def _sum(names: Iterable[str]) -> str:
    """One name as it is; several as a sum."""
    text = "+".join(names)
    return f"({text})" if "+" in text else text


def _comment(golden: Golden) -> str:
    return "".join(f"// {line}\n" for line in golden.origin).rstrip("\n")
