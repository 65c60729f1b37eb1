"""The tables by which ports serve their streams for ever, and the proof that no queue runs dry.

A stream's burst is asked for in a slot of a cyclic table. With x cycles of table after a slot in
which the stream had no room, its next burst has moved x + L cycles later, if L covers the memory's
latency and jitter, the words that were asked for before, a refresh and their turns: a slot that is
passed over takes a cycle, which is less than its share of the period, and the table waits for
nothing but the memory, which then has as many words before it as last for its latency. So what a
stream surely gets in any window is known, what its engine takes at most is predicted, and the
greatest difference is what its queue must hold.
"""

import dataclasses
import heapq
import math
from collections.abc import Iterator, Sequence

import numpy as np

from fcnnx.memory import MemoryTiming
from fcnnx.schedule import PortSchedule, Schedule, StreamSchedule

from .bounds import SURPLUS, Infeasible
from .curves import Service, striped
from .demands import CONTROLLER, Demand, round_robin_places


__all__ = ["check", "in_turn", "solve"]


MOST_SLOTS = 2048
GROUPS = (4, 8, 16, 32, 64, MOST_SLOTS)  # bursts that are written together, as candidates
STREAM_WORDS = 96  # what takes as much as the control of one more queue
IMPROVEMENTS = 12  # tries of slots beyond the least


def solve(memory: MemoryTiming, demands: Sequence[Demand], *, controller: int = CONTROLLER,
          most_slots: int = MOST_SLOTS, striping: bool = False) -> Schedule:
    """Serve all streams, with queues as short as they may be.

    Parameters
    ----------
    memory : :class:`MemoryTiming`
    demands : sequence of :class:`Demand`
    controller : :class:`int`
        Cycles that a request, and what comes of it, spends in the port's controller.
    most_slots : :class:`int`
        Of a table.
    striping : :class:`bool`
        Whether a stream's bursts may go to all ports in turn; else a stream has one port. The
        fastest are striped, as many of them as makes queues take least.

    Raises
    ------
    Infeasible
        If the memory, or a port, gives less than they take.
    """
    for demand in demands:
        if demand.burst > memory.longest_burst:
            raise Infeasible(demand=demand.name, bound="words of a burst", asked=demand.burst,
                             given=memory.longest_burst, remedy="Take shorter bursts.")
    taken = sum(demand.rate for demand in demands)
    refusal: Infeasible | None = None
    best: tuple[PortSchedule, ...] = ()
    for assigned in _assignments(memory, demands, striping=striping):
        try:
            ports = tuple(_Port(memory, number, parts, controller=controller,
                                most_slots=most_slots).solve()
                          for number, parts in enumerate(assigned))
        except Infeasible as error:
            refusal = error
            continue
        if best and _size(ports) >= _size(best):
            break
        best = ports
    if not best:
        assert refusal is not None
        raise refusal
    schedule = Schedule(ports=best, utilisation=taken / memory.derated, checked=())
    return dataclasses.replace(schedule, checked=check(schedule, memory))


def in_turn(memory: MemoryTiming, demands: Sequence[Demand], *,
            controller: int = CONTROLLER) -> Schedule:
    """The unaware alternative: ports without a table, whose streams are served in turn.

    Queues are as long as each stream would need with the memory its own; nothing is proven.
    """
    ports = []
    order = sorted(demands, key=lambda demand: -demand.rate)
    dealt: list[list[Demand]] = [[] for _ in range(memory.ports)]
    for demand in order:
        min(dealt, key=lambda ours: (sum(each.rate for each in ours), len(ours))).append(demand)
    reach = controller + max(memory.latency + memory.jitter, memory.turnaround)
    for number, ours in enumerate(dealt):
        streams = tuple(StreamSchedule(
            name=each.name, network=each.network, direction=each.direction, port=number, stripe=0,
            stripes=1, burst=each.burst, slots=0,
            places=round_robin_places(each, memory, controller=controller), words=each.words,
            interval=each.interval, latency=0, guaranteed=0.0) for each in ours)
        outstanding = _least_outstanding(memory, [each.burst for each in ours],
                                         [each.direction == "write" for each in ours], reach)
        ports.append(PortSchedule(streams=streams, table=(), period=0, outstanding=outstanding))
    taken = sum(demand.rate for demand in demands)
    return Schedule(ports=tuple(ports), utilisation=taken / memory.derated, checked=())


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """A demand, or a stripe of it."""

    demand: Demand
    cycles: np.ndarray | None
    stripe: int = 0
    stripes: int = 1

    @property
    def words(self) -> int:
        return 0 if self.cycles is None else self.cycles.shape[1]

    @property
    def rate(self) -> float:
        return self.words / self.demand.interval if self.words else 0.0


