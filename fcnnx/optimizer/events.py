"""Rows of events that wait for one another: what :mod:`.timing` solves.

An event is an issue of a stage, or a transfer into a buffer or out of the engine.
"""

import dataclasses
import functools

import numpy as np

from fcnnx.hdl.operator import Input, Operator, Output

from .deadlock import operator_timing


__all__ = ["NEVER", "Events", "Form", "Gaps", "Giving", "Index", "Run", "Taking", "Wait", "compact",
           "compose", "form", "least", "length", "numbers", "one_or_all", "placed"]


NEVER = -(1 << 40)  # of an event before the first frame: it holds nothing up
MOST_NARROW = np.iinfo(np.int32).max


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
    """Numbers as a :class:`Run` where they rise evenly: numpy takes those without a copy; others
    are kept as half as large ones."""
    steps = np.diff(values)
    if not len(steps):
        return Run(int(values[0]), 1, len(values)) if len(values) else values.astype(np.int32)
    if steps[0] > 0 and (steps == steps[0]).all():
        return Run(int(values[0]), int(steps[0]), len(values))
    return values.astype(np.int32)


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


def length(index: Index) -> int:
    """How many numbers there are."""
    return index.count if isinstance(index, Run) else len(index)


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
    beats, places, entry, release, gap : :class:`int`
        As in :class:`Input`; beats and places are so many events.
    size : :class:`int`
        Beats of an event.
    waits : :data:`Index`
        Issues that need more than the ones before them: no others can wait.
    needs : :data:`Index`
        The last event that each of those needs.
    taken_by : :data:`Index`
        The issue that takes the beats of each event, or frees places for them.
    """

    beats: int
    size: int
    places: int
    entry: int
    release: int
    gap: int
    waits: Index
    needs: Index
    taken_by: Index

    @classmethod
    def of(cls, entry: Input, count: int) -> "Taking":
        """Of a stage of so many issues a frame."""
        return cls._of(entry, count, 1)

    @classmethod
    def together(cls, entry: Input, count: int) -> "Taking":
        """The same where beats are always offered: those that come and go together then cross one
        after another, and an event stands for the last of them."""
        numbers = np.concatenate([entry.needs, entry.frees, [entry.beats, entry.places]])
        size = int(np.gcd.reduce(numbers)) if entry.places else 1
        if size == 1:
            return cls.of(entry, count)
        whole = Input(beats=entry.beats // size, needs=entry.needs // size,
                      frees=entry.frees // size, places=entry.places // size, entry=entry.entry,
                      release=entry.release + (size - 1) * entry.gap, gap=entry.gap)
        return cls._of(whole, count, size)

    @classmethod
    def _of(cls, entry: Input, count: int, size: int) -> "Taking":
        needs = np.asarray(entry.needs)
        assert entry.places or needs[-1] == entry.beats, "What is not buffered is all taken"
        waits = np.flatnonzero(_steps(needs))
        if entry.places:
            freed_by = _issues(_steps(np.asarray(entry.frees)))
            frames, freed = np.divmod(np.arange(entry.beats) - entry.places, entry.beats)
            taken_by = freed_by[freed] + frames * count
        else:
            taken_by = _issues(_steps(needs))
        return cls(beats=entry.beats, size=size, places=entry.places, entry=entry.entry,
                   release=entry.release, gap=entry.gap, waits=compact(waits),
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
        steps = _steps(makes)
        waits, made_by = np.flatnonzero(steps), _issues(steps)
        follows = np.arange(len(made_by)) - (makes - steps)[made_by] + output.depth
        return cls(beats=len(made_by), back=output.back, waits=compact(waits),
                   places=compact(makes[waits] - 1 - output.places), made_by=compact(made_by),
                   follows=one_or_all(follows))


def _steps(totals: np.ndarray) -> np.ndarray:
    """What each issue adds to a total."""
    steps = totals.copy()
    steps[1:] -= totals[:-1]
    return steps


def _issues(counts: np.ndarray) -> np.ndarray:
    """The issue of each beat, of which each issue has so many."""
    return np.repeat(np.arange(len(counts)), counts)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Form:
    """The timing of an operator, as events wait.

    Parameters
    ----------
    gaps : integers, shape (issues,)
        Cycles from the issue before to each: from that of the frame before, too.
    inputs, outputs : tuples of :class:`Taking` and :class:`Giving`
    """

    gaps: np.ndarray
    inputs: tuple[Taking, ...]
    outputs: tuple[Giving, ...]

    @property
    def total(self) -> int:
        """Cycles of a frame."""
        return int(self.gaps.sum(dtype=np.int64))


@functools.lru_cache(maxsize=1024)  # of several large networks
def form(operator: Operator, offered: frozenset[int] = frozenset()) -> Form:
    """The form of an operator, of whose inputs the beats of some are always offered; kept, as the
    same operators are timed many times."""
    timing = operator_timing(operator)
    gaps = np.roll(timing.cycles, 1).astype(np.int32)
    takings = ((Taking.together if k in offered else Taking.of)(each, len(gaps))
               for k, each in enumerate(timing.inputs))
    return Form(gaps=gaps, inputs=tuple(takings),
                outputs=tuple(Giving.of(each) for each in timing.outputs))


def one_or_all(values: np.ndarray) -> int | np.ndarray:
    """Numbers as one where they are all alike; others are kept as half as large ones, if they can
    be: frames may take more cycles than those count."""
    if (values == values[0]).all():
        return int(values[0])
    return values.astype(np.int32) if values.max() <= MOST_NARROW else values


class Gaps:
    """Cycles at the least from event to event of a row.

    Parameters
    ----------
    gaps : integers, shape (count,)
        In front of each event: from that of the frame before, too.

    Attributes
    ----------
    even : :class:`int`
        The gap, if all are alike, or -1.
    total : :class:`int`
        Of a frame.
    """

    def __init__(self, gaps: np.ndarray):
        self.each = gaps
        self.even = int(gaps[0]) if (gaps == gaps[0]).all() else -1
        self.total = int(gaps.sum(dtype=np.int64))

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return self.each.cumsum(dtype=np.int64)

    def until(self, events: np.ndarray) -> np.ndarray:
        """Cycles until these, from the end of the frame before; those of other frames too."""
        if self.even >= 0:
            return (events.astype(np.int64) + 1) * self.even
        frames, event = np.divmod(events, len(self.each))
        return self._ends[event] + frames.astype(np.int64) * self.total


class Events:
    """A row of events of each frame.

    Parameters
    ----------
    gaps : integers, shape (count,)
        Cycles at the least from the event before to each: from that of the frame before, too.
    floor : :class:`int`
        No event is earlier.
    known : :class:`bool`
        Whether their cycles are given.
    """

    def __init__(self, gaps: np.ndarray, *, floor: int = NEVER, known: bool = False):
        self.gaps, self.floor, self.known = Gaps(gaps), floor, known

    @property
    def count(self) -> int:
        """Events of a frame."""
        return len(self.gaps.each)

    def thin(self, left: Index) -> None:
        """Leave only these of the events."""
        until = self.gaps.until(numbers(left))
        self.gaps = Gaps(np.diff(until, prepend=until[-1] - self.gaps.total))


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

    events: Events
    index: Index
    delay: int | np.ndarray
    at: Index
