"""A memory, its ports' controllers and engines that never wait, cycle by cycle."""

import collections
import dataclasses
import heapq

import numpy as np

from fcnnx.memory import MemoryTiming
from fcnnx.optimizer.schedule import PortSchedule, StreamSchedule


REQUEST, ARRIVAL, SPACE = 3, 5, 3  # cycles in the controller


@dataclasses.dataclass
class Queue:
    """A stream's queue: what is asked for, has come, and is taken (or made, sent and gone)."""

    stream: StreamSchedule
    cycles: list[int]  # of its engine, from its start
    start: int | None = None
    asked: int = 0
    moved: int = 0
    engine: int = 0
    needed: int = 0  # places that were in use, or drawn from
    failed: bool = False

    def __post_init__(self):
        self.reads = self.stream.direction == "read"
        self.seen = collections.deque([0] * SPACE, maxlen=SPACE)  # engine's count, delayed

    def requests(self) -> bool:
        """Whether a burst has its space, or its words."""
        burst, engine = self.stream.burst, self.seen[0]
        if self.reads:
            return self.asked - engine + burst <= self.stream.places
        return engine - self.asked >= burst

    def step(self, now: int) -> None:
        self.seen.append(self.engine)
        if (self.start is None or self.engine == len(self.cycles)
                or self.start + self.cycles[self.engine] != now):
            return
        self.engine += 1
        used = self.engine - self.moved if not self.reads else (
            self.stream.places - self.moved + self.engine)
        self.needed = max(self.needed, used)
        self.failed |= used > self.stream.places


class Port:
    """One in-order memory port, and the walk over its table."""

    def __init__(self, memory: MemoryTiming, plan: PortSchedule, queues: list[Queue], rng,
                 worst: bool):
        self.memory, self.plan, self.queues, self.worst, self.rng = (memory, plan, queues, worst,
                                                                     rng)
        self.slot = int(rng.integers(len(plan.table)))
        self.phase = int(rng.integers(memory.refresh_interval))
        self.pending = collections.deque()  # (queue, words left, earliest)
        self.arriving = collections.deque()
        self.returning = []  # (cycle, words that are no longer under way)
        self.outstanding, self.credit, self.free = 0, 0.0, 0
        self.wrote = False
        self.words = 0

    def step(self, now: int) -> None:
        memory = self.memory
        while self.arriving and self.arriving[0][0] == now:
            self.arriving.popleft()[1].moved += 1
        while self.returning and self.returning[0][0] <= now:
            self.outstanding -= heapq.heappop(self.returning)[1]
        self.credit = min(self.credit + memory.share, 1 + memory.share)
        if (now + self.phase) % memory.refresh_interval >= memory.refresh_cycles and self.pending:
            self._move(now)
        queue = self.queues[self.plan.table[self.slot]]
        if queue.requests():
            burst = queue.stream.burst
            if self.outstanding + burst > self.plan.outstanding:
                return
            jitter = memory.jitter if self.worst else int(self.rng.integers(memory.jitter + 1))
            if not queue.reads:
                jitter = -memory.latency
            queue.asked += burst
            self.outstanding += burst
            self.pending.append([queue, burst, now + REQUEST,
                                 now + REQUEST + memory.latency + jitter])
        self.slot = (self.slot + 1) % len(self.plan.table)

    def _move(self, now: int) -> None:
        head = self.pending[0]
        if head[2] > now:
            return
        writes = not head[0].reads
        if writes != self.wrote:
            self.wrote, self.free = writes, now + self.memory.turnaround
        if now < self.free or now < head[3] or self.credit < 1:
            return
        self.credit -= 1
        self.words += 1
        self.arriving.append((now + ARRIVAL, head[0]))
        head[1] -= 1
        if not writes:
            heapq.heappush(self.returning, (now + ARRIVAL, 1))
        if not head[1]:
            self.pending.popleft()
            if writes:
                answered = now + self.memory.latency + ARRIVAL
                heapq.heappush(self.returning, (answered, head[0].stream.burst))


def run(memory: MemoryTiming, ports, engines, cycles: int, *, seed: int, worst: bool):
    """Run all ports and engines.

    Parameters
    ----------
    engines : by stream name and stripe, cycles of its words from the start of its network
    cycles : after all networks have started

    Returns
    -------
    The queues, and the words that moved per cycle since then.
    """
    rng = np.random.default_rng(seed)
    queues = [[Queue(stream, engines[stream.name, stream.stripe]) for stream in plan.streams]
              for plan in ports]
    runners = [Port(memory, plan, own, rng, worst)
               for plan, own in zip(ports, queues, strict=True) if plan.table]
    everything = [queue for own in queues for queue in own]
    networks = collections.defaultdict(list)
    for queue in everything:
        networks[queue.stream.network].append(queue)
    waits = {network: int(rng.integers(3000)) for network in sorted(networks)}
    now, end, before = 0, None, 0
    while now != end:
        for runner in runners:
            runner.step(now)
        for queue in everything:
            queue.step(now)
        for network in list(waits):
            own = networks[network]
            if now >= waits[network] and all(queue.moved >= queue.stream.places
                                             for queue in own if queue.reads):
                for queue in own:
                    queue.start = now + 1
                del waits[network]
                if not waits:
                    end = now + cycles
                    before = sum(runner.words for runner in runners)
        now += 1
    return everything, (sum(runner.words for runner in runners) - before) / cycles
