"""Multipliers: products of two bytes, and of a value and a scale."""

import itertools

import numpy as np
import pytest
from amaranth import *
from amaranth.sim import Simulator

from fcnnx.hdl.multiplier import (
    LATENCY,
    SCALINGS,
    dsp_product,
    lut_product,
    scaled_by,
    scaling_latency,
)


@pytest.mark.parametrize("product", [dsp_product, lut_product])
def test_product(product):
    m = Module()
    a, b = Signal(signed(8)), Signal(signed(8))
    result = product(m, "product", a, b)
    pairs = list(itertools.product([-128, -127, -86, -1, 0, 1, 85, 127], range(-128, 128)))
    check(m, a, b, result, pairs, LATENCY)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("width", [2, 5, 9, 18, 19, 22])
@pytest.mark.parametrize("scale", [unsigned(24), signed(25), 0x123456, 9])
def test_scaled_by(kind, width, scale):
    m = Module()
    x = Signal(signed(width))
    fixed = isinstance(scale, int)
    b = Const(scale) if fixed else Signal(scale)
    result = scaled_by(m, "product", x, b, kind)
    span, rng = 1 << width - 1, np.random.default_rng(width)
    values = [-span, span - 1, -1, 0, 1, *rng.integers(-span, span, 20).tolist()]
    scales = [scale] if fixed else [0, 1, 0x555555, 0xAAAAAA, 0xFFFFFF]
    if not fixed and scale.signed:
        scales += [-1, -0xFFFFFF, -0x555555]
    pairs = [(value, factor) for value in values for factor in scales]
    check(m, x, None if fixed else b, result, pairs, scaling_latency(kind, width))


def check(m, a, b, result, pairs, latency):
    """Whether each pair's product comes when it should."""
    async def bench(ctx):
        found = []
        for first, second in pairs + [(0, 0)] * latency:
            ctx.set(a, first)
            if b is not None:
                ctx.set(b, second)
            found.append(ctx.get(result))
            await ctx.tick()
        assert found[latency:] == [first * second for first, second in pairs]

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
