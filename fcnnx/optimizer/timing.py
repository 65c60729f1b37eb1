"""When every beat of an engine crosses: the least fixed point of its operators' timing.

The equations are those that :class:`fcnnx.hdl.operator.Timing` states. Each event waits for earlier
events only, so the solution is unique where there is no deadlock, and iteration finds it from any
start: a frame starts from the frame before it, moved by the last interval.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Input, Output, Timing

from .deadlock import check_deadlock, operator_timing


__all__ = ["EngineTiming", "Solver", "StageTiming", "simulate"]


NOTHING = np.zeros(0, dtype=np.int64)
NEVER = -(1 << 40)  # of an event before the first frame: it holds nothing up
MOST_FRAMES = 8
PATIENCE = 1000  # sweeps of a frame, before a deadlock is looked for


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
    transfers : arrays of integers, by :class:`Source`
        Cycle of every beat of every stream.
    stages : :class:`StageTiming` by name
    """

    interval_cycles: int
    latency_cycles: int
    settled: bool
    ends: np.ndarray
    transfers: Mapping[Source, np.ndarray]
    stages: Mapping[str, StageTiming]

    @property
    def bottleneck(self) -> str:
        """The stage that waits least."""
        return min(self.stages, key=lambda name: self.stages[name].stall_share)


