"""Windows: what each output needs and frees, against a count pixel by pixel."""

import itertools

import numpy as np
import pytest
from windowed import convolution, frames_for

from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.window import Window
from fcnnx.hdl.testing import check_operator


WINDOWS = [
    Window(input=FeatureMap(rows=rows, columns=columns, channels=5), kernel=kernel,
           strides=strides, padding=padding, lanes=2, part=(1, 1))
    for (rows, columns), kernel, strides, padding in itertools.product(
        [(5, 6), (8, 3), (1, 7)], [(1, 1), (3, 3), (2, 3)], [(1, 1), (2, 2), (3, 1)],
        [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0)])
    if rows + padding[0] + padding[2] >= kernel[0]
] + [
    Window(input=FeatureMap(rows=9, columns=10, channels=5), kernel=kernel, strides=strides,
           padding=padding, dilations=dilations, lanes=2)
    for kernel, strides, padding, dilations in itertools.product(
        [(2, 3), (3, 2)], [(1, 1), (2, 3)], [(0, 0, 0, 0), (2, 1, 3, 2)], [(2, 1), (3, 2), (1, 4)])
]


def pixels(window, row, column):
    """Raster indices of the pixels in one window."""
    top, left = window.padding[:2]
    rows = [row * window.strides[0] - top + k * window.dilations[0]
            for k in range(window.kernel[0])]
    columns = [column * window.strides[1] - left + k * window.dilations[1]
               for k in range(window.kernel[1])]
    return [y * window.input.columns + x for y in rows for x in columns
            if 0 <= y < window.input.rows and 0 <= x < window.input.columns]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_needs_and_frees(window):
    places = list(itertools.product(*map(range, window.positions)))
    seen = [pixels(window, *place) for place in places]
    for k, inside in enumerate(seen):
        if inside:
            assert window.needs[k] >= (max(inside) + 1) * window.groups
        later = [pixel for rest in seen[k + 1:] for pixel in rest]
        if later:
            assert window.frees[k] <= min(later) * window.groups
    assert window.frees[-1] == window.input.pixels * window.groups
    assert (np.diff(window.frees) >= 0).all()


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_gather(window):
    indices = np.arange(window.input.pixels).reshape(1, *window.input.shape[:2], 1)
    gathered = window.gather(indices, -1)[0]
    counts = window.counts(window.padding)
    for row, column in itertools.product(*map(range, window.positions)):
        inside = [pixel for pixel in gathered[row, column].ravel() if pixel >= 0]
        assert inside == pixels(window, row, column)
        assert len(inside) == counts[row, column]


def test_rows_held():
    def held(size, kernel, strides, padding):
        return Window(input=FeatureMap(rows=size, columns=size, channels=4), kernel=kernel,
                      strides=strides, padding=padding).rows_held

    assert held(16, (3, 3), (1, 1), (1, 1, 1, 1)) == 3
    assert held(16, (3, 3), (2, 2), (0, 0, 1, 1)) == 4
    assert held(16, (1, 1), (2, 2), (0, 0, 0, 0)) == 2
    assert held(4, (4, 4), (1, 1), (0, 0, 0, 0)) == 8


WHOLE = {"rows": 2, "requantizers": 2}
READ = {
    "a frame in a cycle": convolution((1, 1, 2), 2, (1, 1), lanes=2, **WHOLE),
    "a row in a cycle": convolution((5, 1, 2), 2, (1, 1), lanes=2, **WHOLE),
    "a row in a cycle, banks in turn": convolution(
        (8, 1, 1), 2, (3, 1), strides=(2, 1), padding=(1, 0, 1, 0), part=(3, 1), pad=5, **WHOLE),
    "a row in a cycle, some rows left": convolution(
        (7, 2, 1), 2, (2, 2), strides=(3, 1), part=(2, 2), **WHOLE),
    "a row in two cycles, dilated": convolution(
        (7, 1, 1), 2, (2, 1), padding=(2, 0, 1, 0), dilations=(3, 1), pad=5, **WHOLE),
    "two positions a row": convolution(
        (5, 4, 3), 2, (2, 3), strides=(2, 1), padding=(1, 0, 0, 0), lanes=2, part=(2, 1), pad=5,
        **WHOLE),
    "five columns, in turn, of three pixels a beat": convolution(
        (4, 9, 1), 2, (2, 5), padding=(0, 2, 1, 2), part=(2, 5), pixels=3, pad=5, **WHOLE),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("taking", ["always", "random"])
def test_reader(name, taking):
    check_operator(READ[name], frames_for(READ[name], count=4), offering=taking, taking=taking)


def test_errors():
    values = FeatureMap(rows=2, columns=5, channels=4)
    with pytest.raises(ValueError, match=r"^Kernel \(3, 3\) is larger than the padded map"):
        Window(input=values, kernel=(3, 3))
    with pytest.raises(ValueError, match=r"^Kernel \(3, 3\) is larger than the padded map"):
        Window(input=values, kernel=(2, 2), dilations=(2, 2))
    with pytest.raises(ValueError, match=r"^Dilations must be positive, not \(0, 1\)"):
        Window(input=values, kernel=(2, 2), dilations=(0, 1))
