"""Accelerators with a memory: exact in data and time, whatever the memory and the neighbours do."""

import dataclasses
import shutil

import numpy as np
import pytest

from fcnnx.cosim.block import block_outputs
from fcnnx.cosim.check import check
from fcnnx.cosim.simulation import measure
from fcnnx.cosim.system import Event, Fault, run_with_memory
from fcnnx.generate import generate
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.memory.control import ERRORS
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.plumbing import Queue
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.hdl.registers import constants
from fcnnx.memory import MemoryTiming
from fcnnx.optimizer.memory import MOST_UNDER_WAY, plan_memory
from fcnnx.optimizer.timing import simulate

from .conftest import convolution, residual


MEMORY = MemoryTiming(word_bytes=8, words_per_cycle=0.4)
TWO_PORTS = MemoryTiming(word_bytes=8, ports=2, words_per_cycle=0.38)
FRAMES = {"resident": 6, "streamed": 6}


def streamed_engine(name, seed, *, pointwise=False):
    """A layer whose weights come from the memory with every frame, and its map in order again;
    where its kernel is one pixel, by halves of rows."""
    rng = np.random.default_rng(seed)
    whole = convolution(FeatureMap(rows=4, columns=4, channels=4), 8, rng)
    if pointwise:
        whole = dataclasses.replace(whole, kernel=(1, 1), padding=(0, 0, 0, 0),
                                    weights=Constants(whole.weights.values[:, :1, :1]))
    fields = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)
              if field.name in ("input", "kernel", "padding", "weights", "bias", "requantization",
                                "output", "acc_width")}
    layer = StreamedConvolution(**fields, rows=2, lanes=2, tile=2 if pointwise else 8)
    stages = (Stage(name="layer", operator=layer, inputs=(Source("x"), Source("weights"))),
              Stage(name="order", operator=layer.reorder(), inputs=(Source("layer"),)))
    return Engine(name=name, inputs=(("x", layer.inputs[0]), ("weights", layer.inputs[1])),
                  stages=stages, outputs=(("y", Source("order")),))


@pytest.fixture(scope="module")
def planned():
    engines = (residual("resident", 1, (6, 5)), streamed_engine("streamed", 2))
    timings = [simulate(engine) for engine in engines]
    return plan_memory(engines, timings, MEMORY, address_width=32,
                       paces=[timing.interval_cycles for timing in timings], most=(None, None),
                       even=(True, True))


@pytest.fixture(scope="module")
def accelerator(planned):
    return Accelerator(engines=tuple(each.engine for each in planned.engines),
                       memory=planned.system)


@pytest.fixture(scope="module")
def folder(accelerator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("system") / "design"
    generate(accelerator, folder)
    return folder


@pytest.fixture(scope="module")
def inputs(accelerator):
    rng = np.random.default_rng(3)
    return {(engine.name, name): rng.integers(-128, 128, (3, *shape.map.shape))
            for engine in accelerator.engines for name, shape in engine.inputs
            if name not in engine.weight_frames}


@pytest.fixture
def run(folder, accelerator, inputs):
    def started(**options):
        frames = options.pop("frames", FRAMES)
        result = run_with_memory(folder, accelerator, inputs, frames, MEMORY, patience=60_000,
                                 **options)
        assert not result.messages
        assert not any(port.violations or port.refused for port in result.traffic)
        return result
    return started


@pytest.fixture(scope="module")
def registers(accelerator):
    return constants(accelerator.memory.registers("0" * 64))


def mismatches(result, inputs):
    golden = {engine.name: engine for engine in result.accelerator.engines}
    return {name: found.mismatches for name, found in check(result, inputs, golden).items()}


def errors(result, number):
    """The flags of a network, that of mere waiting aside."""
    word = result.registers[f"NETWORK_{number}_ERRORS"]
    return {flag for bit, flag in enumerate(ERRORS) if word >> bit & 1} - {"starved"}


def control(registers, number, what):
    return {"register": f"NETWORK_{number}_CONTROL",
            "value": 1 << registers[f"NETWORK_{number}_CONTROL_{what}_SHIFT"]}


@pytest.mark.parametrize("seed", [0, 1])
def test_as_predicted(run, planned, inputs, seed):
    assert any(each.spreads for each in planned.engines)  # of the gates, both kinds
    result = run(seed=seed)
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}
    assert result.memory["underruns"] == 0
    for paced in planned.engines:
        found = measure(result)[paced.engine.name]
        assert (found.interval, found.latency, found.longest) == (
            paced.timing.interval_cycles, *2 * (paced.timing.latency_cycles,))
        _, ends = result.frame_times(paced.engine)
        assert set(np.diff(ends)) == {paced.pace}
    assert errors(result, 0) == errors(result, 1) == set()


