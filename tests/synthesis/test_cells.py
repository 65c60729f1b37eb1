"""What cells count as."""

import pytest

from fcnnx.hdl.device import Resources
from fcnnx.synthesis.cells import amounts, is_primitive


@pytest.mark.parametrize(("family", "cells", "expected"), [
    ("xc7", {"LUT1": 1, "LUT6": 2, "INV": 3, "CARRY4": 9, "MUXF7": 5}, Resources(lut=6)),
    ("xc7", {"RAM32M": 2, "RAM64M": 1, "RAM32X1D": 1, "SRL16E": 3}, Resources(lut=17)),
    ("xcup", {"RAM32M16": 1, "RAM64M8": 2, "URAM288": 1}, Resources(lut=24, uram=1)),
    ("xc7", {"FDRE": 4, "FDSE": 1, "DSP48E1": 2, "RAMB18E1": 1, "RAMB36E1": 2},
     Resources(ff=5, dsp=2, bram18=5)),
    ("ecp5", {"LUT4": 2, "CCU2C": 3, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 7, "MULT18X18D": 1,
              "DP16KD": 2, "PFUMX": 4}, Resources(lut=14, ff=7, dsp=1, bram18=2)),
])
def test_amounts(family, cells, expected):
    assert amounts(family, cells) == expected


def test_modules_are_no_primitives():
    assert is_primitive("xc7", "FDRE")
    assert not is_primitive("xc7", "row_pair")
    assert not is_primitive("ecp5", "FDRE")
