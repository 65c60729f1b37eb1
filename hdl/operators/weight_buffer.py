"""Rows of multipliers whose weights are written while others are read."""

from collections.abc import Set

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory
from ..operator import StreamShape
from .beats import count_steps
from .matvec import RowPair, pair_cost, pair_sums
from .window import delayed


__all__ = ["StreamedPair", "WeightFeed"]


class WeightFeed(wiring.Component):
    """Takes the beats of weights, and leads them to the pairs' memories.

    A beat is the weights of one step of one pair, pairs in turn; so many are a group. Each memory
    holds two groups: one that is used and one that comes in.

    Parameters
    ----------
    shape : :class:`StreamShape`
        Of the weights: a beat has the columns of one row, or of one row and then the other.
    columns, pairs, steps : :class:`int`
        Weights of a row in a step, pairs, steps of a group.
    gap : :class:`int`
        Cycles from a beat to the next, at the least.

    Members
    -------
    i : :py:`In(stream.Signature(...))`
    enough : :py:`Out(1)`
        Whether a group is there; of registers alone.
    release : :py:`In(1)`
        It is used for the last time from here on.
    w_en : :py:`Out(pairs)`
        Which pair's memory is written.
    plain, packed : :py:`Out(...)`
        What is written: for each column the rows' weights side by side, or together the operand of
        a shared multiplier.
    """

    def __init__(self, shape: StreamShape, *, columns: int, pairs: int, steps: int, gap: int = 1):
        self._columns = columns
        self._pairs = pairs
        self._steps = steps
        self._gap = gap
        self._rows = rows = shape.elements // columns
        super().__init__({
            "i": In(shape.signature), "enough": Out(1), "release": In(1),
            "w_en": Out(pairs), "plain": Out(8 * rows * columns), "packed": Out(17 * columns),
        })

    @staticmethod
    def cost(*, rows: int, columns: int, pairs: int, steps: int, kinds: Set[str],
             gap: int = 1) -> Resources:
        """What it takes, for pairs of these kinds."""
        bits = 8 * rows * columns
        count = (pairs * steps - 1).bit_length() + (pairs - 1).bit_length()
        cost = Resources(lut=18, ff=count + pairs + 4)
        if gap > 1:
            rest = (gap - 1).bit_length()
            cost += Resources(lut=2 * rest, ff=rest + 1)
        # Three registers in a row become shift registers of look-up tables; the weights from which
        # an operand is put together are not in a row.
        if "packed" not in kinds:
            return cost + Resources(lut=bits, ff=bits)
        return cost + Resources(lut=31 * columns // 2,
                                ff=(29 if kinds == {"packed"} else 45) * columns)

    def elaborate(self, platform):
        m = Module()
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        _, complete = count_steps(m, "beat", taken, self._pairs * self._steps)
        filled = Signal(range(3))
        m.d.comb += [self.i.ready.eq((filled != 2) & self._rested(m, taken)),
                     self.enough.eq(filled != 0)]
        m.d.sync += filled.eq(filled + complete - self.release)

        # Three registers: a place is written only after what it held has been read.
        columns, rows = self._columns, self._rows
        valid = delayed(m, "valid", taken, 2, reset=True)
        pair, _ = count_steps(m, "pair", valid[-1], self._pairs)
        m.d.sync += self.w_en.eq(Mux(valid[-1], 1 << pair, 0))
        word = Signal(len(self.plain), reset_less=True)
        m.d.sync += word.eq(Value.cast(self.i.payload))
        weights = [[word.word_select(row * columns + k, 8) for row in range(rows)]
                   for k in range(columns)]
        m.d.comb += self.plain.eq(delayed(m, "plain", Cat(weights), 2)[-1])
        if rows == 2:
            operands = []
            for low, high in weights:
                # The upper product is one less where the lower one is negative.
                upper = Signal(signed(9), name=f"upper_{len(operands)}")
                m.d.comb += upper.eq(high.as_signed() - low[7])
                operands.append(Cat(low, upper))
            m.d.comb += self.packed.eq(delayed(m, "packed", Cat(operands), 2)[-1])
        return m


    def _rested(self, m, taken: Value) -> Value:
        """Whether the last beat was taken so many cycles ago."""
        if self._gap == 1:
            return Const(1, 1)
        left, rested = Signal(range(self._gap)), Signal(init=1)
        m.d.sync += rested.eq(left <= 1)
        with m.If(taken):
            m.d.sync += [left.eq(self._gap - 1), rested.eq(0)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return rested


class StreamedPair(wiring.Component):
    """One or two rows of a matrix times vectors, as :class:`RowPair`, whose weights come in while
    others are used.

    Parameters
    ----------
    rows : :class:`int`
        1 or 2.
    columns : :class:`int`
        Products of a row in one step.
    steps : :class:`int`
        Steps of a sum; the memory holds the weights of twice as many.
    acc_width : :class:`int`
        Bits of a sum.
    kind : :class:`str`
        What multiplies: ``"packed"``, a DSP for two rows; ``"dsp"``, one for each; ``"lut"``.

    Members
    -------
    ahead, last, turn : :py:`In(1)`
        One cycle before a step's vector: a step, a sum's last one, the last one with these weights.
    first : :py:`In(1)`
        With a step's vector: the first of a sum.
    x : :py:`In(8 * columns)`
        A step's vector: signed bytes, the first in the lowest bits.
    o : :py:`Out(rows * acc_width)`
        The sums, :meth:`latency` cycles after the last step's vector, for one cycle at least.
    w_en, w_data : :py:`In`
        The weights of the next step, as :class:`WeightFeed` gives them.
    """

    def __init__(self, *, rows: int, columns: int, steps: int, acc_width: int, kind: str):
        self._rows = rows
        self._steps = steps
        self._acc_width = acc_width
        self._kind = kind
        super().__init__({
            "ahead": In(1), "last": In(1), "turn": In(1), "first": In(1), "x": In(8 * columns),
            "o": Out(rows * acc_width),
            "w_en": In(1), "w_data": In(self.word_width(rows=rows, columns=columns, kind=kind)),
        })

    latency = staticmethod(RowPair.latency)
    word_width = staticmethod(RowPair.word_width)

    @classmethod
    def cost(cls, *, rows: int, columns: int, steps: int, acc_width: int, kind: str,
             device: Device) -> Resources:
        """What it takes."""
        cost = pair_cost(rows=rows, columns=columns, acc_width=acc_width, kind=kind,
                         device=device)
        count = (2 * steps - 1).bit_length()
        cost += Resources(lut=2 * count + 2, ff=2 * count + 1)
        width = cls.word_width(rows=rows, columns=columns, kind=kind)
        return cost + DualPortMemory.cost(width=width, depth=2 * steps, device=device)

    def elaborate(self, platform):
        m = Module()
        steps = self._steps
        m.submodules.weights = weights = DualPortMemory(width=len(self.w_data), depth=2 * steps)
        written, _ = count_steps(m, "w_address", self.w_en, 2 * steps)
        address = Signal(range(2 * steps))
        upper = Signal()
        with m.If(self.ahead):
            m.d.sync += [upper.eq(upper ^ self.turn),
                         address.eq(Mux(self.last, Mux(upper ^ self.turn, steps, 0), address + 1))]
        m.d.comb += [weights.w_en.eq(self.w_en), weights.w_addr.eq(written),
                     weights.w_data.eq(self.w_data), weights.r_addr.eq(address)]

        pair_sums(m, self.o, self.x, weights.r_data, self.first, rows=self._rows,
                  acc_width=self._acc_width, kind=self._kind)
        return m
