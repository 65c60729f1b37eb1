"""Rows of multipliers: weights from memory times a window, summed."""

import math

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..multiplier import LATENCY, dsp_product, lut_product, with_carry


__all__ = ["RowPair", "adder_tree", "join_fields", "tree_levels"]


def tree_levels(terms: int) -> int:
    """Registers on the way through an adder tree of so many terms."""
    return math.ceil(math.log2(terms))


def adder_tree(m, name: str, terms: list[Value], carries: list[Value] = ()) -> tuple[Value, list]:
    """Sum of terms, with a register behind each level.

    An adder takes a carry for nothing, so that as many single bits as terms, less one, are added
    on the way.

    Parameters
    ----------
    terms : signed values
    carries : single bits, one for each term at most

    Returns
    -------
    The sum, and those of the carries that are still to be added to it.
    """
    carries = list(carries)
    for level in range(tree_levels(len(terms))):
        sums = []
        for k in range(0, len(terms), 2):
            pair = terms[k:k + 2]
            width = max(len(term) for term in pair) + len(pair) - 1
            total = Signal(signed(width), name=f"{name}_sum_{level}_{k // 2}", reset_less=True)
            if len(pair) == 1:
                m.d.sync += total.eq(pair[0])
            elif carries:
                m.d.sync += total.eq(with_carry(*pair, carries.pop(0)))
            else:
                m.d.sync += total.eq(pair[0] + pair[1])
            sums.append(total)
        waiting = []
        for k, carry in enumerate(carries):
            held = Signal(name=f"{name}_carry_{level}_{k}", reset_less=True)
            m.d.sync += held.eq(carry)
            waiting.append(held)
        terms, carries = sums, waiting
    return terms[0], carries


LUT_PRODUCT = 62  # look-up tables of an 8 x 8 product


def row_kind(kind: str, rows: int) -> str:
    """What multiplies in so many rows: one row has nothing to share a multiplier with."""
    return "dsp" if kind == "packed" and rows == 1 else kind


