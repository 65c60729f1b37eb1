"""Depths of the queues where branches part, so that those that meet again do not wait."""

from collections.abc import Callable, Mapping

import numpy as np

from fcnnx.hdl.engine import Engine, Source
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork

from .deadlock import operator_timing
from .timing import EngineTiming, Solver, simulate


__all__ = ["Places", "ample_places", "size_queues"]


LEAST_FRAMES = 4
GRAIN = 128  # depths are told apart to this part of them
SWEEPS = 12  # of a frame: queues that just suffice settle slowly, and save less than a memory

Places = Mapping[str, tuple[int, ...]]


def size_queues(make: Callable[[Places], Engine]) -> tuple[Engine, EngineTiming]:
    """The engine with the shortest queues that cost neither interval nor latency.

    Each branch is bisected in turn, all others finite: timing is monotone in every depth. The last
    few places, with which everything moves in lockstep and which take long to tell, are left.

    Parameters
    ----------
    make : function
        The engine with these depths of the branches' queues, by the name of a fork.

    Returns
    -------
    The engine, and its timing.
    """
    shortest = make({})
    ample = ample_places(shortest)
    if not ample:
        return shortest, simulate(shortest)
    ideal = Solver(make(ample))
    while ideal.solved < LEAST_FRAMES or not (ideal.repeats or ideal.solved == ideal.frames):
        ideal.solve_frame()
    places = _enough(make, {name: (LEAST_PLACES,) * len(depths) for name, depths in ample.items()},
                     ample, ideal)
    for name, depths in list(places.items()):
        for branch in range(len(depths)):
            places = _bisect(make, places, name, branch, ideal)
    engine = make(places)
    return engine, (_follow(engine, ideal) or ideal).result()


def ample_places(engine: Engine) -> Places:
    """Queues at the forks of an engine that hold four frames: a branch over the whole map keeps
    the others waiting for more than two."""
    return {name: (4 * fork.shape.beats,) * len(fork.places) for name, fork in _forks(engine)}


def _forks(engine: Engine) -> list[tuple[str, Fork]]:
    return [(stage.name, stage.operator) for stage in engine.stages
            if isinstance(stage.operator, Fork)]


def _enough(make, shortest: Places, ample: Places, ideal: Solver) -> Places:
    """Depths that cost nothing: what the branches hold while frames come at the interval."""
    if _keeps(make(shortest), ideal):
        return shortest
    held = _held(make(ample), ideal.interval)
    while True:
        places = {name: tuple(min(max(LEAST_PLACES, mine), most) for mine, most in
                              zip(held[name], ample[name], strict=True)) for name in ample}
        if places == ample or _keeps(make(places), ideal):
            return places
        held = {name: tuple(2 * depth for depth in depths) for name, depths in held.items()}


def _held(engine: Engine, interval: int) -> Places:
    """The most places of each branch in use, where the source offers at the engine's pace."""
    offers = {name: np.arange(LEAST_FRAMES * shape.beats) * interval // shape.beats
              for name, shape in engine.inputs}
    crossed = simulate(engine, LEAST_FRAMES, offers=offers).transfers
    held: dict[str, tuple[int, ...]] = {}
    for stage in engine.stages:
        if isinstance(stage.operator, Fork):
            issued = crossed[stage.inputs[0]]
            outputs = operator_timing(stage.operator).outputs
            held[stage.name] = tuple(
                int((np.arange(len(issued)) + 1 - np.searchsorted(
                    crossed[Source(stage.name, branch)] + output.back, issued,
                    side="right")).max()) for branch, output in enumerate(outputs))
    return held


def _keeps(engine: Engine, ideal: Solver) -> bool:
    """Whether no frame ends later than with ample queues."""
    return _follow(engine, ideal) is not None


def _follow(engine: Engine, ideal: Solver) -> Solver | None:
    solver = Solver(engine, frames=ideal.solved)
    kept = all(solver.follow(ideal, SWEEPS) for _ in range(ideal.solved))
    return solver if kept else None


def _bisect(make, places: Places, name: str, branch: int, ideal: Solver) -> Places:
    """The least depth of one branch, the others as they are."""
    def changed(depth):
        depths = list(places[name])
        depths[branch] = depth
        return {**places, name: tuple(depths)}

    low, high = LEAST_PLACES, places[name][branch]
    if low < high and _keeps(make(changed(low)), ideal):
        return changed(low)
    while high - low > max(1, high // GRAIN):
        middle = (low + high) // 2
        if _keeps(make(changed(middle)), ideal):
            high = middle
        else:
            low = middle
    return changed(high)
