"""Rows of multipliers: weights from memory times a window, summed."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..multiplier import LATENCY, dsp_product, lut_product, with_carry
from .window import delayed


__all__ = ["RowPair", "adder_tree", "input_cost", "join_fields", "pair_cost", "pair_sums",
           "product_cost", "tree_cost", "tree_levels"]


def tree_levels(terms: int) -> int:
    """Registers on the way through an adder tree of so many terms."""
    return math.ceil(math.log2(terms))


def adder_tree(m, name: str, terms: Sequence[Value],
               carries: Sequence[Value] = ()) -> tuple[Value, Sequence[Value]]:
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
    for level in range(tree_levels(len(terms))):
        sums, left = [], list(carries)
        for k in range(0, len(terms), 2):
            pair = terms[k:k + 2]
            width = max(len(term) for term in pair) + len(pair) - 1
            total = Signal(signed(width), name=f"{name}_sum_{level}_{k // 2}", reset_less=True)
            if len(pair) == 1:
                m.d.sync += total.eq(pair[0])
            elif left:
                m.d.sync += total.eq(with_carry(pair[0], pair[1], left.pop(0)))
            else:
                m.d.sync += total.eq(pair[0] + pair[1])
            sums.append(total)
        waiting = []
        for k, carry in enumerate(left):
            held = Signal(name=f"{name}_carry_{level}_{k}", reset_less=True)
            m.d.sync += held.eq(carry)
            waiting.append(held)
        terms, carries = sums, waiting
    return terms[0], carries


@functools.lru_cache(maxsize=4096)
def tree_cost(terms: int, width: int, device: Device, before: int = 0) -> Resources:
    """What an adder tree of so many terms of so many bits takes, each behind so many registers.

    A term that has nothing to be added to passes a level in a register; in three and more in a
    row, synthesis makes shift registers of look-up tables of them, where those can be.
    """
    cost, passed, waiting = Resources(), 0, width
    first = before
    for level in range(tree_levels(terms)):
        adders, odd = divmod(terms, 2)
        if not odd or not passed:
            cost += _passing(passed, waiting, first, device)
            passed, waiting, first = 0, width + level, 0 if level else before
        passed += odd
        cost += Resources(lut=adders, ff=adders) * (width + level + 1)
        terms = adders + odd
    return cost + _passing(passed, waiting, first, device)


def _passing(levels: int, width: int, before: int, device: Device) -> Resources:
    if levels and levels + before >= 3 and device.wide_tables:
        return Resources(lut=width, ff=-before * width)
    return Resources(ff=levels * width)


def sum_cost(width: int, device: Device) -> Resources:
    """What a sum takes that begins anew with some of its terms: small tables add, or choose."""
    return Resources(lut=width if device.wide_tables else 2 * width, ff=width)


def product_cost(kind: str, device: Device) -> Resources:
    """What a multiplier of :class:`RowPair` takes, behind its operands' registers."""
    if kind == "lut":
        return Resources(lut=device.product_luts(), ff=42)
    wide = 25 if kind == "packed" else 8
    # Only in a DSP48E1 does Yosys take registers: the product's two, and the weights' where they
    # are the operand as they come.
    inside = device.family == "xc7"
    taken_in = -8 if kind == "dsp" else 0
    return Resources(dsp=device.dsps(8, wide), ff=taken_in if inside else 2 * (8 + wide))


def input_cost(kind: str, values: int, device: Device) -> Resources:
    """What the register of so many inputs takes."""
    return Resources(ff=0 if kind != "lut" and device.family == "xc7" else 8 * values)


def row_kind(kind: str, rows: int) -> str:
    """What multiplies in so many rows: one row has nothing to share a multiplier with."""
    return "dsp" if kind == "packed" and rows == 1 else kind


@functools.lru_cache(maxsize=4096)
def pair_cost(*, rows: int, columns: int, acc_width: int, kind: str, device: Device) -> Resources:
    """What :func:`pair_sums` takes."""
    kind = row_kind(kind, rows)
    cost = product_cost(kind, device) * (columns * (1 if kind == "packed" else rows))
    cost += input_cost(kind, columns, device)
    # Where no DSP takes them in, a product's registers are there.
    before = 2 if kind != "lut" and device.family != "xc7" else 0
    for row in range(rows):
        # The upper half of a packed product is a bit wider, and waits for the lower one's sign.
        upper = kind == "packed" and row
        cost += tree_cost(columns, 17 if upper else 16, device, before)
        cost += sum_cost(acc_width, device) + Resources(ff=columns if upper else 0)
    return cost


