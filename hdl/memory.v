// Simple dual-port memory: one write port, one read port, data two cycles after its address.
// FILE, if given, names its contents for $readmemh. STYLE: "block" or "distributed".
// What comes out of block RAM for a word that is written in the same cycle is undefined: devices
// differ, and would take logic to agree. In simulation it is wrong, so that nothing can rely on it.
module memory #(
  parameter WIDTH = 8,
  parameter DEPTH = 2,
  parameter ADDRESS = 1,
  parameter FILE = "",
  parameter STYLE = "block"
) (
  input clk,
  input w_en,
  input [ADDRESS-1:0] w_addr,
  input [WIDTH-1:0] w_data,
  input [ADDRESS-1:0] r_addr,
  output reg [WIDTH-1:0] r_data
);
  reg [WIDTH-1:0] fetched;

  generate
    if (STYLE == "block") begin : block
      (* ram_style = "block", no_rw_check *)
      reg [WIDTH-1:0] mem [0:DEPTH-1];
      if (FILE != "") begin : contents
        initial $readmemh(FILE, mem);
      end
      always @(posedge clk) begin
        if (w_en) mem[w_addr] <= w_data;
        fetched <= mem[r_addr];
`ifndef SYNTHESIS
        if (w_en && w_addr == r_addr) fetched <= ~mem[r_addr];
`endif
        r_data <= fetched;
      end
    end else begin : distributed
      (* ram_style = "distributed" *)
      reg [WIDTH-1:0] mem [0:DEPTH-1];
      if (FILE != "") begin : contents
        initial $readmemh(FILE, mem);
      end
      always @(posedge clk) begin
        if (w_en) mem[w_addr] <= w_data;
        fetched <= mem[r_addr];
        r_data <= fetched;
      end
    end
  endgenerate
endmodule
