"""Who may ask the memory next, by a table that was made when the design was."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..device import Device, Resources


__all__ = ["Scheduler", "policy_signature"]


def policy_signature(streams: int) -> wiring.Signature:
    """What chooses between so many streams.

    Members
    -------
    requests : :py:`In(streams)`
        Those that have a burst: space is reserved for what is read, what is written is all there.
    room : :py:`In(streams)`
        Those of which the memory would take one.
    select : :py:`Out(streams)`
        The one that it looks at, one-hot.
    grant : :py:`Out(streams)`
        It too, where its burst is issued in this cycle.
    """
    return wiring.Signature({"requests": In(streams), "room": In(streams),
                             "select": Out(streams), "grant": Out(streams)})


class Scheduler(wiring.Component):
    """Walks a table of slots for ever: a slot a cycle.

    A slot whose stream has no burst is passed over in its one cycle; one whose burst the memory
    does not take yet waits for it. So a stream with a burst is served within a period of the table,
    plus the cycles for which the memory makes it wait.

    Parameters
    ----------
    streams : :class:`int`
    table : sequence of :class:`int`
        The stream of each slot.

    Members
    -------
    Those of :func:`policy_signature`.
    """

    def __init__(self, streams: int, table: Sequence[int]):
        self._table = tuple(table) * (2 if len(table) == 1 else 1)  # its address has a bit
        super().__init__(policy_signature(streams))

    @staticmethod
    def cost(*, streams: int, slots: int, device: Device) -> Resources:
        """What it takes."""
        count, index = ceil_log2(slots), ceil_log2(streams)
        rom = index * max(1, slots // 64) if slots > 1 else 0
        return Resources(lut=rom + 2 * count + 2 * streams, ff=count + streams)

    def elaborate(self, platform):
        m = Module()
        streams, table = len(self.select), self._table
        advance = Signal()
        m.d.comb += [
            self.grant.eq(self.select & self.requests & self.room),
            advance.eq(~(self.select & self.requests & ~self.room).any()),
        ]
        # The register of the stream is a slot ahead of the table's.
        chosen = Signal(streams, init=1 << table[0])
        m.d.comb += self.select.eq(chosen)
        m.submodules.table = rom = memory.Memory(
            shape=max(1, ceil_log2(streams)), depth=len(table), init=list(table))
        port = rom.read_port(domain="comb")
        following = Signal(range(len(table)), init=1)
        m.d.comb += port.addr.eq(following)
        with m.If(advance):
            m.d.sync += [
                chosen.eq(Cat(port.data == k for k in range(streams))),
                following.eq(Mux(following == len(table) - 1, 0, following + 1)),
            ]
        return m
