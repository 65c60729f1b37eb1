"""Selections whose weights are where a test wants them."""

from collections.abc import Mapping

import numpy as np

from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.optimizer.choice import Chooser, Selection


__all__ = ["tiled"]


def tiled(chooser: Chooser, limit: int, tiles: Mapping[str, int]) -> Selection:
    """The cheapest that keeps to a limit with all weights on the chip; then with those of some
    stages streamed, each for so many tiles, as slowly as the limit allows."""
    selection = chooser.choose(limit, np.array([1.0, 1, 1, 1, 1, 0]))
    assert selection is not None
    picks = selection.picks.copy()
    for name, count in tiles.items():
        node = chooser.numbers[name]
        found = chooser.nodes[node]
        picks[node] = max(
            (k for k, (first, *_) in enumerate(found.operators)
             if isinstance(first, StreamedConvolution) and first.tiling.tiles == count
             and found.intervals[k] <= limit), key=lambda k, found=found: found.intervals[k])
    return chooser._selection(picks, limit)
