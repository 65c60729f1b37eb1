"""The gate before an engine's input: to the cycle, at frame borders only."""

import itertools
import math
import random

import pytest
from amaranth import *
from amaranth.sim import Simulator

from fcnnx.hdl.memory.gate import FrameGate
from fcnnx.hdl.operator import FeatureMap, StreamShape


SHAPE = StreamShape(map=FeatureMap(rows=2, columns=3, channels=2, signed=False))
SINGLE = StreamShape(map=FeatureMap(rows=1, columns=1, channels=2, signed=False), lanes=2)
FRAMES = 5


def run(shape, pace, offers, takes, opens, cycles=400, spread=0):
    """Cycles in which beats pass, against the rule."""
    dut = FrameGate(shape, pace=pace, spread=spread)
    passed, predicted, words = [], [], []

    async def bench(ctx):
        beat, due = 0, 0  # the next beat, and when a frame may begin
        began = 0
        for cycle in range(cycles):
            offered = beat < FRAMES * shape.beats and offers(cycle, beat)
            first = beat % shape.beats == 0
            may = (cycle >= due and opens(cycle) if first
                   else cycle >= began - (-(beat % shape.beats) * spread // shape.beats))
            ctx.set(dut.open, opens(cycle))
            ctx.set(dut.i.valid, offered)
            ctx.set(Value.cast(dut.i.payload), beat % (1 << shape.width))
            ctx.set(dut.o.ready, takes(cycle))
            assert ctx.get(dut.o.valid) == (offered and may)
            assert ctx.get(dut.starved) == (takes(cycle) and may and not offered)
            if offered and may and takes(cycle):
                predicted.append(cycle)
                if first:
                    began, due = cycle, cycle + pace
                beat += 1
            given = ctx.get(dut.o.valid) and takes(cycle)
            assert ctx.get(dut.began) == (given and first)
            assert (ctx.get(dut.i.ready) and offered) == given
            if given:
                passed.append(cycle)
                words.append(ctx.get(Value.cast(dut.o.payload)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert passed == predicted
    assert words == [beat % (1 << shape.width) for beat in range(FRAMES * shape.beats)]
    return passed


def always(*_):
    return True


@pytest.mark.parametrize("shape", [SHAPE, SINGLE])
@pytest.mark.parametrize("pace", [0, 1, 2, 12, 13, 40])
def test_pace(shape, pace):
    """Frame k begins at its start + k pace; without, or with a short one, there is no gap."""
    passed = run(shape, pace, always, always, always)
    firsts = passed[::shape.beats]
    step = max(pace, shape.beats)
    assert firsts == [step * k for k in range(FRAMES)]


@pytest.mark.parametrize("seed", range(3))
def test_stalls(seed):
    """What was late is not caught up with."""
    rng = random.Random(seed)
    taken = [rng.random() < 0.7 for _ in range(400)]
    # An offer stays until it is taken: late by its beat, not by the cycle.
    late = [rng.randrange(12 * beat, 12 * beat + 20) // 2 for beat in range(FRAMES * SHAPE.beats)]
    passed = run(SHAPE, 17, lambda cycle, beat: cycle >= late[beat], lambda cycle: taken[cycle],
                 always)
    firsts = passed[::SHAPE.beats]
    assert all(later - earlier >= 17 for earlier, later in itertools.pairwise(firsts))


def test_closed():
    """A frame under way goes on; the next one waits."""
    passed = run(SHAPE, 0, always, always, lambda cycle: not 5 < cycle < 50)
    assert passed[:SHAPE.beats + 1] == [*range(SHAPE.beats), 50]


@pytest.mark.parametrize("shape", [SHAPE, SINGLE])
@pytest.mark.parametrize("spread", [1, 11, 12, 13, 17, 24, 71])
def test_spread(shape, spread):
    """Beats of a frame come evenly, and frames no later than their pace."""
    pace = spread + 5 + shape.beats
    passed = run(shape, pace, always, always, always, cycles=500, spread=spread)
    steps = [max(beat, math.ceil(spread * beat / shape.beats)) for beat in range(shape.beats)]
    assert passed == [pace * frame + step for frame in range(FRAMES) for step in steps]


@pytest.mark.parametrize("spread", [15, 24, 60])
@pytest.mark.parametrize("seed", range(3))
def test_spread_and_stalls(spread, seed):
    """Beats that were late are caught up with, as far as they are due."""
    rng = random.Random(seed)
    taken = [rng.random() < 0.4 and (cycle // 40) % 3 > 0 for cycle in range(800)]
    late = [rng.randrange(9 * beat, 9 * beat + 60) // 2 for beat in range(FRAMES * SHAPE.beats)]
    run(SHAPE, spread + 2, lambda cycle, beat: cycle >= late[beat], lambda cycle: taken[cycle],
        lambda cycle: cycle % 50 > 9, cycles=800, spread=spread)
