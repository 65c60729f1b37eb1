"""What a device offers, and what one primitive of it holds."""

import dataclasses
import functools
import math


__all__ = ["Device", "Resources"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """Amounts of a device's primitives.

    Parameters
    ----------
    dsp : :class:`int`
        DSP48 slices (Xilinx) or 18 x 18 multipliers (ECP5).
    bram18 : :class:`int`
        Block RAMs of 18 kbit; a RAMB36 counts as two.
    uram : :class:`int`
        Ultra RAMs of 288 kbit.
    lut, ff : :class:`int`
        Look-up tables (those used as memory included) and flip-flops.
    """

    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    lut: int = 0
    ff: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(dsp=self.dsp + other.dsp, bram18=self.bram18 + other.bram18,
                         uram=self.uram + other.uram, lut=self.lut + other.lut,
                         ff=self.ff + other.ff)

    def __mul__(self, times: int) -> "Resources":
        return Resources(dsp=times * self.dsp, bram18=times * self.bram18,
                         uram=times * self.uram, lut=times * self.lut, ff=times * self.ff)

    def __sub__(self, other: "Resources") -> "Resources":
        return self + other * -1

    def less(self, other: "Resources") -> "Resources":
        """As many less those of another, and none where that has more."""
        return Resources(**{name: max(0, amount) for name, amount in (self - other).items()})

    def items(self) -> list[tuple[str, int]]:
        """Name and amount of every kind."""
        return [(name, getattr(self, name)) for name in KINDS]

    def fits(self, budget: "Resources") -> bool:
        """Whether no kind exceeds its amount in the budget."""
        return all(amount <= getattr(budget, name) for name, amount in self.items())

    def share(self, budget: "Resources") -> float:
        """The largest share of a kind that is used; infinite where there is none of it."""
        return max((amount / getattr(budget, name) if getattr(budget, name) else math.inf)
                   for name, amount in self.items() if amount) if any(
                       amount for _, amount in self.items()) else 0.0


KINDS = [field.name for field in dataclasses.fields(Resources)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """One FPGA.

    Parameters
    ----------
    name : :class:`str`
        The vendor's name.
    family : :class:`str`
        ``"xc7"``, ``"xcup"`` or ``"ecp5"``, as Yosys names them.
    resources : :class:`Resources`
        All that it has.
    clock_mhz : :class:`float`
        Clock that designs are planned for unless told otherwise.
    """

    name: str
    family: str
    resources: Resources
    clock_mhz: float

    @property
    def packs_products(self) -> bool:
        """Whether one DSP makes two 8-bit products that share an operand."""
        return self.family in ("xc7", "xcup")

    @property
    def wide_tables(self) -> bool:
        """Whether a look-up table has six inputs, and can be a shift register; or four, and
        cannot."""
        return self.family in ("xc7", "xcup")

    def product_luts(self) -> int:
        """Of an 8-bit product that no DSP makes, without the operands' registers."""
        return 64 if self.wide_tables else 125

    def dsps(self, a_width: int, b_width: int) -> int:
        """DSPs of one signed product of these widths."""
        wide, narrow = {"xc7": (25, 18), "xcup": (27, 18), "ecp5": (18, 18)}[self.family]
        # Each further word adds a signed word's width less one: its lower words are unsigned.
        return min(math.ceil((a - 1) / (wide - 1)) * math.ceil((b - 1) / (narrow - 1))
                   for a, b in ((a_width, b_width), (b_width, a_width)))

    def bram18(self, width: int, depth: int) -> int:
        """18-kbit blocks of a simple dual-port memory of this size."""
        return _blocks(self.family, width, depth)[0]

    def block_ram(self, width: int, depth: int) -> Resources:
        """A simple dual-port memory of this size, and the choice between the blocks of which one
        alone is not deep enough."""
        blocks, banks = _blocks(self.family, width, depth)
        return Resources(bram18=blocks, lut=self._choice(width, banks), ff=_bits(banks))

    def lut_ram(self, width: int, depth: int) -> int:
        """LUTs of a simple dual-port memory of this size made of LUTs, and of the choice between
        those of which one alone is not deep enough."""
        luts, banks = _lut_rams(self.family, width, depth)
        return luts + self._choice(width, banks)

    def _choice(self, width: int, banks: int) -> int:
        """LUTs of a word chosen from so many banks, and of which of them is written."""
        if banks == 1:
            return 0
        # Four in one table, more of them joined by what is beside; or two.
        return (width * math.ceil(banks / 4) + banks if self.wide_tables
                else width * math.ceil(banks / 2) + 8 * banks)


# What memories are mapped to, and the prices by which Yosys (memory_libmap) chooses: 18-kbit
# blocks of one primitive, address bits at one bit of width, price, widths.
_XILINX_BLOCKS = ((1, 14, 129, (1, 2, 4, 9, 18, 36)), (2, 15, 257, (1, 2, 4, 9, 18, 36, 72)))
_BLOCK_RAMS = {"xc7": _XILINX_BLOCKS, "xcup": _XILINX_BLOCKS,
               "ecp5": ((1, 14, 128, (1, 2, 4, 9, 18, 36)),)}
# LUTs of one primitive, words, bits of a word, price of one, and price by the share that is used.
_LUT_RAMS = {"xc7": ((4, 32, 6, 1, 7), (4, 64, 3, 1, 7), (2, 32, 1, 0, 2)),
             "xcup": ((8, 32, 14, 0, 16), (8, 64, 7, 0, 16)), "ecp5": ((6, 16, 4, 0, 4),)}


# Memories of the same size are weighed for folding after folding.
@functools.lru_cache(maxsize=1 << 16)
def _blocks(family: str, width: int, depth: int) -> tuple[int, int]:
    """18-kbit blocks of a memory, and how many of them a word's address chooses from."""
    found = []
    for blocks, address, price, widths in _BLOCK_RAMS[family]:
        for narrower, bits in enumerate(widths):
            banks = math.ceil(depth / 2 ** (address - narrower))
            enabled = min(9, bits)  # bits that are written together
            count = math.ceil(banks * math.ceil(width / enabled) * enabled / bits)
            found.append((price * count + _price(width, banks), blocks * count, banks))
    return min(found)[1:]


@functools.lru_cache(maxsize=1 << 16)
def _lut_rams(family: str, width: int, depth: int) -> tuple[int, int]:
    """LUTs of a memory made of them, and how many banks a word's address chooses from."""
    _, banks, count, luts = min(
        (each * count + share * banks * width / bits + _price(width, banks), banks, count, luts)
        for luts, words, bits, each, share in _LUT_RAMS[family]
        for banks in (math.ceil(depth / words),)
        for count in (banks * math.ceil(width / bits),))
    return luts * count, banks


def _price(width: int, banks: int) -> float:
    """What choosing between banks is worth to Yosys."""
    return (banks - 1) * width / 2 + (banks / 2 if banks > 1 else 0)


def _bits(count: int) -> int:
    return (count - 1).bit_length()
