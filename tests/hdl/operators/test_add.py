"""Residual additions: every value, every cycle."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows=3, columns=4, channels=5, *, signs=(True, True), zeros=(3, -7),
         scales=(70001, 50007), shift=17, zero=-3, low=-128, high=127, signed=True, lanes=1,
         scaling="wide"):
    shape = {"rows": rows, "columns": columns, "channels": channels}
    return Add(operands=tuple(FeatureMap(**shape, signed=each) for each in signs), zeros=zeros,
               scales=scales, shift=shift, zero=zero, low=low, high=high,
               output=FeatureMap(**shape, signed=signed), lanes=lanes, scaling=scaling)


SPECS = [
    make(lanes=2),
    make(lanes=5, scales=(65536, 65536), zeros=(0, 0), zero=0),
    make(channels=1, shift=1, scales=(1, 1), zeros=(0, 0), zero=0, low=-100, high=90),
    make(channels=3, lanes=3, signs=(True, False, True), zeros=(0, 128, 5),
         scales=(100000, 20000, 131071), signed=False, zero=7, low=7, high=255),
    make(shift=40, scaling="narrow"),
    make(signs=(True, False), zeros=(3, 100), scales=(70001, 1 << 20), shift=20, lanes=2,
         scaling="lut"),
    make(channels=2, lanes=2, signs=(False,) * 5, zeros=(1, 2, 3, 4, 5), shift=19,
         scales=(90000, 131071, 1, 0, 65536)),
]


def frames_of(spec, count=3, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.integers(each.low, each.high + 1, (count, *each.shape)) for each in spec.operands]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, frames_of(spec), offering=offering, taking=taking)


def test_extremes():
    spec = make(scales=(131071, 131071), zeros=(-128, 127))
    low, high = np.full((3, 3, 4, 5), -128), np.full((3, 3, 4, 5), 127)
    for frames in ([low, low], [high, high], [low, high], [high, low]):
        check_operator(spec, frames)


def test_rounds_once():
    spec = make(channels=1, scales=(1 << 15, 1 << 15), zeros=(0, 0), zero=0, shift=16)
    a, b = np.array([1, 1, 3, -1]).reshape(1, 2, 2, 1), np.array([2, 0, 2, 0]).reshape(1, 2, 2, 1)
    assert spec.compute(a, b)[0].ravel().tolist() == [2, 0, 2, 0]


def test_foldings():
    device = Device(name="any", family="xc7", resources=Resources(), clock_mhz=100)
    foldings = list(make().foldings())
    assert [folded.lanes for folded in foldings] == [1, 1, 2, 2, 3, 3, 5, 5]
    assert [folded.resources(device).dsp for folded in foldings] == [2, 0, 4, 0, 6, 0, 10, 0]
    assert [folded.lanes for folded in make(scaling="narrow").foldings()] == [1, 2, 3, 5]
    assert make(scales=(65536, 3)).resources(device).dsp == 1


@pytest.mark.parametrize(("change", "message"), [
    ({"lanes": 6}, "Lanes must be between 1 and 5 channels, not 6"),
    ({"scales": (1, 2, 3)}, "Two operands or more, and as many zeros and scales, are added, "
                            "not 2, 2 and 3"),
    ({"scales": (1, 1 << 24)},
     "Scales must have 24 bits at most and not be negative, not 16777216"),
    ({"zeros": (1, 128)}, "Zero point must be between -128 and 127, not 128"),
    ({"shift": 0}, "Shift must be between 1 and 63, not 0"),
    ({"high": 128}, "Range must lie between -128 and 127, not -128 and 128"),
    ({"output": FeatureMap(rows=3, columns=4, channels=4)},
     r"Operands must have the output's size \(3, 4, 4\), not \(3, 4, 5\)"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        dataclasses.replace(make(), **change)
