"""Designs synthesised module by module."""

import pytest

from fcnnx import boards
from fcnnx.errors import BadInput
from fcnnx.hdl.device import Resources
from fcnnx.hdl.operators.matvec import RowPair
from fcnnx.hdl.verilog import emit, written_modules
from fcnnx.synthesis import yosys
from fcnnx.synthesis.yosys import synthesise


LEAF = """\
module leaf(clk, a, y);
  input clk;
  wire clk;
  input [7:0] a;
  wire [7:0] a;
  output [7:0] y;
  reg [7:0] y;
  always @(posedge clk) y <= a;
endmodule
"""
MIDDLE = """\
module middle(clk, a, y);
  input clk;
  wire clk;
  input [7:0] a;
  wire [7:0] a;
  output [7:0] y;
  wire [7:0] y;
  wire [7:0] between;
  leaf first (
    .clk(clk), .a(a), .y(between)
  );
  leaf second (
    .clk(clk), .a(~between), .y(y)
  );
endmodule
"""
TOP = MIDDLE.replace("middle", "accelerator").replace("leaf", "middle").replace("~", "")
DESIGN = {"accelerator": TOP, "middle": MIDDLE, "leaf": LEAF}


def test_modules_count_as_often_as_they_are_there():
    steps = []
    found = synthesise(DESIGN, "xc7", progress=steps.append)
    assert {module.name: (module.instances, module.resources.lut, module.resources.ff)
            for module in found.modules} == {
                "accelerator": (1, 0, 0), "middle": (2, 8, 0), "leaf": (4, 0, 8)}
    assert found.total == Resources(lut=16, ff=32)
    assert found.tool.startswith("Yosys 0.")
    assert len(steps) == 3


def test_results_are_kept(monkeypatch):
    before = synthesise(DESIGN, "xc7")

    def run(*arguments):
        pytest.fail("synthesised again")

    monkeypatch.setattr(yosys, "_run", run)
    assert synthesise(DESIGN, "xc7") == before


@pytest.mark.parametrize("board", ["zedboard", "zcu102", "ulx3s-85f"])
def test_a_row_pair_costs_what_is_said(board):
    device = boards.get(board).device
    size = {"rows": 2, "columns": 4, "depth": 12, "acc_width": 19,
            "kind": "packed" if device.packs_products else "dsp"}
    texts = emit(RowPair(**size), name="pair")
    found = synthesise(texts | written_modules(texts.values()), device.family, top="pair").total
    said = RowPair.cost(**size, device=device)
    assert (said.dsp, said.bram18, said.uram) == (found.dsp, found.bram18, found.uram)
    assert said.lut == pytest.approx(found.lut, rel=0.1)
    assert said.ff == pytest.approx(found.ff, rel=0.1)


def test_longest_path():
    adder = LEAF.replace("y <= a", "y <= y + a")
    slow = synthesise({"leaf": adder}, "ecp5", top="leaf", paths=True).modules[0].longest_path
    fast = synthesise({"leaf": LEAF}, "ecp5", top="leaf", paths=True).modules[0].longest_path
    assert fast == 0
    assert slow >= 4


def test_errors_of_the_tool_are_told():
    broken = DESIGN | {"leaf": LEAF.replace("y <= a", "y <= a +")}
    with pytest.raises(BadInput, match=r"leaf: Yosys failed: .*ERROR"):
        synthesise(broken, "xc7")


def test_a_module_that_takes_too_long():
    with pytest.raises(BadInput, match=r"leaf: Yosys did not finish in 0\.01 seconds"):
        synthesise({"leaf": LEAF + "\n// not kept\n"}, "xc7", top="leaf", timeout=0.01)


def test_a_tool_that_is_missing(monkeypatch):
    def missing(package):
        raise yosys.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(yosys.importlib.metadata, "version", missing)
    with pytest.raises(BadInput, match=r"Yosys: pyosys is not installed. Install"):
        synthesise(DESIGN, "xc7")


def test_cells_that_nobody_knows(monkeypatch):
    monkeypatch.setattr(yosys, "kept", lambda parts, make: {"cells": {"ODDR": 1}, "path": None})
    with pytest.raises(BadInput, match="Yosys left cells that nobody knows: ODDR"):
        synthesise({"leaf": LEAF}, "xc7", top="leaf")
