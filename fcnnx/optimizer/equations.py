"""What all beats of an engine wait for: rows of events, whatever the queues where branches part,
and whenever sources offer."""

from collections.abc import Collection

import numpy as np

from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operators.plumbing import Fork

from .events import NEVER, Events, Giving, Index, Run, Taking, Wait, compose, form, placed
from .thinning import Waits, thin


__all__ = ["Equations", "Stream"]


class Stream:
    """One stream: what offers its beats, and what takes them.

    Parameters
    ----------
    beats : :class:`int`
        Of a frame, counted as events.

    Attributes
    ----------
    size : :class:`int`
        Beats that cross one after another, and the event is that of the last of them.
    gap : :class:`int`
        Cycles from one of them to the next.
    """

    def __init__(self, beats: int):
        self.beats = beats
        self.size = self.gap = 1
        self.producer: Events | None = None  # issues, or offers of a source
        self.giving: Giving | None = None
        self.consumer: Events | None = None  # issues
        self.taking: Taking | None = None
        self.transfers: Events | None = None  # where they are no issues of the consumer

    @property
    def row(self) -> Events:
        """The events that its transfers are, or are among."""
        events = self.transfers or self.consumer
        assert events is not None
        return events

    def arrival(self, giving: Giving | None) -> Wait:
        """What the row waits for until the producer, or the source, offers its beats."""
        assert self.producer is not None
        index: Index = Run(0, 1, self.beats)
        at = index
        if self.transfers is None:
            assert self.taking is not None
            at, index = self.taking.waits, self.taking.needs
        if giving is None:
            return Wait(events=self.producer, index=index, delay=0, at=at)
        delay = giving.follows
        return Wait(events=self.producer, at=at,
                    index=compose(giving.made_by, self.producer.count, index, self.beats),
                    delay=delay if isinstance(delay, int) else delay[placed(index, 0)])

    def crossed(self, beats: Index) -> Index:
        """Which of the row's events these beats' transfers are; those of frames before are
        negative."""
        if self.transfers is not None:
            return beats
        assert self.taking is not None
        return compose(self.taking.taken_by, self.row.count, beats, self.beats)

    def room(self, giving: Giving) -> Wait:
        """What the producer waits for until there is a place in the queue of a giving."""
        return Wait(events=self.row, index=self.crossed(giving.places), delay=giving.back,
                    at=giving.waits)


class Equations:
    """The equations of an engine, but for what passes the queues of its forks.

    Of events that follow from others only those are left that are asked for: those of streams that
    cross the engine's border, or meet a fork.

    Parameters
    ----------
    engine : :class:`Engine`
    whole : :class:`bool`
        Leave all events.
    timed : collection of :class:`str`
        Inputs of weights whose source offers beats at some times; those of others it always does.

    Attributes
    ----------
    streams : :class:`Stream` by :class:`Source`
    offers : :class:`Events` by input
        Of inputs whose source offers beats at some times.
    totals : :class:`int` by stage
        Cycles of a frame that its issues take without a wait.
    waits : :class:`Wait` by :class:`Events`
        What each row that is left waits for, as they follow one another; offers are the last.
    stages : names by :class:`Events`
        Of issues, and of transfers into a buffer, the stage's.
    """

    def __init__(self, engine: Engine, *, whole: bool = False, timed: Collection[str] = ()):
        self.streams: dict[Source, Stream] = {}
        self.offers: dict[str, Events] = {}
        self.totals: dict[str, int] = {}
        self.waits: Waits = {}
        self.stages: dict[Events, str] = {}
        always = engine.weight_frames.keys() - set(timed)
        for name, shape in engine.inputs:
            self.streams[Source(name)] = stream = Stream(shape.beats)
            if name not in always:
                self._offer(name, stream)
        for stage in engine.stages:
            self._connect(stage, {Source(name) for name in always})
        for stream in self.streams.values():
            if stream.consumer is None:
                self._transfer(stream)
        forks = {Source(stage.name, k) for stage in engine.stages
                 if isinstance(stage.operator, Fork) for k in range(len(stage.operator.places))}
        for source, stream in self.streams.items():
            self._wait(stream, passed=source not in forks)
        self._asked = self._told(engine, forks)
        self.whole = whole
        if not whole:
            rows = {self.streams[source].row for source in self._asked}
            self.waits = thin(self.waits, rows | {
                producer for source in forks if (producer := self.streams[source].producer)})
        for events in self.offers.values():
            self.waits[events] = []

    def tells(self, kept: Collection[Source] | None, offers: Collection[str]) -> bool:
        """Whether they tell of these streams, all where it is None, and of sources that offer
        beats of these inputs at some times."""
        streams = self.whole or (kept is not None and self._asked.issuperset(kept))
        return streams and self.offers.keys() >= set(offers)

    def _told(self, engine: Engine, forks: Collection[Source]) -> set[Source]:
        """The streams that cross the border, or meet a fork."""
        return {*(Source(name) for name, _ in engine.inputs), *forks,
                *(source for _, source in engine.outputs),
                *(stage.inputs[0] for stage in engine.stages if isinstance(stage.operator, Fork))}

    def _connect(self, stage: Stage, always: Collection[Source]) -> None:
        """Have a stage take and give its streams, of which some are always offered."""
        ours = form(stage.operator, frozenset(
            k for k, source in enumerate(stage.inputs) if source in always))
        issues = Events(ours.gaps)
        self.totals[stage.name] = ours.total
        for source, taking in zip(stage.inputs, ours.inputs, strict=True):
            stream = self.streams[source]
            assert stream.beats == taking.beats * taking.size, (stage.name, str(source))
            stream.beats, stream.size, stream.gap = taking.beats, taking.size, taking.gap
            stream.consumer, stream.taking = issues, taking
            if taking.places:
                self._transfer(stream)
                self.stages[stream.row] = stage.name
            elif stream.producer is None:
                self._offer(source.name, stream)
        self.waits[issues] = []
        self.stages[issues] = stage.name
        for k, (shape, giving) in enumerate(zip(stage.operator.outputs, ours.outputs,
                                                strict=True)):
            assert shape.beats == giving.beats, stage.name
            self.streams[Source(stage.name, k)] = stream = Stream(shape.beats)
            stream.producer, stream.giving = issues, giving

    def _offer(self, name: str, stream: Stream) -> None:
        """Make offers of an input's beats events."""
        self.offers[name] = stream.producer = Events(np.zeros(stream.beats, np.int32), known=True)

    def _transfer(self, stream: Stream) -> None:
        """Make a stream's transfers events of their own."""
        stream.transfers = Events(
            np.full(stream.beats, stream.size * stream.gap, np.int32),
            floor=NEVER if stream.producer else (stream.size - 1) * stream.gap)
        self.waits[stream.transfers] = []

    def _wait(self, stream: Stream, *, passed: bool) -> None:
        """Have the events of a stream wait for what they do wait for; for what passes its
        producer's queue as well, if that is known."""
        if stream.producer is not None and passed:
            self.waits[stream.row].append(stream.arrival(stream.giving))
            if stream.giving is not None:
                self.waits[stream.producer].append(stream.room(stream.giving))
        taking = stream.taking
        if taking is not None and stream.transfers is not None:
            assert stream.consumer is not None
            self.waits[stream.transfers].append(Wait(
                events=stream.consumer, index=taking.taken_by, delay=taking.release,
                at=Run(0, 1, stream.beats)))
            self.waits[stream.consumer].append(Wait(
                events=stream.transfers, index=taking.needs, delay=taking.entry, at=taking.waits))
