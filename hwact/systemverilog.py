# SPDX-License-Identifier: Apache-2.0
"""The golden model in SystemVerilog: a package that imports it, and a bench that uses the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hwact.description import Description
from hwact.formats import MAX_LISTED_WIDTH, Codes, Format
from hwact.interfaces import INTERFACES

_MAX_STEPS = 1 << 16  # of one bench: more would make its compilation slow

_PACKAGE = """\
{origin}
package {name}_pkg;
  /* verilator lint_off UNUSEDPARAM */  // whoever imports the package takes what it needs
{numbers}{constants}  localparam int LANES = {lanes};
  localparam int LATENCY = {latency};
  // Of {digested}, as in {name}.json.
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

_STRUCT = """\
  typedef struct packed {{
{fields}  }} {type};
"""

_FIELD = """\
    logic {sign}[{high}:0] {name};
"""

_FUNCTION = """\
  // {model}.c must be compiled with the simulation.
  import "DPI-C" pure function {result} {model}({imported});

  // The {what} code of an input code.
  function automatic {type} {golden}(input input_t code{setting});
    return {type}'({model}({given}));
  endfunction
"""

_BENCH = """\
{origin}
// {which} through every lane, against the C golden model by DPI-C. With Verilator, for example:
//   --binary -CFLAGS -std=c++20 --output-split 0 -F {name}.f {name}_tb.sv --top-module {name}_tb
module {name}_tb;
  import {name}_pkg::*;

{steps}  localparam int WORDS = {words}
  localparam int PATIENCE = 16 * WORDS + 1000;  // cycles

  typedef logic [LANES*{input_bits}-1:0] input_word_t;
  typedef logic [LANES*{output_bits}-1:0] output_word_t;

  function automatic input_t code_of(input int index, input int lane);
{code}  endfunction

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
      automatic input_t code = code_of(index, lane);
{setting}      automatic {type} due = {golden}({given});
      automatic logic [{bits}-1:0] got = word[{offset}lane*{bits}+:{bits}];
      if (got !== {bits}'(due)) begin
        failures++;
        if (failures <= 8)
          $display("word %0d, lane %0d, {labels}: expected {what}%0d (0x%0h), got 0x%0h",
                   index, lane, {values}, due, {bits}'(due), got);
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
_SETTING = """\
      automatic setting_t setting = setting_of(index, lane);
"""

_STEPS = """\
  localparam int STEPS = {count};
  localparam logic [INPUT_WIDTH-1:0] STEP[STEPS] = '{{
{rows}
  }};
"""

# What a bench sends: all codes, or some that are spread over them, ahead of which steps may come.
_ALL = """\
    return input_t'(index + lane);
"""
_SPREAD = """\
    return input_t'((index + lane) * 32'h9E3779B1);
"""
_STEPPED = """\
    automatic int place = (index + lane) % WORDS;
    return place < STEPS ? STEP[place] : input_t'(64'(place - STEPS) * 64'h9E3779B1);
