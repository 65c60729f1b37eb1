"""What is known of foldings before one is taken: costs that do not depend on constants, and layers
whose weights are streamed."""

import dataclasses

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.device import KINDS, Resources
from fcnnx.hdl.engine import Source
from fcnnx.hdl.memory.packing import Packing
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.memory import memory_timing
from fcnnx.optimizer.candidates import MOST_BEATS, candidates
from fcnnx.optimizer.folding import build_engine

from .networks import Builder, small_residual


BOARD = boards.get("zedboard")
MEMORY = memory_timing(BOARD, 125.0)


def layer(seed, signed):
    """With a scale and a shift for each channel."""
    rng = np.random.default_rng(seed)
    taken = FeatureMap(rows=6, columns=6, channels=6, signed=signed)
    weights, bias = rng.integers(-127, 128, (8, 3, 3, 6)), rng.integers(-900, 900, 8)
    return Convolution(
        input=taken, kernel=(3, 3), padding=(1, 1, 1, 1), weights=Constants(weights),
        bias=Constants(bias), acc_width=accumulator_width(weights, bias, taken),
        requantization=Requantization(
            multiplier=Constants(rng.integers(1 << 20, 1 << 24, 8)),
            shift=Constants(rng.integers(20, 30, 8)), zero=3, low=0, high=255),
        output=taken.resized(channels=8, signed=False))


@pytest.mark.parametrize("signed", [True, False])
def test_costs_do_not_depend_on_constants(signed):
    operator = layer(1, signed)
    found = candidates(operator, BOARD.device, MEMORY)
    kinds = set()
    for pick in range(0, len(found.operators), 7):
        chain = found.chain(pick, operator)
        kinds.add(type(chain[0]))
        assert chain[0].weights == operator.weights
        assert chain[0].requantization == operator.requantization
        taken = sum((each.resources(BOARD.device) for each in chain), Resources())
        least = [amount for _, amount in taken.items()]
        if type(chain[0]) is Convolution:
            assert found.amounts[pick].tolist() == [*least, 0]
            assert found.intervals[pick] == chain[0].interval
        else:
            packing = Packing(shape=chain[0].weight_shape, width=64, words=1 << 30)
            assert found.amounts[pick][-1] >= packing.data_words
            assert (found.amounts[pick][:len(KINDS)] >= least).all()
            assert found.intervals[pick] >= max(each.interval for each in chain)
    assert kinds == {Convolution, StreamedConvolution}


def test_layers_that_differ_in_constants_share_their_candidates():
    same = dataclasses.replace(layer(1, True), weights=Constants(-layer(1, True).weights.values))
    assert (candidates(layer(1, True), BOARD.device, MEMORY)
            is candidates(same, BOARD.device, MEMORY))


def test_without_a_memory_nothing_is_streamed():
    found = candidates(layer(1, True), BOARD.device)
    assert all(isinstance(operator, Convolution) for operator, in found.operators)
    assert found.amounts.shape[1] == len(KINDS)


def pointwise(side, channels):
    net = Builder("net", side, side, channels)
    net.conv(channels, kernel=1)
    return net.network().stages[0].operator


def test_tiles_are_parts_of_rows_where_a_kernel_is_one_pixel():
    """Half the tile, half its buffers, twice the words."""
    found = candidates(pointwise(16, 64), BOARD.device, MEMORY)
    tiles = {first.tile for first, *_ in found.operators if isinstance(first, StreamedConvolution)}
    assert {4, 8, 16} <= tiles
    assert all(tile % 16 == 0 for tile in tiles if tile > 16)


def test_weights_that_cross_too_often_are_none():
    """But once they may, however many they are."""
    def beats(operator):
        return [(first.tiling.tiles, first.weight_shape.beats)
                for first, *_ in candidates(operator, BOARD.device, MEMORY).operators
                if isinstance(first, StreamedConvolution)]

    assert all(count <= MOST_BEATS for tiles, count in beats(pointwise(16, 512)) if tiles > 1)
    assert max(count for _, count in beats(pointwise(1, 2048))) > MOST_BEATS


@pytest.mark.parametrize("seed", range(3))
def test_streamed_layers_compute_what_they_did(seed):
    """Engines in which all that can be is streamed: layers keep their names, weights are inputs
    behind the network's own."""
    rng = np.random.default_rng(seed)
    net = Builder("net", 6, 6, 4)
    net.conv(8)
    net.conv(6, stride=2)
    net.dense(5)
    for network in (net.network(), small_residual()):
        operators, streamed = {}, []
        for stage in network.stages:
            found = candidates(stage.operator, BOARD.device, MEMORY)
            picks = [pick for pick, (first, *_) in enumerate(found.operators)
                     if isinstance(first, StreamedConvolution)] or range(len(found.operators))
            operators[stage.name] = found.chain(int(rng.choice(picks)), stage.operator)
            if isinstance(operators[stage.name][0], StreamedConvolution):
                streamed.append(stage.name)
        engine = build_engine(network, operators, interval=10 ** 6, ports={
            port.tensor: 1 for port in (*network.inputs, *network.outputs)})
        assert [name for name, _ in engine.inputs] == [
            *(port.tensor for port in network.inputs), *(f"{name} weights" for name in streamed)]
        inputs = {port.tensor: rng.integers(-128, 128, (2, *port.map.shape))
                  for port in network.inputs}
        weights = {name: np.stack([frame] * 2) for name, frame in engine.weight_frames.items()}
        assert len(weights) == len(streamed) > 0
        found = engine.compute(inputs | weights)
        for name, values in network.compute(inputs).items():
            assert (found[name] == values).all()
        for stage in network.stages:
            assert engine.shape(Source(stage.name)).map == stage.operator.outputs[0].map
