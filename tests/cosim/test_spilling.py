"""Engines some of whose streams wait in the memory: exact, and in time."""

import numpy as np
import pytest

from fcnnx.cosim.check import check
from fcnnx.cosim.simulation import measure
from fcnnx.cosim.system import Event, Fault, run_with_memory
from fcnnx.errors import BadInput
from fcnnx.generate import generate
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, SpillingEngine, Stage
from fcnnx.hdl.memory.control import ERRORS
from fcnnx.hdl.operator import Constants, FeatureMap, StreamShape
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.multiply import Multiply
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork, Queue, Widen
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.registers import constants
from fcnnx.memory import MemoryTiming
from fcnnx.optimizer.memory import plan_memory
from fcnnx.optimizer.spilling import spill
from fcnnx.optimizer.timing import simulate

from .conftest import convolution


MEMORY = MemoryTiming(word_bytes=8, words_per_cycle=0.9)
# Words per cycle that the neighbour wants: with the second, engines are held back for the memory.
NEIGHBOURS = {"modest": 0.3, "greedy": 0.75}
FRAMES = {"spilling": 6, "neighbour": 48}
SIZE = (40, 32)


def excited(name, seed, size, *, held):
    """A convolution, each of whose channels is then multiplied by its mean: all of its map waits
    until that is known."""
    rng = np.random.default_rng(seed)
    image = FeatureMap(rows=size[0], columns=size[1], channels=2)
    first = convolution(image, 4, rng, rows=4, lanes=2)
    whole = first.output
    pool = GlobalAveragePool(input=whole, output=whole.resized(rows=1, columns=1),
                             requantization=Requantization(
                                 multiplier=Constants([1 << 20]), shift=26, zero=0, low=-128,
                                 high=127))
    excite = Multiply(operands=(whole, pool.output), zeros=(0, 0), scale=65536, shift=18, zero=0,
                      low=-128, high=127, output=whole)
    fork = Fork(map=whole, places=(LEAST_PLACES, held))
    stages = (Stage(name="image", operator=Widen(map=image, lanes_in=1, lanes_out=2),
                    inputs=(Source("x"),)),
              Stage(name="first", operator=first, inputs=(Source("image"),)),
              Stage(name="fork", operator=fork, inputs=(Source("first"),)),
              Stage(name="pool", operator=pool, inputs=(Source("fork"),)),
              Stage(name="excite", operator=excite, inputs=(Source("fork", 1), Source("pool"))))
    return Engine(name=name, inputs=(("x", StreamShape(map=image)),), stages=stages,
                  outputs=(("y", Source("excite")),))


def spilling(size=SIZE):
    engine = excited("spilling", 1, size, held=LEAST_PLACES)
    return spill(engine, [Source("fork", 1)], bits=64, interval=engine.stages[1].operator.interval)


def passing(name, words):
    """Nothing but a queue, of so many words of the memory in and out for each cycle of its pace."""
    queue = Queue(map=FeatureMap(rows=8, columns=8, channels=16), lanes=8)
    engine = Engine(name=name, inputs=(("x", queue.inputs[0]),), outputs=(("y", Source("queue")),),
                    stages=(Stage(name="queue", operator=queue, inputs=(Source("x"),)),))
    return engine, round(2 * queue.inputs[0].beats / words)


def planned_for(wanted, policy="cyclic"):
    engine = spilling()
    neighbour, pace = passing("neighbour", wanted)
    engines = engine, neighbour
    timings = [simulate(engine) for engine in engines]
    return plan_memory(engines, timings, MEMORY, address_width=32,
                       paces=[timings[0].interval_cycles, pace], most=(None, None),
                       even=(True, True), policy=policy)


class Design:
    """A planned pair of networks, its files and its inputs."""

    def __init__(self, planned, folder):
        self.planned, self.folder = planned, folder
        self.accelerator = Accelerator(engines=tuple(each.engine for each in planned.engines),
                                       memory=planned.system)
        generate(self.accelerator, folder)
        rng = np.random.default_rng(3)
        self.inputs = {(engine.name, name): rng.integers(-128, 128, (3, *shape.map.shape))
                       for engine in self.accelerator.engines for name, shape in engine.inputs[:1]}
        self.registers = constants(self.accelerator.memory.registers("0" * 64))

    def run(self, *, frames=FRAMES, **options):
        result = run_with_memory(self.folder, self.accelerator, self.inputs, frames, MEMORY,
                                 patience=200_000, **options)
        assert not result.messages
        assert not any(port.violations or port.refused for port in result.traffic)
        return result

    def mismatches(self, result):
        golden = {engine.name: engine for engine in self.accelerator.engines}
        return {name: found.mismatches
                for name, found in check(result, self.inputs, golden).items()}

    def control(self, number, what):
        return {"register": f"NETWORK_{number}_CONTROL",
                "value": 1 << self.registers[f"NETWORK_{number}_CONTROL_{what}_SHIFT"]}

    def assert_in_time(self, result, name):
        """Every interval and every latency is as planned."""
        (paced,) = [each for each in self.planned.engines if each.engine.name == name]
        _, ends = result.frame_times(paced.engine)
        assert set(np.diff(ends)) == {paced.pace}
        assert measure(result)[name].longest == paced.timing.latency_cycles
        assert result.starved_cycles(name) == 0