class _Stream:
    """One stream's events: offered by a stage or a source, taken by a stage or a sink."""

    def __init__(self, beats: int, frames: int):
        self.beats = beats
        self.before = 0  # frames of padding, so that indices may reach back
        self.frames = frames
        self.made_by = NOTHING  # issue of each beat
        self.follows = NOTHING  # index of each beat in its issue, plus depth
        self.producer: _Stage | None = None
        self.consumer: _Stage | None = None
        self.input: Input | None = None
        self.taken_by = NOTHING  # issue that takes, or frees a place for, a beat
        self.offers: np.ndarray | None = None
        self.ready: np.ndarray | None = None
        self.steps = np.arange(beats)
        self.changed = True

    @property
    def buffered(self) -> bool:
        """Whether beats cross into a buffer, and not into an issue."""
        return self.input is not None and self.input.places > 0

    def allocate(self) -> None:
        size = (self.before + self.frames) * self.beats
        self.offered = np.full(size, NEVER)
        self.crossed = np.full(size, NEVER)

    def reach(self, beats: int) -> None:
        """Let indices reach this many beats back."""
        self.before = max(self.before, -(-beats // self.beats) + 1)

    def span(self, frame: int) -> slice:
        return slice((self.before + frame) * self.beats, (self.before + frame + 1) * self.beats)

    def update(self, frame: int) -> bool:
        """Compute the frame's offers and transfers anew; returns whether they are others."""
        span = self.span(frame)
        if self.producer is not None:
            base = (self.producer.before + frame) * self.producer.count
            offered = self.producer.issued[self.made_by + base] + self.follows
        else:
            offered = self._offers(frame)
        earliest = offered
        if self.consumer is not None and self.input is not None:
            base = (self.consumer.before + frame) * self.consumer.count
            taken = self.consumer.issued[self.taken_by + base]
            if self.input.places:
                earliest = np.maximum(offered, taken + self.input.release)
        last = int(self.crossed[span.start - 1]) if span.start else NEVER
        if self.input is not None and not self.input.places:
            crossed = taken
        elif self.ready is not None:
            crossed = self._next_ready(self.ready, earliest, last)
        else:
            earliest = earliest - self.steps
            earliest[0] = max(earliest[0], last + 1)
            crossed = np.maximum.accumulate(earliest, out=earliest) + self.steps
        if (np.array_equal(offered, self.offered[span])
                and np.array_equal(crossed, self.crossed[span])):
            return False
        self.offered[span], self.crossed[span] = offered, crossed
        return True

    def _offers(self, frame: int) -> np.ndarray:
        if self.offers is None:
            return np.zeros(self.beats, np.int64)
        return self.offers[frame * self.beats:(frame + 1) * self.beats]

    def _next_ready(self, ready: np.ndarray, earliest: np.ndarray, last: int) -> np.ndarray:
        """The first ready cycles from these on, each after the one before."""
        beyond = ready[-1] + 1
        rank = np.searchsorted(ready, earliest)
        rank = np.where(rank < len(ready), rank, len(ready) + np.maximum(earliest - beyond, 0))
        after = last + 1
        first = int(np.searchsorted(ready, after))
        rank[0] = max(rank[0], first if first < len(ready)
                      else len(ready) + max(after - beyond, 0))
        rank = np.maximum.accumulate(rank - self.steps) + self.steps
        late = rank >= len(ready)
        return np.where(late, beyond + rank - len(ready),
                        ready[np.minimum(rank, len(ready) - 1)])


class _Stage:
    """One operator's issues."""

    def __init__(self, name: str, timing: Timing, frames: int):
        self.name, self.timing, self.frames = name, timing, frames
        self.count = len(timing.cycles)
        self.total = int(timing.cycles.sum())
        self.last = int(timing.cycles[-1])
        self.elapsed = np.concatenate([[0], np.cumsum(timing.cycles[:-1])])
        self.before = 1
        self.inputs: list[tuple[_Stream, np.ndarray, np.ndarray, int]] = []
        self.outputs: list[tuple[_Stream, np.ndarray, np.ndarray, int]] = []
        self.changed = True

    def reach(self, issues: int) -> None:
        self.before = max(self.before, -(-issues // self.count) + 1)

    def allocate(self) -> None:
        self.issued = np.full((self.before + self.frames) * self.count, NEVER)

    def span(self, frame: int) -> slice:
        return slice((self.before + frame) * self.count, (self.before + frame + 1) * self.count)

    def takes(self, stream: _Stream, entry: Input) -> None:
        """Connect an input: only an issue that needs more than the one before it can wait."""
        needs = np.asarray(entry.needs)
        waits = np.flatnonzero(np.diff(needs, prepend=0) > 0)
        stream.consumer, stream.input = self, entry
        if entry.places:
            frees = np.asarray(entry.frees)
            freed = stream.steps + 1 - entry.places
            back = (-freed // entry.beats + 1) * (freed <= 0)
            index = np.searchsorted(frees, freed + back * entry.beats)
            stream.taken_by = index - back * self.count
            self.reach(int(-stream.taken_by.min()))
        else:
            stream.taken_by = np.searchsorted(needs, stream.steps, side="right")
        self.inputs.append((stream, waits, needs[waits] - 1, entry.entry if entry.places else 0))

    def gives(self, stream: _Stream, output: Output) -> None:
        """Connect an output."""
        makes = np.asarray(output.makes)
        issue = np.searchsorted(makes, stream.steps, side="right")
        first = np.concatenate([[0], makes])[issue]
        stream.producer, stream.made_by = self, issue
        stream.follows = stream.steps - first + output.depth
        waits = np.flatnonzero(np.diff(makes, prepend=0) > 0)
        index = makes[waits] - 1 - output.places
        stream.reach(int(-index.min()))
        self.outputs.append((stream, waits, index, output.back))

    def update(self, frame: int) -> bool:
        """Compute the frame's issues anew; returns whether they are others."""
        span = self.span(frame)
        earliest = np.full(self.count, NEVER)
        earliest[0] = self.issued[span.start - 1] + self.last
        for stream, waits, index, delay in self.inputs:
            times = stream.crossed if stream.buffered else stream.offered
            at = times[index + (stream.before + frame) * stream.beats] + delay
            earliest[waits] = np.maximum(earliest[waits], at)
        for stream, waits, index, delay in self.outputs:
            at = stream.crossed[index + (stream.before + frame) * stream.beats] + delay
            earliest[waits] = np.maximum(earliest[waits], at)
        earliest -= self.elapsed
        issued = np.maximum.accumulate(earliest, out=earliest)
        issued += self.elapsed
        if np.array_equal(issued, self.issued[span]):
            return False
        self.issued[span] = issued
        return True


class Solver:
    """The equations of one engine, solved frame after frame.

    Parameters
    ----------
    engine : :class:`Engine`
    frames : :class:`int`
        At most so many.
    offers : arrays of integers, by input
        First cycle in which the source offers each beat; every cycle from 0 on if left out.
    ready : sorted arrays of integers, by output
        Cycles in which the sink is ready; it always is after the last of them, and if left out.
    """

    def __init__(self, engine: Engine, *, frames: int = MOST_FRAMES,
                 offers: Mapping[str, np.ndarray] | None = None,
                 ready: Mapping[str, np.ndarray] | None = None):
        self.engine, self.frames = engine, frames
        self.solved = 0
        self.sweeps = 0
        self.streams: dict[Source, _Stream] = {}
        self.stages: list[_Stage] = []
        for name, shape in engine.inputs:
            self.streams[Source(name)] = stream = _Stream(shape.beats, frames)
            stream.offers = None if offers is None else offers.get(name)
        for stage in engine.stages:
            self._connect(stage)
        for name, source in engine.outputs:
            cycles = None if ready is None else ready.get(name)
            self.streams[source].ready = cycles if cycles is not None and len(cycles) else None
        for stream in self.streams.values():
            stream.allocate()
        for part in self.stages:
            part.allocate()
        self._inputs = [self.streams[Source(name)] for name, _ in engine.inputs]
        self._outputs = [self.streams[source] for _, source in engine.outputs]
        self._steady = offers is None and ready is None

    def _connect(self, stage: Stage) -> None:
        timing = operator_timing(stage.operator)
        ours = _Stage(stage.name, timing, self.frames)
        for source, entry in zip(stage.inputs, timing.inputs, strict=True):
            stream = self.streams[source]
            assert stream.beats == entry.beats, (stage.name, str(source))
            assert entry.places or entry.needs[-1] == entry.beats, (stage.name, str(source))
            ours.takes(stream, entry)
        for k, (shape, output) in enumerate(zip(stage.operator.outputs, timing.outputs,
                                                strict=True)):
            assert shape.beats == int(output.makes[-1]), stage.name
            self.streams[Source(stage.name, k)] = stream = _Stream(shape.beats, self.frames)
            ours.gives(stream, output)
        self.stages.append(ours)

    @property
    def ends(self) -> np.ndarray:
        """Cycle of the last output beat of every frame solved, shape (frames,)."""
        lasts = [stream.crossed[stream.before * stream.beats:].reshape(-1, stream.beats)[:, -1]
                 for stream in self._outputs]
        return np.max(lasts, axis=0)[:self.solved]

    @property
    def latency(self) -> int:
        """From the first input beat of the first frame to its last output beat."""
        first = min(int(stream.crossed[stream.before * stream.beats]) for stream in self._inputs)
        return int(self.ends[0]) - first

    @property
    def interval(self) -> int:
        """Between the last output beats of the last two frames solved."""
        return int(self.ends[-1] - self.ends[-2])

    def solve_frame(self) -> None:
        """Solve one more frame.

        Raises
        ------
        Deadlock
            If its beats can never all cross.
        """
        self._guess(self.solved)
        self._settle()
        self.solved += 1

    def keeps(self, end: int) -> bool:
        """Solve one more frame, unless it ends later than this; returns whether it does not."""
        if not self._settle(end):
            return False
        self.solved += 1
        return True

    def _settle(self, end: int | None = None) -> bool:
        """Sweep until nothing changes; false as soon as the frame ends later than this, or if that
        takes too long to tell.

        Without a guess no sweep's cycles are too late, so that a later end is soon seen, and that
        of a deadlock too.
        """
        frame, sweeps = self.solved, 0
        for stream in self.streams.values():
            stream.changed = True
        for part in self.stages:
            part.changed = True
        while self._sweep(frame, self.stages) | self._sweep(frame, self.stages[::-1]):
            if end is not None and any(int(stream.crossed[stream.span(frame)][-1]) > end
                                       for stream in self._outputs):
                return False
            sweeps += 1
            if sweeps == PATIENCE:
                if end is not None:
                    return False
                check_deadlock(self.engine)
        self.sweeps += sweeps
        return True

    def _guess(self, frame: int) -> None:
        """Start from the frame before, moved by the interval, once frames follow one another alike:
        any start leads there, and this one is there, while an empty engine's first frames are no
        guide to what comes after them."""
        ends = self.ends[-3:]
        if len(ends) < 3 or ends[2] - ends[1] != ends[1] - ends[0]:
            return
        for part in self.stages:
            span = part.span(frame)
            before, last = (part.issued[part.span(frame - 2)], part.issued[part.span(frame - 1)])
            part.issued[span] = 2 * last - before
        for stream in self.streams.values():
            span = stream.span(frame)
            for times in (stream.offered, stream.crossed):
                times[span] = (2 * times[stream.span(frame - 1)]
                               - times[stream.span(frame - 2)])

    def _sweep(self, frame: int, stages: list[_Stage]) -> bool:
        """Bring what has changed up to date in this order; returns whether anything has."""
        any_changed = False
        for stage in stages:
            for stream, *_ in (*stage.inputs, *stage.outputs):
                if stream.changed:
                    any_changed |= self._update_stream(stream, frame)
            if stage.changed:
                stage.changed = False
                if stage.update(frame):
                    any_changed = True
                    for stream, *_ in (*stage.inputs, *stage.outputs):
                        stream.changed = True
            for stream, *_ in (*stage.inputs, *stage.outputs):
                if stream.changed:
                    any_changed |= self._update_stream(stream, frame)
        return any_changed

    @staticmethod
    def _update_stream(stream: _Stream, frame: int) -> bool:
        stream.changed = False
        if not stream.update(frame):
            return False
        for stage in (stream.producer, stream.consumer):
            if stage is not None:
                stage.changed = True
        return True

    @property
    def repeats(self) -> bool:
        """Whether every stage did in the last frame what it did in the one before, and so before,
        as far back as any of them reaches: then it does so for ever."""
        back = max(2, *(stage.before for stage in self.stages),
                   *(stream.before for stream in self.streams.values()))
        if not self._steady or self.solved < back + 1:
            return False
        for stage in self.stages:
            rows = stage.issued[stage.before * stage.count:].reshape(-1, stage.count)
            rows = rows[self.solved - back - 1:self.solved]
            if not (np.diff(rows, axis=0) == self.interval).all():
                return False
        return True

    def result(self) -> EngineTiming:
        """What has been solved so far: two frames at least."""
        ends, interval = self.ends, self.interval
        steps = np.diff(ends)
        settled = self.repeats or (len(steps) > 1 and steps[-1] == steps[-2])
        if not settled:
            interval = round(float(steps[len(steps) // 2:].mean()))
        transfers = {source: stream.crossed[stream.before * stream.beats:
                                            (stream.before + self.solved) * stream.beats]
                     for source, stream in self.streams.items()}
        stages = {stage.name: StageTiming(interval=stage.total,
                                          stall_share=1 - stage.total / max(interval, 1))
                  for stage in self.stages}
        return EngineTiming(interval_cycles=interval, latency_cycles=self.latency,
                            settled=bool(settled), ends=ends, transfers=transfers, stages=stages)


def simulate(engine: Engine, frames: int = MOST_FRAMES, *,
             offers: Mapping[str, np.ndarray] | None = None,
             ready: Mapping[str, np.ndarray] | None = None) -> EngineTiming:
    """Predict every transfer of an engine.

    Stops early where the whole engine repeats itself, if sources and sinks never wait.

    Parameters
    ----------
    engine : :class:`Engine`
    frames, offers, ready
        As in :class:`Solver`; two frames at least.

    Raises
    ------
    Deadlock
        If the beats can never all cross.
    """
    solver = Solver(engine, frames=frames, offers=offers, ready=ready)
    while solver.solved < frames and not solver.repeats:
        solver.solve_frame()
    return solver.result()
