"""The recurrence gives every transfer of an engine, and says when there is none."""

import time

import numpy as np
import pytest

from fcnnx.optimizer.deadlock import Deadlock, check_deadlock
from fcnnx.optimizer.timing import Solver, simulate

from .stand_ins import chain, pointwise, residual, sliding, step_by_step


FRAMES = 4
ENGINES = {
    "pointwise": chain(pointwise(12), pointwise(12, cycles=3), pointwise(12)),
    "windows": chain(sliding(6, 5, steps=3), sliding(6, 5, steps=2), sliding(6, 5, stride=2)),
    "strides": chain(sliding(8, 6, stride=2, steps=4, held=3), sliding(4, 3, steps=9, held=3)),
    "passes": chain(sliding(5, 5, passes=3, steps=4, makes=2), sliding(10, 15, steps=1)),
    "tight queue": chain(pointwise(24, places=2), pointwise(24, depth=6, places=3)),
    "residual": residual(6, 6, short=40, long=4),
    "residual that binds": residual(6, 6, short=14, long=4),
    "residual that runs ahead": residual(6, 6, short=90, long=4, stride_steps=5),
}


def pattern(seed, share, count):
    return np.flatnonzero(np.random.default_rng(seed).random(count) < share)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("stalls", ["none", "source", "sink", "both", "blocked"])
def test_every_transfer(name, stalls):
    engine = ENGINES[name]
    beats = FRAMES * engine.inputs[0][1].beats
    offers = {"x": pattern(1, 0.4, 4 * beats)[:beats]} if stalls in ("source", "both") else None
    ready = {"y": pattern(2, 0.3, 3000)} if stalls in ("sink", "both") else None
    if stalls == "blocked":
        ready = {"y": np.array([150])}
    expected = step_by_step(engine, FRAMES, offers, ready)
    timing = simulate(engine, FRAMES, offers=offers, ready=ready)
    frames = len(timing.ends)
    for source, times in timing.transfers.items():
        whole = expected[source]
        assert times.tolist() == whole[:len(times)].tolist(), str(source)
        assert len(times) * FRAMES == len(whole) * frames


@pytest.mark.parametrize("name", ENGINES)
def test_what_repeats_goes_on_repeating(name):
    short, long = simulate(ENGINES[name]), step_by_step(ENGINES[name], 12)
    (_, source), = ENGINES[name].outputs
    ends = long[source].reshape(12, -1)[:, -1]
    assert short.settled
    assert short.interval_cycles == ends[-1] - ends[-2]
    assert short.latency_cycles == ends[0] - long[ENGINES[name].stages[0].inputs[0]][0]


def test_figures_of_stages():
    timing = simulate(chain(pointwise(12), pointwise(12, cycles=3), pointwise(12)))
    assert timing.interval_cycles == 36
    assert timing.bottleneck == "s1"
    assert [stage.interval for stage in timing.stages.values()] == [12, 36, 12]
    assert timing.stages["s0"].stall_share == pytest.approx(2 / 3)


def test_deadlock_is_found():
    stuck = residual(6, 6, short=5, long=4)
    assert step_by_step(stuck, 1, limit=2000) is None
    with pytest.raises(Deadlock, match="fork, conv, add"):
        check_deadlock(stuck)
    with pytest.raises(Deadlock):
        simulate(stuck)
    check_deadlock(ENGINES["residual that binds"])


def test_large_engine_takes_seconds():
    """30 windows of 10,000 beats, unequal in speed, with a join queue that binds."""
    operators = [sliding(100, 100, steps=1 + (7 * k) % 5) for k in range(30)]
    start = time.perf_counter()
    timing = simulate(chain(*operators))
    assert timing.settled
    assert timing.interval_cycles == 50_000
    assert time.perf_counter() - start < 8


@pytest.mark.parametrize("name", ENGINES)
def test_offers_that_keep_their_pace_are_not_solved_frame_by_frame(name):
    """Few frames are solved; the others follow, cycle for cycle as if they had been."""
    engine, frames = ENGINES[name], 40
    beats = engine.inputs[0][1].beats
    offers = (np.arange(frames)[:, None] * 300 + np.arange(beats)).ravel()
    solver = Solver(engine, frames=frames, offers={"x": offers})
    while not solver.repeats:
        solver.solve_frame()
    assert solver.solved < 8
    timing = simulate(engine, frames, offers={"x": offers})
    expected = step_by_step(engine, frames, {"x": offers}, None)
    for source, times in timing.transfers.items():
        assert times.tolist() == expected[source].tolist(), str(source)
    ahead = np.concatenate([np.arange(beats)] * frames)  # always there: no pace of its own
    ends, own = simulate(engine, frames, offers={"x": ahead}).ends, simulate(engine)
    assert ends[:len(own.ends)].tolist() == own.ends.tolist()
    assert (np.diff(ends) == own.interval_cycles).all()


def test_one_frame_stands_for_those_that_go_on_as_it_does():
    engine, frames = ENGINES["residual that binds"], 12
    beats = engine.inputs[0][1].beats
    offers = (np.arange(frames)[:, None] * 300 + np.arange(beats)).ravel()
    transfers = simulate(engine, frames, offers={"x": offers}).transfers
    for source in transfers:
        whole, some = transfers[source].reshape(frames, -1), transfers.frames(source)
        assert len(some) < frames
        assert whole[:len(some)].tolist() == some.tolist()
        assert (np.diff(whole[len(some) - 2:], axis=0) == 300).all()
        assert transfers.frames(source, 2).tolist() == whole[:2].tolist()


def test_times_of_more_than_32_bits():
    """The same, billions of cycles later."""
    engine, late = ENGINES["windows"], 1 << 33
    beats = FRAMES * engine.inputs[0][1].beats
    early = simulate(engine, FRAMES, offers={"x": np.arange(beats)})
    timing = simulate(engine, FRAMES, offers={"x": late + np.arange(beats)})
    assert timing.latency_cycles == early.latency_cycles
    assert (timing.ends - late == early.ends).all()
    slow = chain(pointwise(4, cycles=200_000_000), pointwise(4), pointwise(4))
    solver = Solver(slow, frames=FRAMES)
    for _ in range(FRAMES):
        solver.solve_frame()
    assert (solver.ends == 8 + 200_000_000 * (4 * np.arange(FRAMES) + 3)
            + simulate(chain(pointwise(4), pointwise(4), pointwise(4))).latency_cycles - 11).all()
