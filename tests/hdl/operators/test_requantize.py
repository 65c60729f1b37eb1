"""Requantisation: rounding, parameter words, and the pipeline against the golden model."""

import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator

from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.requantize import Requantization, Requantizer, round_shift


def make(**changes):
    fields = {"multiplier": Constants([70001, 131071, 1, 65536, 99999]), "shift": 25,
              "zero": -3, "low": -128, "high": 127} | changes
    return Requantization(**fields)


VARIANTS = [
    (make(), 20, 16, 8, 2),
    (make(), 24, 0, 8, 5),
    (make(shift=1, multiplier=Constants([1, 2, 3, 4, 5])), 9, 4, 8, 1),
    (make(shift=Constants([17, 30, 1, 63, 40])), 18, 12, 8, 3),
    (make(shift=40, zero=0, low=0, high=255), 28, 28, 8, 2),
    (make(shift=60, zero=7, low=0, high=15), 12, 8, 4, 2),
    (make(multiplier=Constants([12345]), shift=14, zero=3, low=3, high=6), 14, 13, 3, 4),
    (make(shift=Constants([1, 3, 1, 63, 20])), 22, 20, 8, 2),
]


@pytest.mark.parametrize(("variant", "scaling"), [
    *((variant, "wide") for variant in VARIANTS),
    *itertools.product(VARIANTS[-2:], ("narrow", "lut")), (VARIANTS[0], "narrow"),
    (VARIANTS[0], "lut"),
])
def test_requantizer(variant, scaling):
    requantization, in_width, bias_width, out_width, lanes = variant
    rng = np.random.default_rng(1)
    channels, pixels = 5, 60
    span = 1 << in_width - 1
    bias = (rng.integers(-(1 << bias_width - 1), 1 << bias_width - 1, channels) if bias_width
            else np.zeros(channels, dtype=np.int64))
    sums = rng.integers(-span, span, (pixels, channels))
    sums[::4] >>= in_width // 2  # small values: ties and both sides of zero
    x = np.clip(sums, -span - np.minimum(bias, 0), span - 1 - np.maximum(bias, 0))
    groups = -(-channels // lanes)
    padded = np.pad(x, ((0, 0), (0, groups * lanes - channels))).reshape(-1, lanes)
    parameters = requantization.words(bias, lanes=lanes, bias_width=bias_width)
    assert len(parameters) == groups
    dut = Requantizer(requantization, in_width=in_width, bias_width=bias_width,
                      out_width=out_width, lanes=lanes, scaling=scaling)
    results = []

    async def bench(ctx):
        offered = rng.random(2 * len(padded)) < 0.7
        beats = iter(range(len(padded)))
        expected = [False] * dut.latency
        for valid in [*offered, *[False] * dut.latency]:
            beat = next(beats, None) if valid else None
            ctx.set(dut.i_valid, beat is not None)
            if beat is not None:
                word = sum((int(value) & (1 << in_width) - 1) << k * in_width
                           for k, value in enumerate(padded[beat]))
                ctx.set(dut.x, word)
                ctx.set(dut.parameters, parameters[beat % groups])
            expected.append(beat is not None)
            _, _, o_valid, y = await ctx.tick().sample(dut.o_valid, dut.y)
            assert o_valid == expected[len(expected) - 1 - dut.latency]
            if o_valid:
                results.append([y >> k * out_width & (1 << out_width) - 1 for k in range(lanes)])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()

    values = np.array(results).reshape(pixels, -1)[:, :channels]
    golden = requantization.apply(x + bias)
    assert len(np.unique(golden)) > 1 or requantization.uniform_shift == 60
    assert (values == golden & (1 << out_width) - 1).all()


def test_ties_to_even():
    assert round_shift(np.array([-5, -3, -1, 1, 3, 5]), 1).tolist() == [-2, -2, 0, 0, 2, 2]
    assert round_shift(np.array([-6, 6, 12, 20]), np.array([2, 2, 3, 3])).tolist() == [-2, 2, 2, 2]


def test_uniform_shift_gives_the_values_of_equal_shifts():
    x = np.random.default_rng(1).integers(-(1 << 20), 1 << 20, (50, 5))
    assert (make().apply(x) == make(shift=Constants([25] * 5)).apply(x)).all()
    assert make().uniform_shift == 25
    assert make(shift=Constants([25] * 5)).uniform_shift is None


def test_words():
    words = make().words(np.array([-1, 2, -3, 4, -5]), lanes=2, bias_width=4)
    assert words == [70001 << 4 | 15 | (131071 << 4 | 2) << 28,
                     1 << 4 | 13 | (65536 << 4 | 4) << 28,
                     99999 << 4 | 11]


@pytest.mark.parametrize(("change", "message"), [
    ({"multiplier": Constants([1 << 24])}, "Multipliers must be a vector of integers from 0 to "),
    ({"shift": 0}, "Shift must be an integer, or a vector of integers, from 1 to 63"),
    ({"shift": Constants([64])}, "Shift must be an integer, or a vector of integers"),
    ({"shift": Constants([3, 4])}, "Shifts must be as many as the 5 multipliers, not 2"),
    ({"low": 3, "high": 2}, "Low must be at most high, not 3 and 2"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}"):
        make(**change)


def test_check():
    output = FeatureMap(rows=1, columns=1, channels=5)
    make().check(output)
    with pytest.raises(ValueError, match=r"^Multipliers must be one, or one for each of 4"):
        make().check(output.resized(channels=4))
    with pytest.raises(ValueError, match=r"^Range must lie between -64 and 63, not -128 and 127"):
        make().check(output.resized(width=7))
