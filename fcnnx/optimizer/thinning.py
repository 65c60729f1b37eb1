"""Fewer events with the same times.

Most events of an engine follow the one before them in their row by its gap, whatever happens; and
of many rows each event is the latest of what it waits for, whatever the one before it was. Both are
left out here, and what has waited for them waits for that which they follow from. What stays is
where flow meets flow: the first beat of a group, the last of a row.
"""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from .events import (
    NEVER,
    Events,
    Index,
    Run,
    Wait,
    compact,
    compose,
    length,
    numbers,
    one_or_all,
    placed,
)


__all__ = ["Waits", "thin"]


MOST_WAITS = 8  # of a row, that others may make: each is looked at in every visit
LONG = 100_000  # waits that are not compared one by one
FEWER = 2  # times fewer events, or a row stays as it is
SWEEPS = 3  # over all rows: one that becomes thinner lets others become so

Waits = dict[Events, list[Wait]]  # of each row, as they follow one another


def thin(waits: Waits, pinned: Collection[Events]) -> Waits:
    """What is waited for by rows that are left, all others' events known from theirs.

    Parameters
    ----------
    waits : by row, what it waits for
        Rows are changed.
    pinned : collection of :class:`Events`
        Those that keep all of their events.
    """
    thinning = _Thinning(waits, pinned)
    for _ in range(SWEEPS):
        if not thinning.sweep():
            break
    return thinning.waits


class _Thinning:
    """Rows that become fewer and thinner.

    Attributes
    ----------
    waits : by row that is left, what it waits for
    """

    def __init__(self, waits: Waits, pinned: Collection[Events]):
        self.waits: Waits = {row: [] for row in waits}
        self._pinned = frozenset(pinned)
        self._waiting: dict[Events, dict[Events, None]] = {}  # for a row, in their order
        for row, own in waits.items():
            self._put(row, [_without_implied(row, wait) for wait in own])

    def sweep(self) -> bool:
        """Thin each row once; whether any has become thinner."""
        before = {row: row.count for row in self.waits}
        for row in before:
            if self._thinned(row):
                del self.waits[row]
        return len(self.waits) < len(before) or any(
            row.count < count for row, count in before.items())

    def _put(self, row: Events, waits: list[Wait]) -> None:
        self.waits[row] = waits
        for wait in waits:
            self._waiting.setdefault(wait.events, {})[row] = None

    def _thinned(self, row: Events) -> bool:
        """Thin a row if that is worth it; whether none of it is left."""
        if row in self._pinned:
            return False
        waits = self.waits[row]
        rising = [_rises(row, wait) for wait in waits]
        full = [wait for wait, rises in zip(waits, rising, strict=True) if rises]
        some = [wait for wait, rises in zip(waits, rising, strict=True) if not rises]
        if any(length(wait.at) * FEWER > row.count for wait in some):
            return False
        left = _union([wait.at for wait in some] + [Run(0, 1, 1)] * (row.floor > NEVER), row.count)
        count = length(left)
        if count * FEWER > row.count or not (count or full):
            return False
        waiting = [other for other in self._waiting.get(row, {}) if other in self.waits]
        if full and any(len(self.waits[other]) + len(full) - (not count) > MOST_WAITS
                        for other in waiting):
            return False
        whole = _Whole(row, full, left)
        self._waiting[row] = {}
        waits = []
        if count:
            waits = [dataclasses.replace(wait, at=whole.place(wait.at)) for wait in some]
            waits += [whole.followed(wait, left, Run(0, 1, count)) for wait in full]
            row.thin(left)
        self.waits[row] = waits
        for other in waiting:
            found = []
            for wait in self.waits[other]:
                found += [wait] if wait.events is not row else whole.instead(other, wait)
            self._put(other, _without_weaker(other, found))
        if count:
            self._put(row, self.waits[row])
        return not count


