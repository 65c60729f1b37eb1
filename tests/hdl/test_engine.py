"""Engines: what their specs refuse, the names of their streams, and their hardware."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Constants, FeatureMap, StreamShape
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.matvec import join_fields
from fcnnx.hdl.operators.plumbing import Fork, Widen
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.testing import (
    offered_cycles,
    ready_cycles,
    simulate,
    split_words,
)


MAP = FeatureMap(rows=2, columns=3, channels=5)


def residual():
    """An input forked, one branch through a PRelu, joined again, in wider beats at the end."""
    slopes = Constants([-3000, 2000, 500, 40000, 0])
    prelu = PRelu(input=MAP, output=MAP, zero=3, zero_out=-2, scale=40000, slopes=slopes, shift=16,
                  low=-128, high=127, lanes=2)
    add = Add(operands=(MAP, MAP), zeros=(0, -2), scales=(50000, 60000), shift=17, zero=1,
              low=-100, high=127, output=MAP, lanes=2)
    return Engine(
        name="net", inputs=(("x", StreamShape(map=MAP, lanes=2)),),
        stages=(
            Stage(name="fork", operator=Fork(map=MAP, lanes=2, places=(12, 4)),
                  inputs=(Source("x"),)),
            Stage(name="act", operator=prelu, inputs=(Source("fork", 1),)),
            Stage(name="sum", operator=add, inputs=(Source("fork", 0), Source("act"))),
            Stage(name="wide", operator=Widen(map=MAP, lanes_in=2, lanes_out=5),
                  inputs=(Source("sum"),)),
        ),
        outputs=(("y", Source("wide")),))


@pytest.mark.parametrize("kind", ["always", "random"])
def test_hardware_computes_what_the_spec_does(kind):
    engine, frames = residual(), 3
    x = np.random.default_rng(1).integers(-128, 128, (frames, *MAP.shape))
    (shape,) = (shape for _, shape in engine.inputs)
    words = join_fields(shape.pack(x), MAP.width)
    result = simulate(engine.create(), [words], [frames * MAP.pixels],
                      [offered_cycles(kind, len(words))], [ready_cycles(kind)], 2000)
    values = split_words(result.words[0], MAP.element, 5).reshape(frames, *MAP.shape)
    assert (values == engine.compute({"x": x})["y"]).all()


def test_streams_have_names_of_their_own():
    engine = residual()
    names = {"x": "in/put:0", "fork": "i", "act": "in_put/0", "sum": "o_1", "wide": "a" * 300}
    renamed = Engine(
        name="net", inputs=((names["x"], engine.inputs[0][1]),),
        stages=tuple(dataclasses.replace(
            stage, name=names[stage.name],
            inputs=tuple(Source(names[each.name], each.output) for each in stage.inputs))
            for stage in engine.stages),
        outputs=(("y", Source(names["wide"])),))
    streams = renamed.stream_names
    assert list(streams.values())[:5] == ["in_put_0", "stream_i", "stream_i_1", "in_put_0_2",
                                          "stream_o_1"]
    assert len(streams[Source(names["wide"])]) <= 60
    assert renamed.file_names["in_put/0"] == ".in_put_0"


@pytest.mark.parametrize(("change", "message"), [
    ({"outputs": ()}, "Streams wide are not taken"),
    ({"outputs": (("y", Source("sum")),)}, "y: Stream sum is not there, or taken"),
    ({"inputs": (("x", StreamShape(map=MAP, lanes=1)),)}, "fork: Stream x is "),
    ({"inputs": (("z", StreamShape(map=MAP, lanes=2)),)}, "fork: Stream x is not there, or taken"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        dataclasses.replace(residual(), **change)
