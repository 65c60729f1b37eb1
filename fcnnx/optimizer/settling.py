"""Frames of rows of events, one event after the other as soon as what it waits for is known.

Compiled by numba, as a frame of a large network has millions of events: numpy would have to sweep
over all rows until none changes any more.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numba
import numpy as np

from .events import NEVER, Events, Index, Run, Wait, least


__all__ = ["DONE", "LATE", "STUCK", "Rows"]


DONE, STUCK, LATE = range(3)  # how a frame ends
NOTHING = np.zeros(0, np.int32)
CHUNK = 1024  # events of a row that are found together, at most


class _Tables(NamedTuple):
    """Rows and waits as the compiled code reads them; whatever varies is in the pool."""

    first: np.ndarray  # of each row: where its frame begins
    size: np.ndarray  # events of a frame
    known: np.ndarray  # events that are given
    floor: np.ndarray
    gap: np.ndarray  # in front of every event, or -1
    gaps: np.ndarray  # place in the pool
    ready: np.ndarray  # place in the ready cycles, one more than there are rows
    limited: np.ndarray  # whether the row must end in time
    wait: np.ndarray  # first wait of each row, one more than there are
    follower: np.ndarray  # likewise, first of those that wait for it
    followers: np.ndarray
    on: np.ndarray  # of each wait: the row that is waited for
    numbers: np.ndarray  # of each wait: first, step, count, place in the pool or -1, of the events
    #                      that wait; first, step, place of those waited for; delay and its place
    pool: np.ndarray
    cycles: np.ndarray  # in which sinks are ready


class Rows:
    """Rows of events, and what all of them wait for.

    Of each row only the frame at hand is kept, and as much before it as others reach back to.

    Parameters
    ----------
    waits : by row, what it waits for
        Of all rows.
    limited : collection of :class:`Events`
        Those that :meth:`settle` holds against an end.
    ready : sorted integers by row
        Cycles of which events take one each, or any cycle after the last of them.
    """

    def __init__(self, waits: Mapping[Events, Sequence[Wait]], limited: Collection[Events],
                 ready: Mapping[Events, np.ndarray]):
        reach = dict.fromkeys(waits, 1)
        for wait in itertools.chain.from_iterable(waits.values()):
            reach[wait.events] = max(reach[wait.events], -least(wait.index))
        self._reach = _array(reach.values())
        sizes = [before + row.count for row, before in reach.items()]
        ends = np.cumsum(sizes)
        self._all = np.empty(int(ends[-1]), np.int64)
        self._rooms: dict[Events, tuple[np.ndarray, int]] = {}
        for (row, before), end, size in zip(reach.items(), ends.tolist(), sizes, strict=True):
            self._all[end - size:end - row.count] = NEVER
            self._rooms[row] = self._all[end - size:end], before
        self._tables = _tables(waits, limited, ready, ends - [row.count for row in waits])

    def times(self, row: Events) -> np.ndarray:
        """Cycles of a row's events of the frame at hand."""
        room, before = self._rooms[row]
        return room[before:]

    def begin(self) -> None:
        """Go on to the next frame."""
        for row, (room, before) in self._rooms.items():
            room[:before] = room[row.count:]

    def settle(self, end: int | None = None) -> int:
        """Find the frame's times; returns :data:`DONE`, :data:`STUCK` where events wait for one
        another, or :data:`LATE` as soon as a row ends later than this."""
        return _settle(self._all, self._tables, -NEVER if end is None else end)

    def critical(self, row: Events) -> dict[Events, int]:
        """Where the last event of a row of the first frame has its time from: cycles by row, from
        event to event, along a path of events each of which comes as soon as the one before lets
        it."""
        its = self._tables
        spent = _spent(self._all, its.first, its.size, its.gap, its.gaps, its.wait, its.on,
                       its.numbers, its.pool, list(self._rooms).index(row))
        return dict(zip(self._rooms, spent.tolist(), strict=True))

    def moved_by(self, cycles: int, count: int) -> bool:
        """Whether in the first rows all that later events may wait for has come so many cycles
        after what events of the frame waited for."""
        return _moved_by(self._all, self._tables.first[:count], self._tables.size[:count],
                         self._reach[:count], cycles)


