"""Depthwise convolution: every value, every cycle."""

import dataclasses

import pytest
from windowed import depthwise, frames_for

from fcnnx.boards import get
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
    "look-up tables": depthwise((5, 5, 4), (3, 3), lanes=2, part=(1, 3), lut=True,
                                scaling="lut"),
    "dilated": depthwise((8, 7, 3), (3, 3), padding=(2, 2, 2, 2), pad=5, dilations=(2, 2), lanes=2),
    "dilated rows, strides": depthwise((9, 6, 3), (2, 3), strides=(2, 2), padding=(1, 0, 0, 1),
                                       dilations=(3, 1), lanes=3, part=(1, 3), requantizers=3),
    "two outputs a channel": depthwise((5, 4, 3), (3, 3), padding=(1, 1, 1, 1), times=2),
    "three outputs a channel that do not divide": depthwise(
        (4, 4, 5), (2, 2), times=3, lanes=2, part=(2, 2), requantizers=6, signed=False),
    "several outputs of one channel": depthwise((5, 5, 1), (3, 3), times=4, part=(1, 3),
                                                requantizers=2, lut=True),
    "pairs": depthwise((5, 4, 3), (3, 3), padding=(1, 1, 1, 1), pad=5, pair=True, lanes=3,
                       part=(1, 3), requantizers=3),
    "pairs, strides, two outputs a channel, unsigned": depthwise(
        (5, 8, 3), (3, 2), strides=(2, 2), padding=(1, 0, 0, 1), pad=7, signed=False, times=2,
        pair=True, lanes=3, part=(2, 2), requantizers=6),
    "pairs, a pair in each cycle, from two pixels a beat to two": depthwise(
        (5, 6, 2), (3, 3), padding=(1, 1, 1, 1), pad=5, pair=True, lanes=2, part=(3, 3), pixels=2,
        requantizers=4),
    "pairs, columns that are left, dilated rows": depthwise(
        (7, 7, 2), (2, 2), strides=(1, 2), padding=(1, 1, 1, 1), dilations=(3, 1), pair=True,
        lanes=2, part=(1, 2), requantizers=2, packed=False),
    "pairs of look-up tables": depthwise((5, 6, 2), (1, 3), padding=(0, 1, 0, 1), pad=3, pair=True,
                                         lanes=2, part=(1, 3), requantizers=4, lut=True),
    "two pixels a beat": depthwise((6, 6, 3), (3, 3), strides=(2, 2), padding=(0, 0, 1, 1), pad=5,
                                   lanes=3, part=(3, 3), pixels=2, requantizers=3),
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
    assert min(folding.interval for folding in foldings
               if not folding.pair) == spec.output.pixels
    for folding in foldings:
        assert folding.sums // folding.requantizers <= folding.steps
    assert {folding.lut for folding in foldings} == {False, True}


def test_pairs():
    spec = SPECS["smallest"]
    foldings = [folding for folding in spec.foldings() if folding.pair]
    assert min(folding.interval for folding in foldings) == spec.output.pixels // 2
    (expected,) = spec.compute(*frames_for(spec))
    device = get("zedboard").device
    for folding in foldings:
        assert (folding.compute(*frames_for(folding))[0] == expected).all()
        requantizers = dataclasses.replace(folding, lut=True).resources(device).dsp
        shared = folding.resources(device).dsp - requantizers
        assert shared == (0 if folding.lut else folding.multipliers // 2)
    odd = depthwise((5, 5, 3), (3, 3), padding=(1, 1, 1, 1))
    dilated = depthwise((5, 6, 3), (3, 3), dilations=(1, 2))
    assert not any(folding.pair for each in (odd, dilated) for folding in each.foldings())


def test_multipliers():
    device = get("zedboard").device
    spec = depthwise((5, 4, 3), (3, 3), times=2, lanes=3, part=(1, 3), requantizers=2)
    assert spec.multipliers == 3 * 2 * 3
    of_dsps, of_luts = (dataclasses.replace(spec, lut=lut).resources(device)
                        for lut in (False, True))
    assert of_dsps.dsp - of_luts.dsp == spec.multipliers
    assert of_luts.lut - of_dsps.lut >= 40 * spec.multipliers


def test_a_part_is_one_where_the_kernel_is_dilated():
    spec = depthwise((9, 9, 2), (3, 3), dilations=(1, 2))
    assert {folding.part for folding in spec.foldings()} == {(1, 1), (2, 1), (3, 1)}
    (expected,) = spec.compute(*frames_for(spec))
    assert expected.shape == (3, 7, 5, 2)
    for folding in spec.foldings():
        assert (folding.compute(*frames_for(spec))[0] == expected).all()


def test_errors():
    with pytest.raises(ValueError, match=r"^Requantizers must divide 4 sums of a pass, not 3$"):
        depthwise((6, 6, 5), (3, 3), lanes=4, requantizers=3)
    with pytest.raises(ValueError, match=r"^Pairs of pixels must have even columns, no dilation, "
                                         r"all channels as lanes and all kernel columns as part, "
                                         r"not 4, 1, 4 and 1$"):
        depthwise((6, 6, 4), (3, 3), lanes=4, pair=True)
