# SPDX-License-Identifier: Apache-2.0
"""The golden model in SystemVerilog: a package that imports it, and a bench that uses the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwact.formats import MAX_LISTED_WIDTH, Format
from hwact.golden import Golden
from hwact.interfaces import INTERFACES

_PACKAGE = """\
{origin}
package {name}_pkg;
  /* verilator lint_off UNUSEDPARAM */  // whoever imports the package takes what it needs
  localparam int INPUT_WIDTH = {input_width};
{input_value}
  localparam bit INPUT_SIGNED = 1'b{input_signed};
  localparam int INPUT_LANE_BITS = {input_lane_bits};  // of the port, for each lane
  localparam int OUTPUT_WIDTH = {output_width};
{output_value}
  localparam bit OUTPUT_SIGNED = 1'b{output_signed};
  localparam int OUTPUT_LANE_BITS = {output_lane_bits};
  localparam int LANES = {lanes};
  localparam int LATENCY = {latency};
  // Of the output codes over {digested}, as in {name}.json.
  localparam bit [255:0] GOLDEN_SHA256 =
      256'h{golden_sha256};
  /* verilator lint_on UNUSEDPARAM */

  typedef logic {input_sign}[INPUT_WIDTH-1:0] input_t;
  typedef logic {output_sign}[OUTPUT_WIDTH-1:0] output_t;

`ifndef SYNTHESIS
  // {name}_golden.c must be compiled with the simulation.
  import "DPI-C" pure function {result} {name}_golden(input int code);

  // The output code of an input code.
  function automatic output_t golden(input input_t code);
    return output_t'({name}_golden(int'(code)));
  endfunction
`endif
endpackage
"""

_BENCH = """\
{origin}
// {which} through every lane, against the C golden model by DPI-C. With Verilator, for example:
//   --binary -CFLAGS -std=c++20 -F {name}.f {name}_tb.sv --top-module {name}_tb
module {name}_tb;
  import {name}_pkg::*;

  localparam int WORDS = {words}
  localparam int PATIENCE = 16 * WORDS + 1000;  // cycles

  typedef logic [LANES*INPUT_LANE_BITS-1:0] input_word_t;
  typedef logic [LANES*OUTPUT_LANE_BITS-1:0] output_word_t;

  function automatic input_t code_of(input int index, input int lane);
    return input_t'({code});
  endfunction

  function automatic input_word_t sent_word(input int index);
    for (int lane = 0; lane < LANES; lane++)
      sent_word[lane*INPUT_LANE_BITS+:INPUT_LANE_BITS] = INPUT_LANE_BITS'(code_of(index, lane));
  endfunction

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
    for (int lane = 0; lane < LANES; lane++) begin
      automatic output_t due = golden(code_of(index, lane));
      automatic logic [OUTPUT_LANE_BITS-1:0] got = word[lane*OUTPUT_LANE_BITS+:OUTPUT_LANE_BITS];
      if (got !== OUTPUT_LANE_BITS'(due)) begin
        failures++;
        if (failures <= 8)
          $display("word %0d, lane %0d, input code %0d: expected %0d (0x%0h), got 0x%0h",
                   index, lane, code_of(index, lane), due, OUTPUT_LANE_BITS'(due), got);
      end
    end
  endtask

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

# What a bench sends, by whether there are few enough codes for all of them.
_ALL = {
    "which": "Every input code",
    "words": "1 << INPUT_WIDTH;  // every code in every lane",
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
_CONNECTIONS: Mapping[str, Mapping[str, str]] = {"stream": _STREAM, "axis": _AXIS, "bare": _BARE}

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


def package(golden: Golden, facts: Mapping[str, Any]) -> str:
    """``<name>_pkg.sv``: what a bench or a design around the unit must know, and the golden model."""
    component = INTERFACES[facts["interface"]]
    numbers: dict[str, object] = {}
    for side, number in (("input", golden.input_format), ("output", golden.output_format)):
        lane_bits = component.lane_bits(number)
        numbers |= {f"{side}_{key}": value for key, value in _number(number, lane_bits).items()}
        numbers[f"{side}_value"] = _value_parameters(side.upper(), number)
    return _PACKAGE.format(
        **numbers,
        **{key: facts[key] for key in ("name", "lanes", "latency", "golden_sha256")},
        origin=_comment(golden),
        digested="all input codes" if golden.input_format.width <= MAX_LISTED_WIDTH else "65536 input codes",
        result="int" if golden.result_type == "int32_t" else "int unsigned",
    )


def _number(number_format: Format, lane_bits: int) -> dict[str, object]:
    return {
        "width": number_format.width,
        "signed": int(number_format.signed),
        "sign": "signed " * number_format.signed,
        "lane_bits": lane_bits,
    }


def _value_parameters(side: str, number_format: Format) -> str:
    """What a code means, as parameters of the package."""
    if number_format.scale is None:
        return f"  localparam int {side}_FRAC_BITS = {number_format.frac_bits};"
    scale = f"{float(number_format.scale):#.17g}"
    return (
        f"  localparam real {side}_SCALE = {scale};  // the value is {number_format.meaning}\n"
        f"  localparam longint {side}_ZERO_POINT = {number_format.zero_point};"
    )


def bench(golden: Golden, facts: Mapping[str, Any]) -> str:
    """``<name>_tb.sv``: the unit beside the golden model, for any simulator with DPI-C."""
    interface = facts["interface"]
    ports = INTERFACES[interface].ports(facts["latency"])
    connections = ",\n".join(f"      .{port}({_CONNECTIONS[interface][port]})" for port in ports)
    wiring = f"{_MOVES[interface]}\n  {facts['name']} dut (\n{connections}\n  );\n"
    sent = _ALL if golden.input_format.width <= MAX_LISTED_WIDTH else _SOME
    return _BENCH.format(name=facts["name"], origin=_comment(golden), wiring=wiring, **sent)


def _comment(golden: Golden) -> str:
    return "".join(f"// {line}\n" for line in golden.origin).rstrip("\n")
