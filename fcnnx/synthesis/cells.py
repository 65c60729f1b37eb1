"""What the cells that Yosys maps to are on a device."""

import re
from collections.abc import Mapping

from fcnnx.hdl.device import Resources


__all__ = ["amounts", "is_primitive"]


# Resources of a cell, by family and name; the first pattern that fits the whole name counts.
# Memories of LUTs take those of the slices that they lie in, carry chains of ECP5 two LUTs a cell.
XILINX = (
    (r"LUT[1-6]|INV", Resources(lut=1)),
    (r"SRL16E|SRLC16E|SRLC32E", Resources(lut=1)),
    (r"RAM(32|64)X1D", Resources(lut=2)),
    (r"RAM128X1D", Resources(lut=4)),
    (r"RAM(32|64)M", Resources(lut=4)),
    (r"RAM32M16|RAM64M8", Resources(lut=8)),
    (r"FD[RSCP]E(_1)?|LD[CP]E", Resources(ff=1)),
    (r"DSP48E[12]", Resources(dsp=1)),
    (r"RAMB18E[12]", Resources(bram18=1)),
    (r"RAMB36E[12]", Resources(bram18=2)),
    (r"URAM288", Resources(uram=1)),
    (r"CARRY[48]|MUXF[789]|BUFG|[IO]BUF", Resources()),
)
ECP5 = (
    (r"LUT4", Resources(lut=1)),
    (r"CCU2C", Resources(lut=2)),
    (r"TRELLIS_DPR16X4", Resources(lut=6)),
    (r"TRELLIS_FF", Resources(ff=1)),
    (r"MULT18X18D", Resources(dsp=1)),
    (r"DP16KD|PDPW16KD", Resources(bram18=1)),
    (r"PFUMX|L6MUX21|TRELLIS_IO", Resources()),
)
FAMILIES = {"xc7": XILINX, "xcup": XILINX, "ecp5": ECP5}


def _cost(family: str, cell: str) -> Resources | None:
    for pattern, resources in FAMILIES[family]:
        if re.fullmatch(pattern, cell):
            return resources
    return None


def is_primitive(family: str, cell: str) -> bool:
    """Whether a cell is one of the device's."""
    return _cost(family, cell) is not None


def amounts(family: str, cells: Mapping[str, int]) -> Resources:
    """What the device's own cells among these take; others count nothing."""
    total = Resources()
    for cell, times in cells.items():
        total += (_cost(family, cell) or Resources()) * times
    return total
