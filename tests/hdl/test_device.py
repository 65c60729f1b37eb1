"""Amounts of a device's primitives."""

from fcnnx.hdl.device import Resources


def test_what_is_left():
    have, taken = Resources(dsp=3, lut=10, ff=7), Resources(dsp=1, lut=12)
    assert have - taken == Resources(dsp=2, lut=-2, ff=7)
    assert have.less(taken) == Resources(dsp=2, ff=7)
    assert taken + have.less(taken) == Resources(dsp=3, lut=12, ff=7)
