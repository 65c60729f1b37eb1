"""Where a frame waits until it may enter its engine."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import StreamShape


__all__ = ["FrameGate"]


class FrameGate(wiring.Component):
    """Lets a frame's first beat pass no earlier than :py:`pace` cycles after the one before it, and
    only while open; the others pass as they come, or evenly over :py:`spread` cycles at the
    earliest.

    It is but a gate: a beat passes in the cycle in which it is offered. What a stall delayed is
    never caught up with: the next frame's time counts from when this one really began.

    Parameters
    ----------
    shape : :class:`StreamShape`
    pace : :class:`int`
        Cycles from frame to frame at the least; 0 for none.
    spread : :class:`int`
        Beat k of n passes no earlier than this times k / n after the first, rounded up; what was
        late is caught up with. Where it is no more than n, beats pass as they come.

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

    def __init__(self, shape: StreamShape, *, pace: int = 0, spread: int = 0):
        self._shape = shape
        self._pace = pace
        self._spread = spread if 1 < shape.beats < spread else 0
        super().__init__({
            "i": In(shape.signature), "o": Out(shape.signature),
            "open": In(1), "began": Out(1), "starved": Out(1),
        })

    @staticmethod
    def cost(shape: StreamShape, *, pace: int, device: Device, spread: int = 0) -> Resources:
        """What it takes."""
        count, wait = (shape.beats - 1).bit_length(), max(0, pace - 1).bit_length()
        total = Resources(lut=5 + 6 * (count + wait) // 5, ff=count + wait)
        if 1 < shape.beats < spread:
            time = (spread - 1).bit_length()
            total += Resources(lut=4 + 3 * count // 2 + 2 * time, ff=count + time)
        return total

    def elaborate(self, platform):
        m = Module()
        beat = Signal(range(self._shape.beats))
        wait = Signal(range(max(1, self._pace)))
        first, passes, given = Signal(), Signal(), Signal()
        m.d.comb += [
            first.eq(beat == 0),
            passes.eq((~first & self._due(m, first, given)) | (first & self.open & (wait == 0))
                      if self._spread else ~first | (self.open & (wait == 0))),
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

    def _due(self, m, first, given):
        """Whether another beat of the frame may pass: of those whose time has come, one is left."""
        beats = self._shape.beats
        left, time = Signal(range(beats)), Signal(range(self._spread))
        later = Signal(range(self._spread + beats))
        comes = Signal()
        m.d.comb += [later.eq(time + beats), comes.eq(later >= self._spread)]
        with m.If(first):
            m.d.sync += [left.eq(0), time.eq(beats)]
        with m.Else():
            m.d.sync += [left.eq(left + (comes & (left != beats - 1)) - given),
                         time.eq(Mux(comes, later - self._spread, later))]
        return left != 0
