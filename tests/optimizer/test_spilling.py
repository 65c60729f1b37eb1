"""Queues that are led through the memory."""

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.errors import BadInput
from fcnnx.hdl.engine import Engine, Source, SpillingEngine, Stage
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.operator import FeatureMap, StreamShape
from fcnnx.hdl.operators.plumbing import Fork, Queue
from fcnnx.optimizer import memory, plan
from fcnnx.optimizer.spilling import spill, spilled_lanes
from fcnnx.optimizer.timing import simulate
from fcnnx.optimizer.ways import Way

from .networks import small, squeeze_excite


BOARD = boards.get("zedboard")
# A map of 16 KiB waits for its mean, and this is less; streamed weights need none.
CAPS = {"dsp": 30, "lut": 20_000, "bram18": 4}


def forked(channels, lanes):
    """An engine of two outputs, both what it is given."""
    shape = StreamShape(map=FeatureMap(rows=3, columns=4, channels=channels), lanes=lanes)
    return Engine(name="forked", inputs=(("x", shape),), outputs=(
        ("y", Source("fork")), ("z", Source("queue"))), stages=(
            Stage(name="fork", operator=Fork(map=shape.map, lanes=lanes), inputs=(Source("x"),)),
            Stage(name="queue", operator=Queue(map=shape.map, lanes=lanes),
                  inputs=(Source("fork", 1),))))


@pytest.mark.parametrize(("channels", "lanes", "crossing"), [
    (8, 8, 8), (8, 2, 8), (12, 12, 6), (12, 4, 6), (7, 7, 7), (11, 11, 1), (30, 30, 6)])
@pytest.mark.parametrize("sources", [[0], [1], [0, 1]])
def test_what_leaves_comes_back(channels, lanes, crossing, sources):
    """The same values and shapes everywhere else; a beat on the way fits into a word."""
    engine = forked(channels, lanes)
    made = spill(engine, [Source("fork", k) for k in sources], bits=64, interval=1000)
    assert isinstance(made, SpillingEngine)
    assert len(made.spills) == len(sources)
    for spilled, refilled in made.spills:
        shape = dict(made.inputs)[refilled]
        assert shape.lanes == crossing == spilled_lanes(shape.map, 64)
        assert made.shape(dict(made.outputs)[spilled]) == shape
    assert {name: made.shape(source) for name, source in made.results} == {
        name: engine.shape(source) for name, source in engine.outputs}
    x = np.random.default_rng(0).integers(-128, 128, (2, 3, 4, channels))
    found = made.compute({"x": x})
    assert all((found[name] == x).all() for name in ("y", "z"))
    simulate(made)  # no deadlock


def test_nothing_to_spill():
    engine = forked(8, 8)
    assert spill(engine, [], bits=64, interval=1000) is engine


def test_pairs_must_fit():
    made = spill(forked(16, 16), [Source("fork", 1)], bits=64, interval=1000)
    fields = {"name": "x", "inputs": made.inputs, "stages": made.stages, "outputs": made.outputs}
    with pytest.raises(ValueError, match="Nothing is spilled"):
        SpillingEngine(**fields, spills=())
    with pytest.raises(ValueError, match="does not come back as x"):
        SpillingEngine(**fields, spills=((made.spills[0][0], "x"),))


def spilled(made):
    return [name for engine in made.accelerator.engines for name, _ in engine.returning]


def test_where_nothing_else_fits():
    """The map that waits goes to the memory, and its words are counted."""
    made = plan([squeeze_excite()], BOARD, io="dram", caps=CAPS)
    assert len(spilled(made)) == 1
    assert any(spilled(made)[0] in warning for warning in made.warnings)
    assert made.resources.fits(made.budget)
    ample = plan([squeeze_excite()], BOARD, io="dram", caps=CAPS | {"bram18": 40})
    assert not spilled(ample)
    memory, = made.accelerator.memory.engines
    words = {kind: sum(each.words for each in memory.of_kind(kind)) for kind in ("spill", "refill")}
    assert words == dict.fromkeys(words, 32 * 32 * 16 // 8)


def test_two_networks_where_one_must():
    made = plan([squeeze_excite(), small()], BOARD, io="dram", caps=CAPS | {
        "lut": 26_000, "bram18": 6})
    assert len(spilled(made)) == 1
    assert made.resources.fits(made.budget)


def test_without_a_memory_there_is_no_way_out():
    with pytest.raises(BadInput, match="bram18"):
        plan([squeeze_excite()], BOARD, io="stream", caps=CAPS)


def test_first_passes_are_solved_once_for_all_ways(monkeypatch):
    """Asked with other ways, an engine runs as one that is asked with those alone; what it does
    while nothing is late is not solved again."""
    made = plan([squeeze_excite()], BOARD, io="dram", caps=CAPS)
    engine, = made.accelerator.engines
    axi = Axi(data_width=64, address_width=32, burst_beats=16)
    pace = made.networks[0].interval_cycles
    solved = []
    monkeypatch.setattr(memory, "simulate", lambda *a, **k: solved.append(k) or simulate(*a, **k))
    asked, fresh = (memory._Side(engine, None, axi) for _ in range(2))
    back, = [each.name for each in asked.crossings if each.spilled]
    ways = {back: Way(delays=(100, 200), steps=(16, 16))}
    first = asked.paced(pace, False, {})
    solved.clear()
    again = asked.paced(pace, False, ways)
    few = len(solved)
    alone = fresh.paced(pace, False, ways)
    assert len(solved) == few + few + 1
    assert asked.paced(pace, False, ways) is again is not first
    assert again.timing.ends.tolist() == alone.timing.ends.tolist()
    for source in alone.timing.transfers:
        assert again.timing.transfers[source].tolist() == alone.timing.transfers[source].tolist()
