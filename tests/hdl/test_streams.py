"""Output queues: order, reserved places, latency; and connections that compare payloads."""

import numpy as np
import pytest
from amaranth import *
from amaranth.hdl import Fragment
from amaranth.lib import data, stream
from amaranth.sim import Simulator

from fcnnx.hdl.deep_queue import DeepQueue
from fcnnx.hdl.streams import OutputQueue, connect_streams


@pytest.mark.parametrize(("places", "most", "stages"), [
    (2, 1, 1), (3, 1, 0), (7, 3, 2), (20, 4, 9), (5, 4, 3),
])
@pytest.mark.parametrize("ready_share", [1.0, 0.6, 0.15])
def test_queue(places, most, stages, ready_share):
    """Against a list: what is enough, and when which beat is offered."""
    dut = OutputQueue(8, places=places, most=most)
    rng = np.random.default_rng(1)
    cycles = 400
    results = []

    async def bench(ctx):
        reserved, given, under_way, waiting, made = 0, [], [], [], 0
        for cycle in range(cycles):
            need = int(rng.integers(0, most + 1))
            ctx.set(dut.need, need)
            free = places - reserved + sum(t + dut.back <= cycle for t in given)
            assert ctx.get(dut.enough) == (free >= need)
            reserve = free >= need and rng.random() < 0.7
            ctx.set(dut.reserve, reserve)
            if reserve:
                reserved += need
                start = max([cycle + stages, *(t + 1 for t, _ in under_way[-1:])])
                under_way += [(start + k, made + k) for k in range(need)]
                made += need
            arrives = bool(under_way) and under_way[0][0] == cycle
            ctx.set(dut.i_valid, arrives)
            if arrives:
                waiting.append(under_way.pop(0))
                ctx.set(dut.i_payload, waiting[-1][1] % 256)
            offered = bool(waiting) and waiting[0][0] + dut.latency <= cycle
            ctx.set(dut.o.ready, rng.random() < ready_share)
            assert ctx.get(dut.o.valid) == offered
            if offered:
                assert ctx.get(dut.o.payload) == waiting[0][1] % 256
            if offered and ctx.get(dut.o.ready):
                results.append(waiting.pop(0)[1])
                given.append(cycle)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert results == list(range(len(results)))
    assert len(results) > cycles * 0.1


@pytest.mark.parametrize("kind", [OutputQueue, DeepQueue])
def test_deep_queues_hold_all_their_places(kind):
    """Nothing leaves until no place is left; then a beat in every cycle."""
    places = 100
    dut = kind(16, places=places)
    results = []

    async def bench(ctx):
        ctx.set(dut.need, 1)
        for beat in range(places + 5):
            enough = ctx.get(dut.enough)
            assert enough == (beat < places)
            ctx.set(dut.reserve, enough)
            ctx.set(dut.i_valid, enough)
            ctx.set(dut.i_payload, 1000 + beat)
            await ctx.tick()
        ctx.set(dut.reserve, 0)
        ctx.set(dut.i_valid, 0)
        ctx.set(dut.o.ready, 1)
        for cycle in range(places + 3):
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            assert valid == (cycle < places)
            if valid:
                results.append(payload)
        assert ctx.get(dut.enough)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert results == list(range(1000, 1000 + places))


class NeverElaborated(OutputQueue):
    _MustUse__silence = True


@pytest.mark.parametrize(("places", "most"), [(1, 1), (4, 4), (4, 0)])
def test_queue_errors(places, most):
    with pytest.raises(ValueError, match=rf"^A queue of {places} places cannot reserve {most} at"):
        NeverElaborated(8, places=places, most=most)


@pytest.mark.parametrize("other", [unsigned(8), signed(8), data.ArrayLayout(signed(2), 4)])
def test_connections_compare_payloads(other):
    m = Module()
    layout = data.ArrayLayout(signed(4), 2)
    producer = stream.Signature(layout).create()
    connect_streams(m, "same", producer, stream.Signature(layout).flip().create())
    with pytest.raises(TypeError, match=r"^pool: Cannot connect a stream of ArrayLayout"):
        connect_streams(m, "pool", producer, stream.Signature(other).flip().create())
    Fragment.get(m, None)
