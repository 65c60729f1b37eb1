"""The scheduler's table and the arbiter's turns, against lists."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from fcnnx.hdl.memory.arbiter import RoundRobin
from fcnnx.hdl.memory.scheduler import Scheduler


def decide(policy, requests, room):
    """What it looks at, and what it grants, by cycle."""
    found = []

    async def bench(ctx):
        for asked, free in zip(requests, room, strict=True):
            ctx.set(policy.requests, asked)
            ctx.set(policy.room, free)
            found.append((ctx.get(policy.select), ctx.get(policy.grant)))
            await ctx.tick()

    simulator = Simulator(policy)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def random_bits(streams, share, seed):
    rng = np.random.default_rng(seed)
    return ((rng.random((300, streams)) < share) @ (1 << np.arange(streams))).tolist()


@pytest.mark.parametrize("table", [(0,), (0, 0), (1, 0, 2, 2, 1), (0, 1, 2, 3, 4, 4, 3)])
@pytest.mark.parametrize("room", [1.0, 0.5])
def test_a_slot_waits_for_the_memory_alone(table, room):
    streams = max(table) + 1
    requests, free = random_bits(streams, 0.6, 1), random_bits(streams, room, 2)
    slot = 0
    for asked, room_of, (select, grant) in zip(
            requests, free, decide(Scheduler(streams, table), requests, free), strict=True):
        own = 1 << table[slot % len(table)]
        assert select == own
        assert grant == own & asked & room_of
        slot += not own & asked & ~room_of


@pytest.mark.parametrize("streams", [1, 2, 5])
@pytest.mark.parametrize("room", [1.0, 0.5])
def test_turns(streams, room):
    requests, free = random_bits(streams, 0.4, 3), random_bits(streams, room, 4)
    last = streams - 1
    for asked, room_of, (select, grant) in zip(
            requests, free, decide(RoundRobin(streams), requests, free), strict=True):
        order = [(last + 1 + k) % streams for k in range(streams)]
        own = next((k for k in order if asked >> k & 1), None)
        assert select == (0 if own is None else 1 << own)
        assert grant == select & room_of
        last = own if grant else last
