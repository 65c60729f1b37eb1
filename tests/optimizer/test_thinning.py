"""Events that follow from others are left out, and nothing comes at another time."""

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Input, Output
from fcnnx.hdl.operators.plumbing import Fork
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.memory import memory_timing
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.equations import Equations
from fcnnx.optimizer.fifos import ample, branches
from fcnnx.optimizer.memory import spread
from fcnnx.optimizer.pareto import base_prices
from fcnnx.optimizer.timing import Solver

from .networks import small, small_residual, squeeze_excite
from .stand_ins import chain, fork, pointwise, residual, sliding, stand_in, vector


BOARD = boards.get("zedboard")
FRAMES = 5


def ports(engine):
    return [*(Source(name) for name, _ in engine.inputs),
            *(source for _, source in engine.outputs)]


def solved(engine, **options):
    solver = Solver(engine, frames=FRAMES, **options)
    for _ in range(FRAMES):
        solver.solve_frame()
    return solver


def same(thinned, whole):
    """Whether what is kept of both comes in the same cycles."""
    found, expected = thinned.result().transfers, whole.result().transfers
    return (thinned.ends.tolist() == whole.ends.tolist() and thinned.latency == whole.latency
            and all(np.array_equal(found[source], expected[source]) for source in found))


def events(solver):
    return sum(row.count for row in solver.equations.waits)


def joined(rng):
    """Two residual blocks, one after the other, with a slow stage in front."""
    beats, stages, source = 36, [], Source("x")
    stages.append(Stage(name="pre", inputs=(source,), operator=pointwise(
        beats, cycles=int(rng.integers(1, 4)), places=int(rng.integers(3, 120)))))
    source = Source("pre")
    for k in range(2):
        stages.append(Stage(name=f"fork{k}", inputs=(source,), operator=fork(
            beats, int(rng.integers(3, 100)), int(rng.integers(40, 300)))))
        stages.append(Stage(name=f"conv{k}", inputs=(Source(f"fork{k}"),), operator=sliding(
            6, 6, steps=int(rng.integers(1, 4)), held=int(rng.integers(3, 12)))))
        stages.append(Stage(name=f"add{k}", inputs=(Source(f"conv{k}"), Source(f"fork{k}", 1)),
                            operator=pointwise(beats, arity=2)))
        source = Source(f"add{k}")
    return Engine(name="e", inputs=(("x", vector(beats)),), stages=tuple(stages),
                  outputs=(("y", source),))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("make", [
    joined,
    lambda rng: chain(*(sliding(6, 6, steps=int(rng.integers(1, 5)), held=int(rng.integers(3, 9)))
                        for _ in range(3))),
    lambda rng: residual(6, 6, short=int(rng.integers(20, 200)), long=int(rng.integers(3, 60)))])
def test_times_are_the_same(make, seed):
    rng = np.random.default_rng(seed)
    engine = make(rng)
    pace = int(rng.integers(36, 400))
    offers = {"x": (np.arange(FRAMES)[:, None] * pace
                    + np.arange(36) * rng.integers(1, pace // 36 + 1)).ravel()}
    for given in ({}, {"offers": offers}):
        thinned, whole = solved(engine, kept=ports(engine), **given), solved(engine, **given)
        assert same(thinned, whole)
        assert events(thinned) <= events(whole)


@pytest.mark.parametrize("cycles", [1, 10**6, 10**8, 10**9])
def test_frames_may_take_more_cycles_than_32_bits_count(cycles):
    """Beats that are needed, freed and made at uneven issues: what is left waits for long."""
    issues, beats = np.arange(60), 6
    at, freed = np.array([0, 3, 11, 20, 31, 40]), np.array([55, 56, 57, 57, 58, 59])
    needs = np.searchsorted(at, issues, side="right")
    slow = stand_in([Input(beats=beats, needs=needs, places=8, entry=1, release=2,
                           frees=np.searchsorted(freed, issues, side="right"))],
                    [Output(makes=needs, depth=4, places=8, back=2)], cycles + (issues % 3 == 0))
    for engine in (chain(pointwise(beats), slow, pointwise(beats)),
                   chain(slow, pointwise(beats, places=3), slow)):
        thinned, whole = solved(engine, kept=ports(engine)), solved(engine)
        assert same(thinned, whole)
        assert events(thinned) < events(whole)


def streams(chain):
    return bool(chain) and isinstance(chain[0], StreamedConvolution)


def designed(network, limit, *, streamed, pace=0):
    """What makes an engine of a network by the depths of its queues."""
    memory = memory_timing(BOARD, BOARD.device.clock_mhz, None) if streamed else None
    chooser = Chooser(network, BOARD.device, memory)
    if streamed:
        able = {name for name, node in zip(chooser.names, chooser.nodes, strict=True)
                if any(map(streams, node.operators))}
        chooser = Chooser(network, BOARD.device, memory,
                          lambda name, chain: streams(chain) or name not in able)
    prices = base_prices(BOARD.device.resources)
    selection = chooser.choose(limit, np.append(prices, 0) if streamed else prices)

    def make(places):
        engine = chooser.engine(selection, places)
        return spread(engine, pace) if pace else engine

    return make


@pytest.mark.parametrize(("network", "limit", "streamed", "pace"), [
    (small(), 2000, False, 0), (small_residual(), 700, False, 0),
    (small_residual(), 30_000, True, 0), (small_residual(), 30_000, True, 33_000),
    (squeeze_excite(), 90_000, True, 95_000)])
def test_equations_hold_for_all_depths_of_queues(network, limit, streamed, pace):
    make = designed(network, limit, streamed=streamed, pace=pace)
    ideal = ample(make)
    rng = np.random.default_rng(limit)
    for unbounded in (True, False):
        engine = make({stage.name: tuple(
            int(rng.integers(stage.operator.shape.beats, 2 * stage.operator.shape.beats))
            for _ in stage.operator.places)
            for stage in make({}).stages if isinstance(stage.operator, Fork)})
        options = {"unbounded": branches(engine)} if unbounded else {}
        taken = solved(engine, kept=ports(engine), equations=ideal.equations, **options)
        assert taken.equations is ideal.equations
        assert same(taken, solved(engine, **options))
    assert bool(engine.weight_frames) == streamed
    assert events(taken) < events(solved(engine))


def test_what_equations_do_not_tell_is_not_taken_from_them():
    make = designed(small_residual(), 30_000, streamed=True)
    engine = make({})
    equations = Equations(engine)
    forks = [stage for stage in engine.stages if isinstance(stage.operator, Fork)]
    around = {source.name for stage in forks for source in (Source(stage.name), *stage.inputs)}
    inner = next(source for source in engine.sources
                 if source not in ports(engine) and source.name not in around)
    weights = next(iter(engine.weight_frames))
    beats = dict(engine.inputs)[weights].beats
    for options in ({"kept": [inner]}, {"kept": None},
                    {"kept": [], "offers": {weights: np.zeros(FRAMES * beats, np.int64)}}):
        solver = Solver(engine, frames=FRAMES, equations=equations, **options)
        assert solver.equations is not equations
    assert Solver(engine, kept=[], equations=equations).equations is equations
