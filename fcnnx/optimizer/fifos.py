"""Depths of the queues where branches part, so that those that meet again do not wait."""

from collections.abc import Callable, Mapping

import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork

from .events import form
from .timing import EngineTiming, Solver, most_frames, simulate


__all__ = ["Places", "ample_places", "size_queues", "with_ample_queues"]


LEAST_FRAMES = 4
LARGE = 500_000  # beats of a frame on all streams, with which each try takes a second or more

Places = Mapping[str, tuple[int, ...]]


def size_queues(make: Callable[[Places], Engine],
                ideal: Solver | None = None) -> tuple[Engine, EngineTiming]:
    """The engine with the shortest queues that cost neither interval nor latency.

    Each branch is bisected in turn, to a place, all others finite: timing is monotone in every
    depth. In large engines it is as deep as what the branch was seen to hold, or twice that and so
    on, and is left at that.

    Parameters
    ----------
    make : function
        The engine with these depths of the branches' queues, by the name of a fork.
    ideal : :class:`Solver` or None
        As :func:`with_ample_queues` gives it, where that has been asked for.

    Returns
    -------
    The engine, and its timing.
    """
    ideal = ideal or with_ample_queues(make)
    shortest = make({})
    ample = ample_places(shortest)
    if not ample:
        return ideal.engine, ideal.result()
    search = _Search(make, ample, ideal)
    search.shorten(_held(make(ample), ideal.interval))
    beats = sum(shortest.shape(source).beats for source in shortest.sources)
    for name, depths in ample.items() if beats < LARGE else ():
        for branch in range(len(depths)):
            search.bisect(name, branch)
    return search.solver.engine, search.solver.result()


def with_ample_queues(make: Callable[[Places], Engine]) -> Solver:
    """The engine with queues in which nothing waits, solved until it repeats itself."""
    engine = make({})
    if ample := ample_places(engine):
        engine = make(ample)
    solver = Solver(engine, frames=most_frames(engine), kept=_ports(engine))
    least = LEAST_FRAMES if ample else 2
    while solver.solved < least or not (solver.repeats or solver.solved == solver.frames):
        solver.solve_frame()
    return solver


def ample_places(engine: Engine) -> Places:
    """Queues at the forks of an engine that hold four frames: a branch over the whole map keeps
    the others waiting for more than two."""
    return {stage.name: (4 * fork.shape.beats,) * len(fork.places)
            for stage, fork in _forks(engine)}


def _ports(engine: Engine) -> list[Source]:
    """The streams that cross the engine's border."""
    return [*(Source(name) for name, _ in engine.inputs),
            *(source for _, source in engine.outputs)]


def _forks(engine: Engine) -> list[tuple[Stage, Fork]]:
    return [(stage, stage.operator) for stage in engine.stages
            if isinstance(stage.operator, Fork)]


def _held(engine: Engine, interval: int) -> Places:
    """The most places of each branch in use, where the source offers at the engine's pace."""
    weights = engine.weight_frames
    offers = {name: np.arange(LEAST_FRAMES * shape.beats) * interval // shape.beats
              for name, shape in engine.inputs if name not in weights}
    forks = _forks(engine)
    around = [source for stage, fork in forks for source in (
        stage.inputs[0], *(Source(stage.name, branch) for branch in range(len(fork.places))))]
    crossed = simulate(engine, LEAST_FRAMES, offers=offers, kept=around).transfers
    held: dict[str, tuple[int, ...]] = {}
    for stage, fork in forks:
        issued = crossed[stage.inputs[0]]
        held[stage.name] = tuple(
            int((np.arange(len(issued)) + 1 - np.searchsorted(
                crossed[Source(stage.name, branch)] + output.back, issued,
                side="right")).max()) for branch, output in enumerate(form(fork).outputs))
    return held


class _Search:
    """Depths that cost nothing, shortened step by step.

    Parameters
    ----------
    make : as in :func:`size_queues`
    places : :data:`Places`
        Ample ones.
    ideal : :class:`Solver`
        With them: no frame may end later than there.

    Attributes
    ----------
    places : :data:`Places`
        The shortest yet that cost nothing.
    solver : :class:`Solver`
        With them.
    """

    def __init__(self, make: Callable[[Places], Engine], places: Places, ideal: Solver):
        self._make = make
        self._ends, self._ports = ideal.ends.tolist(), _ports(ideal.engine)
        self.places, self.solver = places, ideal

    def take(self, places: Places) -> bool:
        """Take these if they cost nothing."""
        solver = Solver(self._make(places), frames=len(self._ends), kept=self._ports)
        if not all(solver.keeps(end) for end in self._ends):
            return False
        self.places, self.solver = places, solver
        return True

    def shorten(self, held: Places) -> None:
        """Take the least places that all queues can have, or what the branches hold, doubled until
        it costs nothing."""
        ample = self.places
        if self.take({name: (LEAST_PLACES,) * len(depths) for name, depths in ample.items()}):
            return
        while any(mine < most for name in ample
                  for mine, most in zip(held[name], ample[name], strict=True)):
            if self.take({name: tuple(min(max(LEAST_PLACES, mine), most) for mine, most in
                                      zip(held[name], ample[name], strict=True))
                          for name in ample}):
                return
            held = {name: tuple(2 * depth for depth in depths) for name, depths in held.items()}

    def bisect(self, name: str, branch: int) -> None:
        """Take the least depth of one branch, the others as they are."""
        def shorter(depth: int) -> bool:
            depths = list(self.places[name])
            depths[branch] = depth
            return self.take({**self.places, name: tuple(depths)})

        low, high = LEAST_PLACES, self.places[name][branch]
        if low == high or shorter(low):
            return
        while high - low > 1:
            middle = (low + high) // 2
            if shorter(middle):
                high = middle
            else:
                low = middle
