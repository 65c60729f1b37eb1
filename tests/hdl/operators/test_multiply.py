"""Products of maps: every value, every cycle."""

import dataclasses

import numpy as np
import pytest
from windowed import frames_for

from fcnnx.boards import get
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.multiply import Multiply
from fcnnx.hdl.operators.requantize import MULTIPLIER_WIDTH
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows=3, columns=4, channels=5, *, signs=(True, True), repeated=False, zeros=(3, -7),
         scale=70001, shift=23, zero=-3, low=-128, high=127, signed=True, lanes=1,
         scaling="wide"):
    shape = {"rows": rows, "columns": columns, "channels": channels}
    first, second = (FeatureMap(**shape, signed=each) for each in signs)
    if repeated:
        second = second.resized(rows=1, columns=1)
    return Multiply(operands=(first, second), zeros=zeros, scale=scale, shift=shift, zero=zero,
                    low=low, high=high, output=FeatureMap(**shape, signed=signed), lanes=lanes,
                    scaling=scaling)


SPECS = [
    make(lanes=2),
    make(lanes=5, scale=1 << 15, signs=(True, False), zeros=(0, 0)),
    make(channels=1, shift=1, scale=1, zeros=(0, 0), zero=0, low=-100, high=90),
    make(signs=(False, False), zeros=(100, 7), signed=False, zero=20, low=20, high=255),
    make(lanes=2, repeated=True),
    make(lanes=5, repeated=True, signs=(True, False), zeros=(5, 0), shift=24),
    make(1, 2, 4, lanes=3, repeated=True),
    make(1, 1, 3, lanes=2),
    make(shift=63, scaling="lut"),
    make(lanes=2, scaling="lut"),
    make(repeated=True, scaling="narrow"),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_extremes():
    spec = make(scale=(1 << MULTIPLIER_WIDTH) - 1, zeros=(-128, 127), shift=MULTIPLIER_WIDTH + 8)
    low, high = np.full((3, 3, 4, 5), -128), np.full((3, 3, 4, 5), 127)
    for frames in ([low, low], [high, high], [low, high], [high, low]):
        check_operator(spec, frames)


def test_rounds_once():
    spec = make(channels=1, scale=1 << 15, zeros=(0, 0), zero=0, shift=16)
    a, b = np.array([1, 3, 5, -1]).reshape(1, 2, 2, 1), np.array([1, 1, 1, 3]).reshape(1, 2, 2, 1)
    assert spec.compute(a, b)[0].ravel().tolist() == [0, 2, 2, -2]


def test_one_pixel_for_all():
    spec = make(repeated=True, zeros=(0, 0), zero=0, scale=1 << 10, shift=10)
    x, y = frames_for(spec)
    assert y.shape == (3, 1, 1, 5)
    assert (spec.compute(x, y)[0] == np.clip(x * y, -128, 127)).all()


def test_foldings():
    device = get("zedboard").device
    foldings = list(make(repeated=True).foldings())
    assert [folded.lanes for folded in foldings] == [1, 1, 2, 2, 3, 3, 5, 5]
    assert [folded.resources(device).dsp for folded in foldings] == [2, 1, 4, 2, 6, 3, 10, 5]
    assert make(scale=65536).resources(device).dsp == 1


@pytest.mark.parametrize(("change", "message"), [
    ({"lanes": 6}, "Lanes must be between 1 and 5 channels, not 6"),
    ({"scale": 1 << MULTIPLIER_WIDTH},
     f"Scale must have {MULTIPLIER_WIDTH} bits at most and not be negative, "
     f"not {1 << MULTIPLIER_WIDTH}"),
    ({"zeros": (1, 128)}, "Zero point must be between -128 and 127, not 128"),
    ({"shift": 0}, "Shift must be between 1 and 63, not 0"),
    ({"high": 128}, "Range must lie between -128 and 127, not -128 and 128"),
    ({"operands": (FeatureMap(rows=3, columns=4, channels=5, width=9),) * 2},
     "Operands must have 8 bits at most, not 9"),
    ({"operands": (FeatureMap(rows=3, columns=4, channels=5),
                   FeatureMap(rows=1, columns=4, channels=5))},
     r"The first operand must have the output's size \(3, 4, 5\), and the second too, or one "
     r"pixel, not \(3, 4, 5\) and \(1, 4, 5\)"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        dataclasses.replace(make(), **change)