@pytest.fixture(scope="module")
def designs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spilling")
    return {name: Design(planned_for(wanted), folder / name)
            for name, wanted in NEIGHBOURS.items()}


@pytest.fixture(params=list(NEIGHBOURS))
def either(request, designs):
    return designs[request.param]


@pytest.fixture
def modest(designs):
    return designs["modest"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_predicted(either, seed):
    result = either.run(seed=seed)
    assert either.mismatches(result) == {"spilling": 0, "neighbour": 0}
    for paced in either.planned.engines:
        either.assert_in_time(result, paced.engine.name)
    (spilled,) = either.planned.system.engines[0].of_kind("spill")
    levels = {each.name: each.bytes for each in result.levels.streams}
    assert FRAMES["spilling"] * spilled.words * 8 <= levels["spilling fork:1 refill"] <= (
        levels["spilling fork:1 spill"])


def test_the_memory_is_the_limit_where_the_neighbour_is_greedy(designs):
    paces = {name: design.planned.engines[0].pace for name, design in designs.items()}
    free = simulate(designs["modest"].accelerator.engines[0]).interval_cycles
    assert paces["modest"] == free < paces["greedy"]
    assert designs["greedy"].planned.schedule.utilisation > 0.9


def test_ports_that_serve_in_turn(tmp_path):
    design = Design(planned_for(NEIGHBOURS["modest"], "round-robin"), tmp_path / "design")
    assert design.mismatches(design.run()) == {"spilling": 0, "neighbour": 0}


def test_reset_in_the_middle_of_frames(modest):
    result = modest.run(reset=22_222)
    assert result.cycles > 22_222
    assert modest.mismatches(result) == {"spilling": 0, "neighbour": 0}
    for paced in modest.planned.engines:
        modest.assert_in_time(result, paced.engine.name)


def test_stop_and_start(modest):
    events = [Event(cycle=30_000, **modest.control(0, "STOP")),
              Event(cycle=90_000, **modest.control(0, "START"), starts="spilling")]
    result = modest.run(frames={"spilling": 8, "neighbour": 48}, events=events)
    assert modest.mismatches(result) == {"spilling": 0, "neighbour": 0}
    modest.assert_in_time(result, "neighbour")


@pytest.mark.parametrize(("stream", "response", "flag"), [
    ("fork:1 spill", 2, "write_slverr"), ("fork:1 refill", 3, "read_decerr")])
def test_an_error_on_the_way(modest, stream, response, flag):
    """It stops its network with its cause; what follows a new start is whole again."""
    events = [Event(cycle=120_000, **modest.control(0, "START"), starts="spilling")]
    result = modest.run(frames={"spilling": 8, "neighbour": 48}, events=events, faults=[
        Fault(engine="spilling", stream=stream, response=response, skipped=64)])
    word = result.registers["NETWORK_0_ERRORS"]
    found = {name for bit, name in enumerate(ERRORS) if word >> bit & 1} - {"starved"}
    assert found == {flag}
    assert modest.mismatches(result)["neighbour"] == 0
    modest.assert_in_time(result, "neighbour")


def test_what_is_wanted_back_too_soon():
    """Its way takes longer than a frame of a small map."""
    engine = spilling((4, 4))
    with pytest.raises(BadInput, match="fork:1 spill: What leaves is wanted back before"):
        plan_memory([engine], [simulate(engine)], MEMORY, address_width=32, paces=[0], most=[None],
                    even=[False])


def test_what_the_plan_says(either):
    """The way to the memory and back is proven, with its cycles; frames that wait have room."""
    assert isinstance(either.accelerator.engines[0], SpillingEngine)
    assert any(line.startswith("spilling fork:1 refill: a burst is written")
               for line in either.planned.schedule.checked)
    memory = either.planned.system.engines[0]
    assert memory.buffers >= memory.in_flight
    (spilled,), (back,) = memory.of_kind("spill"), memory.of_kind("refill")
    assert (spilled.offset, spilled.words) == (back.offset, back.words)
    assert spilled.offset > max(each.offset for each in memory.of_kind("load"))
