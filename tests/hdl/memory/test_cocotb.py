"""Emitted ports in Icarus, before a RAM that others have written."""

import json
import pathlib

import numpy as np
import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.port import MemoryPort, MemoryStream
from fcnnx.hdl.verilog import emit, written_modules


BENCHES = pathlib.Path(__file__).parent / "benches"
FRAMES = 3
REGION = 1 << 12
# Ids, which that RAM asks for.
IDS = """, axi__awid, axi__bid, axi__arid, axi__rid);
  output axi__awid, axi__arid;
  input axi__bid, axi__rid;
  assign axi__awid = 1'b0, axi__arid = 1'b0;
"""


def write_verilog(folder, spec):
    texts = emit(spec.create(), name="port")
    texts |= written_modules(texts.values())
    texts["port"] = texts["port"].replace(");\n", IDS, 1)
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.v").write_text(text)
    return sorted(folder.glob("*.v"))


def make_job(spec, bursts):
    """Frames of every stream, and what the memory holds before and after them."""
    rng = np.random.default_rng(6)
    size, word_bytes = REGION * len(spec.streams), spec.axi.word_bytes
    contents = bytearray(rng.bytes(size))
    result = contents.copy()
    streams = []
    for number, (each, count) in enumerate(zip(spec.streams, bursts, strict=True)):
        length = count * each.burst * word_bytes
        starts = [REGION * number + frame * length for frame in range(FRAMES)]
        assert FRAMES * length <= REGION
        data = bytes(contents[starts[0]:starts[0] + FRAMES * length])
        if not each.is_read:
            data = rng.bytes(FRAMES * length)
            result[starts[0]:starts[0] + FRAMES * length] = data
        words = [int.from_bytes(data[k:k + word_bytes], "little")
                 for k in range(0, len(data), word_bytes)]
        streams.append({"direction": each.direction, "words": words,
                        "commands": [(start, count) for start in starts]})
    return {"streams": streams, "size": size, "contents": contents.hex(), "result": result.hex(),
            "address_width": spec.axi.address_width}


@pytest.mark.parametrize(("width", "table"), [(64, (0, 1, 2, 1, 3)), (128, ())])
def test_ram(width, table, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHES))  # the runner hands the path on
    spec = MemoryPort(
        axi=Axi(data_width=width, address_width=20), table=table,
        streams=tuple(MemoryStream(name=f"s{k}", direction=direction, burst=burst, places=places)
                      for k, (direction, burst, places) in enumerate(
                          (("read", 8, 20), ("write", 8, 300), ("read", 4, 300),
                           ("write", 2, 5)))))
    (tmp_path / "job.json").write_text(json.dumps(make_job(spec, (4, 3, 9, 10))))
    runner = get_runner("icarus")
    folders = {"build_dir": tmp_path / "sim", "hdl_toplevel": "port"}
    runner.build(sources=write_verilog(tmp_path / "rtl", spec), always=True,
                 timescale=("1ns", "1ns"), build_args=["-g2012"],
                 log_file=tmp_path / "build.log", **folders)
    results = runner.test(test_module="axi_bench", test_dir=tmp_path,
                          extra_env={"FCNNX_PORT": str(tmp_path / "job.json")},
                          log_file=tmp_path / "test.log", **folders)
    assert get_results(results) == (2, 0), (tmp_path / "test.log").read_text()
