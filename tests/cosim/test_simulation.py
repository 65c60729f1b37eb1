"""Whole accelerators in Verilator: values, cycles, and what can go wrong."""

import numpy as np
import pytest

from fcnnx.cosim import Measurement, Run, measure, prove, run
from fcnnx.errors import BadInput, TargetMissed
from fcnnx.generate import generate
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.plumbing import Queue
from fcnnx.optimizer import timing


FRAMES = {"slow": 5, "fast": 5}


def test_values_and_cycles(design, pair, inputs):
    """All networks go on until the last has its frames, and are as fast as predicted."""
    result = prove(design, pair, inputs, FRAMES)
    assert result.mismatches == 0
    assert result.checks["slow"].frames == 5
    assert result.checks["fast"].frames > 5
    assert result.checks["slow"].values == 5 * 6 * 5 * 4
    for engine in pair.engines:
        predicted = timing.simulate(engine)
        measured = result.measurements[engine.name]
        assert (measured.interval, measured.latency) == (
            predicted.interval_cycles, predicted.latency_cycles)
        assert measured.longest >= measured.latency


def test_values_with_stalls(design, pair, inputs):
    results = [prove(design, pair, inputs, FRAMES, stalls=seed) for seed in (1, 1, 2)]
    assert [result.mismatches for result in results] == [0, 0, 0]
    cycles = [result.run.cycles for result in results]
    assert cycles[0] == cycles[1] != cycles[2]


def test_simulation_json(design, pair, inputs):
    content = prove(design, pair, inputs, FRAMES).to_json()
    assert set(content) == {"simulator", "seconds", "cycles", "networks", "memory"}
    row = content["networks"]["slow"]
    assert set(row) == {"frames", "values", "mismatches", "interval_cycles", "latency_cycles",
                        "longest_latency_cycles", "starved_cycles", "mac_efficiency",
                        "mean_interval_cycles"}
    macs = 6 * 5 * 4 * 9 * (2 + 4)
    assert row["mac_efficiency"] == round(macs / (4 * row["interval_cycles"]), 4)
    assert content["memory"] == {"bytes": 0, "busy_cycles": 0, "utilisation": 0, "underruns": 0}


def test_a_second_run_does_not_compile(queues_design, queues, queues_inputs, monkeypatch,
                                       tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    frames = {"good": 2, "bad": 2}
    steps = [], []
    for kind in steps:
        run(queues_design, queues, queues_inputs, frames, progress=kind.append)
    assert "Compiling the simulator" in steps[0]
    assert "Compiling the simulator" not in steps[1]
    left = {path.name.split("-")[-1] for path in (tmp_path / "cache/fcnnx/simulators").iterdir()}
    assert left >= {"verilated.o", "verilated_threads.o"}
    assert len(left) == 3


@pytest.mark.usefixtures("block_bad")
def test_a_network_that_hangs_is_named(queues_design, queues, queues_inputs):
    with pytest.raises(TargetMissed, match=r"^bad: The network hangs: no output in the 20000 "):
        run(queues_design, queues, queues_inputs, {"good": 2, "bad": 2}, patience=20000)


def test_a_memory_file_that_is_missing(design, pair, inputs):
    name = "slow.first_Conv_pair_0_weights.mem"
    (design / "rtl" / name).unlink()
    with pytest.raises(BadInput, match=name):
        run(design, pair, inputs, FRAMES)


def test_verilog_that_is_wrong(design, pair, inputs):
    (design / "rtl" / "fast_engine.v").write_text("module fast_engine; nonsense\n")
    with pytest.raises(BadInput, match=r"^Verilator: .*fast_engine\.v:1"):
        run(design, pair, inputs, FRAMES)


def test_every_width_of_a_beat_crosses(tmp_path):
    """Up to 8, 32, 64 and more bits: Verilator has a type for each."""
    engines = []
    for k, (width, signed, lanes) in enumerate([(1, False, 5), (8, True, 1), (8, False, 3),
                                                (9, True, 4), (16, True, 4), (16, False, 5)]):
        feature_map = FeatureMap(rows=2, columns=4, channels=5, width=width, signed=signed)
        queue = Queue(map=feature_map, lanes=lanes)
        engines.append(Engine(
            name=f"net{k}", inputs=(("x", queue.inputs[0]),),
            stages=(Stage(name="queue", operator=queue, inputs=(Source("x"),)),),
            outputs=(("y", Source("queue")),)))
    accelerator = Accelerator(engines=tuple(engines))
    generate(accelerator, tmp_path)
    rng = np.random.default_rng(4)
    given = {(engine.name, "x"): rng.integers(shape.map.low, shape.map.high + 1,
                                              (3, *shape.map.shape))
             for engine in engines for _, shape in engine.inputs}
    frames = dict.fromkeys([engine.name for engine in engines], 4)
    result = prove(tmp_path, accelerator, given, frames)
    assert result.mismatches == 0


def made_up(ends, accelerator):
    """A run whose network's frames have these last outputs."""
    (engine,) = accelerator.engines
    shape = engine.shape(engine.outputs[0][1])
    times = np.repeat(ends, shape.beats)
    return Run(accelerator=accelerator, simulator="none", cycles=0, seconds=0,
               outputs={(engine.name, "y"): np.zeros((len(ends), *shape.map.shape), dtype=int)},
               transfers={f"{engine.name}_x": np.array([7]), f"{engine.name}_y": times})


@pytest.mark.parametrize(("ends", "interval"), [
    ([50], None),
    ([50, 60], 10),
    ([50, 60, 70, 80], 10),
    ([50, 90, 100, 110], 10),
    ([50, 60, 70, 85], 10),
    ([50, 51, 61, 72, 90], 14),
])
def test_measurement(ends, interval):
    queue = Queue(map=FeatureMap(rows=1, columns=2, channels=1))
    engine = Engine(name="net", inputs=(("x", queue.inputs[0]),),
                    stages=(Stage(name="queue", operator=queue, inputs=(Source("x"),)),),
                    outputs=(("y", Source("queue")),))
    result = made_up(ends, Accelerator(engines=(engine,)))
    steps = np.diff(ends)
    mean = steps[len(steps) // 2:].mean().round(2) if len(steps) else None
    assert measure(result) == {"net": Measurement(interval=interval, mean=mean, latency=43,
                                                 longest=ends[-1] - 7)}