def test_tiles_of_half_a_row(tmp_path):
    """Each has the weights once, so they cross eight times a frame; frames are so small that
    many are read ahead, and a table of hardly a slot to spare would be one of too many."""
    engine = streamed_engine("halves", 4, pointwise=True)
    planned = plan_memory([engine], [simulate(engine)], MEMORY, address_width=32, paces=[0],
                          most=[None], even=[True])
    accelerator = Accelerator(engines=(planned.engines[0].engine,), memory=planned.system)
    generate(accelerator, tmp_path / "design")
    rng = np.random.default_rng(5)
    inputs = {("halves", "x"): rng.integers(-128, 128, (3, 4, 4, 4))}
    result = run_with_memory(tmp_path / "design", accelerator, inputs, {"halves": 300}, MEMORY,
                             seed=1)
    assert mismatches(result, inputs) == {"halves": 0}
    assert result.memory["underruns"] == 0
    assert result.memory["steady_utilisation"] > 0.95
    _, ends = result.frame_times(accelerator.engines[0])
    assert set(np.diff(ends)) == {planned.engines[0].pace}
    assert accelerator.memory.engines[0].in_flight <= MOST_UNDER_WAY
    (weights,) = (each for each in planned.schedule.streams if each.name == "halves weights")
    assert weights.words >= 8 * 4 * 8 // MEMORY.word_bytes


def test_a_slow_memory_does_not_hang(folder, accelerator, inputs):
    """Frames that a memory makes last long are waited for, however short one's patience."""
    slow = dataclasses.replace(MEMORY, words_per_cycle=MEMORY.words_per_cycle / 20)
    result = run_with_memory(folder, accelerator, inputs, FRAMES, slow, patience=10)
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}


@pytest.mark.parametrize("seed", [0, 1])
def test_levels_keep_their_bounds(run, planned, seed):
    check_levels(run(seed=seed), planned)


def check_levels(result, planned):
    """What is proven of each queue holds."""
    levels = {(each.port, each.name): each for each in result.levels.streams}
    assert sum(each.bytes for each in levels.values()) == result.memory["bytes"]
    for stream in planned.schedule.streams:
        level = levels[stream.port, stream.name]
        assert level.direction == stream.direction
        if not stream.words:
            assert not level.samples
            continue
        assert stream.burst <= stream.needed <= stream.places
        assert level.least <= min(level.samples)
        assert max(level.samples) <= level.greatest
        assert 0 < len(level.samples) <= 512
        if stream.direction == "read":
            assert stream.places - stream.needed <= level.least < stream.places
        else:
            assert level.least >= 0
            assert stream.burst <= level.greatest <= stream.needed


@pytest.mark.parametrize(("stopped", "other"), [(0, "streamed"), (1, "resident")])
def test_a_neighbour_that_stops_and_starts_again(run, accelerator, inputs, registers, stopped,
                                                 other):
    names = [engine.name for engine in accelerator.engines]
    engine = accelerator.engines[names.index(other)]
    frames = {names[stopped]: 12, other: 24}
    events = [Event(cycle=3000, **control(registers, stopped, "STOP")),
              Event(cycle=18_000, **control(registers, stopped, "START"), starts=names[stopped])]
    result = run(frames=frames, events=events)
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}
    assert result.starved_cycles(other) == 0
    _, ends = result.frame_times(engine)
    assert len(set(np.diff(ends))) == 1


@pytest.mark.parametrize(("left", "other"), [("resident", "streamed"), ("streamed", "resident")])
def test_a_neighbour_whose_outputs_nobody_takes(run, planned, inputs, left, other):
    result = run(frames={left: 24, other: 48}, away={left: (3000, 40_000)})
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}
    assert_steady(result, planned, other)
    # It runs out of buffers, and goes on where it was.
    assert_gap(result, left, 10_000)


def test_a_neighbour_whose_output_is_blocked(planned, accelerator, folder, inputs, tmp_path):
    design = shutil.copytree(folder, tmp_path / "design")
    block_outputs(design / "rtl", "streamed", 3000, 12_000)
    result = run_with_memory(design, accelerator, inputs, {"streamed": 12, "resident": 24}, MEMORY,
                             patience=60_000)
    assert not result.messages
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}
    assert_steady(result, planned, "resident")
    assert_gap(result, "streamed", 9000)


def assert_steady(result, planned, name):
    """Not one interval of an engine is longer than planned, from its first frame on."""
    (paced,) = [each for each in planned.engines if each.engine.name == name]
    _, ends = result.frame_times(paced.engine)
    assert set(np.diff(ends)) == {paced.pace}
    assert result.starved_cycles(name) == 0


def assert_gap(result, name, least):
    """The disturbance was one."""
    (engine,) = [each for each in result.accelerator.engines if each.name == name]
    _, ends = result.frame_times(engine)
    assert np.diff(ends).max() >= least


