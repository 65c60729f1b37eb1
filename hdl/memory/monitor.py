"""What crosses a port of the memory, and whether the memory still answers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..device import Device, Resources
from .axi import Axi


__all__ = ["PortMonitor"]


# Bits of the bursts that can be asked for and not answered.
_BURSTS = 9


class PortMonitor(wiring.Component):
    """Looks on at an AXI port.

    Parameters
    ----------
    axi : :class:`Axi`
    timeout : :class:`int`
        Cycles without any answer, while one is owed, after which the memory counts as stalled; each
        side, reading and writing, on its own. 2 or more.

    Members
    -------
    NAME : :py:`In(1)`
        The signals of these names of the port: see :attr:`watched`.
    read_bytes, written_bytes : :py:`Out`
        What crosses in this cycle.
    busy : :py:`Out(1)`
        Whether anything does.
    stalled : :py:`Out(1)`
        Up for a cycle when the time has passed, once until the memory answers again.
    """

    watched = ("arvalid", "arready", "rvalid", "rready", "rlast",
               "awvalid", "awready", "wvalid", "wready", "bvalid", "bready")

    def __init__(self, axi: Axi, *, timeout: int):
        if timeout < 2:
            raise ValueError(f"Timeout must be 2 or more cycles, not {timeout!r}")
        self._axi = axi
        self._timeout = timeout
        size = axi.word_bytes.bit_length()
        super().__init__({name: In(1) for name in self.watched} | {
            "read_bytes": Out(size), "written_bytes": Out(size), "busy": Out(1),
            "stalled": Out(1)})

    @staticmethod
    def cost(*, timeout: int, device: Device) -> Resources:
        """What it takes."""
        count = ceil_log2(timeout + 1)
        return Resources(lut=6 * _BURSTS + 6, ff=2 * (count + _BURSTS) + 1)

    def elaborate(self, platform):
        m = Module()
        read, written = self.rvalid & self.rready, self.wvalid & self.wready
        m.d.comb += [
            self.read_bytes.eq(Mux(read, self._axi.word_bytes, 0)),
            self.written_bytes.eq(Mux(written, self._axi.word_bytes, 0)),
            self.busy.eq(read | written),
        ]
        answered = self.bvalid & self.bready
        reading = self._late(m, "reading", asks=self.arvalid, asked=self.arvalid & self.arready,
                             ends=read & self.rlast, moves=read)
        writing = self._late(m, "writing", asks=self.awvalid | self.wvalid,
                             asked=self.awvalid & self.awready, ends=answered,
                             moves=written | answered)
        m.d.sync += self.stalled.eq(reading | writing)
        return m

    def _late(self, m, side, *, asks, asked, ends, moves):
        """Whether one side waits for the memory since so many cycles."""
        owed = Signal(_BURSTS, name=f"{side}_owed")
        waited = Signal(range(self._timeout + 1), name=f"{side}_waited")
        waits = (asks | (owed != 0)) & ~moves & ~asked
        # An answer to what was asked for before a reset is owed to nobody.
        m.d.sync += owed.eq(owed + asked - (ends & ((owed != 0) | asked)))
        with m.If(~waits):
            m.d.sync += waited.eq(0)
        with m.Elif(waited != self._timeout):
            m.d.sync += waited.eq(waited + 1)
        return waits & (waited == self._timeout - 1)
