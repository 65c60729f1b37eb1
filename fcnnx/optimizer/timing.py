"""When every beat of an engine crosses: the least fixed point of its operators' timing.

The equations are those that :class:`fcnnx.hdl.operator.Timing` states. Each event waits for earlier
events only, so the solution is unique where there is no deadlock.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage

from .deadlock import check_deadlock
from .events import NEVER, Events, Giving, Index, Offers, Run, Taking, Wait, compose, form, placed
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
    sizes : beats of an event by stream
    frames : :class:`int`
        In all: those that were not solved go on as the last one did.
    interval : :class:`int`
        Cycles from each of those to the one before.
    """

    def __init__(self, events: Mapping[Source, Sequence[np.ndarray]], sizes: Mapping[Source, int],
                 *, frames: int, interval: int):
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
        solved, size = self._events[source], self._sizes[source]
        count = min(self._told(solved), self._frames) if count is None else count
        ends = np.stack(solved[:count]).astype(np.int64)
        if size > 1:
            ends = (ends[:, :, None] + np.arange(1 - size, 1)).reshape(len(ends), -1)
        later = np.arange(1, count - len(ends) + 1) * self._interval
        return np.concatenate([ends, ends[-1] + later[:, None]]) if len(later) else ends

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


class _Stream:
    """One stream: what offers its beats, and what takes them.

    Parameters
    ----------
    beats : :class:`int`
        Of a frame, counted as events.

    Attributes
    ----------
    size : :class:`int`
        Beats that cross one after another, and the event is that of the last of them.
    """

    def __init__(self, beats: int):
        self.beats = beats
        self.size = 1
        self.producer: Events | None = None  # issues, or offers of a source
        self.giving: Giving | None = None
        self.consumer: Events | None = None  # issues
        self.taking: Taking | None = None
        self.transfers: Events | None = None  # where they are no issues of the consumer

    @property
    def buffered(self) -> bool:
        """Whether beats cross into a buffer, and not into an issue."""
        return self.taking is not None and self.taking.places > 0

    def offered(self, beats: Index) -> tuple[Index, int | np.ndarray]:
        """What the producer must have issued for these beats, and how long before."""
        if self.giving is None:
            return beats, 0
        assert self.producer is not None
        index = compose(self.giving.made_by, self.producer.count, beats, self.beats)
        follows = self.giving.follows
        return index, follows if isinstance(follows, int) else follows[placed(beats, 0)]

    def crossed(self, beats: Index) -> tuple[Events, Index]:
        """The events that these beats' transfers are; those of frames before are negative."""
        if self.transfers is not None:
            return self.transfers, beats
        assert self.consumer is not None
        assert self.taking is not None
        return self.consumer, compose(self.taking.taken_by, self.consumer.count, beats,
                                      self.beats)

    def cycles(self) -> np.ndarray:
        """Of all events of the frame at hand."""
        events, index = self.crossed(Run(0, 1, self.beats))
        return events.times[placed(index, 0)]


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
        Streams whose queues are taken never to be full.

    Attributes
    ----------
    solved : :class:`int`
        Frames.
    """

    def __init__(self, engine: Engine, *, frames: int = MOST_FRAMES,
                 offers: Mapping[str, np.ndarray] | None = None,
                 ready: Mapping[str, np.ndarray] | None = None,
                 kept: Collection[Source] | None = None, unbounded: Collection[Source] = ()):
        self.engine, self.frames = engine, frames
        self.solved = 0
        self._ends: list[int] = []
        self._first = 0
        self._streams: dict[Source, _Stream] = {}
        self._offers: list[Offers] = []
        self._totals: dict[str, int] = {}  # cycles of a stage's issues
        self._events: list[Events] = []  # as they follow one another
        self._ready = {source: ready[name] for name, source in engine.outputs
                       if name in ready and len(ready[name])} if ready else {}
        for name, shape in engine.inputs:
            self._offer(name, shape.beats, None if offers is None else offers.get(name))
        always = {Source(name) for name, _ in engine.inputs if name not in (offers or ())}
        for stage in engine.stages:
            self._connect(stage, always)
        self._wait(frozenset(unbounded))
        self._kept: dict[Source, list[np.ndarray]] = {
            source: [] for source in (self._streams if kept is None else kept)}
        sinks = [self._streams[source].transfers for _, source in engine.outputs]
        producers = [stream.producer for stream in self._streams.values()
                     if isinstance(stream.producer, Offers)]
        self._rows = Rows([*self._events, *producers], [sink for sink in sinks if sink])

    def _offer(self, name: str, beats: int, cycles: np.ndarray | None) -> None:
        self._streams[Source(name)] = stream = _Stream(beats)
        if cycles is not None:
            table = np.asarray(cycles)[:self.frames * beats]
            stream.producer = Offers(table.reshape(self.frames, beats))
            self._offers.append(stream.producer)

    def _connect(self, stage: Stage, always: Collection[Source]) -> None:
        """Have a stage take and give its streams, of which some are always offered."""
        ours = form(stage.operator, frozenset(
            k for k, source in enumerate(stage.inputs) if source in always))
        issues = Events(ours.gaps)
        self._totals[stage.name] = ours.total
        for source, taking in zip(stage.inputs, ours.inputs, strict=True):
            stream = self._streams[source]
            assert stream.beats == taking.beats * taking.size, (stage.name, str(source))
            stream.beats, stream.size = taking.beats, taking.size
            stream.consumer, stream.taking = issues, taking
            if taking.places:
                self._transfer(stream)
            elif stream.producer is None:
                stream.producer = Offers(np.broadcast_to(np.int32(0), (self.frames, stream.beats)))
        self._events.append(issues)
        for k, (shape, giving) in enumerate(zip(stage.operator.outputs, ours.outputs,
                                                strict=True)):
            assert shape.beats == giving.beats, stage.name
            source = Source(stage.name, k)
            self._streams[source] = stream = _Stream(shape.beats)
            stream.producer, stream.giving = issues, giving

    def _transfer(self, stream: _Stream, ready: np.ndarray | None = None) -> None:
        """Make a stream's transfers events of their own."""
        stream.transfers = Events(np.full(stream.beats, stream.size, np.int32), ready=ready,
                                  floor=stream.size - 1 if stream.giving is None else NEVER)
        self._events.append(stream.transfers)

    def _wait(self, unbounded: Collection[Source]) -> None:
        """Have all events wait for what they do wait for."""
        for source, stream in self._streams.items():
            whole = Run(0, 1, stream.beats)
            if stream.consumer is None:
                self._transfer(stream, self._ready.get(source))
            if stream.transfers is not None:
                if stream.giving is not None or stream.producer in self._offers:
                    index, delay = stream.offered(whole)
                    self._hold(stream.transfers, stream.producer, index, delay, whole)
                if stream.taking is not None:
                    self._hold(stream.transfers, stream.consumer, stream.taking.taken_by,
                               stream.taking.release, whole)
            if stream.taking is not None:
                index, delay = ((stream.taking.needs, stream.taking.entry) if stream.buffered
                                else stream.offered(stream.taking.needs))
                self._hold(stream.consumer, stream.transfers or stream.producer, index, delay,
                           stream.taking.waits)
            if stream.giving is not None and source not in unbounded:
                events, index = stream.crossed(stream.giving.places)
                self._hold(stream.producer, events, index, stream.giving.back,
                           stream.giving.waits)

    @staticmethod
    def _hold(held: Events | None, by: Events | None, index: Index, delay: int | np.ndarray,
              at: Index) -> None:
        assert held is not None
        assert by is not None
        held.wait(Wait(events=by, index=index, delay=delay, at=at))

    @property
    def ends(self) -> np.ndarray:
        """Cycle of the last output beat of every frame solved, shape (frames,)."""
        return np.array(self._ends)

    @property
    def latency(self) -> int:
        """From the first input beat of the first frame to its last output beat."""
        return self._ends[0] - self._first

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
            for events in (*self._events, *self._offers):
                events.begin()

    def _last(self) -> int:
        """Cycle of the last output beat of the frame at hand."""
        return max(int(self._streams[source].cycles()[-1]) for _, source in self.engine.outputs)

    def _end(self) -> None:
        """Keep what is asked for of the frame at hand."""
        if not self.solved:
            inputs = [self._streams[Source(name)] for name, _ in self.engine.inputs]
            self._first = min(int(each.cycles()[0]) - each.size + 1 for each in inputs)
        self._ends.append(self._last())
        for source, frames in self._kept.items():
            frames.append(self._streams[source].cycles().copy())
        self.solved += 1

    @property
    def repeats(self) -> bool:
        """Whether all that events of the next frame may wait for comes an interval after what those
        of the last frame waited for: then they do so as well, and it is so for ever."""
        return (not self._ready and self.solved > 1
                and self._rows.moved_by(self.interval, len(self._events))
                and all(self._goes_on(offers) for offers in self._offers))

    def _goes_on(self, offers: Offers) -> bool:
        """Whether the source keeps to the interval from here on; or is ahead of it, and held up
        by others."""
        steps = np.diff(offers.cycles[self.solved - 1:], axis=0)
        if (steps == self.interval).all():
            return True
        return bool((steps <= self.interval).all()) and not any(
            offers.binds(events) for events in self._events)

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
        transfers = Transfers(self._kept, {source: self._streams[source].size
                                           for source in self._kept},
                              frames=self.solved, interval=interval)
        stages = {name: StageTiming(interval=total, stall_share=1 - total / max(interval, 1))
                  for name, total in self._totals.items()}
        return EngineTiming(interval_cycles=interval, latency_cycles=self.latency,
                            settled=bool(settled), ends=ends, transfers=transfers, stages=stages)


