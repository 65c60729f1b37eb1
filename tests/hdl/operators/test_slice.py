"""Parts of maps: every value, every cycle."""

import itertools

import numpy as np
import pytest
from windowed import frames_for

from fcnnx.boards import get
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.slice import Slice
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def make(size, *, lanes=1, element=None, **ranges):
    values = FeatureMap(rows=size[0], columns=size[1], channels=size[2], **element or {})
    whole = {name: (0, getattr(values, name)) for name in ("rows", "columns", "channels")}
    return Slice(input=values, lanes=lanes, **whole | ranges)


SPECS = [
    make((4, 5, 6)),
    make((6, 5, 7), lanes=2, rows=(1, 4), columns=(2, 5), element={"signed": False}),
    make((3, 3, 8), lanes=4, channels=(4, 8)),
    make((3, 3, 8), lanes=2, channels=(2, 7)),
    make((3, 3, 8), lanes=4, rows=(1, 2), columns=(1, 2), channels=(5, 7)),
    make((3, 3, 7), lanes=7, rows=(0, 2), columns=(1, 3), channels=(3, 6), element={"width": 5}),
    make((1, 1, 9), lanes=3, channels=(3, 9)),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_component(spec, offering, taking):
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_every_range_of_channels():
    for start, stop in itertools.combinations(range(6), 2):
        spec = make((1, 2, 5), channels=(start, stop))
        (x,) = frames_for(spec)
        for folded in spec.foldings():
            assert (folded.compute(x)[0] == x[..., start:stop]).all()
            check_operator(folded, [x])


def test_values():
    x = np.arange(24).reshape(1, 2, 3, 4)
    spec = make((2, 3, 4), rows=(1, 2), columns=(0, 2), channels=(1, 3))
    assert spec.compute(x)[0].tolist() == [[[[13, 14], [17, 18]]]]


def test_foldings():
    def lanes(start, stop):
        spec = make((2, 3, 12), channels=(start, stop))
        foldings = list(spec.foldings())
        luts = [folded.resources(get("zedboard").device).lut for folded in foldings]
        assert min(luts) > 0
        return [folded.lanes for folded in foldings]

    assert lanes(0, 6) == [1, 2, 3, 4, 6, 12]
    assert lanes(6, 12) == [1, 2, 3, 6, 12]
    assert lanes(3, 12) == [1, 3, 12]
    assert lanes(5, 6) == [1, 2, 3, 4, 6, 12]


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": (2, 2)}, "Rows must be a range within 4, not 2 to 2"),
    ({"columns": (0, 6)}, "Columns must be a range within 5, not 0 to 6"),
    ({"channels": (-1, 3)}, "Channels must be a range within 6, not -1 to 3"),
    ({"channels": (3, 6), "lanes": 2},
     "Channels 3 to 6 must begin with a beat of 2 lanes, or lie within one"),
    ({"lanes": 7}, "Lanes must be between 1 and 6 channels, not 7"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        make((4, 5, 6), **change)
