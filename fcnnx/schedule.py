"""How the ports of a memory serve their streams: what was decided, and proven."""

import dataclasses


__all__ = ["PortSchedule", "Schedule", "StreamSchedule"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamSchedule:
    """One stream on one port.

    Parameters
    ----------
    name, network, direction : :class:`str`
    port : :class:`int`
    stripe, stripes : :class:`int`
        It has every ``stripes``-th burst of each frame, from this one on.
    burst : :class:`int`
        Words.
    slots : :class:`int`
        In a period of its port.
    places : :class:`int`
        Words of its queue.
    words, interval : :class:`int`
        Per frame, and cycles of a frame; 0 where it takes what it gets.
    latency : :class:`int`
        Cycles by which its bursts come later than the table, at most.
    guaranteed : :class:`float`
        Words per cycle.
    needed : :class:`int`
        Words of its queue that are drawn, or waiting, at most: what is proven, and not stored. A
        queue that is read never holds less than the rest of its places.
    waits : :class:`int`
        Cycles after which a burst that may move has moved, at most, if the bursts before it could
        move in time, one after the other at the rate that is guaranteed; not stored either.
    """

    name: str
    network: str
    direction: str
    port: int
    stripe: int
    stripes: int
    burst: int
    slots: int
    places: int
    words: int
    interval: int
    latency: int
    guaranteed: float
    needed: int = dataclasses.field(default=0, compare=False)
    waits: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortSchedule:
    """The table of one port.

    Parameters
    ----------
    streams : tuple of :class:`StreamSchedule`
    table : tuple of :class:`int`
        Which of them each slot is for.
    period : :class:`int`
        Cycles that a turn of the table takes at most, latency aside.
    outstanding : :class:`int`
        Words asked for, and not yet read or responded to, reads and writes together, at most.
    """

    streams: tuple[StreamSchedule, ...]
    table: tuple[int, ...]
    period: int
    outstanding: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """All ports.

    Parameters
    ----------
    ports : tuple of :class:`PortSchedule`
    utilisation : :class:`float`
        Words that the networks take per cycle, by those that the memory gives outside refreshes.
    checked : tuple of :class:`str`
        The bounds that were proven to hold, with their figures.
    """

    ports: tuple[PortSchedule, ...]
    utilisation: float
    checked: tuple[str, ...]

    @property
    def streams(self) -> tuple[StreamSchedule, ...]:
        """Of all ports."""
        return tuple(stream for port in self.ports for stream in port.streams)
