// SPDX-License-Identifier: Apache-2.0
// SQ2.3 to SQ2.3, x < 0 ? floor(x / 4) : x, valid and ready without a clock. A define breaks it in one way.
`timescale 1ns/1ps
module tiny_wires (
  input  wire [4:0] i_data,
  input  wire       i_valid,
  output wire       i_ready,
  output wire [4:0] o_data,
  output wire       o_valid,
  input  wire       o_ready
);
  assign i_ready = o_ready;
`ifdef IGNORES_VALID
  assign o_valid = 1'b1;
`else
  assign o_valid = i_valid;
`endif
  assign o_data = i_data[4] ? {{2{i_data[4]}}, i_data[4:2]} : i_data;
endmodule
