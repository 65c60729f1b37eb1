"""Whole designs placed and routed."""

import pytest

from fcnnx.errors import BadInput
from fcnnx.synthesis import nextpnr, tool
from fcnnx.synthesis.nextpnr import place_and_route


SUM = """\
module accelerator(clk, a, y);
  input clk;
  wire clk;
  input [7:0] a;
  wire [7:0] a;
  output [7:0] y;
  reg [7:0] y;
  always @(posedge clk) y <= y + (a ^ y[0]);
endmodule
"""
# Written by nobody where the load port of the top is tied to zeros.
LOADED = """\
module accelerator(clk, address, y);
  input clk;
  wire clk;
  input [3:0] address;
  wire [3:0] address;
  output [7:0] y;
  wire [7:0] y;
  held held (
    .address(address),
    .clk(clk),
    .load__data(32'd0),
    .load__valid(1'h0),
    .y(y)
  );
endmodule
"""
HELD = """\
module held(input clk, input load__valid, input [31:0] load__data, input [3:0] address,
            output reg [7:0] y);
  reg [3:0] next = 0;
  reg [7:0] mem [0:15];
  reg [7:0] fetched;
  initial $readmemh("held.mem", mem);
  always @(posedge clk) begin
    if (load__valid) mem[next] <= load__data[7:0];
    next <= next + load__valid;
    fetched <= mem[address];
    y <= fetched;
  end
endmodule
"""
SMALL = "LFE5U-25F"


def test_a_clock_and_its_path():
    steps = []
    found = place_and_route({"accelerator.v": SUM}, SMALL, progress=steps.append)
    assert found.tool.startswith("nextpnr-ecp5 0.")
    assert found.used["TRELLIS_FF"] == 8
    assert len(steps) == 2
    # What the tool does not say of a path is the clock's own uncertainty: none.
    assert 1000 / found.fmax_mhz == pytest.approx(found.delay_ns, abs=0.05)
    assert found.path[0].kind == "clk-to-q"
    assert {step.signal for step in found.path} == {"y"}
    again = place_and_route({"accelerator.v": SUM}, SMALL, progress=steps.append)
    assert (again, len(steps)) == (found, 2)


def test_memories_that_are_loaded_stay_memories():
    contents = "\n".join(f"{value:02x}" for value in range(100, 116))
    found = place_and_route({"accelerator.v": LOADED, "held.v": HELD, "held.mem": contents}, SMALL)
    assert found.used["TRELLIS_RAMW"] == 2


def test_what_has_no_room():
    wide = SUM.replace("7:0", "299:0")
    with pytest.raises(BadInput, match=r"the whole design: nextpnr failed: ERROR: .*TRELLIS_IO"):
        place_and_route({"accelerator.v": wide}, SMALL)


def test_a_tool_that_takes_too_long():
    with pytest.raises(BadInput, match=r"did not finish in 0\.01 seconds. Give it more with"):
        place_and_route({"accelerator.v": SUM + "// not kept\n"}, SMALL, timeout=0.01)


def test_a_full_disk(monkeypatch):
    def full(*words, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(tool.tempfile, "TemporaryDirectory", full)
    monkeypatch.setattr(nextpnr, "kept", lambda parts, make: make())
    with pytest.raises(BadInput, match=r"^nextpnr: Its files cannot be written: No space left"):
        place_and_route({"accelerator.v": SUM}, SMALL)
