"""What an engine writes to the memory to read it again: how much of it is there."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Resources


__all__ = ["SpillCredit"]


class SpillCredit(wiring.Component):
    """Lets a burst be asked for only after the memory has answered that it is written.

    Parameters
    ----------
    bursts : :class:`int`
        That are written and not yet asked for, at most.

    Members
    -------
    written, asked : :py:`In(1)`
        The response to a burst came, or a burst was granted, in this cycle.
    stored : :py:`Out(1)`
        There is one that was not asked for.
    """

    # From a response to the first slot that can ask for its burst.
    latency = 1

    def __init__(self, bursts: int):
        self._bursts = bursts
        super().__init__({"written": In(1), "asked": In(1), "stored": Out(1)})

    @staticmethod
    def cost(*, bursts: int) -> Resources:
        """What it takes, on any device."""
        count = bursts.bit_length()
        return Resources(lut=count + 2, ff=count + 1)

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self._bursts + 1))
        following = Signal.like(count)
        m.d.comb += following.eq(count + self.written - self.asked)
        m.d.sync += [count.eq(following), self.stored.eq(following != 0)]
        return m
