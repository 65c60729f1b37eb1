"""Depths of the queues where branches part, so that those that meet again do not wait."""

from collections.abc import Callable, Mapping, Sequence

import numba
import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork

from .equations import Equations
from .events import form
from .timing import Solver, most_frames, simulate


__all__ = ["Places", "ample", "branches", "size_queues", "with_ample_queues"]


LEAST_FRAMES = 4
STEADY = 16  # frames after which queues hold no more than before
LARGE = 500_000  # beats of a frame on all streams, with which each try takes a second or more

Places = Mapping[str, tuple[int, ...]]


def size_queues(make: Callable[[Places], Engine],
                ideal: Solver | None = None) -> Solver:
    """The engine with the shortest queues that cost neither interval nor latency.

    Each branch is bisected in turn, to a place, all others finite: timing is monotone in every
    depth. In large engines it is as deep as what the branch was seen to hold, or where that does
    not do twice that and so on, and is left at that.

    Parameters
    ----------
    make : function
        The engine with these depths of the branches' queues, by the name of a fork.
    ideal : :class:`Solver` or None
        As :func:`with_ample_queues` gives it, where that has been asked for.

    Returns
    -------
    :class:`Solver` of the engine, solved until it repeats itself or all frames are.
    """
    ideal = ideal or with_ample_queues(make)
    if not _forks(ideal.engine):
        return ideal
    search = _Search(make, ideal)
    if sum(ideal.engine.shape(source).beats for source in ideal.engine.sources) < LARGE:
        for source in branches(ideal.engine):
            search.bisect(source)
    else:
        search.halve(search.doubled)
    return search.solver


def with_ample_queues(make: Callable[[Places], Engine]) -> Solver:
    """The engine with queues that are never full, solved until it repeats itself."""
    solver = ample(make)
    solver.settle(LEAST_FRAMES if _forks(solver.engine) else 2)
    return solver


def ample(make: Callable[[Places], Engine], frames: int | None = None, *,
          whole: bool = False) -> Solver:
    """The engine with queues that are never full, and nothing of it solved yet; they are made to
    hold four frames, as beats take as long through those as through any. Of all its events, if it
    is asked for."""
    engine = make({})
    engine = make({stage.name: (4 * fork.shape.beats,) * len(fork.places)
                   for stage, fork in _forks(engine)})
    return Solver(engine, frames=frames or most_frames(engine), kept=_ports(engine),
                  unbounded=branches(engine),
                  equations=Equations(engine, whole=True) if whole else None)


def branches(engine: Engine) -> list[Source]:
    """The streams that leave the forks of an engine."""
    return [Source(stage.name, branch) for stage, fork in _forks(engine)
            for branch in range(len(fork.places))]


def _ports(engine: Engine) -> list[Source]:
    """The streams that cross the engine's border."""
    return [*(Source(name) for name, _ in engine.inputs),
            *(source for _, source in engine.outputs)]


def _forks(engine: Engine) -> list[tuple[Stage, Fork]]:
    return [(stage, stage.operator) for stage in engine.stages
            if isinstance(stage.operator, Fork)]


def _held(ideal: Solver) -> Places:
    """The most places of each branch in use, where the source offers at the engine's pace."""
    engine, interval = ideal.engine, ideal.interval
    weights = engine.weight_frames
    offers = {name: np.arange(STEADY * shape.beats) * interval // shape.beats
              for name, shape in engine.inputs if name not in weights}
    forks = _forks(engine)
    around = [source for stage, fork in forks for source in (
        stage.inputs[0], *(Source(stage.name, branch) for branch in range(len(fork.places))))]
    crossed = simulate(engine, STEADY, offers=offers, kept=around,
                       unbounded=branches(engine), equations=ideal.equations).transfers
    held: dict[str, tuple[int, ...]] = {}
    for stage, fork in forks:
        sources = stage.inputs[0], *(Source(stage.name, k) for k in range(len(fork.places)))
        told = [crossed.frames(source) for source in sources]
        # From then on all go on as before, and this much later the first of them is through.
        frames = max(map(len, told)) + 1 + max(
            int(each[-1, 0] - told[0][-1, 0]) for each in told) // interval
        issued, *taken = (crossed.frames(source, min(frames, STEADY)).ravel()
                          for source in sources)
        held[stage.name] = tuple(_most_held(issued, each, output.back) for each, output
                                 in zip(taken, form(fork).outputs, strict=True))
    return held


@numba.njit(cache=True, nogil=True)
def _most_held(issued, crossed, back):
    """The most beats that are issued, and have not crossed so many cycles before."""
    most = gone = 0
    for k in range(len(issued)):
        while gone < len(crossed) and crossed[gone] + back <= issued[k]:
            gone += 1
        most = max(most, k + 1 - gone)
    return most


class _Search:
    """Depths that cost nothing, shortened step by step.

    Parameters
    ----------
    make : as in :func:`size_queues`
    ideal : :class:`Solver`
        With queues that are never full: no frame may end later than there.

    Attributes
    ----------
    places : :data:`Places`
        The shortest yet that cost nothing: the least that all queues can have, or what the branches
        hold, doubled until it is enough.
    solver : :class:`Solver`
        With them.
    doubled : list of :class:`Source`
        Branches that were tried at half of their depth, but all together.
    """

    def __init__(self, make: Callable[[Places], Engine], ideal: Solver):
        self._make = make
        self._ends, self._ports = ideal.ends.tolist(), _ports(ideal.engine)
        self._frames = ideal.frames
        later = np.arange(1, ideal.frames - ideal.solved + 1) * ideal.interval
        self._later = (ideal.ends[-1] + later).tolist()
        self._equations = ideal.equations
        held = _held(ideal)
        times = 0
        while not self._take({name: tuple(max(LEAST_PLACES, times * depth) for depth in depths)
                              for name, depths in held.items()}):
            times = max(1, 2 * times)
        self.doubled = [source for source in branches(ideal.engine)
                        if times > 1 and self._depth(source) > LEAST_PLACES]

    def _take(self, places: Places) -> bool:
        """Take these if they cost nothing."""
        solver = Solver(self._make(places), frames=self._frames, kept=self._ports,
                        equations=self._equations)
        if not all(solver.keeps(end) for end in self._ends):
            return False
        if not all(solver.repeats or solver.keeps(end) for end in self._later):
            return False
        self.places, self.solver = places, solver
        return True

    def _depth(self, source: Source) -> int:
        return self.places[source.name][source.output]

    def _take_of(self, depths: Mapping[Source, int]) -> bool:
        """Take other depths of some branches if they cost nothing, the others as they are."""
        return self._take({name: tuple(depths.get(Source(name, branch), depth)
                                       for branch, depth in enumerate(each))
                           for name, each in self.places.items()})

    def halve(self, sources: Sequence[Source]) -> None:
        """Halve the depths of as many of these branches as may be: of all of them, or of those of
        each half that may be."""
        if not sources:
            return
        halves = {source: max(LEAST_PLACES, self._depth(source) // 2) for source in sources}
        if not self._take_of(halves) and len(sources) > 1:
            self.halve(sources[:len(sources) // 2])
            self.halve(sources[len(sources) // 2:])

    def bisect(self, source: Source) -> None:
        """Take the least depth of one branch, the others as they are."""
        low, high = LEAST_PLACES, self._depth(source)
        if low == high or self._take_of({source: low}):
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self._take_of({source: middle}):
                high = middle
            else:
                low = middle
