"""Where a frame waits until it may enter its engine."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import StreamShape


__all__ = ["FrameGate"]


class FrameGate(wiring.Component):
    """Lets a frame's first beat pass no earlier than :py:`pace` cycles after the one before it, and
    only while open; the others pass as they come.

    It is but a gate: a beat passes in the cycle in which it is offered. What a stall delayed is
    never caught up with: the next frame's time counts from when this one really began.

    Parameters
    ----------
    shape : :class:`StreamShape`
    pace : :class:`int`
        Cycles from frame to frame at the least; 0 for none.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    open : :py:`In(1)`
        Holds while a first beat is offered.
    began : :py:`Out(1)`
        A frame's first beat passes.
    starved : :py:`Out(1)`
        A beat could pass, and there is none.
    """

    def __init__(self, shape: StreamShape, *, pace: int = 0):
        self._shape = shape
        self._pace = pace
        super().__init__({
            "i": In(shape.signature), "o": Out(shape.signature),
            "open": In(1), "began": Out(1), "starved": Out(1),
        })

    @staticmethod
    def cost(shape: StreamShape, *, pace: int, device: Device) -> Resources:
        """What it takes."""
        count, wait = (shape.beats - 1).bit_length(), max(0, pace - 1).bit_length()
        return Resources(lut=5 + 6 * (count + wait) // 5, ff=count + wait)

    def elaborate(self, platform):
        m = Module()
        beat = Signal(range(self._shape.beats))
        wait = Signal(range(max(1, self._pace)))
        first, passes, given = Signal(), Signal(), Signal()
        m.d.comb += [
            first.eq(beat == 0),
            passes.eq(~first | (self.open & (wait == 0))),
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & passes),
            self.i.ready.eq(self.o.ready & passes),
            given.eq(self.o.valid & self.o.ready),
            self.began.eq(given & first),
            self.starved.eq(self.o.ready & passes & ~self.i.valid),
        ]
        with m.If(given):
            m.d.sync += beat.eq(Mux(beat == self._shape.beats - 1, 0, beat + 1))
        with m.If(self.began):
            m.d.sync += wait.eq(max(0, self._pace - 1))
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        return m
