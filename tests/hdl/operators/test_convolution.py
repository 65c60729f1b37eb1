"""Convolution: every value, every cycle, every folding that is offered."""

import dataclasses
import math

import numpy as np
import pytest
from amaranth.sim import Simulator
from windowed import convolution, frames_for

from fcnnx.boards import get
from fcnnx.hdl.memories import load_words
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.convolution import accumulator_width, fewest_requantizers
from fcnnx.hdl.testing import check_operator
from fcnnx.hdl.verilog import emit


SPECS = {
    "smallest": convolution((5, 4, 3), 4, (3, 3), padding=(1, 1, 1, 1), pad=5),
    "part of columns": convolution((6, 6, 4), 8, (3, 3), padding=(1, 1, 1, 1), pad=-3, rows=4,
                                   lanes=2, part=(1, 3)),
    "whole kernel, strides, unsigned": convolution(
        (7, 5, 3), 5, (3, 3), strides=(2, 2), padding=(0, 0, 1, 1), pad=200, signed=False, rows=4,
        lanes=3, part=(3, 3), requantizers=4),
    "parts that do not divide": convolution(
        (7, 6, 3), 5, (3, 2), strides=(2, 1), padding=(1, 0, 1, 1), rows=6, lanes=2, part=(2, 2),
        requantizers=5, out_signed=False),
    "large strides": convolution((12, 9, 3), 4, (5, 5), strides=(3, 2), padding=(2, 2, 1, 2),
                                 rows=4, lanes=3, part=(2, 3), requantizers=2),
    "1 x 1, stride 2": convolution((4, 4, 6), 7, (1, 1), strides=(2, 2), rows=2, lanes=4,
                                   requantizers=2),
    "a pixel per cycle": convolution((4, 4, 6), 7, (1, 1), rows=8, lanes=6, requantizers=7),
    "fully connected vector": convolution((1, 1, 20), 10, (1, 1), rows=4, lanes=4),
    "fully connected map": convolution((3, 3, 4), 6, (3, 3), rows=2, lanes=4),
    "one row": convolution((6, 6, 2), 1, (2, 2), lanes=2, part=(2, 2), packed=False),
    "two products": convolution((5, 5, 3), 4, (3, 3), rows=4, lanes=2, part=(1, 3),
                                requantizers=2, packed=False, scaling="narrow"),
    "look-up tables": convolution((5, 5, 3), 6, (3, 3), rows=6, lanes=3, part=(1, 3),
                                  requantizers=2, lut_rows=2),
    "odd look-up tables": convolution((5, 5, 3), 3, (3, 3), rows=3, lanes=3, part=(1, 3),
                                      lut_rows=3),
    "two pixels a beat": convolution((6, 6, 3), 4, (3, 3), strides=(2, 2), padding=(0, 1, 1, 0),
                                     pad=9, rows=4, lanes=3, part=(3, 3), pixels=2,
                                     requantizers=4),
    "three pixels a beat": convolution((4, 6, 2), 4, (2, 4), padding=(1, 1, 0, 2), pad=9, rows=4,
                                       lanes=2, part=(1, 4), pixels=3, requantizers=2),
    "odd rows": convolution((5, 5, 3), 3, (3, 3), rows=3, lanes=2, part=(1, 3)),
    "a map of one row": convolution((1, 10, 3), 4, (1, 3), padding=(0, 1, 0, 1), rows=4, lanes=3,
                                    part=(1, 3), requantizers=4),
    "shifts of channels": convolution((4, 4, 2), 6, (3, 3), rows=6, lanes=2, part=(1, 3),
                                      requantizers=2, vary=True),
    "requantizers of look-up tables": convolution(
        (4, 4, 2), 14, (3, 3), rows=14, lanes=2, part=(1, 3), requantizers=3, scaling="lut"),
    "windows of padding alone": convolution((3, 4, 3), 4, (1, 1), padding=(1, 1, 1, 1), pad=7,
                                            rows=4, lanes=3, requantizers=4),
    "dilated": convolution((9, 8, 5), 4, (3, 3), padding=(2, 2, 2, 2), pad=7, dilations=(2, 2),
                           rows=4, lanes=2, requantizers=2),
    "dilated rows, a part of columns": convolution(
        (8, 6, 3), 4, (3, 3), strides=(2, 2), padding=(3, 1, 3, 0), dilations=(3, 1), rows=2,
        lanes=3, part=(1, 3)),
    "dilated columns, all rows": convolution((4, 10, 3), 3, (2, 3), padding=(0, 3, 0, 3), pad=-5,
                                             dilations=(1, 4), rows=2, lanes=2, part=(2, 1)),
    "one row, dilated": convolution((1, 12, 4), 4, (1, 3), padding=(0, 4, 0, 0), dilations=(5, 2),
                                    rows=4, lanes=4, requantizers=2),
    "more outputs than steps": convolution((3, 3, 2), 8, (1, 1), rows=8, lanes=2),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random"),
                                                  ("always", "blocked")])
