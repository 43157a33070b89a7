// SPDX-License-Identifier: Apache-2.0
// SQ2.3 to SQ2.3, x < 0 ? floor(x / 4) : x, without a clock. A define breaks it in one way.
`timescale 1ns/1ps
module tiny_combinational (
  input  wire signed [4:0] x,
  output wire signed [4:0] y
);
`ifdef WRONG_CODE
  assign y = (x == -5'sd1) ? 5'sd0 : x[4] ? x >>> 2 : x;
`else
  assign y = x[4] ? x >>> 2 : x;
`endif
endmodule
