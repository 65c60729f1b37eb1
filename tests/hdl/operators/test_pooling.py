"""Pooling over a window: every value, every cycle."""

import pytest
from windowed import average_pool, frames_for, max_pool

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
                                              signed=False, lanes=5, requantizers=5, part=(3, 3)),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random"),
                                                  ("always", "blocked")])
def test_pooler(name, offering, taking):
    spec = SPECS[name]
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


@pytest.mark.parametrize("name", SPECS)
def test_foldings_keep_the_values(name):
    spec = SPECS[name]
    (expected,) = spec.compute(*frames_for(spec))
    for folding in spec.foldings():
        assert (folding.compute(*frames_for(spec))[0] == expected).all()
        assert folding.interval >= folding.output.pixels * folding.window.groups
