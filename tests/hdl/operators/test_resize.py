"""Repeated pixels: every value, every cycle."""

import dataclasses
import itertools

import numpy as np
import pytest
from windowed import frames_for

from fcnnx.boards import get
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.resize import Upsample
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(rows, columns, channels, factors, *, lanes=1, **element):
    return Upsample(input=FeatureMap(rows=rows, columns=columns, channels=channels, **element),
                    factors=factors, lanes=lanes)


SPECS = [
    make(3, 4, 5, (2, 2), lanes=2),
    make(3, 3, 4, (2, 2), lanes=4, signed=False),
    make(2, 3, 3, (3, 1), lanes=2),
    make(2, 3, 3, (1, 4), lanes=1),
    make(3, 2, 2, (1, 2), lanes=2, width=5),
    make(1, 1, 3, (2, 3), lanes=3),
    make(4, 1, 1, (2, 1)),
    make(2, 70, 1, (2, 2), width=16),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_any_size():
    """The output never waits, however small the map."""
    for rows, columns, channels, *factors in itertools.product((1, 2), (1, 2, 3), (1, 2),
                                                               (1, 2, 3), (1, 2)):
        if max(factors) > 1:
            spec = make(rows, columns, channels, tuple(factors))
            check_operator(spec, frames_for(spec))


def test_values():
    x = np.arange(6).reshape(1, 2, 3, 1)
    (y,) = make(2, 3, 1, (2, 3)).compute(x)
    assert y[0, :, :, 0].tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2]] * 2 + [
        [3, 3, 3, 4, 4, 4, 5, 5, 5]] * 2


def test_foldings():
    foldings = list(make(3, 4, 5, (2, 2)).foldings())
    device = get("zedboard").device
    assert [folded.lanes for folded in foldings] == [1, 2, 3, 5]
    assert [folded.interval for folded in foldings] == [48 * 5, 48 * 3, 48 * 2, 48]
    assert make(8, 1000, 16, (2, 2), lanes=1).resources(device).bram18 > 0
    # Where rows are not repeated a pixel is buffered, not a row.
    assert make(8, 1000, 16, (1, 2), lanes=1).resources(device).bram18 == 0


@pytest.mark.parametrize(("change", "message"), [
    ({"factors": (1, 1)}, r"Factors must be positive, and not both 1, not \(1, 1\)"),
    ({"factors": (0, 2)}, r"Factors must be positive, and not both 1, not \(0, 2\)"),
    ({"lanes": 6}, "Lanes must be between 1 and 5 channels, not 6"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        dataclasses.replace(make(3, 4, 5, (2, 2)), **change)
