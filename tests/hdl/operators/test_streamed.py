"""Streamed weights: every value, every cycle, other weights in the same hardware."""

import dataclasses

import numpy as np
import pytest
from windowed import convolution

from fcnnx.boards import get
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Constants
from fcnnx.hdl.operators.matvec import join_fields
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.hdl.testing import (
    check_operator,
    offered_cycles,
    ready_cycles,
    simulate,
    split_words,
)
from fcnnx.hdl.verilog import Emission
from fcnnx.optimizer.timing import Solver


def streamed(*arguments, rows=1, lanes=1, tile=1, overlap=True, requantizers=1, packed=True,
             lut_rows=0, pace=0, rest=0, gap=1, **parameters):
    """A convolution of ``windowed.py``, its weights streamed; tiles are of so many rows, or of a
    part of one."""
    resident = convolution(*arguments, **parameters)
    tile = int(tile * resident.output.columns)
    values = {field.name: getattr(resident, field.name) for field in
              dataclasses.fields(StreamedConvolution) if hasattr(resident, field.name)}
    return StreamedConvolution(**values | {
        "rows": rows, "lanes": lanes, "tile": tile, "overlap": overlap, "packed": packed,
        "requantizers": requantizers, "lut_rows": lut_rows, "pace": pace, "rest": rest,
        "gap": gap})


def frames_for(spec, count=3, seed=1):
    rng = np.random.default_rng(seed)
    values = spec.input
    maps = rng.integers(values.low, values.high + 1, (count, *values.shape))
    return [maps, np.broadcast_to(spec.weight_frame(), (count, *spec.weight_shape.map.shape))]