def test_convolver(name, offering, taking):
    spec = SPECS[name]
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_weights_in_block_ram():
    """A choice where there are more than a few of them; what it costs is what it says."""
    offered = list(convolution((6, 6, 8), 8, (3, 3), padding=(1, 1, 1, 1)).foldings())
    chosen = [spec for spec in offered if spec.block_weights]
    assert 0 < len(chosen) < len(offered) / 2
    device = get("zedboard").device
    # Requantizers of look-up tables are offered with one of both alone.
    for spec in (each for each in chosen if each.scaling == "wide"):
        other = dataclasses.replace(spec, block_weights=False)
        assert other in offered
        assert spec.resources(device).lut < other.resources(device).lut
        assert spec.resources(device).bram18 > other.resources(device).bram18
        assert spec.timing().cycles.tolist() == other.timing().cycles.tolist()
    for spec, style in ((chosen[-1], "block"), (dataclasses.replace(
            chosen[-1], block_weights=False), "distributed")):
        texts = emit(spec.create(), name="dut")
        (pair,) = (text for name, text in texts.items() if name.startswith("row_pair"))
        assert f'.STYLE("{style}")' in pair


@pytest.mark.parametrize("seed", range(8))
def test_any_folding(seed):
    rng = np.random.default_rng(seed)
    kernel = tuple(int(size) for size in rng.integers(1, 4, 2))
    padding = tuple(int(rng.integers(0, kernel[axis % 2])) for axis in range(4))
    size = (*(int(rng.integers(3, 7)) for _ in range(2)), int(rng.integers(1, 6)))
    strides = tuple(int(stride) for stride in rng.integers(1, 3, 2))
    spec = convolution(size, int(rng.integers(1, 7)), kernel, strides=strides, padding=padding,
                       pad=int(rng.integers(-128, 128)))
    foldings = list(spec.foldings())
    folded = foldings[rng.integers(len(foldings))]
    check_operator(folded, frames_for(folded), taking="random")


