"""Queues where branches part are short, and cost neither interval nor latency."""

import dataclasses

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork
from fcnnx.memory import memory_timing
from fcnnx.optimizer import fifos
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.deadlock import check_deadlock
from fcnnx.optimizer.fifos import ample, size_queues, with_ample_queues
from fcnnx.optimizer.memory import spread
from fcnnx.optimizer.pareto import base_prices
from fcnnx.optimizer.timing import Solver, simulate

from .networks import bottleneck, small, small_residual, tiny_residual
from .selections import tiled


BOARD = boards.get("zedboard")
DEVICE = BOARD.device


def maker(network, limit):
    chooser = Chooser(network, DEVICE)
    selection = chooser.choose(limit, base_prices(DEVICE.resources))
    return lambda places: chooser.engine(selection, places)


@pytest.mark.parametrize(("network", "limit"), [
    (small_residual(), 20_000), (small_residual(), 700), (tiny_residual(), 400)])
def test_short_queues_cost_nothing(network, limit):
    make = maker(network, limit)
    solver = size_queues(make)
    engine, timing = solver.engine, solver.result()
    ideal = simulate(ample(make).engine)
    assert timing.interval_cycles == ideal.interval_cycles
    assert timing.latency_cycles <= ideal.latency_cycles
    assert simulate(engine).interval_cycles == timing.interval_cycles
    assert simulate(engine).latency_cycles == timing.latency_cycles
    check_deadlock(engine)
    forks = {stage.name: stage.operator for stage in engine.stages
             if isinstance(stage.operator, Fork)}
    longest = max(max(fork.places) for fork in forks.values())
    assert LEAST_PLACES < longest < 2 * max(fork.shape.beats for fork in forks.values())


@pytest.mark.parametrize(("network", "limit"), [
    (small_residual(), 20_000), (small_residual(), 700), (tiny_residual(), 400)])
def test_queues_that_are_never_full_are_as_deep_ones(network, limit):
    make = maker(network, limit)
    ideal = with_ample_queues(make)
    deep = Solver(ample(make).engine, frames=ideal.solved)
    assert all(deep.keeps(end) for end in ideal.ends.tolist())
    assert deep.ends.tolist() == ideal.ends.tolist()


@pytest.mark.parametrize(("network", "limit"), [(small_residual(), 700), (tiny_residual(), 400)])
def test_a_place_less_would_cost(network, limit):
    make = maker(network, limit)
    solver = size_queues(make)
    engine, timing = solver.engine, solver.result()
    places = {stage.name: stage.operator.places for stage in engine.stages
              if isinstance(stage.operator, Fork)}
    tried = 0
    for name, depths in places.items():
        for branch, depth in enumerate(depths):
            if depth > LEAST_PLACES:
                shorter = tuple(each - (k == branch) for k, each in enumerate(depths))
                solver = Solver(make({**places, name: shorter}), frames=len(timing.ends))
                assert not all(solver.keeps(end) for end in timing.ends.tolist())
                tried += 1
    assert tried


def test_without_a_fork_there_is_nothing_to_size():
    make = maker(small(), 3000)
    solver = size_queues(make)
    engine, timing = solver.engine, solver.result()
    assert engine == make({})
    assert dataclasses.is_dataclass(timing)


@pytest.mark.parametrize(("network", "limit"), [(small_residual(), 700), (tiny_residual(), 400)])
def test_large_engines_have_no_queue_twice_as_deep_for_another_s_sake(network, limit, monkeypatch):
    """Where what branches hold is too little for one of them, the others do not have twice of it;
    all together still cost nothing."""
    make = maker(network, limit)
    ideal = with_ample_queues(make)
    held = fifos._held(ideal)
    name, most = max(held.items(), key=lambda each: max(each[1]))
    short = {**held, name: tuple(depth // 2 + 1 if depth == max(most) else depth
                                 for depth in most)}
    monkeypatch.setattr(fifos, "LARGE", 0)
    monkeypatch.setattr(fifos, "_held", lambda _: short)
    solver = size_queues(make, ideal)
    places = {stage.name: stage.operator.places for stage in solver.engine.stages
              if isinstance(stage.operator, Fork)}
    assert solver.result().interval_cycles == ideal.result().interval_cycles
    for stage, depths in short.items():
        for depth, found in zip(depths, places[stage], strict=True):
            assert found in (max(LEAST_PLACES, depth), max(LEAST_PLACES, 2 * depth))
    doubled = [1 for stage, depths in short.items()
               for depth, found in zip(depths, places[stage], strict=True)
               if found > max(LEAST_PLACES, depth)]
    assert len(doubled) == 1


def test_what_is_held_after_many_frames_is_counted(monkeypatch):
    """A branch holds frames in its stages' own buffers: its queue fills when those are full."""
    chooser = Chooser(bottleneck(branches=3), BOARD.device, memory_timing(BOARD, 125.0))
    selection = tiled(chooser, 150_000, {f"convolution_{k}": 1 for k in range(1, 5)})
    monkeypatch.setattr(fifos, "LARGE", 0)
    solver = size_queues(lambda places: spread(chooser.engine(selection, places),
                                               selection.interval))
    fork, = (stage.operator for stage in solver.engine.stages if isinstance(stage.operator, Fork))
    assert max(fork.places) * fork.lanes < 5 * fork.map.size
    steps = np.diff(simulate(solver.engine, 16).ends)
    assert set(steps.tolist()) == {selection.interval}
