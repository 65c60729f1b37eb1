"""Where a latency comes from, and what single stages made faster take off it."""

import dataclasses

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.device import Resources
from fcnnx.memory import memory_timing
from fcnnx.optimizer.candidates import Room
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.equations import Equations
from fcnnx.optimizer.latency import _faster, latency_of, lower_latency
from fcnnx.optimizer.pareto import fastest
from fcnnx.optimizer.timing import Solver

from .networks import resnet8, small, small_depthwise, small_residual, squeeze_excite
from .stand_ins import chain, pointwise, residual, sliding


BOARD = boards.get("zedboard")


def first_frame(engine):
    solver = Solver(engine, frames=1, equations=Equations(engine, whole=True))
    solver.solve_frame()
    return solver


def test_slowest_stage_has_the_critical_path():
    engine = chain(pointwise(50), pointwise(50, cycles=9), pointwise(50, cycles=3))
    solver = first_frame(engine)
    assert solver.critical() == {"s0": 0, "s1": 49 * 9, "s2": 0}
    assert 49 * 9 < solver.latency < 49 * 9 + 20


def random_engine(seed):
    rng = np.random.default_rng(seed)
    if seed % 3 == 2:
        return residual(6, 6, short=int(rng.integers(40, 200)), long=int(rng.integers(3, 60)),
                        stride_steps=int(rng.integers(1, 6)))
    return chain(
        pointwise(36, cycles=int(rng.integers(1, 6))),
        sliding(6, 6, steps=int(rng.integers(1, 6)), held=int(rng.integers(3, 8))),
        pointwise(36, cycles=int(rng.integers(1, 6)), places=int(rng.integers(3, 9))),
        sliding(6, 6, steps=int(rng.integers(1, 6)), held=int(rng.integers(3, 8))))


def slower(engine, name):
    """The engine with a stage's issues twice as far apart."""
    def doubled(stage):
        times = stage.operator.times
        return dataclasses.replace(stage, operator=dataclasses.replace(
            stage.operator, times=dataclasses.replace(times, cycles=2 * times.cycles)))

    return dataclasses.replace(engine, stages=tuple(
        doubled(stage) if stage.name == name else stage for stage in engine.stages))


@pytest.mark.parametrize("seed", range(30))
def test_stages_twice_as_slow_cost_their_part_of_the_critical_path(seed):
    """The path is there still, with all issues of the stage that are on it twice as far apart: a
    latency can be no shorter. Transfers into the stage's buffer are as they were."""
    engine = random_engine(seed)
    solver = first_frame(engine)
    spent = solver.critical()
    assert 0 < sum(spent.values()) <= solver.latency
    for stage in engine.stages:
        transfers = sum(each.beats for each in stage.operator.times.inputs if each.places)
        cost = first_frame(slower(engine, stage.name)).latency - solver.latency
        assert cost >= spent[stage.name] - transfers


NETWORKS = [small(), small_residual(), small_depthwise(), squeeze_excite(), resnet8()]


def parts(network, dram=False):
    memory = memory_timing(BOARD, 125.0, None) if dram else None
    chooser = Chooser(network, BOARD.device, memory)
    room = Room.of(dataclasses.replace(BOARD.device.resources, dsp=60), memory and 0.5)
    return chooser, fastest(chooser, dataclasses.replace(room, dsp=30, lut=20_000)), room


@pytest.mark.parametrize("dram", [False, True])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_latency_is_lowered_within_the_budget(network, dram):
    chooser, first, room = parts(network, dram)
    second = lower_latency(chooser, first, room)
    assert chooser.fits(second, room)
    assert second.interval <= first.interval
    assert latency_of(chooser, second) < latency_of(chooser, first)


@pytest.mark.parametrize("dram", [False, True])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_move_that_saves_most_for_its_price_is_found(network, dram):
    """As well as if all stages were tried."""
    chooser, first, room = parts(network, dram)
    latency = latency_of(chooser, first)
    moves = [move for node in range(*chooser.stages.indices(len(chooser.nodes)))
             if (move := _faster(chooser, first, room, {}, node, latency))]
    gains = [(latency - latency_of(chooser, move.selection)) / move.paid for move in moves]
    found = latency_of(chooser, lower_latency(chooser, first, room, rounds=1))
    best = latency_of(chooser, moves[int(np.argmax(gains))].selection)
    assert latency - found >= 0.999 * (latency - best), (gains, found, best)


def test_what_saves_nothing_is_left():
    chooser, first, _ = parts(small())
    assert lower_latency(chooser, first, first.resources) is first
    assert lower_latency(chooser, first, Resources()) is first
