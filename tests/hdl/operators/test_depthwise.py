"""Depthwise convolution: every value, every cycle."""

import pytest
from windowed import depthwise, frames_for

from fcnnx.hdl.testing import check_operator


SPECS = {
    "smallest": depthwise((5, 4, 3), (3, 3), padding=(1, 1, 1, 1), pad=5),
    "channels that do not divide": depthwise((6, 6, 5), (3, 3), padding=(1, 1, 1, 1), pad=5,
                                             lanes=4, requantizers=2, part=(1, 3)),
    "whole kernel, strides, unsigned": depthwise(
        (6, 6, 5), (3, 3), strides=(2, 2), padding=(0, 0, 1, 1), pad=5, lanes=5, requantizers=5,
        part=(3, 3), signed=False),
    "parts that do not divide": depthwise((6, 6, 4), (3, 3), strides=(2, 2),
                                          padding=(0, 0, 1, 1), lanes=2, part=(2, 3)),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random"),
                                                  ("always", "blocked")])
def test_reducer(name, offering, taking):
    spec = SPECS[name]
    check_operator(spec, frames_for(spec), offering=offering, taking=taking)


def test_foldings():
    spec = SPECS["smallest"]
    foldings = list(spec.foldings())
    assert foldings[0].interval == spec.output.size * 9
    assert min(folding.interval for folding in foldings) == spec.output.pixels
    for folding in foldings:
        assert folding.lanes // folding.requantizers <= folding.steps


def test_errors():
    with pytest.raises(ValueError, match=r"^Requantizers must divide 4 sums of a pass, not 3$"):
        depthwise((6, 6, 5), (3, 3), lanes=4, requantizers=3)