class _Pool:
    """Arrays in one; the same array once."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._places: dict[int, int] = {}
        self._size = 0

    def put(self, values: np.ndarray) -> int:
        """The place of these numbers."""
        if id(values) not in self._places:
            self._places[id(values)] = self._size
            self.arrays.append(values)
            self._size += len(values)
        return self._places[id(values)]

    def index(self, index: Index) -> tuple[int, int, int, int]:
        """First, step, count, and the place or -1."""
        if isinstance(index, Run):
            return index.first, index.step, index.count, -1
        return 0, 0, len(index), self.put(index)

    def one_or_all(self, value: int | np.ndarray) -> tuple[int, int]:
        """A number, and the place or -1."""
        return (value, -1) if isinstance(value, int) else (0, self.put(value))


def _tables(waits: Mapping[Events, Sequence[Wait]], limited: Collection[Events],
            ready: Mapping[Events, np.ndarray], first: np.ndarray) -> _Tables:
    pool, rows = _Pool(), list(waits)
    place = {row: k for k, row in enumerate(rows)}
    followers: list[list[int]] = [[] for _ in rows]
    numbers, on, gaps = [], [], []
    for k, row in enumerate(rows):
        even = row.gaps.even
        gaps.append((even, -1) if even >= 0 else (-1, pool.put(row.gaps.each)))
        for wait in waits[row]:
            waited = place[wait.events]
            on.append(waited)
            followers[waited].append(k)
            index = pool.index(wait.index)
            numbers.append((*pool.index(wait.at), index[0], index[1], index[3],
                            *pool.one_or_all(wait.delay)))
    cycles = [ready.get(row, NOTHING) for row in rows]
    return _Tables(
        first=first, size=_array(row.count for row in rows),
        known=_array(row.count * row.known for row in rows),
        floor=_array(row.floor for row in rows),
        gap=_array(gap for gap, _ in gaps), gaps=_array(where for _, where in gaps),
        ready=_starts(map(len, cycles)), limited=_array(row in limited for row in rows),
        wait=_starts(map(len, waits.values())), follower=_starts(map(len, followers)),
        followers=_array(k for each in followers for k in each), on=_array(on),
        numbers=np.array(numbers, np.int64).reshape(-1, 9),
        pool=np.concatenate([NOTHING, *pool.arrays], dtype=np.int64),
        cycles=np.concatenate([NOTHING, *cycles], dtype=np.int64))


def _array(values) -> np.ndarray:
    return np.array(list(values), np.int64)


def _starts(counts) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _moved_by(times, first, size, reach, cycles):
    """As :meth:`Rows.moved_by`: what is kept before the frame, and what will be."""
    for row in range(len(size)):
        for k in range(first[row] - reach[row], first[row]):
            if times[k + size[row]] - times[k] != cycles:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def _spent(times, first, size, gap, gaps, waits, on, numbers, pool, row):
    """As :meth:`Rows.critical`, by row."""
    spent = np.zeros(len(size), np.int64)
    event = size[row] - 1
    while True:
        here = first[row] + event
        ahead = gap[row] if gaps[row] < 0 else pool[gaps[row] + event]
        if event > 0 and times[here] == times[here - 1] + ahead:
            spent[row] += ahead
            event -= 1
            continue
        found = False
        for wait in range(waits[row], waits[row + 1]):
            at, step, count, place = numbers[wait, :4]
            if place < 0:
                k = (event - at) // step
                found = 0 <= k < count and at + step * k == event
            else:
                k = np.searchsorted(pool[place:place + count], event)
                found = k < count and pool[place + k] == event
            if not found:
                continue
            index, step, place, delay, delays = numbers[wait, 4:9]
            other = index + step * k if place < 0 else pool[place + k]
            delay = delay if delays < 0 else pool[delays + k]
            found = other >= 0 and times[first[on[wait]] + other] + delay == times[here]
            if found:
                row, event = on[wait], other
                break
        if not found:
            return spent


def _settle(times, tables, end):
    """Take up the first row, as far as it goes, and then those that wait for it: the last one that
    is asked again comes next, which lets others gather more to do than turns would."""
    rows, waits = len(tables.size), len(tables.on)
    return _take_up(times, *tables, end, tables.known.copy(), tables.ready[:-1].copy(),
                    np.zeros(waits, np.int64), np.zeros(waits, np.int64),
                    np.empty(CHUNK, np.int64), np.arange(rows - 1, -1, -1),
                    np.ones(rows, np.bool_))


# In one piece, and each array by itself: numba counts who refers to those that are handed on or
# taken from a tuple, which takes longer than what a visit of a row has to do.
@numba.njit(cache=True, nogil=True)
def _take_up(times, first, size, known, floor, gap, gaps, ready, limited, waits, follower,
             followers, on, numbers, pool, cycles, end, done, taken, past, until, room,
             stack, stacked):
    """As :func:`_settle`. Of each wait are kept: which one is the first of an event that is not
    found yet (``past``), or of one that waits for what is not (``until``). Both of its indices
    rise."""
    rows = len(size)
    height = rows
    while height:
        height -= 1
        row = stack[height]
        stacked[row] = False
        start = before = done[row]
        while start < size[row]:
            stop = full = min(size[row], start + CHUNK)
            for wait in range(waits[row], waits[row + 1]):
                k, count, there = until[wait], numbers[wait, 2], done[on[wait]]
                index, step, place = numbers[wait, 4], numbers[wait, 5], numbers[wait, 6]
                if place >= 0:
                    while k < count and pool[place + k] < there:
                        k += 1
                else:
                    reached = there - index if step == 1 else -((index - there) // step)
                    k = min(count, max(k, reached))
                until[wait], place = k, numbers[wait, 3]
                if k < count:
                    stop = min(stop, numbers[wait, 0] + numbers[wait, 1] * k if place < 0
                               else pool[place + k])
                    if stop == start:
                        break
            if stop == start:
                break
            room[:stop - start] = floor[row]
            for wait in range(waits[row], waits[row + 1]):
                at, at_step, at_place = numbers[wait, 0], numbers[wait, 1], numbers[wait, 3]
                index, step, place = numbers[wait, 4], numbers[wait, 5], numbers[wait, 6]
                delay, delays, other = numbers[wait, 7], numbers[wait, 8], first[on[wait]]
                k, last = past[wait], until[wait]
                if at_place < 0 and at_step == 1:
                    at, index, last = at - start, other + index, max(k, min(last, stop - at))
                    if place < 0 and delays < 0:
                        for k in range(past[wait], last):
                            room[at + k] = max(room[at + k], times[index + step * k] + delay)
                    elif place < 0:
                        for k in range(past[wait], last):
                            time = times[index + step * k] + pool[delays + k]
                            room[at + k] = max(room[at + k], time)
                    elif delays < 0:
                        for k in range(past[wait], last):
                            time = times[other + pool[place + k]] + delay
                            room[at + k] = max(room[at + k], time)
                    else:
                        for k in range(past[wait], last):
                            time = times[other + pool[place + k]] + pool[delays + k]
                            room[at + k] = max(room[at + k], time)
                    past[wait] = last
                    continue
                while k < last:
                    event = at + at_step * k if at_place < 0 else pool[at_place + k]
                    if event >= stop:
                        break
                    time = times[other + (index + step * k if place < 0 else pool[place + k])]
                    time += delay if delays < 0 else pool[delays + k]
                    room[event - start] = max(room[event - start], time)
                    k += 1
                past[wait] = k
            begin = first[row] + start
            time, ahead, uneven = times[begin - 1], gap[row], gaps[row] + start
            even, bound = gaps[row] < 0, taken[row] < ready[row + 1]
            for k in range(stop - start):
                time = max(time + (ahead if even else pool[uneven + k]), room[k])
                if bound:
                    while taken[row] < ready[row + 1] and cycles[taken[row]] < time:
                        taken[row] += 1
                    bound = taken[row] < ready[row + 1]
                    if bound:
                        time = cycles[taken[row]]
                times[begin + k] = time
            start = stop
            if stop < full:
                break
        if start == before:
            continue
        done[row] = start
        if limited[row] and times[first[row] + start - 1] > end:
            return LATE
        for k in range(follower[row], follower[row + 1]):
            other = followers[k]
            if not stacked[other] and done[other] < size[other]:
                stacked[other] = True
                stack[height] = other
                height += 1
    for row in range(rows):
        if done[row] < size[row]:
            return STUCK
    return DONE
