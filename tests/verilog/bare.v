// SPDX-License-Identifier: Apache-2.0
// SQ2.3 to SQ2.3, x < 0 ? floor(x / 4) : x, two register ranks. A define breaks it in one way.
`timescale 1ns/1ps
module tiny_bare (
  input  wire              clk,
  input  wire              ce,
  input  wire signed [4:0] x,
  output wire signed [4:0] y
);
  reg signed [4:0] s1, s2;
  wire signed [4:0] f = s1[4] ? s1 >>> 2 : s1;

`ifdef CE_IGNORED
  wire en1 = 1'b1, en2 = 1'b1;
`elsif CE_HALF
  wire en1 = 1'b1, en2 = ce;
`else
  wire en1 = ce, en2 = ce;
`endif

`ifdef SHORT_LATENCY
  assign y = f;
`elsif UNSTABLE
  assign y = ce ? s2 : s2 ^ {4'b0, x[0]};
`else
  assign y = s2;
`endif

  always @(posedge clk) begin
    if (en1) s1 <= x;
    if (en2) s2 <= f;
`ifdef MOST_NEGATIVE
    if (en2 & (s1 == -5'sd16)) s2 <= f - 5'sd1;
`endif
`ifdef X_DATA
    if (en2 & (s1 == 5'sd3)) s2 <= 5'b0001x;
`endif
  end
endmodule
