"""One stream over several ports: its bursts go to each of them in turn."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..device import Resources


__all__ = ["StripeMerge", "StripeSplit"]


class StripeMerge(wiring.Component):
    """The words of a stream, of whose frames each port has read every so many-th burst.

    It is but a switch: a word passes in the cycle in which it is offered.

    Parameters
    ----------
    width : :class:`int`
        Bits of a word.
    burst, words : :class:`int`
        Words of a burst; of a frame, whole bursts. The first port has the first burst of each.
    stripes : :class:`int`
        Ports: two or more, and no more than a frame has bursts.

    Members
    -------
    i_0, i_1, ... : :py:`In(stream.Signature(width))`
    o : :py:`Out(stream.Signature(width))`
    """

    def __init__(self, width: int, *, burst: int, words: int, stripes: int):
        assert words % burst == 0
        assert 2 <= stripes <= words // burst
        self._burst, self._words, self._stripes = burst, words, stripes
        port = stream.Signature(width)
        super().__init__({f"i_{k}": In(port) for k in range(stripes)} | {"o": Out(port)})

    @staticmethod
    def cost(width: int, *, burst: int, words: int, stripes: int) -> Resources:
        """What it takes, on any device."""
        turn = _turn_cost(burst=burst, words=words, stripes=stripes)
        return turn + Resources(lut=(width + 1) * -(-stripes // 3) + stripes)

    def elaborate(self, platform):
        m = Module()
        chosen = _turns(m, self.o.valid & self.o.ready, burst=self._burst, words=self._words,
                        stripes=self._stripes)
        word, there = C(0, len(self.o.payload)), C(0)
        for k in range(self._stripes):
            port = getattr(self, f"i_{k}")
            m.d.comb += port.ready.eq(self.o.ready & chosen[k])
            word |= port.payload & chosen[k].replicate(len(word))
            there |= port.valid & chosen[k]
        m.d.comb += [self.o.valid.eq(there), self.o.payload.eq(word)]
        return m


class StripeSplit(wiring.Component):
    """The inverse of :class:`StripeMerge`, for what is written.

    Parameters and members are the same, with the ports' side as outputs.

    Members
    -------
    i : :py:`In(stream.Signature(width))`
    o_0, o_1, ... : :py:`Out(stream.Signature(width))`
    """

    def __init__(self, width: int, *, burst: int, words: int, stripes: int):
        assert words % burst == 0
        assert 2 <= stripes <= words // burst
        self._burst, self._words, self._stripes = burst, words, stripes
        port = stream.Signature(width)
        super().__init__({"i": In(port)} | {f"o_{k}": Out(port) for k in range(stripes)})

    @staticmethod
    def cost(*, burst: int, words: int, stripes: int) -> Resources:
        """What it takes, on any device."""
        turn = _turn_cost(burst=burst, words=words, stripes=stripes)
        return turn + Resources(lut=2 * stripes)

    def elaborate(self, platform):
        m = Module()
        chosen = _turns(m, self.i.valid & self.i.ready, burst=self._burst, words=self._words,
                        stripes=self._stripes)
        room = C(0)
        for k in range(self._stripes):
            port = getattr(self, f"o_{k}")
            m.d.comb += [port.valid.eq(self.i.valid & chosen[k]), port.payload.eq(self.i.payload)]
            room |= port.ready & chosen[k]
        m.d.comb += self.i.ready.eq(room)
        return m


def _turn_cost(*, burst: int, words: int, stripes: int) -> Resources:
    bursts = words // burst
    frame = (bursts - 1).bit_length() if bursts % stripes else 0
    bits = (burst - 1).bit_length() + frame
    return Resources(lut=3 * bits // 2 + stripes, ff=bits + stripes)


def _turns(m, passes, *, burst: int, words: int, stripes: int):
    """Whose the next word is, one-hot: from the first again with each frame."""
    chosen = Signal(stripes, init=1)
    word, number = Signal(range(burst)), Signal(range(words // burst))
    last = word == burst - 1
    with m.If(passes):
        m.d.sync += word.eq(word + 1)
        with m.If(last):
            m.d.sync += chosen.eq(chosen.rotate_left(1))
            if words // burst % stripes:
                m.d.sync += number.eq(number + 1)
                with m.If(number == words // burst - 1):
                    m.d.sync += [number.eq(0), chosen.eq(1)]
    return chosen