class _Whole:
    """A row before it was thinned.

    Parameters
    ----------
    row : :class:`Events`
    full : waits that tell all of its events but those that follow one that is left
    left : :data:`Index`
        Those that are.
    """

    def __init__(self, row: Events, full: Sequence[Wait], left: Index):
        self._row, self._full, self._left = row, full, left
        self._count, self._gaps = row.count, row.gaps

    def place(self, at: Index) -> Index:
        """Where these events are among those that are left."""
        return compact(np.searchsorted(numbers(self._left), numbers(at)))

    def followed(self, full: Wait, index: Index, at: Index) -> Wait:
        """What waits for these events by one of the waits that tell them."""
        delay = full.delay
        if not isinstance(delay, int):
            delay = one_or_all(delay[numbers(index) % self._count])
        return Wait(events=full.events, delay=delay, at=at,
                    index=compose(full.index, full.events.count, index, self._count))

    def instead(self, other: Events, wait: Wait) -> list[Wait]:
        """What another row waits for instead of waiting for this one."""
        found = []
        for full in self._full:
            each = self.followed(full, wait.index, wait.at)
            each = dataclasses.replace(each, delay=_sum(each.delay, wait.delay))
            found.append(_without_implied(other, each))
        if length(self._left):
            found.append(self._before(other, wait))
        return [each for each in found if each.events is not other or not _follows(other, each)]

    def _before(self, other: Events, wait: Wait) -> Wait:
        """What is left before the events that were waited for, and waited for longer."""
        left, count = numbers(self._left), length(self._left)

        def last(events: np.ndarray) -> np.ndarray:
            """The last one left until each of these."""
            frames, event = np.divmod(events, self._count)
            return np.searchsorted(left, event, side="right") - 1 + frames * count

        def where(places: np.ndarray) -> np.ndarray:
            frames, place = np.divmod(places, count)
            return left[place] + frames * self._count

        index, at = wait.index, wait.at
        if (isinstance(index, Run) and isinstance(wait.delay, int) and isinstance(at, Run)
                and other.gaps.even >= 0 and self._gaps.even >= 0
                and self._gaps.even * index.step <= other.gaps.even * at.step):
            # Only the first after each of them does not follow from the one before.
            ends = last(np.array([index.first, index.first + index.step * (index.count - 1)]))
            places = np.arange(ends[0], ends[1] + 1)
            first = np.maximum(0, -((index.first - where(places)) // index.step))
            once = np.append(first[1:] > first[:-1], True)
            places, first = places[once], first[once]
            at = Run(at.first, at.step, at.count)
            later = index.first + index.step * first - where(places)
            return _without_implied(other, Wait(
                events=self._row, index=compact(places),
                delay=_sum(one_or_all(later * self._gaps.even), wait.delay),
                at=compact(at.first + at.step * first)))
        events = numbers(index)
        places = last(events)
        later = self._gaps.until(events) - self._gaps.until(where(places))
        return _without_implied(other, Wait(
            events=self._row, index=compact(places), at=at,
            delay=_sum(one_or_all(later), wait.delay)))


def _sum(one: int | np.ndarray, other: int | np.ndarray) -> int | np.ndarray:
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return one_or_all(np.add(one, other, dtype=np.int64))


def _union(indices: Sequence[Index], count: int) -> Index:
    """All of these numbers, of so many."""
    if not indices:
        return Run(0, 1, 0)
    first = indices[0]
    if isinstance(first, Run) and all(each == first for each in indices
                                      if isinstance(each, Run)) and all(
                                          isinstance(each, Run) for each in indices):
        return first
    among = np.zeros(count, np.bool_)
    for each in indices:
        among[placed(each, 0)] = True
    return compact(np.flatnonzero(among))


def _whole(row: Events, index: Index) -> bool:
    """Whether these are all events of the row."""
    return isinstance(index, Run) and (index.first, index.step, index.count) == (0, 1, row.count)


def _rises(row: Events, wait: Wait) -> bool:
    """Whether each event of a row waits, for what comes later than what the one before waits for
    by the row's gap at the least."""
    others = wait.events
    if others is row or not _whole(row, wait.at):
        return False
    gap, other = row.gaps.even, others.gaps.even
    if isinstance(wait.index, Run) and isinstance(wait.delay, int) and gap >= 0 and other >= 0:
        around = others.count - wait.index.step * (wait.index.count - 1)
        return min(wait.index.step if row.count > 1 else around, around) * other >= gap
    ends = others.gaps.until(numbers(wait.index)) + wait.delay
    gaps = np.diff(ends, prepend=ends[-1] - others.gaps.total)
    return bool((gaps >= row.gaps.each).all())


def _follows(row: Events, wait: Wait) -> bool:
    """Whether events that wait for others of their own row follow those anyway."""
    index, at = numbers(wait.index), numbers(wait.at)
    if not (index < at).all():
        return False
    return bool((row.gaps.until(at) - row.gaps.until(index) >= wait.delay).all())


def _without_implied(row: Events, wait: Wait) -> Wait:
    """The wait without events that wait for the same as the one before them, and for no longer than
    they follow it anyway."""
    if isinstance(wait.index, Run):
        return wait
    index, at = wait.index, numbers(wait.at)
    around = np.concatenate([index[-1:] - wait.events.count, index])
    same = around[1:] == around[:-1]
    if not same.any():
        return wait
    passed = row.gaps.until(np.concatenate([at[-1:] - row.count, at]))
    delay = wait.delay
    longer = 0 if isinstance(delay, int) else np.diff(delay, prepend=delay[-1])
    # The first event waits for the same as the last of the frame before only where that lies before
    # its own frame: in the first one it holds nothing up.
    needed = ~(same & (longer <= np.diff(passed)))
    return Wait(events=wait.events, index=compact(index[needed]), at=compact(at[needed]),
                delay=delay if isinstance(delay, int) else one_or_all(delay[needed]))


def _without_weaker(row: Events, waits: Sequence[Wait]) -> list[Wait]:
    """The waits without what others imply."""
    found: list[Wait] = []
    for wait in waits:
        rest: Wait | None = wait
        for other in found:
            if rest is not None and other.events is rest.events:
                rest = _rest(row, other, rest)
        if rest is None:
            continue
        kept = [_rest(row, rest, other) if other.events is rest.events else other
                for other in found]
        found = [other for other in kept if other is not None] + [rest]
    return found


def _rest(row: Events, wait: Wait, weaker: Wait) -> Wait | None:
    """What one wait for some events adds to another."""
    one, other, others = wait.index, weaker.index, wait.events
    if (isinstance(one, Run) and isinstance(other, Run) and isinstance(wait.delay, int)
            and isinstance(weaker.delay, int) and isinstance(wait.at, Run)
            and isinstance(weaker.at, Run) and wait.at == weaker.at
            and one.step == other.step and others.gaps.even >= 0):
        implied = (one.first >= other.first and others.gaps.even * (one.first - other.first)
                   >= weaker.delay - wait.delay)
        return None if implied else weaker
    if max(length(one), length(other)) > LONG:
        return weaker
    index, at = numbers(one), numbers(wait.at)
    its_index, its_at = numbers(other), numbers(weaker.at)
    before = np.searchsorted(at, its_at, side="right") - 1
    earlier = before < 0
    index, at = index[before] - earlier * others.count, at[before] - earlier * row.count
    delay = wait.delay if isinstance(wait.delay, int) else wait.delay[before]
    implied = (index >= its_index) & (
        row.gaps.until(its_at) - row.gaps.until(at) + delay
        + others.gaps.until(index) - others.gaps.until(its_index) >= weaker.delay)
    if implied.all():
        return None
    if not implied.any():
        return weaker
    left = ~implied
    delay = weaker.delay if isinstance(weaker.delay, int) else one_or_all(weaker.delay[left])
    return Wait(events=others, index=compact(its_index[left]), at=compact(its_at[left]),
                delay=delay)
