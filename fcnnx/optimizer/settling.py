"""Frames of rows of events, one event after the other as soon as what it waits for is known.

Compiled by numba, as a frame of a large network has millions of events: numpy would have to sweep
over all rows until none changes any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np

from .events import NEVER, Events, Index, Run


__all__ = ["DONE", "LATE", "STUCK", "Rows"]


DONE, STUCK, LATE = range(3)  # how a frame ends
NOTHING = np.zeros(0, np.int32)


class _Tables(NamedTuple):
    """Rows and waits as the compiled code reads them; whatever varies is in the pool."""

    first: np.ndarray  # of each row: where its frame begins
    size: np.ndarray  # events of a frame
    known: np.ndarray
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

    Parameters
    ----------
    rows : sequence of :class:`Events`
        All waits are known; times are allocated here.
    limited : sequence of :class:`Events`
        Those that :meth:`settle` holds against an end.
    """

    def __init__(self, rows: Sequence[Events], limited: Sequence[Events]):
        sizes = [row.reach + row.count for row in rows]
        ends = np.cumsum(sizes)
        self._times = np.full(int(ends[-1]), NEVER)
        for row, end, size in zip(rows, ends.tolist(), sizes, strict=True):
            row.allocate(self._times[end - size:end])
        self._tables = _tables(rows, limited, ends - [row.count for row in rows])
        # Rows that refer to each other would outlive all use: they are large.
        for row in rows:
            row.waits = [wait for wait in row.waits if wait.events.known]

    def settle(self, end: int | None = None) -> int:
        """Find the frame's times; returns :data:`DONE`, :data:`STUCK` where events wait for one
        another, or :data:`LATE` as soon as a row ends later than this."""
        return _settle(self._times, self._tables, -NEVER if end is None else end)


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


def _tables(rows: Sequence[Events], limited: Sequence[Events], first: np.ndarray) -> _Tables:
    pool = _Pool()
    place = {id(row): k for k, row in enumerate(rows)}
    followers: list[list[int]] = [[] for _ in rows]
    numbers, on, gaps = [], [], []
    for k, row in enumerate(rows):
        even = bool((row.gaps == row.gaps[0]).all())
        gaps.append((int(row.gaps[0]), -1) if even else (-1, pool.put(row.gaps)))
        for wait in row.waits:
            waited = place[id(wait.events)]
            on.append(waited)
            followers[waited].append(k)
            index = pool.index(wait.index)
            numbers.append((*pool.index(wait.at), index[0], index[1], index[3],
                            *pool.one_or_all(wait.delay)))
    ready = [NOTHING if row.ready is None else row.ready for row in rows]
    return _Tables(
        first=first, size=_array(row.count for row in rows),
        known=_array(row.known for row in rows), floor=_array(row.floor for row in rows),
        gap=_array(gap for gap, _ in gaps), gaps=_array(where for _, where in gaps),
        ready=_starts(map(len, ready)), limited=_array(row in limited for row in rows),
        wait=_starts(len(row.waits) for row in rows), follower=_starts(map(len, followers)),
        followers=_array(k for each in followers for k in each), on=_array(on),
        numbers=np.array(numbers, np.int64).reshape(-1, 9),
        pool=np.concatenate([NOTHING, *pool.arrays], dtype=np.int32, casting="same_kind"),
        cycles=np.concatenate([NOTHING, *ready], dtype=np.int64))


def _array(values) -> np.ndarray:
    return np.array(list(values), np.int64)


def _starts(counts) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _settle(times, tables, end):
    """Take up rows in turn, each as far as it goes; those that wait for it are taken up again."""
    rows = len(tables.size)
    done = tables.known.copy()
    at = np.zeros(len(tables.on), np.int64)  # of each wait: events that are past it
    taken = tables.ready[:-1].copy()
    queue = np.arange(rows)
    queued = np.ones(rows, np.bool_)
    head, length = 0, rows
    while length:
        row = queue[head]
        head = head + 1 if head + 1 < rows else 0
        length -= 1
        queued[row] = False
        before = done[row]
        _advance(times, tables, row, done, at, taken)
        if done[row] == before:
            continue
        if tables.limited[row] and times[tables.first[row] + done[row] - 1] > end:
            return LATE
        for k in range(tables.follower[row], tables.follower[row + 1]):
            other = tables.followers[k]
            if not queued[other] and done[other] < tables.size[other]:
                queued[other] = True
                place = head + length
                queue[place if place < rows else place - rows] = other
                length += 1
    for row in range(rows):
        if done[row] < tables.size[row]:
            return STUCK
    return DONE


@numba.njit(cache=True, nogil=True)
def _advance(times, tables, row, done, at, taken):
    """Find a row's times, up to the first event that waits for one that is not known."""
    numbers, pool, first = tables.numbers, tables.pool, tables.first[row]
    waits = range(tables.wait[row], tables.wait[row + 1])
    event = done[row]
    while event < tables.size[row]:
        gap = tables.gap[row] if tables.gaps[row] < 0 else pool[tables.gaps[row] + event]
        time = max(times[first + event - 1] + gap, tables.floor[row])
        for wait in waits:
            k = at[wait]
            if k < numbers[wait, 2] and event == _number(numbers, pool, wait, 0, 3, k):
                other = tables.on[wait]
                index = _number(numbers, pool, wait, 4, 6, k)
                if index >= done[other]:
                    done[row] = event
                    return
                delay = numbers[wait, 7] if numbers[wait, 8] < 0 else pool[numbers[wait, 8] + k]
                time = max(time, times[tables.first[other] + index] + delay)
        for wait in waits:
            k = at[wait]
            if k < numbers[wait, 2] and event == _number(numbers, pool, wait, 0, 3, k):
                at[wait] = k + 1
        while taken[row] < tables.ready[row + 1] and tables.cycles[taken[row]] < time:
            taken[row] += 1
        if taken[row] < tables.ready[row + 1]:
            time = tables.cycles[taken[row]]
        times[first + event] = time
        event += 1
    done[row] = event


@numba.njit(cache=True, nogil=True)
def _number(numbers, pool, wait, start, place, k):
    """The k-th of an index."""
    where = numbers[wait, place]
    return numbers[wait, start] + numbers[wait, start + 1] * k if where < 0 else pool[where + k]
