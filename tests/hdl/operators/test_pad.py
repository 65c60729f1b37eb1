"""Padding: every value, every cycle."""

import dataclasses
import itertools

import numpy as np
import pytest

from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.pad import Pad
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows=3, columns=4, channels=5, *, padding=(1, 1, 1, 1), value=-7, lanes=1, **element):
    return Pad(input=FeatureMap(rows=rows, columns=columns, channels=channels, **element),
               padding=padding, value=value, lanes=lanes)


SPECS = [
    make(lanes=2),
    make(lanes=5, padding=(2, 0, 0, 1)),
    make(channels=1, padding=(0, 3, 1, 0)),
    make(channels=4, lanes=3, padding=(0, 0, 2, 0), signed=False, value=255),
    make(channels=3, padding=(0, 2, 0, 0), width=4, value=7),
    make(rows=1, columns=1, lanes=5, padding=(0, 0, 0, 2)),
]


def frames_of(spec):
    return np.random.default_rng(1).integers(spec.input.low, spec.input.high + 1,
                                             (3, *spec.input.shape))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, [frames_of(spec)], offering=offering, taking=taking)


def test_every_side():
    for padding in itertools.product((0, 1), (0, 2), (0, 1), (0, 2)):
        if any(padding):
            spec = make(rows=2, columns=1, channels=3, lanes=2, padding=padding)
            check_operator(spec, [frames_of(spec)])


def test_foldings():
    foldings = list(make().foldings())
    assert [folded.lanes for folded in foldings] == [1, 2, 3, 5]
    assert [folded.interval for folded in foldings] == [5 * 30, 3 * 30, 2 * 30, 30]


@pytest.mark.parametrize(("change", "message"), [
    ({"lanes": 6}, "Lanes must be between 1 and 5 channels, not 6"),
    ({"padding": (0, 0, 0, 0)},
     r"Padding must be positive, and nowhere negative, not \(0, 0, 0, 0\)"),
    ({"padding": (1, -1, 0, 0)},
     r"Padding must be positive, and nowhere negative, not \(1, -1, 0, 0\)"),
    ({"value": -129}, "Value must be between -128 and 127, not -129"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        dataclasses.replace(make(), **change)