def _some(count: int) -> list[int]:
    """The first numbers, further and further apart, and the last."""
    numbers = [0]
    while numbers[-1] < count - 1:
        numbers.append(min(count - 1, max(numbers[-1] + 1, 3 * numbers[-1] // 2)))
    return numbers


def _load(parts: Sequence[_Part]) -> tuple[float, int]:
    """What a port has, for the choice of the one that has least."""
    return sum(part.rate for part in parts), len(parts)


def _assignments(memory: MemoryTiming, demands: Sequence[Demand], *,
                 striping: bool) -> Iterator[list[list[_Part]]]:
    """The streams of each port: the fastest first, each to the one that has least; with more and
    more of the fastest striped over all ports.

    Raises
    ------
    Infeasible
        If none of these fits.
    """
    given = memory.share * (1 - memory.refresh_share)
    wanted = sum(demand.rate for demand in demands) * (1 + SURPLUS)
    if wanted > memory.derated:
        raise Infeasible(demand="All streams together", bound="words per cycle", asked=wanted,
                         given=memory.derated, factor=wanted / memory.derated,
                         remedy=f"Intervals {wanted / memory.derated:.4g} times as long fit.")
    order = sorted(demands, key=lambda demand: -demand.rate)
    able = [demand for demand in order
            if demand.stripes and demand.words >= demand.burst * memory.ports]
    attempts = len(able) + 1 if striping and memory.ports > 1 else 1
    found = False
    for count in _some(attempts):
        ports: list[list[_Part]] = [[] for _ in range(memory.ports)]
        for demand in able[:count]:
            assert demand.cycles is not None
            # The first stripes have a burst more where bursts do not come out even.
            cut = striped(demand.cycles, memory.ports, demand.burst)
            for k, (parts, cycles) in enumerate(zip(sorted(ports, key=_load), cut, strict=True)):
                parts.append(_Part(demand=demand, cycles=cycles, stripe=k, stripes=memory.ports))
        for demand in (each for each in order if each not in able[:count]):
            min(ports, key=_load).append(_Part(demand=demand, cycles=demand.cycles))
        loads = [sum(part.rate for part in parts) * (1 + SURPLUS) for parts in ports]
        # What turns and whole bursts cost is known when the table is made.
        if max(loads) <= given:
            found = True
            yield ports
    if found:
        return
    worst = int(np.argmax(loads))
    names = ", ".join(part.demand.name for part in ports[worst])
    raise Infeasible(
        demand=names, bound="words per cycle of one port", asked=loads[worst], given=given,
        factor=loads[worst] / given,
        remedy=f"Intervals {loads[worst] / given:.4g} times as long fit"
               + ("." if striping else ", or streams that are striped over ports."))


class _Port:
    """The search for one port's table."""

    def __init__(self, memory: MemoryTiming, number: int, parts: Sequence[_Part], *,
                 controller: int, most_slots: int):
        self.memory, self.number, self.parts = memory, number, parts
        self.most_slots = most_slots
        self.bursts = [part.demand.burst for part in parts]
        self.costs = [burst / memory.share for burst in self.bursts]
        self.writes = [part.demand.direction == "write" for part in parts]
        self.turn = memory.turnaround if len(set(self.writes)) > 1 else 0
        self.reach = controller + max(memory.latency + memory.jitter, memory.turnaround)
        self.outstanding = _least_outstanding(memory, self.bursts, self.writes, self.reach)
        self.curves = [None if part.cycles is None or not part.words
                       else part.demand.curve(part.stripe, part.stripes) for part in parts]

    def solve(self) -> PortSchedule:
        """The table whose queues are shortest together, of those with groups of some size.

        Raises
        ------
        Infeasible
            If none has few enough slots.
        """
        if not self.parts:
            return PortSchedule(streams=(), table=(), period=1, outstanding=0)
        best: PortSchedule | None = None
        tried = set()
        for group in GROUPS if self.turn else GROUPS[-1:]:
            counts = self._counts(group)
            if counts is None or (counts, self._groups(counts, group)) in tried:
                continue
            tried.add((counts, self._groups(counts, group)))
            found = self._shared_out(counts, group)
            if best is None or _queued(found) < _queued(best):
                best = found
        if best is None:
            raise self._refusal()
        return best

    def _shared_out(self, counts: tuple[int, ...], group: int) -> PortSchedule:
        """These slots, and what else the port could give to those with the longest queues, as long
        as that makes all queues together shorter."""
        best = self._served(counts, self._groups(counts, group))
        for _ in range(IMPROVEMENTS):
            longest = max(range(len(counts)), key=lambda k: best.streams[k].places)
            more = tuple(n + (n // 4 or 1 if k == longest else 0) for k, n in enumerate(counts))
            fitting = self._counts(group, start=more)
            if fitting is None:
                break
            found = self._served(fitting, self._groups(fitting, group))
            if _queued(found) >= _queued(best):
                break
            best, counts = found, fitting
        return best

    def _groups(self, counts: Sequence[int], group: int) -> int:
        written = sum(n for n, writes in zip(counts, self.writes, strict=True) if writes)
        return max(1, -(-written // group))

    def _period(self, counts: Sequence[int], group: int) -> int:
        """Cycles in which all these slots surely fit."""
        turns = 2 * self._groups(counts, group) * self.turn
        busy = sum(n * cost for n, cost in zip(counts, self.costs, strict=True)) + turns
        return math.ceil(busy / (1 - self.memory.refresh_share))

    def _counts(self, group: int, *, factor: float = 1.0,
                start: tuple[int, ...] = ()) -> tuple[int, ...] | None:
        """The slots, at least these, of the shortest period that carries all rates, divided by a
        factor; none where that needs too many."""
        counts = list(start or [1] * len(self.parts))
        while sum(counts) <= self.most_slots:
            period = self._period(counts, group)
            more = [max(n, _slots(part, period, factor))
                    for n, part in zip(counts, self.parts, strict=True)]
            if more == counts:
                return tuple(counts)
            counts = more
        return None

    def _refusal(self) -> Infeasible:
        """Why there is no table, and the least factor by which there is one."""
        low, high = 1.0, 2.0
        while all(self._counts(group, factor=high) is None for group in GROUPS) and high < 1e6:
            low, high = high, 2 * high
        while high - low > 1e-4 * low:
            middle = (low + high) / 2
            fits = any(self._counts(group, factor=middle) is not None for group in GROUPS)
            low, high = (low, middle) if fits else (middle, high)
        given = self.memory.share * (1 - self.memory.refresh_share)
        asked = sum(part.rate for part in self.parts)
        return Infeasible(
            demand=", ".join(part.demand.name for part in self.parts),
            bound=f"words per cycle of port {self.number}, turns and whole bursts taken off",
            asked=asked, given=min(asked / high, given), factor=high,
            remedy=f"Intervals {high:.5g} times as long fit.")

    def _served(self, counts: tuple[int, ...], groups: int) -> PortSchedule:
        """The table of so many slots, and its queues."""
        table, starts, durations = self._order(counts, groups)
        period = math.ceil(durations.sum())
        stretch = period / float(durations.sum())
        starts, durations = starts * stretch, durations * stretch
        streams = []
        for k, (part, curve) in enumerate(zip(self.parts, self.curves, strict=True)):
            demand = part.demand
            own = np.flatnonzero(table == k)
            delay = self._latency(self.bursts[k])
            service = Service.of(starts, durations, own, demand.burst, period)
            needed = 0 if curve is None else service.needed(curve, delay)
            places = max(2, -(-needed // demand.burst)) * demand.burst
            streams.append(StreamSchedule(
                name=demand.name, network=demand.network, direction=demand.direction,
                port=self.number, stripe=part.stripe, stripes=part.stripes, burst=demand.burst,
                slots=len(own), places=places, words=part.words, interval=demand.interval,
                latency=delay, guaranteed=service.rate, needed=needed,
                waits=math.ceil(1 + service.latency(service.rate) + delay)))
        return PortSchedule(streams=tuple(streams), table=tuple(int(k) for k in table),
                            period=period, outstanding=self.outstanding)

    def _latency(self, burst: int) -> int:
        """Cycles from when a slot should start at the latest to when its burst has moved."""
        memory = self.memory
        turns = 0
        if self.turn:
            shortest = sum(min(b for b, writes in zip(self.bursts, self.writes, strict=True)
                               if writes == kind) for kind in (False, True))
            turns = 2 * math.ceil(self.outstanding / shortest) + 1
        # Two words: the share of a span is known to within as many.
        busy = (self.outstanding + burst + 2) / memory.share + turns * self.turn
        return math.ceil(self.reach + busy / (1 - memory.refresh_share) + memory.refresh_cycles)

    def _order(self, counts: Sequence[int],
               groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Earliest deadline first over jobs, the writes of a group being one; the table, when its
        slots start, and how long they take."""
        jobs: list[tuple[float, float, tuple[int, ...]]] = []
        for k, count in enumerate(counts):
            if not (self.turn and self.writes[k]):
                jobs += [(i / count, (i + 1) / count, (k,)) for i in range(count)]
        if self.turn:
            jobs += [(g / groups, (g + 1) / groups, self._group(counts, groups, g))
                     for g in range(groups)]
        jobs.sort()
        unit = 1 / sum(n * cost for n, cost in zip(counts, self.costs, strict=True))
        released: list[tuple[float, float, tuple[int, ...]]] = []
        table: list[int] = []
        now, following = 0.0, 0
        while following < len(jobs) or released:
            while following < len(jobs) and (jobs[following][0] <= now + 1e-9 or not released):
                release, deadline, slots = jobs[following]
                now = max(now, release)
                heapq.heappush(released, (deadline, release, slots))
                following += 1
            slots = heapq.heappop(released)[2]
            table += slots
            now += sum(self.costs[k] for k in slots) * unit
        order = np.array(table)
        writes = np.array(self.writes)[order]
        turned = self.turn * (writes != np.roll(writes, 1))
        durations = (np.array(self.costs)[order] + turned) / (1 - self.memory.refresh_share)
        return order, np.cumsum(durations) - durations, durations

    def _group(self, counts: Sequence[int], groups: int, number: int) -> tuple[int, ...]:
        """The slots of one group of writes, those of each stream spread over it."""
        slots = []
        for k, count in enumerate(counts):
            if self.writes[k]:
                first, last = number * count // groups, (number + 1) * count // groups
                slots += [((i + 0.5) / (last - first), k) for i in range(last - first)]
        return tuple(k for _, k in sorted(slots))


def _least_outstanding(memory: MemoryTiming, bursts: Sequence[int], writes: Sequence[bool],
                       reach: int) -> int:
    """Words under way that last while the next burst's first word comes; a written burst's are
    under way, all of them, until its response is there."""
    held = max((burst for burst, wrote in zip(bursts, writes, strict=True) if wrote), default=0)
    response = memory.latency if held else 0
    return math.ceil(memory.share * (reach + response)) + max(bursts, default=0) + held


def _slots(part: _Part, period: int, factor: float) -> int:
    """Slots that carry its rate, divided by a factor, and the surplus."""
    if not part.words:
        return 1
    wanted = part.words * (1 + SURPLUS) * period / (factor * part.demand.interval)
    return math.ceil(wanted / part.demand.burst)


def _size(ports: Sequence[PortSchedule]) -> int:
    """What all queues take, in words."""
    return sum(_queued(port) + STREAM_WORDS * len(port.streams) for port in ports)


def _queued(port: PortSchedule) -> int:
    return sum(stream.places for stream in port.streams)


def check(schedule: Schedule, memory: MemoryTiming) -> tuple[str, ...]:
    """The bounds of a schedule, each with its figures; asserts that they hold."""
    told = []
    for number, port in enumerate(schedule.ports):
        if not port.table:
            continue
        slots = [port.table.count(k) for k in range(len(port.streams))]
        assert slots == [stream.slots for stream in port.streams]
        writes = [port.streams[k].direction == "write" for k in port.table]
        turns = sum(a != b for a, b in zip(writes, writes[1:] + writes[:1], strict=True))
        busy = (sum(n * stream.burst for n, stream in zip(slots, port.streams, strict=True))
                / memory.share + turns * memory.turnaround)
        needed = busy / (1 - memory.refresh_share)
        assert needed <= port.period * (1 + 1e-12)
        told.append(f"port {number}: {len(port.table)} slots and {turns} turns take "
                    f"{needed:.1f} of {port.period} cycles")
        least = _least_outstanding(memory, [stream.burst for stream in port.streams],
                                   [stream.direction == "write" for stream in port.streams],
                                   memory.latency + memory.jitter)
        assert port.outstanding >= least
        told.append(f"port {number}: {port.outstanding} words under way, {least} are needed")
        for stream in port.streams:
            if stream.words:
                rate = stream.words / stream.interval
                carried = stream.slots * stream.burst / port.period
                assert carried >= rate * (1 + SURPLUS) * (1 - 1e-9)
                told.append(f"{stream.name}: {carried:.6g} words per cycle carry {rate:.6g}")
    carried = sum(stream.words / stream.interval for stream in schedule.streams if stream.words)
    assert carried <= memory.derated
    told.append(f"all: {carried:.6g} of {memory.derated:.6g} words per cycle")
    return tuple(told)
