"""From words of the memory to the load chain that fills the memories on chip."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load


__all__ = ["Loader"]


class Loader(wiring.Component):
    """Deals words out to a load chain, 32 bits in a cycle, the lowest first.

    Parameters
    ----------
    width : :class:`int`
        Bits of a word of the memory, a multiple of 32.
    words : :class:`int`
        Of all that is loaded.
    settle : :class:`int`
        Cycles that the chain takes to pass on what came last.

    Members
    -------
    i : :py:`In(stream.Signature(width))`
    load : :py:`Out(Load)`
    done : :py:`Out(1)`
        Up for a cycle, when all is in place.
    """

    def __init__(self, *, width: int, words: int, settle: int):
        self._width = width
        self._words = words
        self._settle = settle
        super().__init__({"i": In(stream.Signature(width)), "load": Out(Load), "done": Out(1)})

    @staticmethod
    def cost(*, width: int, device: Device) -> Resources:
        """What it takes."""
        return Resources(lut=width + 40, ff=width + 70)

    def elaborate(self, platform):
        m = Module()
        parts = self._width // 32
        rest = Signal(self._width, reset_less=True)
        left = Signal(range(parts + 1))
        m.d.comb += self.i.ready.eq(left <= 1)
        taken = self.i.valid & self.i.ready
        with m.If(taken):
            m.d.sync += [rest.eq(self.i.payload), left.eq(parts)]
        with m.Elif(left != 0):
            m.d.sync += [rest.eq(rest >> 32), left.eq(left - 1)]
        m.d.sync += [self.load.valid.eq(left != 0), self.load.data.eq(rest[:32])]

        came = Signal(range(self._words))
        last = came == self._words - 1
        with m.If(taken):
            m.d.sync += came.eq(Mux(last, 0, came + 1))
        wait = Signal(range(self._settle + parts + 1))
        m.d.sync += self.done.eq(wait == 1)
        with m.If(taken & last):
            m.d.sync += wait.eq(self._settle + parts)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        return m