class RowPair(wiring.Component):
    """One or two rows of a matrix times a vector, a part of the columns in each step.

    Of the kind ``"packed"``, both rows share a multiplier: it makes
    :py:`((high << 16) + low) * x`, whose halves are the two products, the upper one less 1 where
    the lower one is negative. The memory holds the upper weight already so reduced where the lower
    one is negative, so that putting the operand together needs no adder.

    Parameters
    ----------
    rows : :class:`int`
        1 or 2.
    columns : :class:`int`
        Products of a row in one step.
    depth : :class:`int`
        Steps of the whole matrix; steps follow one another in order, for ever.
    acc_width : :class:`int`
        Bits of a sum.
    kind : :class:`str`
        What multiplies: ``"packed"``, a DSP for two rows; ``"dsp"``, one for each; ``"lut"``.
    words : sequence of :class:`int`
        What the weights' memory holds; see :meth:`pack`.

    Members
    -------
    ahead : :py:`In(1)`
        A step, one cycle before its vector.
    first : :py:`In(1)`
        With a step's vector: the first of a sum.
    x : :py:`In(8 * columns)`
        A step's vector: signed bytes, the first in the lowest bits.
    o : :py:`Out(rows * acc_width)`
        The sums, :attr:`latency` cycles after the last step's vector, for one cycle at least.
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The weights' load chain.
    """

    def __init__(self, *, rows: int, columns: int, depth: int, acc_width: int, kind: str,
                 words=None):
        self._rows = rows
        self._columns = columns
        self._depth = depth
        self._acc_width = acc_width
        self._kind = row_kind(kind, rows)
        self._words = words
        super().__init__({
            "ahead": In(1), "first": In(1), "x": In(8 * columns),
            "o": Out(rows * acc_width), "load": In(Load), "load_o": Out(Load),
        })

    @staticmethod
    def latency(columns: int) -> int:
        """Cycles from a vector to its sum: operands, two for the product, tree, accumulator."""
        return 2 + LATENCY + tree_levels(columns)

    @staticmethod
    def word_width(*, rows: int, columns: int, kind: str) -> int:
        """Bits of the weights of a step."""
        return columns * (17 if row_kind(kind, rows) == "packed" else 8 * rows)

    @classmethod
    def pack(cls, weights: np.ndarray, kind: str) -> list[int]:
        """Words of the memory for weights of shape (steps, rows, columns)."""
        if row_kind(kind, weights.shape[1]) == "packed":
            high, low = weights[:, 1], weights[:, 0]
            fields = (low & 0xFF) | ((high - (low < 0)) & 0x1FF) << 8
            return join_fields(fields, 17)
        return join_fields(weights.transpose(0, 2, 1).reshape(len(weights), -1) & 0xFF, 8)

    @classmethod
    def cost(cls, *, rows: int, columns: int, depth: int, acc_width: int, kind: str,
             device: Device) -> Resources:
        """What it takes."""
        kind = row_kind(kind, rows)
        tree = rows * sum(math.ceil(columns / 2 ** (level + 1)) * (17 + level)
                          for level in range(tree_levels(columns)))
        arithmetic = Resources(
            dsp={"packed": columns, "dsp": rows * columns, "lut": 0}[kind],
            lut=tree + rows * acc_width + 20 + (LUT_PRODUCT * rows * columns if kind == "lut"
                                                else 0),
            ff=tree + rows * acc_width + 8 * columns + columns // 2 + 30)
        width = cls.word_width(rows=rows, columns=columns, kind=kind)
        return arithmetic + LoadedMemory.cost(width=width, depth=depth, device=device)

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._rows, self._columns
        width = self.word_width(rows=rows, columns=columns, kind=self._kind)
        m.submodules.weights = weights = LoadedMemory(
            width=width, depth=self._depth, words=self._words, file="_weights.mem")
        chain_loads(m, self, weights)
        address = Signal(range(max(2, self._depth)))
        with m.If(self.ahead):
            m.d.sync += address.eq(Mux(address == self._depth - 1, 0, address + 1))
        m.d.comb += weights.r_addr.eq(address)

        x = Signal(8 * columns, reset_less=True)
        m.d.sync += x.eq(self.x)
        products = [self._products(m, k, x.word_select(k, 8).as_signed(),
                                   weights.r_data.word_select(k, width // columns))
                    for k in range(columns)]
        first = self.first
        for k in range(self.latency(columns) - 1):
            delayed = Signal(name=f"first_{k + 1}", reset_less=True)
            m.d.sync += delayed.eq(first)
            first = delayed
        for row in range(rows):
            total, carries = adder_tree(m, f"row_{row}", [each[row][0] for each in products],
                                        [each[row][1] for each in products if each[row][1]
                                         is not None])
            sum_ = Signal(signed(self._acc_width), name=f"acc_{row}", reset_less=True)
            before = Mux(first, 0, sum_)
            m.d.sync += sum_.eq(with_carry(before, total, *carries) if carries else before + total)
            m.d.comb += self.o.word_select(row, self._acc_width).eq(sum_)
        return m

    def _products(self, m, k: int, x: Value, word: Value) -> list[tuple[Value, Value | None]]:
        """For each row its product, and a carry that belongs to it; two cycles after x."""
        if self._kind != "packed":
            product = lut_product if self._kind == "lut" else dsp_product
            return [(product(m, f"product_{row}_{k}", x, word.word_select(row, 8).as_signed()),
                     None) for row in range(self._rows)]
        both = Cat(word[:8], word[7].replicate(8), word[8:17]).as_signed()
        product = dsp_product(m, f"product_{k}", x, both)
        return [(product[:16].as_signed(), None), (product[16:].as_signed(), product[15])]


def join_fields(fields: np.ndarray, width: int) -> list[int]:
    """Each row of fields as one integer, the first in the lowest bits."""
    bits = (fields[:, :, None] >> np.arange(width) & 1).astype(np.uint8)
    rows = np.packbits(bits.reshape(len(fields), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]
