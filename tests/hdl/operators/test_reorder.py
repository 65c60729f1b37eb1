"""Reorder: every value, every cycle."""

import numpy as np
import pytest
from windowed import frames_for

from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.reorder import Reorder
from fcnnx.hdl.testing import check_operator


def reorder(rows, columns, channels, group, tile, lanes, tiles_held=2):
    """Tiles are of so many rows."""
    return Reorder(output=FeatureMap(rows=rows, columns=columns, channels=channels), group=group,
                   tile=int(tile * columns), lanes=lanes, tiles_held=tiles_held)


SPECS = {
    "two tiles": reorder(4, 3, 8, 2, 2, 1),
    "one tile, one held": reorder(3, 4, 8, 4, 3, 2, 1),
    "channels dropped": reorder(4, 2, 9, 4, 2, 2),
    "beats dropped, one held": reorder(4, 3, 9, 4, 1, 1, 1),
    "whole groups": reorder(2, 5, 6, 2, 1, 2),
    "pixels": reorder(4, 1, 7, 2, 1, 1),
    "one group": reorder(4, 3, 6, 6, 2, 2),
    "parts of rows": reorder(2, 6, 8, 4, 1 / 3, 2),
    "a word": reorder(3, 1, 4, 4, 1, 4),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random")])
def test_reorderer(name, offering, taking):
    check_operator(SPECS[name], frames_for(SPECS[name], 4), offering=offering, taking=taking)


def test_channel_groups_come_one_after_another():
    spec = reorder(4, 1, 3, 2, 2, 1)
    pixels = np.arange(12).reshape(1, 4, 1, 3)
    came = [[0, 1], [3, 4], [2, -1], [5, -1], [6, 7], [9, 10], [8, -1], [11, -1]]
    (found,) = spec.compute(np.array(came).reshape(1, 8, 1, 2))
    assert (found == pixels).all()


@pytest.mark.parametrize(("change", "message"), [
    ({"tile": 3}, "Tile must divide the 8 pixels, not 6"),
    ({"lanes": 3}, "Lanes must divide the 4 channels of a group, and be at most all 8, not 3"),
    ({"tiles_held": 3}, "One tile is held, or two, not 3"),
])
def test_errors(change, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        reorder(**{"rows": 4, "columns": 2, "channels": 8, "group": 4, "tile": 2, "lanes": 2}
                | change)
