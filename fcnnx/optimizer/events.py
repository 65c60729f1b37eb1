"""Rows of events that wait for one another: what :mod:`.timing` solves.

An event is an issue of a stage, or a transfer into a buffer or out of the engine. Of each row only
the frame at hand is kept, and as much before it as others reach back to.
"""

import dataclasses
import functools

import numpy as np

from fcnnx.hdl.operator import Input, Operator, Output

from .deadlock import operator_timing


__all__ = ["NEVER", "Departures", "Events", "Form", "Giving", "Index", "Offers", "Run", "Taking",
           "Wait", "compose", "form", "placed",
           "running_maximum"]


NEVER = -(1 << 30)  # of an event before the first frame: it holds nothing up
WINDOW = 64  # events of which running maxima are taken by doubling


@dataclasses.dataclass(frozen=True)
class Run:
    """Evenly spaced numbers.

    Parameters
    ----------
    first, step, count : :class:`int`
    """

    first: int
    step: int
    count: int


Index = Run | np.ndarray


def compact(values: np.ndarray) -> Index:
    """Numbers as a :class:`Run` where they rise evenly: numpy takes those without a copy."""
    steps = np.diff(values)
    if not len(steps):
        return Run(int(values[0]), 1, len(values)) if len(values) else values
    if steps[0] > 0 and (steps == steps[0]).all():
        return Run(int(values[0]), int(steps[0]), len(values))
    return values


def placed(index: Index, offset: int) -> slice | np.ndarray:
    """What an array is indexed with, numbers counted from this place in it."""
    if isinstance(index, Run):
        first = index.first + offset
        return slice(first, first + index.step * (index.count - 1) + 1, index.step)
    return index + offset


def numbers(index: Index) -> np.ndarray:
    """The numbers themselves."""
    if isinstance(index, Run):
        return index.first + index.step * np.arange(index.count)
    return index


def compose(inner: Index, count: int, outer: Index, beats: int) -> Index:
    """``inner[outer]``, where ``inner`` has one of ``count`` events for each beat of a frame, and
    ``outer`` counts beats on through frames, those before the present one too."""
    if isinstance(inner, Run) and isinstance(outer, Run) and inner.step * beats == count:
        return Run(inner.first + inner.step * outer.first, inner.step * outer.step, outer.count)
    frames, beat = np.divmod(numbers(outer), beats)
    return compact(numbers(inner)[beat] + frames * count)


