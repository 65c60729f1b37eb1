"""Multipliers: every product of two bytes."""

import itertools

import pytest
from amaranth import *
from amaranth.sim import Simulator

from fcnnx.hdl.multiplier import LATENCY, dsp_product, lut_product


@pytest.mark.parametrize("product", [dsp_product, lut_product])
def test_product(product):
    m = Module()
    a, b = Signal(signed(8)), Signal(signed(8))
    result = product(m, "product", a, b)
    pairs = list(itertools.product([-128, -127, -86, -1, 0, 1, 85, 127], range(-128, 128)))

    async def bench(ctx):
        found = []
        for first, second in pairs + [(0, 0)] * LATENCY:
            ctx.set(a, first)
            ctx.set(b, second)
            found.append(ctx.get(result))
            await ctx.tick()
        assert found[LATENCY:] == [first * second for first, second in pairs]

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