@pytest.mark.parametrize("seed", range(5))
def test_any_dilation(seed):
    rng = np.random.default_rng(seed)
    kernel = tuple(int(size) for size in rng.integers(1, 4, 2))
    dilations = tuple(int(size) for size in rng.integers(1, 4, 2))
    padding = tuple(int(rng.integers(0, kernel[axis % 2] * dilations[axis % 2]))
                    for axis in range(4))
    size = (*(int(rng.integers(7, 9)) for _ in range(2)), int(rng.integers(1, 4)))
    strides = tuple(int(stride) for stride in rng.integers(1, 4, 2))
    spec = convolution(size, int(rng.integers(1, 4)), kernel, strides=strides, padding=padding,
                       dilations=dilations, pad=int(rng.integers(-128, 128)))
    foldings = list(spec.foldings())
    assert all(size == 1 or dilation == 1 for folded in foldings
               for size, dilation in zip(folded.part, dilations, strict=True))
    folded = foldings[rng.integers(len(foldings) // 2, len(foldings))]
    check_operator(folded, frames_for(folded), offering="random", taking="random")


def test_foldings_save_time_and_keep_values():
    spec = convolution((6, 6, 6), 10, (3, 3), padding=(1, 1, 1, 1))
    foldings = list(spec.foldings())
    assert foldings[0].interval == spec.output.pixels * 10 * 9 * 6
    assert min(folding.interval for folding in foldings) == spec.output.pixels
    (expected,) = spec.compute(*frames_for(spec))
    for folding in foldings[::20]:
        assert folding.multipliers == folding.rows * folding.columns
        assert folding.drain.most <= folding.steps
        (found,) = folding.compute(*frames_for(spec))
        assert (found == expected).all()


def test_shared_multipliers():
    device = get("zedboard").device
    spec = SPECS["whole kernel, strides, unsigned"]
    assert spec.multipliers == 4 * 27
    assert spec.acc_width > 18  # so that a requantizer takes two DSPs
    assert spec.resources(device).dsp == 2 * 27 + 2 * 4
    assert SPECS["two products"].resources(device).dsp == 4 * 6 + 2 * 2
    assert SPECS["look-up tables"].resources(device).dsp == 2 * 9 + 2 * 2


@pytest.mark.parametrize(("rows", "channels", "cycles", "expected"),
                         [(8, 16, 4, 2), (6, 12, 4, 2), (10, 10, 4, 3), (4, 8, 1, 4)])
def test_fewest_requantizers(rows, channels, cycles, expected):
    assert fewest_requantizers(rows, channels, cycles) == expected


def test_accumulator_width():
    weights = np.full((1, 1, 1, 4), 127)
    signed = FeatureMap(rows=1, columns=1, channels=4)
    assert accumulator_width(weights, np.array([0]), signed) == 17  # -65024 to 64516
    assert accumulator_width(weights, np.array([-600]), signed) == 18
    assert accumulator_width(weights, np.array([0]), signed.resized(signed=False)) == 18


def test_load_chain_replaces_weights():
    old = SPECS["part of columns"]
    rng = np.random.default_rng(5)
    new = convolution((6, 6, 4), 8, (3, 3), padding=(1, 1, 1, 1), pad=-3, rows=4, lanes=2,
                      part=(1, 3))
    new = type(new)(**{field: getattr(new, field) for field in new.__dataclass_fields__}
                    | {"weights": Constants(rng.integers(-60, 60, new.weights.shape))})
    (frame,) = frames_for(new, 1)
    (expected,) = new.compute(frame)
    dut = old.create()
    words = [word for width, contents in new.contents().values()
             for word in load_words(width, contents)]
    found = []

    async def bench(ctx):
        for word in words:
            ctx.set(dut.load.data, word)
            ctx.set(dut.load.valid, 1)
            await ctx.tick()
        ctx.set(dut.load.valid, 0)
        await ctx.tick().repeat(8)
        ctx.set(dut.o.ready, 1)
        beats = new.inputs[0].pack(frame).tolist()
        while len(found) < new.outputs[0].beats:
            ctx.set(dut.i.valid, bool(beats))
            if beats:
                ctx.set(dut.i.payload, beats[0])
            _, _, taken, given, payload = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.payload)
            if beats and taken:
                beats.pop(0)
            if given:
                found.append(list(payload))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert (new.outputs[0].unpack(np.array(found)) == expected).all()


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": 0}, "Rows must be between 1 and 4 output channels, not 0"),
    ({"requantizers": 5}, "Requantizers must be between 1 and 4 output channels, not 5"),
    ({"lanes": 4}, "Lanes must be between 1 and 3 channels, not 4"),
    ({"part": (1, 4)}, r"Part must be between 1 x 1 and the kernel \(3, 3\), not \(1, 4\)"),
    ({"rows": 3, "requantizers": 2},
     "Rows 3 must be a multiple of the requantizers 2, or outputs straddle passes"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        convolution((5, 4, 3), 4, (3, 3), **change)


def test_interval_is_the_greatest_of_three():
    spec = convolution((6, 6, 4), 8, (3, 3), padding=(1, 1, 1, 1))
    folded = max(spec.foldings(), key=lambda folding: folding.multipliers)
    assert folded.interval == 36
    assert math.prod(folded.part) * folded.lanes == 36
