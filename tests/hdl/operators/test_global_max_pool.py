"""The greatest value of a map: every value, every cycle."""

import dataclasses

import numpy as np
import pytest
from windowed import frames_for

from fcnnx.boards import get
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.global_max_pool import GlobalMaxPool
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows, columns, channels, *, lanes=1, **element):
    return GlobalMaxPool(lanes=lanes, input=FeatureMap(rows=rows, columns=columns,
                                                       channels=channels, **element))


SPECS = [
    make(3, 4, 7, lanes=3),
    make(4, 4, 4, lanes=4, signed=False),
    make(3, 3, 2),
    make(1, 1, 9, lanes=2),
    make(1, 2, 3, lanes=3, signed=False, width=5),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, frames_for(spec, count=4), offering=offering, taking=taking)


@pytest.mark.parametrize("signed", [False, True])
def test_the_greatest_wherever_it_is(signed):
    spec = make(3, 3, 2, lanes=2, signed=signed)
    x = np.full((9, 9, 2), spec.input.low)
    x[np.arange(9), np.arange(9)] = [spec.input.high, spec.input.low + 1]
    x = x.reshape(9, 3, 3, 2)
    assert (spec.compute(x)[0] == [spec.input.high, spec.input.low + 1]).all()
    check_operator(spec, [x])


def test_foldings():
    foldings = list(make(3, 3, 6).foldings())
    assert [folded.lanes for folded in foldings] == [1, 2, 3, 6]
    assert [folded.interval for folded in foldings] == [54, 27, 18, 9]
    assert all(folded.resources(get("zedboard").device).dsp == 0 for folded in foldings)


def test_errors():
    with pytest.raises(ValueError, match=r"^Lanes must be between 1 and 3 channels, not 4$"):
        dataclasses.replace(make(2, 2, 3), lanes=4)
