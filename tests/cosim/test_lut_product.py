"""The multiplier that is written in Verilog: every product there is, in Icarus."""

import subprocess

from fcnnx.hdl.multiplier import LATENCY
from fcnnx.hdl.verilog import written_modules


BENCH = """
module bench;
  reg clk = 0;
  reg signed [7:0] a, b;
  wire signed [15:0] p;
  integer i, j, k, wrong;
  lut_product product (.clk(clk), .a(a), .b(b), .p(p));
  initial begin
    wrong = 0;
    for (i = -128; i < 128; i = i + 1)
      for (j = -128; j < 128; j = j + 1) begin
        a = i;
        b = j;
        for (k = 0; k < LATENCY; k = k + 1) begin
          #1 clk = 1;
          #1 clk = 0;
        end
        if (p !== i * j) wrong = wrong + 1;
      end
    $display("%0d wrong", wrong);
  end
endmodule
"""


def test_every_product(tmp_path):
    text = written_modules(["  lut_product unit ("])["lut_product"]
    source = tmp_path / "bench.v"
    source.write_text(BENCH.replace("LATENCY", str(LATENCY)) + text)
    subprocess.run(["iverilog", "-g2005", "-o", tmp_path / "bench", source], check=True)
    done = subprocess.run(["vvp", "-n", tmp_path / "bench"], check=True, capture_output=True,
                          text=True)
    assert done.stdout.strip() == "0 wrong"
