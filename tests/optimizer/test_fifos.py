"""Queues where branches part are short, and cost neither interval nor latency."""

import dataclasses

import pytest

from fcnnx import boards
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.deadlock import check_deadlock
from fcnnx.optimizer.fifos import ample_places, size_queues
from fcnnx.optimizer.pareto import base_prices
from fcnnx.optimizer.timing import simulate

from .networks import small, small_residual, tiny_residual


DEVICE = boards.get("zedboard").device


def maker(network, limit):
    chooser = Chooser(network, DEVICE)
    selection = chooser.choose(limit, base_prices(DEVICE.resources))
    return lambda places: chooser.engine(selection, places)


@pytest.mark.parametrize(("network", "limit"), [
    (small_residual(), 20_000), (small_residual(), 700), (tiny_residual(), 400)])
def test_short_queues_cost_nothing(network, limit):
    make = maker(network, limit)
    engine, timing = size_queues(make)
    ideal = simulate(make(ample_places(make({}))))
    assert timing.interval_cycles == ideal.interval_cycles
    assert timing.latency_cycles <= ideal.latency_cycles
    assert simulate(engine).interval_cycles == timing.interval_cycles
    assert simulate(engine).latency_cycles == timing.latency_cycles
    check_deadlock(engine)
    forks = {stage.name: stage.operator for stage in engine.stages
             if isinstance(stage.operator, Fork)}
    longest = max(max(fork.places) for fork in forks.values())
    assert LEAST_PLACES < longest < 2 * max(fork.shape.beats for fork in forks.values())


def test_shorter_ones_would_cost():
    make = maker(small_residual(), 700)
    engine, timing = size_queues(make)
    (name, fork), *_ = ((stage.name, stage.operator) for stage in engine.stages
                        if isinstance(stage.operator, Fork)
                        and max(stage.operator.places) > 40)
    places = {stage.name: stage.operator.places for stage in engine.stages
              if isinstance(stage.operator, Fork)}
    shorter = tuple(max(LEAST_PLACES, depth - max(4, depth // 10)) for depth in fork.places)
    worse = simulate(make({**places, name: shorter}))
    assert (worse.interval_cycles, worse.latency_cycles) > (timing.interval_cycles,
                                                            timing.latency_cycles)


def test_without_a_fork_there_is_nothing_to_size():
    make = maker(small(), 3000)
    engine, timing = size_queues(make)
    assert engine == make({})
    assert dataclasses.is_dataclass(timing)
