# SPDX-License-Identifier: Apache-2.0
"""What the tests of synthesis share: circuits of a few gates, and the library of a few cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from hwact.synth import Record, Source
from hwact.synth.source import Port

TINY_LIBRARY = Path(__file__).parent / "data" / "tiny.lib"

# A function of six inputs, three registers, and an adder with its carry.
MIXED = """
module mixed(input clk, input [5:0] x, input [2:0] d, input [3:0] a, b,
             output f, output reg [2:0] q, output [4:0] sum);
  assign f = (x[0] & x[1]) ^ (x[2] | x[3]) ^ (x[4] & ~x[5]);
  assign sum = a + b;
  always @(posedge clk) q <= d;
endmodule
"""
# A multiplier, and a table of 16384 bits with a register behind it.
BLOCKS = """
module blocks(input clk, input [8:0] a, b, input [9:0] x, output [17:0] y, output reg [15:0] word);
  reg [15:0] rom [0:1023];
  integer i;
  initial for (i = 0; i < 1024; i = i + 1) rom[i] = i * 40503;
  assign y = a * b;
  always @(posedge clk) word <= rom[x];
endmodule
"""
# One way only to make this of the tiny library: 3.0 + 5.0 + 2.0 + 10.0.
GATES = """
module gates(input clk, a, b, c, d, output y, z, n, output reg q);
  assign y = ~(a & b);
  assign z = ~(c | d);
  assign n = ~a;
  always @(posedge clk) q <= b;
endmodule
"""
# What the isolation cell (an AND) and the cell not to be used (an XOR) would do for nearly nothing.
TEMPTING = "module tempting(input a, b, output y, z); assign y = a ^ b, z = a & b; endmodule"


def source(verilog: str, name: str | None = None, ports: Mapping[str, int] | None = None) -> Source:
    """Verilog without a manifest; a port of negative width is an output."""
    given = (ports or {}).items()
    return Source(
        name=name or verilog.split("module ")[1].split("(")[0].strip(),
        verilog=verilog,
        ports=tuple(
            Port(name=port, direction="input" if width > 0 else "output", width=abs(width))
            for port, width in given
        ),
        latency=0,
    )


def counts(record: Record) -> tuple[int, int, int, int, int, int]:
    """Cells by kind."""
    return (
        record.luts,
        record.carry_cells,
        record.multiplexers,
        record.flip_flops,
        record.dsps,
        record.block_rams,
    )


def no_process(command: object, **_: object) -> int:
    """Stands for `run_group` where none may be started."""
    pytest.fail(f"no process may be started, not {command!r}")
