"""When every beat of an engine crosses: the least fixed point of its operators' timing.

The equations are those that :class:`fcnnx.hdl.operator.Timing` states. Each event waits for earlier
events only, so the solution is unique where there is no deadlock.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from fcnnx.hdl.engine import Engine, Source
from fcnnx.hdl.operators.plumbing import Fork

from .deadlock import check_deadlock
from .equations import Equations
from .events import Events, Run, Wait, form, placed
from .settling import DONE, STUCK, Rows


__all__ = ["EngineTiming", "Solver", "StageTiming", "Transfers", "is_large", "most_frames",
           "simulate"]


MOST_FRAMES = 8
LARGE = 1 << 22  # beats of a frame on all streams
FEW_FRAMES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageTiming:
    """One stage in the running engine.

    Parameters
    ----------
    interval : :class:`int`
        Cycles per frame that its issues take without a wait.
    stall_share : :class:`float`
        Share of the engine's interval in which it waits for beats or places.
    """

    interval: int
    stall_share: float


class Transfers(Mapping[Source, np.ndarray]):
    """The cycle of every beat of all frames, by stream: found as they are asked for, as they are
    many.

    Parameters
    ----------
    events : cycles of events, a row for each frame that was solved, by stream
    sizes : by stream, the beats of an event, and the cycles from one of them to the next
    frames : :class:`int`
        In all: those that were not solved go on as the last one did.
    interval : :class:`int`
        Cycles from each of those to the one before.
    """

    def __init__(self, events: Mapping[Source, Sequence[np.ndarray]],
                 sizes: Mapping[Source, tuple[int, int]], *, frames: int, interval: int):
        self._events, self._sizes = events, sizes
        self._frames, self._interval = frames, interval

    def __getitem__(self, source: Source) -> np.ndarray:
        return self.frames(source, self._frames).ravel()

    def __iter__(self) -> Iterator[Source]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def frames(self, source: Source, count: int | None = None) -> np.ndarray:
        """Of so many frames, shape (frames, beats); of those that go on as the one before, only the
        first if it is left out."""
        solved, (size, gap) = self._events[source], self._sizes[source]
        count = min(self._told(solved), self._frames) if count is None else count
        ends = np.stack(solved[:count]).astype(np.int64)
        if size > 1:
            ends = (ends[:, :, None] + gap * np.arange(1 - size, 1)).reshape(len(ends), -1)
        later = np.arange(1, count - len(ends) + 1) * self._interval
        return np.concatenate([ends, ends[-1] + later[:, None]]) if len(later) else ends

    @property
    def repeat(self) -> bool:
        """Whether on all streams the last frame goes on as the one before."""
        return all(np.array_equal(solved[-1], solved[-2] + self._interval)
                   for solved in self._events.values())

    def _told(self, solved: Sequence[np.ndarray]) -> int:
        """Frames of which the last goes on as the one before, and so do all after it."""
        told = len(solved) + 1
        while told > 2 and np.array_equal(solved[told - 2], solved[told - 3] + self._interval):
            told -= 1
        return told


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EngineTiming:
    """When an engine's beats cross, over some frames.

    Parameters
    ----------
    interval_cycles : :class:`int`
        Between the last output beats of two successive frames in steady state.
    latency_cycles : :class:`int`
        From the first input beat of the first frame to the last output beat of it.
    settled : :class:`bool`
        Whether the whole engine repeats itself with the interval, or at least the last two
        differences agree.
    ends : integers, shape (frames,)
        Cycle of each frame's last output beat.
    transfers : :class:`Transfers`
        Cycle of every beat of every stream.
    stages : :class:`StageTiming` by name
    """

    interval_cycles: int
    latency_cycles: int
    settled: bool
    ends: np.ndarray
    transfers: Transfers
    stages: Mapping[str, StageTiming]

    @property
    def bottleneck(self) -> str:
        """The stage that waits least."""
        return min(self.stages, key=lambda name: self.stages[name].stall_share)


class Solver:
    """The equations of one engine, solved frame after frame.

    Parameters
    ----------
    engine : :class:`Engine`
    frames : :class:`int`
        At most so many.
    offers : arrays of integers, by input
        First cycle in which the source offers each beat; from 0 on it always does if left out.
    ready : sorted arrays of integers, by output
        Cycles in which the sink is ready; it always is after the last of them, and if left out.
    kept : collection of :class:`Source` or None
        Streams whose transfers are kept; all where it is None.
    unbounded : collection of :class:`Source`
        Streams of forks whose queues are taken never to be full.
    equations : :class:`Equations` or None
        Of the engine, or of one that differs from it in its forks' queues alone, where they are
        known.

    Attributes
    ----------
    equations : :class:`Equations`
        Of the engine, for others to take.
    solved : :class:`int`
        Frames.
    """

    def __init__(self, engine: Engine, *, frames: int = MOST_FRAMES,
                 offers: Mapping[str, np.ndarray] | None = None,
                 ready: Mapping[str, np.ndarray] | None = None,
                 kept: Collection[Source] | None = None, unbounded: Collection[Source] = (),
                 equations: Equations | None = None):
        self.engine, self.frames = engine, frames
        self.solved = 0
        self._ends: list[int] = []
        self._first = 0
        given = offers or {}
        if equations is None or not equations.tells(kept, given):
            equations = Equations(engine, whole=kept is None, timed=given)
        self.equations, self._streams = equations, equations.streams
        self._offers = [_Offers(events, given[name], frames)
                        for name, events in equations.offers.items() if name in given]
        always = [events for name, events in equations.offers.items() if name not in given]
        sinks = {name: self._streams[source].row for name, source in engine.outputs}
        self._ready = {sinks[name]: cycles for name, cycles in (ready or {}).items()
                       if len(cycles)}
        waits = dict(equations.waits)
        for row, wait in self._passed(frozenset(unbounded)):
            waits[row] = [*waits[row], wait]
        self._waiting = len(waits) - len(equations.offers)
        self._kept: dict[Source, list[np.ndarray]] = {
            source: [] for source in (self._streams if kept is None else kept)}
        self._rows = Rows(waits, sinks.values(), self._ready)
        for events in always:
            self._rows.times(events)[:] = 0

    def _passed(self, unbounded: Collection[Source]) -> Iterator[tuple[Events, Wait]]:
        """What waits until beats have passed the queues of forks; and until there is a place in
        those, if they can be full."""
        for stage in self.engine.stages:
            if isinstance(stage.operator, Fork):
                for k, giving in enumerate(form(stage.operator).outputs):
                    stream = self._streams[Source(stage.name, k)]
                    assert stream.producer is not None
                    yield stream.row, stream.arrival(giving)
                    if Source(stage.name, k) not in unbounded:
                        yield stream.producer, stream.room(giving)

    def _cycles(self, source: Source) -> np.ndarray:
        """Of all events of a stream, of the frame at hand."""
        stream = self._streams[source]
        return self._rows.times(stream.row)[placed(stream.crossed(Run(0, 1, stream.beats)), 0)]

    @property
    def ends(self) -> np.ndarray:
        """Cycle of the last output beat of every frame solved, shape (frames,)."""
        return np.array(self._ends)

    @property
    def latency(self) -> int:
        """From the first input beat of the first frame to its last output beat."""
        return self._ends[0] - self._first

    def critical(self) -> dict[str, int]:
        """Where the latency comes from: cycles by stage, from issue to issue, or from transfer to
        transfer into its buffer, along a path of events each of which comes as soon as the one
        before lets it. Of whole equations, of which one frame is solved."""
        rows = [self._streams[source].row for _, source in self.engine.outputs]
        spent = self._rows.critical(max(rows, key=lambda row: self._rows.times(row)[-1]))
        found = dict.fromkeys(self.equations.totals, 0)
        for row, cycles in spent.items():
            if row in self.equations.stages:
                found[self.equations.stages[row]] += cycles
        return found

    @property
    def interval(self) -> int:
        """Between the last output beats of the last two frames solved."""
        return self._ends[-1] - self._ends[-2]

    def solve_frame(self) -> None:
        """Solve one more frame.

        Raises
        ------
        Deadlock
            If its beats can never all cross.
        """
        self._begin()
        if self._rows.settle() == STUCK:
            check_deadlock(self.engine)
        self._end()

    def keeps(self, end: int) -> bool:
        """Solve one more frame, unless it ends later than this; returns whether it does not."""
        self._begin()
        if self._rows.settle(end) != DONE:
            return False
        self._end()
        return True

    def _begin(self) -> None:
        """Go on to a frame: its times are no earlier than those of the one before."""
        if self.solved:
            self._rows.begin()
        for offers in self._offers:
            self._rows.times(offers.events)[:] = offers.cycles[self.solved]

    def _last(self) -> int:
        """Cycle of the last output beat of the frame at hand."""
        return max(int(self._cycles(source)[-1]) for _, source in self.engine.outputs)

    def _end(self) -> None:
        """Keep what is asked for of the frame at hand."""
        if not self.solved:
            streams = {name: self._streams[Source(name)] for name, _ in self.engine.inputs}
            self._first = min(int(self._cycles(Source(name))[0]) - (each.size - 1) * each.gap
                              for name, each in streams.items())
        self._ends.append(self._last())
        for source, frames in self._kept.items():
            frames.append(self._cycles(source).copy())
        self.solved += 1

    @property
    def repeats(self) -> bool:
        """Whether all that events of the next frame may wait for comes an interval after what those
        of the last frame waited for: then they do so as well, and it is so for ever."""
        return (not self._ready and self.solved > 1
                and self._rows.moved_by(self.interval, self._waiting)
                and all(self._goes_on(offers) for offers in self._offers))

    def _goes_on(self, offers: "_Offers") -> bool:
        """Whether the source keeps to the interval from here on; or is ahead of it, and held up
        by others."""
        steps = np.diff(offers.cycles[self.solved - 1:], axis=0)
        if (steps == self.interval).all():
            return True
        return bool((steps <= self.interval).all()) and not self._binds(offers.events)

    def _binds(self, offers: Events) -> bool:
        """Whether an event of others may come as it does because of an offer."""
        times = self._rows.times
        return any(bool((times(offers)[placed(wait.index, 0)] + wait.delay
                         >= times(events)[placed(wait.at, 0)]).any())
                   for events, waits in self.equations.waits.items()
                   for wait in waits if wait.events is offers)

    def settle(self, least: int = 2) -> None:
        """Solve so many frames at the least, and then on until the engine repeats itself."""
        while self.solved < min(least, self.frames) or not (
                self.solved == self.frames or self.repeats):
            self.solve_frame()

    def repeat(self) -> None:
        """Go on to the last frame that is asked for, of an engine that repeats itself."""
        interval, further = self.interval, self.frames - self.solved
        self._ends += (self._ends[-1] + interval * np.arange(1, further + 1)).tolist()
        self.solved = self.frames

    def result(self) -> EngineTiming:
        """What has been solved so far: two frames at least."""
        ends, interval = self.ends, self.interval
        steps = np.diff(ends)
        settled = self.repeats or (len(steps) > 1 and steps[-1] == steps[-2])
        if not settled:
            interval = round(float(steps[len(steps) // 2:].mean()))
        streams = {source: self._streams[source] for source in self._kept}
        transfers = Transfers(self._kept, {source: (each.size, each.gap)
                                           for source, each in streams.items()},
                              frames=self.solved, interval=interval)
        stages = {name: StageTiming(interval=total, stall_share=1 - total / max(interval, 1))
                  for name, total in self.equations.totals.items()}
        return EngineTiming(interval_cycles=interval, latency_cycles=self.latency,
                            settled=bool(settled), ends=ends, transfers=transfers, stages=stages)


class _Offers:
    """Beats that a source offers.

    Parameters
    ----------
    events : :class:`Events`
        What they are.
    cycles : integers, of so many frames at least
        First cycle in which each is offered.
    frames : :class:`int`
    """

    def __init__(self, events: Events, cycles: np.ndarray, frames: int):
        table = np.asarray(cycles)[:frames * events.count]
        self.events, self.cycles = events, table.reshape(frames, events.count)


def is_large(engine: Engine) -> bool:
    """Whether each frame takes a second or so to be timed."""
    return sum(engine.shape(source).beats for source in engine.sources) >= LARGE


def most_frames(engine: Engine) -> int:
    """Frames after which it is left at that whether an engine repeats itself."""
    return FEW_FRAMES if is_large(engine) else MOST_FRAMES


def simulate(engine: Engine, frames: int | None = None, *,
             offers: Mapping[str, np.ndarray] | None = None,
             ready: Mapping[str, np.ndarray] | None = None,
             kept: Collection[Source] | None = None, unbounded: Collection[Source] = (),
             equations: Equations | None = None) -> EngineTiming:
    """Predict every transfer of an engine.

    Stops early where the whole engine repeats itself, if sources and sinks never wait.

    Parameters
    ----------
    engine : :class:`Engine`
    frames : :class:`int` or None
        Two at least; as many as :func:`most_frames` where it is None.
    offers, ready, kept, unbounded, equations
        As in :class:`Solver`.

    Raises
    ------
    Deadlock
        If the beats can never all cross.
    """
    frames = most_frames(engine) if frames is None else frames
    solver = Solver(engine, frames=frames, offers=offers, ready=ready, kept=kept,
                    unbounded=unbounded, equations=equations)
    solver.settle()
    if offers is not None and solver.solved < frames:
        solver.repeat()
    return solver.result()
