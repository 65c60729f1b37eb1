"""What a device offers, and what one primitive of it holds."""

import dataclasses
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
        return Resources(**{name: times * amount for name, amount in self.items()})

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

    def dsps(self, a_width: int, b_width: int) -> int:
        """DSPs of one signed product of these widths."""
        wide, narrow = {"xc7": (25, 18), "xcup": (27, 18), "ecp5": (18, 18)}[self.family]
        # Each further word adds a signed word's width less one: its lower words are unsigned.
        return min(math.ceil((a - 1) / (wide - 1)) * math.ceil((b - 1) / (narrow - 1))
                   for a, b in ((a_width, b_width), (b_width, a_width)))

    def bram18(self, width: int, depth: int) -> int:
        """18-kbit blocks of a simple dual-port memory of this size."""
        fits = []
        for block_width, block_depth, blocks in ((36, 512, 1), (18, 1024, 1), (9, 2048, 1),
                                                 (72, 512, 2), (36, 1024, 2), (18, 2048, 2),
                                                 (9, 4096, 2), (4, 8192, 2), (2, 16384, 2)):
            fits.append(math.ceil(width / block_width) * math.ceil(depth / block_depth) * blocks)
        return min(fits)

    def lut_ram(self, width: int, depth: int) -> int:
        """LUTs of a simple dual-port memory of this size made of LUTs (RAM32M: 6 bits in four)."""
        return math.ceil(depth / 32) * 4 * math.ceil(width / 6)