def test_reset_in_the_middle_of_frames(run, planned, inputs):
    """All that was under way is gone, and the frames after it are those of a first start."""
    result = run(reset=3333)
    assert result.cycles > 3333
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}
    for paced in planned.engines:
        begins, ends = result.frame_times(paced.engine)
        assert begins[0] > 3333
        assert ends[0] - begins[0] == paced.timing.latency_cycles
        assert_steady(result, planned, paced.engine.name)
    assert errors(result, 0) == errors(result, 1) == set()


@pytest.mark.parametrize(("engine", "stream", "response", "flag"), [
    ("resident", "image:0", 2, "read_slverr"), ("streamed", "", 3, "read_decerr"),
    ("streamed", "y", 2, "write_slverr")])
def test_an_error_stops_its_network_alone(run, accelerator, inputs, registers, engine, stream,
                                          response, flag):
    names = [each.name for each in accelerator.engines]
    number = names.index(engine)
    other = names[1 - number]
    events = [Event(cycle=18_000, **control(registers, number, "START"), starts=engine)]
    result = run(frames={engine: 8, other: 20}, events=events, faults=[
        Fault(engine=engine, stream=stream, response=response, skipped=64)])
    assert errors(result, number) == {flag}
    assert errors(result, 1 - number) == set()
    assert mismatches(result, inputs)[other] == 0
    assert result.starved_cycles(other) == 0


def test_a_memory_that_stands_still(run, accelerator, inputs, registers):
    events = [Event(cycle=26_000, **control(registers, number, "START"), starts=engine.name)
              for number, engine in enumerate(accelerator.engines)]
    result = run(frozen=(2000, 12_000), events=events)
    assert errors(result, 0) == errors(result, 1) == {"stalled"}
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}


@pytest.fixture(scope="module")
def striped():
    """Two networks whose fast streams no port carries: input, output and weights cross both. A beat
    of the first takes two words, and could be taken in each cycle."""
    queue = Queue(map=FeatureMap(rows=8, columns=8, channels=16), lanes=16)
    through = Engine(name="through", inputs=(("x", queue.inputs[0]),), outputs=(
        ("y", Source("queue")),), stages=(Stage(name="queue", operator=queue,
                                                inputs=(Source("x"),)),))
    engines = (through, streamed_engine("streamed", 2))
    timings = [simulate(engine) for engine in engines]
    return plan_memory(engines, timings, TWO_PORTS, address_width=32,
                       paces=[1024, timings[1].interval_cycles], most=(None, None),
                       even=(True, True))


@pytest.fixture(scope="module")
def striped_folder(striped, tmp_path_factory):
    folder = tmp_path_factory.mktemp("striped") / "design"
    generate(Accelerator(engines=tuple(each.engine for each in striped.engines),
                         memory=striped.system), folder)
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_streams_over_two_ports(striped, striped_folder, seed):
    assert {stream.name for stream in striped.schedule.streams if stream.stripes == 2} == {
        "through x", "through y", "streamed weights"}
    accelerator = Accelerator(engines=tuple(each.engine for each in striped.engines),
                              memory=striped.system)
    rng = np.random.default_rng(4)
    inputs = {(engine.name, "x"): rng.integers(-128, 128, (3, *engine.inputs[0][1].map.shape))
              for engine in accelerator.engines}
    result = run_with_memory(striped_folder, accelerator, inputs, {"through": 6, "streamed": 6},
                             TWO_PORTS, patience=60_000, seed=seed)
    assert not any(port.violations or port.refused for port in result.traffic)
    assert mismatches(result, inputs) == {"through": 0, "streamed": 0}
    assert result.memory["underruns"] == 0
    for paced in striped.engines:
        found = measure(result)[paced.engine.name]
        assert (found.interval, found.latency, found.longest) == (
            paced.timing.interval_cycles, *2 * (paced.timing.latency_cycles,))
    check_levels(result, striped)
    share = result.memory["steady_utilisation"] / striped.schedule.utilisation
    assert share == pytest.approx(1, abs=0.03)


def test_a_start_at_the_wrong_time(run, inputs, registers):
    start = control(registers, 1, "START")
    result = run(events=[Event(cycle=1000, **start)])
    assert errors(result, 1) == {"running"}
    assert mismatches(result, inputs) == {"resident": 0, "streamed": 0}

    away = Event(cycle=0, register="NETWORK_1_INPUT_0_0", value=0)
    result = run(frames={"resident": 3, "streamed": 0}, idle=["streamed"],
                 events=[away, Event(cycle=0, **start)])
    assert errors(result, 1) == {"no_base"}
    assert result.registers["NETWORK_1_STARTED"] == 0
