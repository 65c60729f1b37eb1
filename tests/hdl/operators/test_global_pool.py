"""The mean of a map: every value, every cycle."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows, columns, channels, *, lanes=1, signed=True, zero=3, out_signed=True, shift=20,
         channelwise=False, scaling="wide"):
    low, high = (-128, 127) if out_signed else (0, 255)
    scale = round((1 << 20) / (rows * columns))
    multipliers = [min(scale + 100 * k, (1 << 17) - 1) for k in range(channels)]
    return GlobalAveragePool(
        input=FeatureMap(rows=rows, columns=columns, channels=channels, signed=signed),
        bias=-zero * rows * columns,
        requantization=Requantization(
            multiplier=Constants(multipliers if channelwise else multipliers[:1]), shift=shift,
            zero=-5 if out_signed else 8, low=low, high=high),
        output=FeatureMap(rows=1, columns=1, channels=channels, signed=out_signed), lanes=lanes,
        scaling=scaling)


SPECS = [
    make(3, 4, 7, lanes=3),
    make(5, 5, 4, lanes=4, signed=False, zero=100, out_signed=False),
    make(4, 4, 6, lanes=3, channelwise=True, shift=Constants([20, 21, 22, 19, 20, 21])),
    make(3, 3, 5, channelwise=True),
    make(4, 2, 2, zero=0),
    make(3, 4, 1, scaling="narrow"),
    make(3, 4, 5, lanes=2, scaling="lut"),
    make(1, 1, 9, lanes=2, zero=-7),
    make(1, 2, 3, lanes=3, signed=False, zero=0),
]


def frames_of(spec, count=4, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(spec.input.low, spec.input.high + 1, (count, *spec.input.shape))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, [frames_of(spec)], offering=offering, taking=taking)


@pytest.mark.parametrize("extreme", ["low", "high"])
def test_sums_never_overflow(extreme):
    spec = make(5, 7, 2, signed=extreme == "low", zero=-128 if extreme == "high" else 127)
    check_operator(spec, [np.full((3, *spec.input.shape), getattr(spec.input, extreme))])


def test_mean():
    spec = make(4, 4, 3, zero=0)
    x = frames_of(spec, count=50)
    mean = np.round(x.mean(axis=(1, 2), keepdims=True)) - 5
    assert (spec.compute(x)[0] == np.clip(mean, -128, 127)).all()


def test_foldings_give_the_same_values():
    spec = make(3, 3, 6)
    x = frames_of(spec)
    foldings = list(spec.foldings())
    assert [folded.lanes for folded in foldings] == [1, 1, 2, 2, 3, 3, 6, 6]
    assert [folded.interval for folded in foldings] == [54, 54, 27, 27, 18, 18, 9, 9]
    device = Device(name="any", family="xc7", resources=Resources(), clock_mhz=100)
    for folded in foldings:
        assert (folded.compute(x)[0] == spec.compute(x)[0]).all()
        assert folded.resources(device).dsp == folded.lanes * (folded.scaling == "wide")


def test_errors():
    with pytest.raises(ValueError, match=r"^Output must have the size \(1, 1, 3\), not"):
        dataclasses.replace(make(2, 2, 3), output=FeatureMap(rows=2, columns=1, channels=3))
    with pytest.raises(ValueError, match=r"^Lanes must be between 1 and 3 channels, not 4"):
        make(2, 2, 3, lanes=4)
