"""The way of a stream to the memory and back: how late it is at most."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Self

import numpy as np

from fcnnx.memory import MemoryTiming
from fcnnx.schedule import PortSchedule, Schedule, StreamSchedule

from .curves import one_by_one


__all__ = ["Way", "told"]


HANDLING = 16  # cycles outside of queues and ports


@dataclasses.dataclass(frozen=True)
class Way:
    """How late bursts are that are written to be read again; by default, not at all.

    Parameters
    ----------
    delays : pair of :class:`float`
        Cycles after which a burst that has left is written, and one that is written is back, at
        most, if those before it were in time.
    steps : pair of :class:`float`
        Cycles from burst to burst, of those that have to wait for one another.
    """

    delays: tuple[float, float] = (0.0, 0.0)
    steps: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, spilled: StreamSchedule, refilled: StreamSchedule, memory: MemoryTiming) -> Self:
        """As ports serve both: a burst is written, its response comes, and then it is read."""
        response = memory.latency + memory.jitter + HANDLING
        return cls(delays=(spilled.waits + response, refilled.waits),
                   steps=(spilled.burst / spilled.guaranteed, refilled.burst / refilled.guaranteed))

    def back(self, left: np.ndarray) -> np.ndarray:
        """When bursts are back, at the latest, that have left in these cycles."""
        for delay, step in zip(self.delays, self.steps, strict=True):
            left = one_by_one(left, step) + delay
        return np.ceil(left).astype(np.int64)

    def covers(self, other: Self) -> bool:
        """Whether it is nowhere shorter."""
        return all(mine >= theirs for mine, theirs in zip(
            self.delays + self.steps, other.delays + other.steps, strict=True))

    def longest(self, other: Self) -> Self:
        """What covers both."""
        def most(ours: tuple[float, float], theirs: tuple[float, float]) -> tuple[float, float]:
            return max(ours[0], theirs[0]), max(ours[1], theirs[1])
        return type(self)(most(self.delays, other.delays), most(self.steps, other.steps))


def told(schedule: Schedule, ways: Mapping[str, Way]) -> Schedule:
    """The schedule with what is proven of streams that come back, by their names: not that
    something of them always waits in their queues, but that each beat is there in time."""
    def port(each: PortSchedule) -> PortSchedule:
        return dataclasses.replace(each, streams=tuple(
            dataclasses.replace(stream, needed=0) if stream.name in ways else stream
            for stream in each.streams))

    lines = [f"{name}: a burst is written {math.ceil(way.delays[0])} cycles after it has left, and "
             f"back after {math.ceil(way.delays[1])} more; those that wait for one another follow "
             f"every {max(way.steps):.1f} cycles; nothing waits for them"
             for name, way in ways.items()]
    return dataclasses.replace(schedule, ports=tuple(map(port, schedule.ports)),
                               checked=(*schedule.checked, *lines))
