"""Channels put side by side: every value, every cycle."""

import dataclasses

import numpy as np
import pytest
from windowed import frames_for

from fcnnx.boards import get
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.concat import Concat, PadChannels
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def feature_map(channels, rows=3, columns=4, **element):
    return FeatureMap(rows=rows, columns=columns, channels=channels, **element)


def concat(*channels, lanes=1, **element):
    return Concat(operands=tuple(feature_map(each, **element) for each in channels), lanes=lanes)


def pad(before, channels, after, *, lanes=1, **element):
    values = feature_map(channels, **element)
    rng = np.random.default_rng(before)
    return PadChannels(input=values, lanes=lanes, **{
        name: Constants(rng.integers(values.low, values.high + 1, count))
        for name, count in (("before", before), ("after", after))})


SPECS = [
    concat(3, 2),
    concat(4, 4, lanes=2),
    concat(4, 6, 5, lanes=2, signed=False),
    concat(4, 8, 3, lanes=4),
    concat(3, 3, 3, 3, lanes=3, rows=1),
    concat(1, 1, 1, rows=1, columns=1),
    concat(2, 3, 1, lanes=6),
    concat(3, 4, lanes=7, width=5),
    pad(2, 3, 0),
    pad(0, 3, 2),
    pad(2, 4, 5, lanes=2),
    pad(4, 5, 0, lanes=4, signed=False),
    pad(0, 4, 3, lanes=4, width=6),
    pad(3, 1, 2),
    pad(1, 1, 0, rows=1, columns=1),
    pad(4, 8, 4, lanes=4),
    pad(2, 3, 1, lanes=6),
    pad(0, 2, 1, lanes=3, signed=False),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_components(spec, offering, taking):
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_values():
    a, b = np.arange(2 * 12 * 3).reshape(2, 3, 4, 3), -np.arange(2 * 12 * 2).reshape(2, 3, 4, 2)
    (y,) = concat(3, 2).compute(a, b)
    assert y[1, 2, 3].tolist() == [69, 70, 71, -46, -47]
    spec = PadChannels(input=feature_map(3), before=Constants([-5]), after=Constants([7, 8]))
    assert spec.compute(a)[0][1, 2, 3].tolist() == [-5, 69, 70, 71, 7, 8]
    assert spec.output.channels == 6


@pytest.mark.parametrize(("spec", "lanes"), [
    (concat(8, 4, 3), [1, 2, 4, 15]),
    (concat(3, 2), [1, 3, 5]),
    (pad(4, 8, 4), [1, 2, 4, 16]),
    (pad(8, 2, 0), [1, 2, 10]),
    (pad(0, 3, 7), [1, 3, 10]),
])
def test_foldings(spec, lanes):
    foldings = list(spec.foldings())
    device = get("zedboard").device
    assert [folded.lanes for folded in foldings] == lanes
    assert foldings[-1].interval == 12
    frames = frames_for(spec)
    for folded in foldings:
        check_operator(folded, frames)
        assert (folded.compute(*frames)[0] == spec.compute(*frames)[0]).all()
        assert folded.resources(device).lut > 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda: concat(4), "Two operands or more are put together, not 1"),
    (lambda: concat(4, 6, 2, lanes=4),
     "Lanes must be all 12 channels, or divide those of each operand but the last, and so 2, "
     "not 4"),
    (lambda: concat(4, 6, lanes=0), "Lanes must be all 10 channels, .*, not 0"),
    (lambda: Concat(operands=(feature_map(4), feature_map(4, width=7))),
     "Operands must differ in their channels only, not .*"),
    (lambda: Concat(operands=(feature_map(4), feature_map(4, rows=2))),
     "Operands must differ in their channels only, not .*"),
    (lambda: pad(0, 4, 0), r"Constants must be two vectors, not both empty, not of \(0,\) and "
                           r"\(0,\)"),
    (lambda: pad(4, 6, 1, lanes=4),
     "Lanes must be all 11 channels, or 6 at most and divide 2, not 4"),
    (lambda: pad(8, 2, 0, lanes=4),
     "Lanes must be all 10 channels, or 2 at most and divide 8, not 4"),
    (lambda: dataclasses.replace(pad(1, 2, 0), before=Constants([128])),
     "Constants must lie between -128 and 127, not 128 and 128"),
])
def test_errors(make, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        make()
