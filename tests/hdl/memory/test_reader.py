"""The reader of one stream is full at last, whatever was taken meanwhile."""

import pytest
from amaranth.sim import Simulator

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.reader import StreamReader


@pytest.mark.parametrize("places", [4, 8, 10])
@pytest.mark.parametrize("taken", [0, 1, 3, 4])
def test_full(places, taken):
    """Words that the engine takes before it starts are no whole bursts."""
    dut = StreamReader(Axi(data_width=64), burst=4, places=places)

    async def bench(ctx):
        ctx.set(dut.command.payload.bursts, 20)
        ctx.set(dut.command.valid, 1)
        coming, left, came, full = 0, taken, 0, []
        for _ in range(60):
            ctx.set(dut.take, ctx.get(dut.request))
            ctx.set(dut.i_valid, coming > 0)
            ctx.set(dut.o.ready, left > 0)
            full.append(ctx.get(dut.full))
            left -= ctx.get(dut.o.valid) and left > 0
            came += coming > 0
            coming += 4 * ctx.get(dut.take) - (coming > 0)
            await ctx.tick()
        assert full[-10:] == [1] * 10
        assert came - taken > places - 4
        assert not any(full[:4])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
