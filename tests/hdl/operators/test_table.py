"""Tables: every value, every cycle."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.table import Table
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows=3, columns=3, channels=5, *, lanes=1, width=8, signed=True, width_out=8,
         signed_out=True):
    shape = {"rows": rows, "columns": columns, "channels": channels}
    output = FeatureMap(**shape, width=width_out, signed=signed_out)
    values = np.random.default_rng(3).integers(output.low, output.high + 1, 1 << width)
    return Table(input=FeatureMap(**shape, width=width, signed=signed), output=output,
                 values=Constants(values), lanes=lanes)


SPECS = [
    make(lanes=2),
    make(lanes=5, signed=False),
    make(channels=1, columns=8, signed_out=False),
    make(channels=4, lanes=3, width=4, width_out=12),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    x = np.random.default_rng(1).integers(spec.input.low, spec.input.high + 1,
                                          (3, *spec.input.shape))
    check_operator(spec, [x], offering=offering, taking=taking)


@pytest.mark.parametrize("signed", [False, True])
def test_every_input(signed):
    spec = make(rows=16, columns=16, channels=1, signed=signed)
    x = np.arange(spec.input.low, spec.input.high + 1).reshape(1, 16, 16, 1)
    check_operator(spec, [x.repeat(3, axis=0)])
    assert (spec.compute(x)[0].ravel() == spec.values.values).all()


def test_foldings():
    foldings = list(make().foldings())
    assert [folded.lanes for folded in foldings] == [1, 2, 3, 5]
    device = Device(name="any", family="xc7", resources=Resources(), clock_mhz=100)
    luts = [folded.resources(device).lut for folded in foldings]
    assert luts == sorted(luts)


@pytest.mark.parametrize(("change", "message"), [
    ({"lanes": 6}, "Lanes must be between 1 and 5 channels, not 6"),
    ({"values": Constants([1, 2])}, r"Values must have the shape \(256,\), not \(2,\)"),
    ({"values": Constants([200] * 256)}, "Values must lie between -128 and 127, not 200 and 200"),
    ({"output": FeatureMap(rows=3, columns=3, channels=4)},
     r"Output must have the size \(3, 3, 5\), not \(3, 3, 4\)"),
    ({"input": FeatureMap(rows=3, columns=3, channels=5, width=9)},
     "Input of a table must have 8 bits at most, not 9"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        dataclasses.replace(make(), **change)
