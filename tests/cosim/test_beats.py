"""Beats as words."""

import numpy as np
import pytest

from fcnnx.cosim.beats import from_words, to_words, words_of
from fcnnx.hdl.operator import FeatureMap, StreamShape


@pytest.mark.parametrize(("width", "signed", "lanes", "pixels"), [
    (8, True, 1, 1), (8, False, 3, 1), (4, True, 5, 1), (16, False, 5, 1), (8, True, 5, 4),
    (1, False, 5, 2), (13, True, 5, 2),
])
def test_there_and_back(width, signed, lanes, pixels):
    shape = StreamShape(map=FeatureMap(rows=2, columns=4, channels=5, width=width, signed=signed),
                        lanes=lanes, pixels=pixels)
    rng = np.random.default_rng(1)
    frames = rng.integers(shape.map.low, shape.map.high + 1, (3, *shape.map.shape))
    words = to_words(shape, frames)
    assert words.shape == (3 * shape.beats, words_of(shape))
    assert (from_words(shape, words) == frames).all()


def test_element_0_is_lowest():
    shape = StreamShape(map=FeatureMap(rows=1, columns=1, channels=3), lanes=2)
    words = to_words(shape, np.array([[[[1, -2, 3]]]]))
    assert words.tolist() == [[0xFE01], [0x0003]]