def pair_sums(m, o: Value, x: Value, word: Value, first: Value, *, rows: int, acc_width: int,
              kind: str) -> None:
    """Drive the sums of one or two rows of weights times vectors, :meth:`RowPair.latency` cycles
    after the last vector of each.

    Parameters
    ----------
    o : rows * acc_width bits
        The sums, the first row's in the lowest bits.
    x : signed bytes, the first in the lowest bits
        A step's vector.
    word : as :meth:`RowPair.pack` gives it
        Its weights, a cycle later.
    first : a bit
        With a vector: the first of a sum.
    rows, acc_width, kind
        As in :class:`RowPair`; of one row, no packed ones.
    """
    columns = len(x) // 8
    operand = Signal(8 * columns, name="x", reset_less=True)
    m.d.sync += operand.eq(x)
    products = [_products(m, k, operand.word_select(k, 8).as_signed(),
                          word.word_select(k, len(word) // columns), rows, kind)
                for k in range(columns)]
    starts = delayed(m, "first", first, RowPair.latency(columns) - 1)[-1]
    for row in range(rows):
        carried = [carry for carry in (each[row][1] for each in products) if carry is not None]
        total, carries = adder_tree(m, f"row_{row}", [each[row][0] for each in products], carried)
        sum_ = Signal(signed(acc_width), name=f"acc_{row}", reset_less=True)
        before = Mux(starts, 0, sum_)
        m.d.sync += sum_.eq(with_carry(before, total, *carries) if carries else before + total)
        m.d.comb += o.word_select(row, acc_width).eq(sum_)


def _products(m, k: int, x: Value, word: Value, rows: int,
              kind: str) -> list[tuple[Value, Value | None]]:
    """For each row its product, and a carry that belongs to it; two cycles after x."""
    if kind != "packed":
        make = lut_product if kind == "lut" else dsp_product
        return [(make(m, f"product_{row}_{k}", x, word.word_select(row, 8).as_signed()), None)
                for row in range(rows)]
    both = Cat(word[:8], word[7].replicate(8), word[8:17]).as_signed()
    product = dsp_product(m, f"product_{k}", x, both)
    return [(product[:16].as_signed(), None), (product[16:].as_signed(), product[15])]


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
    block : :class:`bool`
        Weights are in block RAM, however few they are.

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
                 words=None, block: bool = False):
        self._rows = rows
        self._columns = columns
        self._depth = depth
        self._acc_width = acc_width
        self._kind = row_kind(kind, rows)
        self._words = words
        self._block = block
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

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def cost(*, rows: int, columns: int, depth: int, acc_width: int, kind: str, device: Device,
             block: bool = False) -> Resources:
        """What it takes."""
        cost = pair_cost(rows=rows, columns=columns, acc_width=acc_width, kind=kind,
                         device=device)
        count = max(1, (depth - 1).bit_length())
        cost += Resources(lut=count // 2 + 2, ff=count)
        width = RowPair.word_width(rows=rows, columns=columns, kind=kind)
        return cost + LoadedMemory.cost(width=width, depth=depth, device=device, block=block)

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._rows, self._columns
        width = self.word_width(rows=rows, columns=columns, kind=self._kind)
        m.submodules.weights = weights = LoadedMemory(
            width=width, depth=self._depth, words=self._words, file="_weights.mem",
            block=self._block)
        chain_loads(m, self, weights)
        address = Signal(range(max(2, self._depth)))
        with m.If(self.ahead):
            m.d.sync += address.eq(Mux(address == self._depth - 1, 0, address + 1))
        m.d.comb += weights.r_addr.eq(address)

        pair_sums(m, self.o, self.x, weights.r_data, self.first, rows=rows,
                  acc_width=self._acc_width, kind=self._kind)
        return m


def join_fields(fields: np.ndarray, width: int) -> list[int]:
    """Each row of fields as one integer, the first in the lowest bits."""
    bits = (fields[:, :, None] >> np.arange(width) & 1).astype(np.uint8)
    rows = np.packbits(bits.reshape(len(fields), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]