"""

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


def _sides(unit: Description) -> tuple[list[_Side], list[_Side]]:
    """The inputs and the outputs in their order."""
    lane_bits = INTERFACES[unit.manifest["interface"]].lane_bits
    given, made = (
        [_Side(name, f, lane_bits(f)) for name, f in zip(names, formats.values(), strict=False)]
        for names, formats in zip((("INPUT", "SETTING"), ("OUTPUT", "GRADIENT")), unit.formats, strict=True)
    )
    return given, made


def package(unit: Description) -> str:
    """``<name>_pkg.sv``: what a bench or a design around the unit must know, and the golden models."""
    facts, (given, made) = unit.manifest, _sides(unit)
    sides = [side.texts() for side in (*given, *made)]
    functions, digests = [], []
    said = (facts, facts.get("gradient_output", {}))
    for model, name, side, each in zip(unit.models, _GOLDENS, made, said, strict=False):
        functions.append(
            _FUNCTION.format(
                type=side.type,
                model=model.function,
                result="int" if model.result_type == "int32_t" else "int unsigned",
                golden=name,
                what=side.name.lower(),
                imported=", ".join(f"input {each.type} {each.name}" for each in model.arguments),
                setting=", input setting_t setting" * (len(given) > 1),
                given=", ".join(f"int'({each.value})" for each in model.arguments),
            )
        )
        digests.append(_DIGEST.format(golden=name.upper(), sha256=each["golden_sha256"]))
    types = [_TYPE.format(**side) for side in sides]
    if unit.fields:
        fields = (
            _FIELD.format(sign="signed " * number.signed, high=number.width - 1, name=name)
            for name, number in unit.fields.items()
        )
        types[0] = _STRUCT.format(type=given[0].type, fields="".join(fields))
    return _PACKAGE.format(
        **{key: facts[key] for key in ("name", "lanes", "latency")},
        origin=_comment(unit),
        digested=unit.digested,
        numbers="".join(_NUMBER.format(**side) for side in sides),
        constants="".join(f"  localparam int {name} = {value};\n" for name, value in unit.constants.items()),
        digests="".join(digests),
        types="".join(types),
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


def bench(unit: Description) -> str:
    """``<name>_tb.sv``: the unit beside the golden models, for any simulator with DPI-C."""
    facts, (inputs, outputs) = unit.manifest, _sides(unit)
    interface, setting = facts["interface"], len(inputs) > 1
    comparisons, offset = [], ""
    for side, golden, model in zip(outputs, _GOLDENS, unit.models, strict=False):
        bits = f"{side.name}_LANE_BITS"
        comparisons.append(
            _COMPARISON.format(
                type=side.type,
                golden=golden,
                setting=_SETTING * setting,
                given="code" + ", setting" * setting,
                labels=", ".join(f"{each.label} %0d" for each in model.arguments),
                values=", ".join(each.value for each in model.arguments),
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
    return _BENCH.format(
        name=facts["name"],
        origin=_comment(unit),
        wiring=wiring,
        **_sent(unit, _sum(f"{side.name}_WIDTH" for side in inputs)),
        input_bits=_sum(f"{side.name}_LANE_BITS" for side in inputs),
        output_bits=_sum(f"{side.name}_LANE_BITS" for side in outputs),
        setting_of=_SETTING_OF * setting,
        sent_setting=_SENT_SETTING * setting,
        comparisons="".join(comparisons),
    )


def _sent(unit: Description, index_bits: str) -> dict[str, str]:
    """What a bench sends: all codes where they are few enough."""
    number = next(iter(unit.formats[0].values()))
    if number.width <= MAX_LISTED_WIDTH:
        words = f"1 << {index_bits};  // every code in every lane"
        return {"which": "Every input code", "steps": "", "words": words, "code": _ALL}
    spread = "65536 that are spread over them,"
    if not unit.steps.size:
        which = f"NOT all input codes, but {spread}"
        return {"which": which, "steps": "", "words": "1 << 16;", "code": _SPREAD}
    # An odd stride takes of neighbouring steps now the one, now the other side.
    steps = unit.steps[:: unit.steps.size // _MAX_STEPS | 1]
    some = f"{steps.size} of " * (steps.size < unit.steps.size)
    return {
        "which": f"NOT all input codes, but {some}{unit.which}, and\n// {spread}",
        "steps": _STEPS.format(count=steps.size, rows=_rows(number, steps)),
        "words": "STEPS + (1 << 16);  // every one in every lane",
        "code": _STEPPED,
    }


def _rows(number: Format, codes: Codes) -> str:
    """The elements of an array, some on each line."""
    texts = [f"{number.width}'h{bits:x}" for bits in number.to_bits(codes).tolist()]
    return ",\n".join("    " + ", ".join(texts[start : start + 6]) for start in range(0, len(texts), 6))


def _sum(names: Iterable[str]) -> str:
    """One name as it is; several as a sum."""
    text = "+".join(names)
    return f"({text})" if "+" in text else text


def _comment(unit: Description) -> str:
    return "".join(f"// {line}\n" for line in unit.origin).rstrip("\n")
