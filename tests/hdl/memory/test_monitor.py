"""What looks on at a port counts what crosses it, and finds a memory that does not answer."""

import random

import pytest
from amaranth.sim import Simulator

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.monitor import PortMonitor


TIMEOUT = 20


def simulate(bench):
    dut = PortMonitor(Axi(data_width=128), timeout=TIMEOUT)

    async def run(ctx):
        await bench(ctx, dut)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()


def show(ctx, dut, *names):
    for name in dut.watched:
        ctx.set(getattr(dut, name), name in names)


def test_counts():
    async def bench(ctx, dut):
        rng = random.Random(1)
        for _ in range(200):
            names = [name for name in dut.watched if rng.random() < 0.5]
            show(ctx, dut, *names)
            read, written = ({f"{side}valid", f"{side}ready"} <= {*names} for side in "rw")
            assert ctx.get(dut.read_bytes) == 16 * read
            assert ctx.get(dut.written_bytes) == 16 * written
            assert ctx.get(dut.busy) == (read or written)
            await ctx.tick()

    simulate(bench)


READ = ("rvalid", "rready", "rlast")
WRITTEN = ("bvalid", "bready")


@pytest.mark.parametrize(("asks", "held", "answers"), [
    (["arvalid", "arready"], [], [READ]),
    ([], ["arvalid"], [["arvalid", "arready"], READ]),
    (["awvalid", "awready"], [], [WRITTEN]),
    ([], ["awvalid"], [["awvalid", "awready"], WRITTEN]),
    ([], ["wvalid"], [["wvalid", "wready"]]),
])
def test_stalled(asks, held, answers):
    """After so many cycles without an answer, once; not before, nor while nothing is owed."""
    async def wait(ctx, dut, cycles):
        seen = []
        for _ in range(cycles):
            await ctx.tick()
            seen.append(ctx.get(dut.stalled))
        return seen

    async def bench(ctx, dut):
        for patience in (TIMEOUT - 1, TIMEOUT, 3 * TIMEOUT):
            show(ctx, dut)
            assert not any(await wait(ctx, dut, 2 * TIMEOUT))
            if asks:
                show(ctx, dut, *asks)
                await ctx.tick()
            show(ctx, dut, *held)
            seen = await wait(ctx, dut, patience)
            assert [k + 1 for k, value in enumerate(seen) if value] == (
                [TIMEOUT] if patience >= TIMEOUT else [])
            for names in answers:
                show(ctx, dut, *names)
                await ctx.tick()

    simulate(bench)


def test_one_side_does_not_hide_the_other():
    """Words that come, while a write is not responded to."""
    async def bench(ctx, dut):
        show(ctx, dut, "awvalid", "awready")
        await ctx.tick()
        seen = 0
        for _ in range(2 * TIMEOUT):
            show(ctx, dut, "arvalid", "arready", "rvalid", "rready", "rlast")
            await ctx.tick()
            seen += ctx.get(dut.stalled)
        assert seen == 1

    simulate(bench)


@pytest.mark.parametrize("answer", [READ, WRITTEN])
def test_late_answers(answer):
    """Those to requests of before a reset."""
    async def bench(ctx, dut):
        show(ctx, dut, *answer)
        for _ in range(3):
            await ctx.tick()
        show(ctx, dut)
        for _ in range(3 * TIMEOUT):
            await ctx.tick()
            assert not ctx.get(dut.stalled)

    simulate(bench)


class NeverElaborated(PortMonitor):
    _MustUse__silence = True


def test_bad_timeout():
    with pytest.raises(ValueError, match=r"^Timeout must be 2 or more cycles, not 1$"):
        NeverElaborated(Axi(data_width=64), timeout=1)
