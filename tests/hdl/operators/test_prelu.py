"""PRelu: every value, every cycle."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows=3, columns=4, channels=5, *, signed=True, signed_out=True, zero=4, zero_out=-9,
         scale=120001, shift=16, low=None, high=None, lanes=1,
         scaling="wide"):
    shape = {"rows": rows, "columns": columns, "channels": channels}
    output = FeatureMap(**shape, signed=signed_out)
    slopes = np.random.default_rng(5).integers(-131071, 131072, channels)
    return PRelu(input=FeatureMap(**shape, signed=signed), output=output, zero=zero,
                 zero_out=zero_out, scale=scale, slopes=Constants(slopes), shift=shift,
                 low=output.low if low is None else low,
                 high=output.high if high is None else high, lanes=lanes, scaling=scaling)


SPECS = [
    make(lanes=2),
    make(lanes=5, zero=0, low=-100, high=90),
    make(channels=1),
    make(channels=7, signed=False, zero=128, signed_out=False, zero_out=20, lanes=3),
    make(channels=4, scale=65536, shift=1),
    make(shift=40, scaling="narrow"),
    make(signed=False, zero=100, lanes=2, scaling="lut"),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    x = np.random.default_rng(1).integers(spec.input.low, spec.input.high + 1,
                                          (3, *spec.input.shape))
    check_operator(spec, [x], offering=offering, taking=taking)


def test_every_input():
    for zero in (-128, 0, 127):
        spec = make(rows=16, columns=16, channels=2, zero=zero)
        x = np.arange(-128, 128).reshape(1, 16, 16, 1).repeat(2, axis=3)
        check_operator(spec, [x.repeat(3, axis=0)])


def test_slopes():
    spec = make(rows=1, columns=1, channels=3, zero=0, zero_out=0, scale=1 << 16, shift=16)
    spec = dataclasses.replace(spec, slopes=Constants([1 << 15, -(1 << 16), 0]))
    assert spec.compute(np.array([[[[-10, -10, -10]]]]))[0].ravel().tolist() == [-5, 10, 0]
    assert spec.compute(np.array([[[[10, 20, 30]]]]))[0].ravel().tolist() == [10, 20, 30]


def test_foldings():
    device = Device(name="any", family="xc7", resources=Resources(), clock_mhz=100)
    foldings = list(make().foldings())
    assert [folded.lanes for folded in foldings] == [1, 1, 2, 2, 3, 3, 5, 5]
    assert [folded.resources(device).dsp for folded in foldings] == [1, 0, 2, 0, 3, 0, 5, 0]
    for folded in foldings:
        ((width, words),) = folded.contents().values()
        assert (width, len(words)) == (25 * folded.lanes, folded.inputs[0].groups)


@pytest.mark.parametrize(("change", "message"), [
    ({"lanes": 6}, "Lanes must be between 1 and 5 channels, not 6"),
    ({"slopes": Constants([1, 2])}, r"Slopes must have the shape \(5,\), not \(2,\)"),
    ({"slopes": Constants([1 << 24] * 5)}, "Slopes must have 25 bits at most, sign included"),
    ({"scale": -1}, "Scale must have 24 bits at most and not be negative, not -1"),
    ({"zero": 200}, "Zero point must be between -128 and 127, not 200"),
    ({"shift": 64}, "Shift must be between 1 and 63, not 64"),
    ({"low": 5, "high": 4}, "Range must lie between -128 and 127, not 5 and 4"),
    ({"output": FeatureMap(rows=3, columns=4, channels=4)},
     r"Output must have the size \(3, 4, 5\), not \(3, 4, 4\)"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        dataclasses.replace(make(), **change)