def least(index: Index) -> int:
    """The least of the numbers; 0 where there are none."""
    if isinstance(index, Run):
        return index.first
    return int(index.min()) if len(index) else 0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Taking:
    """How the issues of a stage take the beats of a stream.

    Parameters
    ----------
    beats, places, entry, release : :class:`int`
        As in :class:`Input`.
    waits : :data:`Index`
        Issues that need more than the ones before them: no others can wait.
    needs : :data:`Index`
        The last beat that each of those needs.
    taken_by : :data:`Index`
        The issue that takes each beat, or frees a place for it.
    """

    beats: int
    places: int
    entry: int
    release: int
    waits: Index
    needs: Index
    taken_by: Index

    @classmethod
    def of(cls, entry: Input, count: int) -> "Taking":
        """Of a stage of so many issues a frame."""
        needs, beats = np.asarray(entry.needs), np.arange(entry.beats)
        assert entry.places or needs[-1] == entry.beats, "What is not buffered is all taken"
        waits = np.flatnonzero(np.diff(needs, prepend=0) > 0)
        if entry.places:
            freed = beats + 1 - entry.places
            back = (-freed // entry.beats + 1) * (freed <= 0)
            issue = np.searchsorted(np.asarray(entry.frees), freed + back * entry.beats)
            taken_by = issue - back * count
        else:
            taken_by = np.searchsorted(needs, beats, side="right")
        return cls(beats=entry.beats, places=entry.places, entry=entry.entry,
                   release=entry.release, waits=compact(waits),
                   needs=compact(needs[waits] - 1), taken_by=compact(taken_by))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Giving:
    """How the issues of a stage give the beats of a stream.

    Parameters
    ----------
    beats, back : :class:`int`
        As in :class:`Output`.
    waits : :data:`Index`
        Issues that make a beat.
    places : :data:`Index`
        The beat that must have left the queue before each of those.
    made_by : :data:`Index`
        The issue that makes each beat.
    follows : :class:`int` or integers, shape (beats,)
        Cycles from there to its offer.
    """

    beats: int
    back: int
    waits: Index
    places: Index
    made_by: Index
    follows: int | np.ndarray

    @classmethod
    def of(cls, output: Output) -> "Giving":
        makes = np.asarray(output.makes)
        beats = np.arange(int(makes[-1]))
        issue = np.searchsorted(makes, beats, side="right")
        waits = np.flatnonzero(np.diff(makes, prepend=0) > 0)
        follows = beats - np.concatenate([[0], makes])[issue] + output.depth
        return cls(beats=len(beats), back=output.back, waits=compact(waits),
                   places=compact(makes[waits] - 1 - output.places), made_by=compact(issue),
                   follows=_one_or_all(follows))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Form:
    """The timing of an operator, as events wait.

    Parameters
    ----------
    steps : integers, shape (issues,)
        Cycles from the first issue of a frame to each.
    last : :class:`int`
        From the last one to the next frame's first.
    inputs, outputs : tuples of :class:`Taking` and :class:`Giving`
    """

    steps: np.ndarray
    last: int
    inputs: tuple[Taking, ...]
    outputs: tuple[Giving, ...]

    @property
    def total(self) -> int:
        """Cycles of a frame."""
        return int(self.steps[-1]) + self.last


@functools.lru_cache(maxsize=512)
def form(operator: Operator) -> Form:
    """The form of an operator; kept, as the same operators are timed many times."""
    timing = operator_timing(operator)
    steps = np.concatenate([[0], np.cumsum(timing.cycles[:-1])])
    small = steps[-1] < -NEVER
    return Form(steps=steps.astype(np.int32) if small else steps, last=int(timing.cycles[-1]),
                inputs=tuple(Taking.of(each, len(steps)) for each in timing.inputs),
                outputs=tuple(Giving.of(each) for each in timing.outputs))


def _one_or_all(values: np.ndarray) -> int | np.ndarray:
    if (values == values[0]).all():
        return int(values[0])
    return values.astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Wait:
    """Events that come no earlier than others, and so many cycles after them.

    Parameters
    ----------
    events : :class:`Events`
        The others.
    index : :data:`Index`
        Which of them, counted from the frame's first: those of frames before are negative.
    delay : :class:`int` or integers
    at : :data:`Index`
        Which events wait.
    """

    events: "Events"
    index: Index
    delay: int | np.ndarray
    at: Index


class Events:
    """A row of events of each frame.

    Parameters
    ----------
    steps : integers, shape (count,)
        Cycles at the least from the first event of a frame to each.
    last : :class:`int`
        From the last one to the next frame's first.
    floor : :class:`int`
        No event is earlier.

    Attributes
    ----------
    times, before : integers, shape (count,)
        Cycles of the events of the frame at hand, and of the one before it.
    back : :class:`int`
        Frames, one more than others reach back.
    waiting : list of :class:`Events`
        Others, for these.
    changed : :class:`bool`
        Whether something that is waited for has changed.
    """

    def __init__(self, steps: np.ndarray, last: int, floor: int = NEVER):
        self._step = 0
        self.count, self.last, self.floor = len(steps), last, floor
        self.back = 2
        self.waiting: list[Events] = []
        self.changed = True
        self._steps, self._reach = steps, 1
        self._waits: list[Wait] = []

    @property
    def total(self) -> int:
        """Cycles of a frame, at the least."""
        return int(self._steps[-1]) + self.last

    def wait(self, wait: Wait) -> None:
        """Have these events wait for others."""
        others = wait.events
        self._waits.append(wait)
        others.waiting.append(self)
        reach = max(0, -least(wait.index))
        others._reach = max(others._reach, reach)
        others.back = max(others.back, -(-reach // others.count) + 1)

    def allocate(self, kind: type[np.signedinteger]) -> None:
        """Make room for times of this kind; all waits are known."""
        self._all = np.full(self._reach + self.count, NEVER, kind)
        self.before = np.full(self.count, NEVER, kind)
        self.times = self._all[self._reach:]

    def connect(self) -> None:
        """Look up what is waited for; all events are allocated."""
        whole = slice(0, self.count, 1)
        rows = [(wait.events, placed(wait.index, wait.events._reach), wait.delay,
                 placed(wait.at, 0)) for wait in self._waits]
        # One for which all wait comes first: it sets what the others raise.
        self._rows = sorted(rows, key=lambda row: not _same(row[3], whole))
        self._set_first = bool(rows) and _same(self._rows[0][3], whole)

    def widen(self) -> None:
        """Go on with times of 64 bits."""
        self._all, self.before = self._all.astype(np.int64), self.before.astype(np.int64)
        self.times = self._all[self._reach:]

    def begin(self) -> None:
        """Go on to the next frame; its times are those of the last one, until they are known."""
        self._step = self.times[-1] - self.before[-1]
        self.before[:] = self.times
        self._all[:self._reach] = self._all[self.count:]

    def move(self) -> None:
        """Move the frame's times on, by what the last of them moved in the frame before."""
        self.times += self._step

    def moved(self, interval: int) -> bool:
        """Whether the frame is the one before, so many cycles later."""
        return bool((self.times - self.before == interval).all())

    def update(self, room: np.ndarray, more: np.ndarray) -> bool:
        """Compute the frame's times anew; returns whether they are others.

        Parameters
        ----------
        room, more : integers
            Of the times' kind, and no fewer: what is computed in.
        """
        times = self.earliest(room, more)
        if np.array_equal(times, self.times):
            return False
        self.times[:] = times
        return True

    def earliest(self, room: np.ndarray, more: np.ndarray,
                 but: "Events | None" = None) -> np.ndarray:
        """The frame's times, as those of others are that it waits for, all but one."""
        rows = [row for row in self._rows if row[0] is not but]
        room, more = room[:self.count], more[:self.count]
        if self._set_first and len(rows) == len(self._rows):
            (events, index, delay, _), *rows = rows
            np.add(events._all[index], delay, out=room, casting="same_kind")
            if self.floor > NEVER:
                np.maximum(room, self.floor, out=room)
        else:
            room.fill(self.floor)
        for events, index, delay, at in rows:
            others = events._all[index]
            after = np.add(others, delay, out=more[:len(others)], casting="same_kind")
            if isinstance(at, slice):
                np.maximum(room[at], after, out=room[at])
            else:
                room[at] = np.maximum(room[at], after)
        return self._in_turn(room, more)

    def _in_turn(self, room: np.ndarray, more: np.ndarray) -> np.ndarray:
        """These times, or later ones: each event after the one before it."""
        room[0] = max(room[0], self._all[self._reach - 1] + self.last)
        room -= self._steps
        if (room[1:] < room[:-1]).any():
            room = running_maximum(room, more)
        room += self._steps
        return room


class Offers(Events):
    """Beats that a source offers: they wait for nothing.

    Parameters
    ----------
    cycles : integers, shape (frames, beats)
        First cycle in which each is offered.
    """

    def __init__(self, cycles: np.ndarray):
        super().__init__(np.zeros(cycles.shape[1], np.int32), 0)
        self.cycles = cycles
        self._frame = 0

    def allocate(self, kind: type[np.signedinteger]) -> None:
        super().allocate(kind)
        self.times[:] = self.cycles[0]

    def begin(self) -> None:
        super().begin()
        self._frame += 1
        self.times[:] = self.cycles[self._frame]

    def update(self, room: np.ndarray, more: np.ndarray) -> bool:
        return False


class Departures(Events):
    """Transfers out of the engine, into a sink that is not always ready.

    Parameters
    ----------
    steps, last : as in :class:`Events`
    ready : sorted integers
        Cycles in which the sink is ready; it always is after the last of them.
    """

    def __init__(self, steps: np.ndarray, last: int, ready: np.ndarray):
        super().__init__(steps, last)
        self._ready = ready

    def _in_turn(self, room: np.ndarray, more: np.ndarray) -> np.ndarray:
        """The first ready cycles from these on, each after the one before."""
        ready, after = self._ready, int(self._all[self._reach - 1]) + 1
        beyond = ready[-1] + 1
        rank = np.searchsorted(ready, room)
        rank = np.where(rank < len(ready), rank, len(ready) + np.maximum(room - beyond, 0))
        first = int(np.searchsorted(ready, after))
        rank[0] = max(rank[0], first if first < len(ready)
                      else len(ready) + max(after - beyond, 0))
        rank = np.maximum.accumulate(rank - self._steps) + self._steps
        return np.where(rank >= len(ready), beyond + rank - len(ready),
                        ready[np.minimum(rank, len(ready) - 1)])


def _same(index: slice | np.ndarray, whole: slice) -> bool:
    return isinstance(index, slice) and index == whole


def running_maximum(values: np.ndarray, room: np.ndarray) -> np.ndarray:
    """As ``np.maximum.accumulate``, in fewer cycles: windows by doubling, then from one window to
    the next. Both arrays are written to, and one of them is returned."""
    width = 1
    while width < WINDOW and width < len(values):
        room[:width] = values[:width]
        np.maximum(values[width:], values[:-width], out=room[width:])
        values, room = room, values
        width *= 2
    if len(values) > width:
        whole = len(values) // width * width
        ends = np.maximum.accumulate(values[width - 1:whole:width])
        blocks = values[width:whole].reshape(-1, width)
        np.maximum(blocks, ends[:-1, None], out=blocks)
        np.maximum(values[whole:], ends[-1], out=values[whole:])
    return values