SPECS = {
    "two tiles": streamed((4, 4, 6), 8, (3, 3), padding=(1, 1, 1, 1), pad=-3, rows=4, lanes=3,
                          tile=2),
    "whole map": streamed((4, 5, 4), 6, (3, 3), padding=(1, 0, 1, 1), pad=7, rows=2, lanes=4,
                          tile=4),
    "stride 2": streamed((7, 6, 4), 8, (3, 3), strides=(2, 2), padding=(1, 1, 1, 0), pad=9,
                         rows=4, lanes=4, tile=2, requantizers=2),
    "1 x 1": streamed((4, 3, 6), 8, (1, 1), rows=4, lanes=2, tile=2, requantizers=2),
    "part of a row": streamed((2, 6, 6), 8, (1, 1), rows=4, lanes=2, tile=1 / 2, requantizers=2),
    "a pixel": streamed((3, 4, 6), 8, (1, 1), rows=4, lanes=3, tile=1 / 4, requantizers=2),
    "1 x 1, stride 2": streamed((7, 5, 4), 12, (1, 1), strides=(2, 2), rows=2, lanes=2, tile=2),
    "fully connected": streamed((3, 3, 4), 10, (3, 3), rows=2, lanes=4),
    "fully connected vector": streamed((1, 1, 20), 12, (1, 1), rows=4, lanes=5, requantizers=2),
    "odd channels, unsigned": streamed((4, 4, 5), 7, (2, 2), signed=False, rows=4, lanes=3,
                                       tile=3, requantizers=4, out_signed=False),
    "one group": streamed((4, 4, 3), 5, (3, 3), padding=(1, 1, 1, 1), rows=6, lanes=3, tile=2,
                          requantizers=2),
    "one row, look-up tables": streamed((3, 4, 4), 3, (1, 1), lanes=4, tile=3, lut_rows=1),
    "no overlap": streamed((4, 4, 4), 8, (3, 3), padding=(1, 1, 1, 1), rows=4, lanes=2, tile=2,
                           overlap=False, lut_rows=2, requantizers=2),
    "two products, pace": streamed((4, 4, 4), 8, (1, 1), rows=4, lanes=4, tile=2, packed=False,
                                   requantizers=4, pace=3),
    "rest, gap": streamed((4, 4, 4), 8, (1, 1), rows=4, lanes=4, tile=2, pace=3, rest=5, gap=7),
    "rest alone": streamed((4, 4, 6), 8, (3, 3), padding=(1, 1, 1, 1), rows=4, lanes=3, tile=2,
                           rest=1),
    "a pass a cycle, rest": streamed((4, 4, 4), 12, (1, 1), rows=4, lanes=4, tile=2,
                                     requantizers=4, rest=3),
    "gap is what it waits for": streamed((2, 2, 4), 16, (2, 2), padding=(1, 1, 0, 0), rows=8,
                                         lanes=2, tile=1, requantizers=4, gap=2),
    "a pass a cycle": streamed((4, 4, 4), 12, (1, 1), rows=4, lanes=4, tile=2, requantizers=4),
    "dilated, shifts of channels": streamed((4, 5, 4), 6, (2, 3), padding=(1, 2, 1, 1),
                                            dilations=(2, 2), rows=2, lanes=4, tile=2, vary=True),
    "weights are what it waits for": streamed((2, 2, 4), 16, (2, 2), padding=(1, 1, 0, 0), rows=8,
                                              lanes=2, tile=1, requantizers=4),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("kind", ["always", "random"])
def test_streamed(name, kind):
    spec = SPECS[name]
    check_operator(spec, frames_for(spec), offering=kind, taking=kind)


@pytest.mark.parametrize("seed", range(4))
def test_any_folding(seed):
    rng = np.random.default_rng(seed)
    kernel = tuple(int(size) for size in rng.integers(1, 3, 2))
    padding = tuple(int(rng.integers(0, kernel[axis % 2])) for axis in range(4))
    size = (*(int(rng.integers(3, 6)) for _ in range(2)), int(rng.integers(1, 6)))
    strides = tuple(int(stride) for stride in rng.integers(1, 3, 2))
    spec = streamed(size, int(rng.integers(3, 9)), kernel, strides=strides, padding=padding,
                    pad=int(rng.integers(-128, 128)))
    foldings = list(spec.foldings())
    folded = foldings[rng.integers(len(foldings))]
    check_operator(folded, frames_for(folded), offering="random", taking="blocked")


@pytest.mark.parametrize("name", ["two tiles", "1 x 1", "a pixel", "stride 2", "one group",
                                  "weights are what it waits for"])
@pytest.mark.parametrize("more", [-40, 0, 1, 137, 5000])
def test_paced_frames_take_as_long_as_is_asked_for(name, more):
    """To a cycle for each group; weights come as evenly as leaves the passes alone."""
    spec = SPECS[name]
    asked, groups = spec.interval + more, spec.tiling.tiles * spec.passes
    paced = spec.paced(asked)
    if more <= 0 or paced.drain.cycles == spec.drain.cycles:
        assert paced.interval == spec.interval
    else:
        assert asked - groups < paced.interval <= asked
    group = paced.tiling.pixels * paced.drain.cycles + paced.rest
    taking = paced.gap * paced.group_beats
    assert taking <= group - group // 16 or paced.gap == 1
    assert taking + paced.group_beats > group - group // 16 or group < paced.group_beats
    assert paced.paced(asked) == paced


@pytest.mark.parametrize("name", ["two tiles", "1 x 1", "a pixel"])
def test_paced(name):
    spec = SPECS[name]
    check_operator(spec.paced(2 * spec.interval + 7), frames_for(spec), taking="random")


def test_values_are_those_of_a_resident_convolution():
    spec = SPECS["two tiles"]
    x, weights = frames_for(spec)
    (expected,) = convolution((4, 4, 6), 8, (3, 3), padding=(1, 1, 1, 1), pad=-3).compute(x)
    (made,) = spec.compute(x, weights)
    assert spec.outputs == spec.reorder().inputs
    (found,) = spec.reorder().compute(made)
    assert (found == expected).all()
    (whole,) = SPECS["fully connected"].compute(*frames_for(SPECS["fully connected"]))
    assert whole.shape == (3, 1, 1, 10)


def test_other_weights_need_no_other_hardware():
    spec = SPECS["whole map"]
    x, weights = frames_for(spec)
    others = weights.copy()
    others[1] = -weights[1] // 2
    check_operator(spec, [x, others])
    (kept,), (changed,) = spec.compute(x, weights), spec.compute(x, others)
    assert [(kept[frame] == changed[frame]).all() for frame in range(3)] == [True, False, True]


def test_weights_are_no_part_of_the_hardware():
    one = SPECS["two tiles"]
    other = dataclasses.replace(one, weights=Constants(one.weights.values[::-1]))
    emission = Emission()
    modules = [emission.convert(spec.create(), key=spec, name="same") for spec in (one, other)]
    assert modules[0] is modules[1]
    assert list(one.contents()) == ["_scales.mem"]


def test_each_tile_takes_the_weights_once():
    spec = SPECS["two tiles"]
    assert spec.dram_bytes == 2 * spec.weights.values.size
    whole = dataclasses.replace(spec, tile=16)
    assert whole.dram_bytes == spec.weights.values.size == whole.weight_frame().size
    assert whole.interval == spec.interval == spec.output.pixels * spec.passes * spec.steps


def test_resources():
    spec = SPECS["no overlap"]  # a packed pair and one of look-up tables
    zedboard, ulx3s = get("zedboard").device, get("ulx3s-85f").device
    assert spec.resources(zedboard).dsp == spec.lanes + 2 * spec.requantizers
    assert spec.resources(ulx3s).dsp == 2 * spec.lanes + 4 * spec.requantizers
    deep = streamed((28, 28, 64), 64, (3, 3), padding=(1, 1, 1, 1), rows=8, lanes=8, tile=14)
    # Two halves of 72 words for each pair, and the rows of two tiles, 28 x 8 words each.
    assert deep.resources(zedboard).bram18 == 4 * zedboard.bram18(8 * 17, 144) + (
        zedboard.bram18(64, deep.tiling.rows_held * 28 * 8))
    assert deep.tiling.rows_held == 28 + 15 - 13  # what two tiles need, less what is freed


def test_foldings():
    spec = streamed((14, 14, 64), 64, (3, 3), padding=(1, 1, 1, 1))
    foldings = list(spec.foldings())
    assert len(foldings) < 300
    assert foldings[0].multipliers == 1
    assert all(each.passes >= 3 for each in foldings)
    assert {each.tile for each in foldings} == {14, 28, 98, 196}
    assert min(each.interval for each in foldings) == spec.macs // 1024  # 16 rows, 64 lanes
    assert all(each.dram_bytes == 196 // each.tile * spec.weights.values.size for each in foldings)


def engine():
    """Weights streamed to a layer on tiles and to a last one, a resident layer between them."""
    first = dataclasses.replace(SPECS["two tiles"], lanes=6, requantizers=2)
    between = convolution((4, 4, 8), 4, (4, 4), rows=4, lanes=2, requantizers=2)
    last = streamed((1, 1, 4), 6, (1, 1), rows=2, lanes=2)
    return Engine(
        name="net", inputs=(("x", first.inputs[0]), ("first_w", first.inputs[1]),
                            ("last_w", last.inputs[1])),
        stages=(Stage(name="first", operator=first, inputs=(Source("x"), Source("first_w"))),
                Stage(name="order", operator=first.reorder(1), inputs=(Source("first"),)),
                Stage(name="between", operator=between, inputs=(Source("order"),)),
                Stage(name="last", operator=last, inputs=(Source("between"), Source("last_w")))),
        outputs=(("y", Source("last")),))


@pytest.mark.parametrize("kind", ["always", "random"])
def test_engine_does_what_is_predicted(kind):
    net, frames = engine(), 3
    first, last = (net.stages[k].operator for k in (0, 3))
    x, first_w = frames_for(first, frames)
    arrays = {"x": x, "first_w": first_w, "last_w": frames_for(last, frames)[1]}
    words = [join_fields(shape.pack(arrays[name]), 8) for name, shape in net.inputs]
    offered = [offered_cycles(kind, len(queue), seed) for seed, queue in enumerate(words)]
    ready = ready_cycles(kind)
    solver = Solver(net, frames=frames, ready={"y": np.array([*filter(ready, range(20000))])},
                    offers={name: np.array(cycles) for (name, _), cycles in
                            zip(net.inputs, offered, strict=True)})
    for _ in range(frames):
        solver.solve_frame()
    run = simulate(net.create(), words, [frames * 6], offered, [ready], 20000)
    values = split_words(run.words[0], last.output.element, 1).reshape(frames, 1, 1, 6)
    assert (values == net.compute(arrays)["y"]).all()
    ends = [Source(name) for name, _ in net.inputs] + [Source("last")]
    predicted = solver.result().transfers
    for source, cycles in zip(ends, run.taken + run.given, strict=True):
        assert cycles == predicted[source].tolist()


@pytest.mark.parametrize("pace", [0, 90])
def test_groups_that_are_always_offered_cross_as_their_beats_do(pace):
    """A group is one event then; it is as if each of its beats were."""
    net, frames = engine(), 4
    stages = [dataclasses.replace(stage, operator=dataclasses.replace(stage.operator, pace=pace))
              if stage.name == "first" else stage for stage in net.stages]
    net = dataclasses.replace(net, stages=tuple(stages))
    always, beats = Solver(net, frames=frames), Solver(net, frames=frames, offers={
        name: np.zeros(frames * shape.beats) for name, shape in net.inputs if name != "x"})
    events = [sum(row.count for row in each.equations.waits) for each in (always, beats)]
    assert events[0] < events[1]
    for solver in (always, beats):
        for _ in range(frames):
            solver.solve_frame()
    found, expected = always.result().transfers, beats.result().transfers
    assert list(found) == list(expected)
    for source in found:
        assert found[source].tolist() == expected[source].tolist(), str(source)
    assert always.latency == beats.latency


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": 3}, "Rows must be 1, or even and at most the 8 output channels, not 3"),
    *(({"tile": pixels}, "Tile must be rows that divide the 4 of 4 pixels, or divide a row where "
       f"the kernel is one pixel, not {pixels} pixels") for pixels in (2, 12)),
    ({"rows": 4, "requantizers": 3}, "Requantizers must be at most, and of several groups divide, "
     "the 4 channels of a group, not 3"),
    ({"lut_rows": 1}, "Rows of look-up tables must be whole pairs, the last ones, of 4 rows, "
     "not 1"),
    ({"pace": -1}, "Pace and rest must not be negative, and a gap must be positive, not -1, 0 and "
     "1"),
    ({"gap": 0}, "Pace and rest must not be negative, and a gap must be positive, not 0, 0 and 0"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        dataclasses.replace(SPECS["two tiles"], **change)