def is_large(engine: Engine) -> bool:
    """Whether each frame takes a second or so to be timed."""
    return sum(engine.shape(source).beats for source in engine.sources) >= LARGE


def most_frames(engine: Engine) -> int:
    """Frames after which it is left at that whether an engine repeats itself."""
    return FEW_FRAMES if is_large(engine) else MOST_FRAMES


def simulate(engine: Engine, frames: int | None = None, *,
             offers: Mapping[str, np.ndarray] | None = None,
             ready: Mapping[str, np.ndarray] | None = None,
             kept: Collection[Source] | None = None,
             unbounded: Collection[Source] = ()) -> EngineTiming:
    """Predict every transfer of an engine.

    Stops early where the whole engine repeats itself, if sources and sinks never wait.

    Parameters
    ----------
    engine : :class:`Engine`
    frames : :class:`int` or None
        Two at least; as many as :func:`most_frames` where it is None.
    offers, ready, kept, unbounded
        As in :class:`Solver`.

    Raises
    ------
    Deadlock
        If the beats can never all cross.
    """
    frames = most_frames(engine) if frames is None else frames
    solver = Solver(engine, frames=frames, offers=offers, ready=ready, kept=kept,
                    unbounded=unbounded)
    solver.settle()
    if offers is not None and solver.solved < frames:
        solver.repeat()
    return solver.result()
