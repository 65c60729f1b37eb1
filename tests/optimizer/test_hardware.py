"""Whole engines in simulation: every transfer at their ends in the cycle that was predicted."""

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.engine import Source
from fcnnx.hdl.testing import join_fields, offered_cycles, ready_cycles, simulate, split_words
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.fifos import size_queues
from fcnnx.optimizer.pareto import ANY, base_prices
from fcnnx.optimizer.timing import simulate as predict

from .networks import small_depthwise, tiny_chain, tiny_residual


FRAMES = 3


def engine_of(network, limit):
    chooser = Chooser(network, boards.get("zedboard").device)
    selection = chooser.choose(limit, base_prices(chooser.device.resources))
    solver = size_queues(lambda places: chooser.engine(selection, places))
    engine, timing = solver.engine, solver.result()
    return engine, timing


@pytest.mark.parametrize(("network", "limit"), [
    (tiny_chain(), 700), (tiny_chain(), 70), (tiny_residual(), 400), (tiny_residual(), 60),
    (small_depthwise(), 800)])
@pytest.mark.parametrize(("offering", "taking"), [
    ("always", "always"), ("random", "random"), ("always", "blocked")])
def test_engine_keeps_the_predicted_cycles(network, limit, offering, taking):
    check_engine(*engine_of(network, limit), offering, taking)


def check_engine(engine, timing, offering, taking):
    """Simulate an engine, and compare every value and every cycle at its ends."""
    weights = {name: np.stack([frame] * FRAMES) for name, frame in engine.weight_frames.items()}
    frames = [weights[name] if name in weights else
              np.random.default_rng(1).integers(-128, 128, (FRAMES, *shape.map.shape))
              for name, shape in engine.inputs]
    words = [join_fields(shape.pack(x), shape.map.width)
             for (_, shape), x in zip(engine.inputs, frames, strict=True)]
    offered = [offered_cycles(offering, len(queue), seed) for seed, queue in enumerate(words)]
    ready = [ready_cycles(taking, seed) for seed in range(len(engine.outputs))]
    cycles = np.arange(20 * timing.latency_cycles + 4000)
    predicted = predict(
        engine, FRAMES, offers={name: np.array(times) for (name, _), times in
                                zip(engine.inputs, offered, strict=True)},
        ready={name: cycles[[takes(cycle) for cycle in cycles.tolist()]]
               for (name, _), takes in zip(engine.outputs, ready, strict=True)}).transfers
    shapes = [engine.shape(source) for _, source in engine.outputs]
    run = simulate(engine.create(), words, [FRAMES * shape.beats for shape in shapes], offered,
                   ready, int(cycles[-1]))
    for (name, _), taken in zip(engine.inputs, run.taken, strict=True):
        assert taken == predicted[Source(name)].tolist()
    expected = engine.compute({name: x for (name, _), x in zip(engine.inputs, frames,
                                                               strict=True)})
    for (name, source), shape, given, found in zip(engine.outputs, shapes, run.given, run.words,
                                                   strict=True):
        assert given == predicted[source].tolist()
        assert (split_words(found, shape.map.element, shape.elements)
                == shape.pack(expected[name])).all()


def test_no_limit_is_the_smallest():
    engine, timing = engine_of(tiny_chain(), ANY)
    assert timing.interval_cycles == max(stage.operator.interval for stage in engine.stages)
