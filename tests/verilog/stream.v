// SPDX-License-Identifier: Apache-2.0
// SQ2.3 to SQ2.3, x < 0 ? floor(x / 4) : x, three register ranks. A define breaks it in one way.
`timescale 1ns/1ps
module tiny_stream (
  input  wire       clk,
  input  wire       rst,
`ifdef NARROW_PORT
  input  wire [3:0] i_data,
`else
  input  wire [4:0] i_data,
`endif
  input  wire       i_valid,
  output wire       i_ready,
  output wire [4:0] o_data,
`ifndef MISSING_PORT
  output wire       o_valid,
`endif
  input  wire       o_ready
);
`ifdef MISSING_PORT
  wire o_valid;
`endif
  reg v1, v2, v3, stalled;
  reg [4:0] d1, d2, d3, out;
  reg [5:0] words, tick;

  wire [4:0] y = d2[4] ? {{2{d2[4]}}, d2[4:2]} : d2;
  wire free = o_ready | ~v3;
  wire tenth = words == 6'd10;

`ifdef BUBBLE
  wire bubble = (tick == 6'd17) & ~stalled;
  wire en = free & ~bubble;
  assign o_valid = v3 & ~bubble;
`elsif REPEATED
  reg again;
  wire repeating = tenth & v3 & ~again;
  wire en = (o_ready & ~repeating) | ~v3;
  always @(posedge clk) again <= repeating & o_ready & ~rst;
  assign o_valid = v3;
`else
  wire en = free;
`ifdef NEVER_VALID
  assign o_valid = 1'b0;
`elsif DROPS_VALID
  assign o_valid = v3 & (o_ready | ~stalled);
`else
  assign o_valid = v3;
`endif
`endif

`ifdef NEVER_READY
  assign i_ready = en & (words < 6'd20);
`elsif X_READY
  assign i_ready = (words == 6'd20) ? 1'bx : en;
`else
  assign i_ready = en;
`endif

`ifdef UNSTABLE
  assign o_data = d3 ^ {4'b0, stalled & ~o_ready};
`else
  assign o_data = d3;
`endif

  always @* begin
    out = y;
`ifdef WRONG_CODE
    if (d2 == 5'd5) out = y ^ 5'd2;
`endif
`ifdef MOST_NEGATIVE
    if (d2 == 5'b10000) out = y + 5'd1;
`endif
`ifdef SWAPPED
    out = {y[3], y[4], y[2:0]};
`endif
`ifdef X_DATA
    if (d2 == 5'd7) out = 5'b0x111;
`endif
  end

  always @(posedge clk) begin
    stalled <= o_valid & ~o_ready;
    tick <= rst ? 6'd0 : tick + 6'd1;
    if (rst) words <= 6'd0;
    else if (i_valid & i_ready & (words < 6'd30)) words <= words + 6'd1;
    if (en) begin
      v1 <= i_valid & i_ready;
      d1 <= i_data;
      v2 <= v1;
      d2 <= d1;
      v3 <= v2;
      d3 <= out;
`ifdef LOST
      if (tenth) v1 <= 1'b0;
`endif
`ifdef REORDERED
      if (tenth & v1 & v2) begin
        d2 <= d2;
        d3 <= d1[4] ? {{2{d1[4]}}, d1[4:2]} : d1;
      end
`endif
`ifdef SHORT_LATENCY
      v2 <= i_valid;
      d2 <= i_data;
`endif
`ifdef IGNORES_VALID
      v1 <= 1'b1;
`endif
    end
`ifdef RESET_NEEDS_ENABLE
    if (rst & en) begin v1 <= 1'b0; v2 <= 1'b0; v3 <= 1'b0; end
`elsif STALE
    if (rst) begin v1 <= 1'b0; v3 <= 1'b0; end
`else
    if (rst) begin v1 <= 1'b0; v2 <= 1'b0; v3 <= 1'b0; end
`endif
  end

`ifdef HANGS
  reg loop = 1'b0;
  initial forever #0 loop = ~loop;
`endif
`ifdef NO_SYNTAX
  assign = ;
`endif
endmodule
