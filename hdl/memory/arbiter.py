"""Who may ask the memory next, in turn."""

from amaranth import *
from amaranth.lib import wiring

from ..device import Resources
from .scheduler import policy_signature


__all__ = ["RoundRobin"]


class RoundRobin(wiring.Component):
    """The next stream that has a burst, after the one that was served last.

    A stream with a burst is served after each of the others at most once.

    Parameters
    ----------
    streams : :class:`int`

    Members
    -------
    Those of :func:`policy_signature`.
    """

    def __init__(self, streams: int):
        super().__init__(policy_signature(streams))

    @staticmethod
    def cost(*, streams: int) -> Resources:
        """What it takes, on any device."""
        return Resources(lut=6 * streams, ff=streams)

    def elaborate(self, platform):
        m = Module()
        streams = len(self.select)
        behind, pool = Signal(streams), Signal(streams)
        m.d.comb += [
            pool.eq(Mux((self.requests & behind).any(), self.requests & behind, self.requests)),
            self.select.eq(pool & -pool),  # the lowest
            self.grant.eq(self.select & self.room),
        ]
        with m.If(self.grant.any()):
            m.d.sync += behind.eq(~(self.select | (self.select - 1)))
        return m
