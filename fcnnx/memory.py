"""What a memory surely does: schedules are proven for it, and the simulated one does it."""

import dataclasses
import math

from fcnnx.boards import Board


__all__ = ["MemoryTiming", "memory_timing"]


# Of DDR3 and DDR4, in nanoseconds: the first word after its request, how much later it may come, a
# refresh and the time from one to the next, and a turn between reads and writes.
FIRST_WORD = 150.0
LATER = 200.0
REFRESH = 350.0
REFRESH_EVERY = 7800.0
TURN = 40.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """The least that a memory behind AXI ports does; schedules are proven for it.

    Each port serves its requests, reads and writes alike, in the order in which it took them. The
    first word of a request moves no later than ``latency + jitter`` cycles after the request was
    taken if the port has nothing older to do; then words move whenever they can, at most one in a
    cycle, and ``share`` of the cycles at least: where words wait, any span of x cycles moves
    ``share * x - 2`` of them. Nothing moves during a refresh, which begins every
    ``refresh_interval`` cycles, nor for ``turnaround`` cycles between a read's word and a write's.
    A write's response comes ``latency`` cycles after its last word at the latest. Ports do not wait
    for each other.

    Parameters
    ----------
    word_bytes : :class:`int`
        Of a port.
    ports : :class:`int`
        Those that are used.
    words_per_cycle : :class:`float`
        Of all ports together, at most one for each; refreshes and turns come off it.
    latency, jitter : :class:`int`
        Cycles.
    refresh_cycles, refresh_interval : :class:`int`
        Cycles of a refresh, and from the start of one to the start of the next.
    turnaround : :class:`int`
        Cycles.
    longest_burst : :class:`int`
        Words.

    Raises
    ------
    ValueError
        If one of them is out of its range.
    """

    word_bytes: int
    ports: int = 1
    words_per_cycle: float = 1.0
    latency: int = 30
    jitter: int = 40
    refresh_cycles: int = 70
    refresh_interval: int = 1560
    turnaround: int = 8
    longest_burst: int = 16

    def __post_init__(self) -> None:
        if self.word_bytes < 1 or self.ports < 1 or self.longest_burst < 1:
            raise ValueError("Bytes of a word, ports and longest burst must be positive, not "
                             f"{self.word_bytes!r}, {self.ports!r} and {self.longest_burst!r}")
        if not 0 < self.words_per_cycle <= self.ports:
            raise ValueError(f"Words per cycle must be between 0 and {self.ports}, one for each "
                             f"port, not {self.words_per_cycle!r}")
        if not 0 <= self.refresh_cycles < self.refresh_interval:
            raise ValueError("A refresh must be shorter than its interval, not "
                             f"{self.refresh_cycles!r} of {self.refresh_interval!r} cycles")
        if min(self.latency, self.jitter, self.turnaround) < 0:
            raise ValueError("Latency, jitter and turnaround must not be negative, not "
                             f"{self.latency!r}, {self.jitter!r} and {self.turnaround!r}")

    @property
    def share(self) -> float:
        """Words per cycle of one port, outside refreshes."""
        return self.words_per_cycle / self.ports

    @property
    def refresh_share(self) -> float:
        """Share of the cycles in which nothing moves."""
        return self.refresh_cycles / self.refresh_interval

    @property
    def derated(self) -> float:
        """Words per cycle of all ports, refreshes taken off."""
        return self.words_per_cycle * (1 - self.refresh_share)


def memory_timing(board: Board, clock_mhz: float,
                  bandwidth_gbps: float | None = None) -> MemoryTiming:
    """The memory of a board as a design of this clock sees it.

    Uses no more ports than the bandwidth fills: fewer tables, and less that is left over on each.

    Parameters
    ----------
    board : :class:`Board`
        One with ports.
    clock_mhz : :class:`float`
    bandwidth_gbps : :class:`float`
        What the user allows, in 10 ** 9 bytes per second; the board's own where it is left out, or
        more.
    """
    reached = board.bandwidth_gbps(clock_mhz)
    if bandwidth_gbps is not None:
        reached = min(reached, bandwidth_gbps)
    word_bytes = board.port_width // 8
    words = reached * 1000 / (word_bytes * clock_mhz)

    def cycles(nanoseconds: float) -> int:
        return math.ceil(nanoseconds * clock_mhz / 1000)

    return MemoryTiming(
        word_bytes=word_bytes, ports=max(1, min(board.ports, math.ceil(words - 1e-9))),
        words_per_cycle=min(words, board.ports), latency=cycles(FIRST_WORD),
        jitter=cycles(LATER), refresh_cycles=cycles(REFRESH),
        refresh_interval=math.floor(REFRESH_EVERY * clock_mhz / 1000), turnaround=cycles(TURN),
        longest_burst=board.burst_beats)
