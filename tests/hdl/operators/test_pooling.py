"""Pooling over a window: every value, every cycle."""

import dataclasses
import itertools

import pytest
from windowed import average_pool, frames_for, max_pool

from fcnnx.hdl.operator import Constants
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.testing import check_operator


SPECS = {
    "max, padded, strides": max_pool((6, 6, 5), (3, 3), strides=(2, 2), padding=(0, 0, 1, 1),
                                     lanes=3),
    "max, whole kernel": max_pool((6, 6, 5), (2, 2), strides=(2, 2), lanes=5, part=(2, 2)),
    "max, unsigned": max_pool((7, 7, 4), (3, 3), strides=(2, 2), lanes=2, part=(1, 3),
                              signed=False),
    "max, one channel": max_pool((6, 6, 1), (3, 3), padding=(1, 1, 1, 1), part=(3, 3)),
    "average": average_pool((6, 6, 5), (2, 2), strides=(2, 2), lanes=2),
    "average, padded, unsigned": average_pool((6, 6, 5), (3, 3), padding=(1, 1, 1, 1), pad=100,
                                              signed=False, lanes=5, requantizers=5, part=(3, 3),
                                              scaling="lut"),
    "max, dilated": max_pool((7, 6, 3), (3, 2), padding=(1, 1, 1, 0), dilations=(2, 3), lanes=2),
    "max, dilated rows": max_pool((8, 5, 3), (2, 3), strides=(2, 1), dilations=(3, 1), lanes=3,
                                  part=(1, 3)),
    "average, dilated columns": average_pool((5, 8, 4), (3, 2), dilations=(1, 2), lanes=4,
                                             requantizers=4, part=(3, 1)),
    "average without padding": average_pool((5, 4, 5), (3, 3), padding=(1, 1, 1, 1), pad=9,
                                            excluded=(1, 1, 1, 1), lanes=2, part=(1, 3)),
    "average without padding, strides": average_pool(
        (6, 7, 4), (3, 3), strides=(2, 2), padding=(0, 1, 1, 1), pad=100, signed=False,
        excluded=(0, 1, 1, 1), lanes=4, requantizers=4, part=(3, 3)),
    "average of a last window that is not whole": average_pool(
        (1, 8, 3), (1, 3), strides=(1, 2), padding=(0, 1, 0, 2), excluded=(0, 0, 0, 1), lanes=3,
        requantizers=3, part=(1, 3)),
    "average of one column": average_pool((8, 1, 3), (3, 1), padding=(2, 0, 2, 0), lanes=3,
                                          excluded=(2, 0, 2, 0), requantizers=3, part=(3, 1)),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random"),
                                                  ("always", "blocked")])
def test_pooler(name, offering, taking):
    spec = SPECS[name]
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_counts():
    spec = SPECS["average without padding"]
    ends, inner = [4, 6, 6, 4], [6, 9, 9, 6]
    assert spec.window.counts(spec.excluded).tolist() == [ends, inner, inner, inner, ends]
    assert spec.counts == (4, 6, 9)
    assert SPECS["average of a last window that is not whole"].counts == (2, 3)
    whole = SPECS["average, padded, unsigned"]
    assert whole.counts == (9,)
    assert whole.kinds is None


def test_mean_of_the_pixels_alone():
    spec = average_pool((5, 4, 5), (3, 3), padding=(1, 1, 1, 1), excluded=(1, 1, 1, 1))
    spec = dataclasses.replace(spec, bias=0, requantization=dataclasses.replace(
        spec.requantization, zero=0,
        multiplier=Constants([round((1 << 18) / count) for count in spec.counts])))
    (x,) = frames_for(spec)
    (y,) = spec.compute(x)
    for row, column in itertools.product(range(5), range(4)):
        around = x[:, max(row - 1, 0):row + 2, max(column - 1, 0):column + 2]
        assert (abs(y[:, row, column] - around.mean(axis=(1, 2))) < 0.51).all()


@pytest.mark.parametrize(("change", "message"), [
    ({"excluded": (1, 1, 1, 2)},
     r"Excluded rows and columns must be of the padding \(1, 1, 1, 1\), not \(1, 1, 1, 2\)"),
    ({"requantization": Requantization(multiplier=Constants([1, 2]), shift=1, zero=0, low=0,
                                       high=1)},
     r"Windows of \(4, 6, 9\) pixels must have a multiplier each, and one shift, not 2 "
     "multipliers"),
    ({"requantizers": 2}, "Requantizers must divide 1 lanes, not 2"),
    ({"part": (2, 1), "dilations": (2, 1), "excluded": (0, 0, 0, 0), "padding": (2, 1, 2, 1)},
     r"Part must be 1 where the kernel is dilated by \(2, 1\), not \(2, 1\)"),
])
def test_errors(change, message):
    spec = average_pool((5, 4, 5), (3, 3), padding=(1, 1, 1, 1), excluded=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=f"^{message}$"):
        dataclasses.replace(spec, **change)


def test_window_of_padding_alone():
    spec = average_pool((3, 3, 1), (1, 1), padding=(0, 0, 1, 0))
    with pytest.raises(ValueError, match=r"^Every window must hold a pixel that counts$"):
        dataclasses.replace(spec, excluded=(0, 0, 1, 0))
    with pytest.raises(ValueError, match=r"^Every window must hold a pixel that is not padding$"):
        max_pool((3, 3, 1), (2, 1), padding=(2, 0, 0, 0))


@pytest.mark.parametrize("name", SPECS)
def test_foldings_keep_the_values(name):
    spec = SPECS[name]
    (expected,) = spec.compute(*frames_for(spec))
    for folding in spec.foldings():
        assert (folding.compute(*frames_for(spec))[0] == expected).all()
        assert folding.interval >= folding.output.pixels * folding.window.groups
