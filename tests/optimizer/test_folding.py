"""Engines compute what their networks compute, whatever the foldings and lanes."""

import numpy as np
import pytest

from fcnnx.boards import get
from fcnnx.hdl.device import KINDS
from fcnnx.hdl.engine import Source
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.plumbing import Fork, Narrow, Queue, Widen
from fcnnx.network import Network, Port
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.folding import PORT_BITS, build_engine, conversion, conversions
from fcnnx.optimizer.timing import simulate

from .networks import Builder, small, small_depthwise, small_residual


@pytest.mark.parametrize("network", [small(), small_residual(), small_depthwise()],
                         ids=lambda network: network.name)
@pytest.mark.parametrize("seed", range(4))
def test_engine_computes_what_the_network_does(network, seed):
    rng = np.random.default_rng(seed)
    operators = {}
    for stage in network.stages:
        foldings = [each for each in stage.operator.foldings()
                    if all(shape.pixels == 1 for shape in each.inputs)]
        operators[stage.name] = foldings[rng.integers(len(foldings))]
    ports = {port.tensor: int(rng.integers(1, min(port.map.channels, 16) + 1))
             for port in (*network.inputs, *network.outputs)}
    engine = build_engine(network, operators, ports=ports, interval=10 ** 6)
    inputs = {port.tensor: rng.integers(-128, 128, (2, *port.map.shape))
              for port in network.inputs}
    expected, found = network.compute(inputs), engine.compute(inputs)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert (found[name] == values).all()
    for _, shape in engine.inputs:
        assert shape.width <= PORT_BITS
    names = [stage.name for stage in engine.stages]
    assert len(set(names)) == len(names)


def test_several_pixels_a_beat_reach_the_first_stage():
    """Several cross the port at once where one is what a strided first stage would wait for."""
    b = Builder("wide", 12, 12, 3)
    b.conv(4, 3, stride=2)
    network = b.network()
    chooser = Chooser(network, get("zc706").device)
    fastest = chooser.choose(int(chooser.useful[0]), np.ones(len(KINDS)))
    engine = chooser.engine(fastest)
    ((_, shape),) = engine.inputs
    assert shape.pixels > 1
    assert simulate(engine).interval_cycles == fastest.interval == shape.beats < 144
    inputs = {network.inputs[0].tensor: np.random.default_rng(0).integers(
        -128, 128, (2, 12, 12, 3))}
    for name, values in network.compute(inputs).items():
        assert (engine.compute(inputs)[name] == values).all()


@pytest.mark.parametrize("channels", [1, 5, 12])
def test_conversions_reach_any_lanes(channels):
    feature_map = FeatureMap(rows=2, columns=3, channels=channels)
    for lanes in range(1, channels + 1):
        for wanted in range(1, channels + 1):
            for way in conversions(feature_map, lanes, wanted):
                now = lanes
                for operator in way:
                    assert operator.inputs[0].lanes == now
                    now = operator.outputs[0].lanes
                assert now == wanted


def test_conversion_keeps_to_the_interval_where_it_can():
    feature_map = FeatureMap(rows=1, columns=10, channels=24)
    narrow, widen = conversion(feature_map, 6, 4, 120)
    assert (type(narrow), type(widen)) == (Narrow, Widen)
    assert narrow.interval == 120
    widen, narrow = conversion(feature_map, 6, 4, 119)
    assert (type(widen), type(narrow)) == (Widen, Narrow)
    assert max(widen.interval, narrow.interval) == 60


def test_forks_and_their_depths():
    network = small_residual()
    operators = {stage.name: next(iter(stage.operator.foldings())) for stage in network.stages}
    ports = {"x": 1, "y0": 1, "y1": 1}
    engine = build_engine(network, operators, ports=ports, interval=10 ** 6,
                          places={"convolution_0_fork": (7, 90)})
    forks = {stage.name: stage.operator.places for stage in engine.stages
             if isinstance(stage.operator, Fork)}
    assert forks["convolution_0_fork"] == (7, 90)
    assert len(forks) == 2


def test_an_input_that_is_an_output():
    feature_map = FeatureMap(rows=2, columns=2, channels=3)

    def port(name, source=None):
        return Port(name=name, tensor=name, shape=feature_map.shape, axes=(0, 1, 2),
                    map=feature_map, source=source)

    network = Network(name="wire", inputs=(port("x"),), stages=(),
                      outputs=(port("y", Source("x")),))
    engine = build_engine(network, {}, ports={"x": 1, "y": 3}, interval=99)
    assert [type(stage.operator) for stage in engine.stages] == [Widen]
    engine = build_engine(network, {}, ports={"x": 3, "y": 3}, interval=99)
    assert [type(stage.operator) for stage in engine.stages] == [Queue]
