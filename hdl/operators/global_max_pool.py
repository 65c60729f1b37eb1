"""The greatest value of a whole map."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places, give_beats
from .window import fewest_for_each


__all__ = ["GlobalMaxPool", "GlobalMaximizer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlobalMaxPool:
    """The greatest value of each channel over the whole map, found as the pixels come.

    Parameters
    ----------
    input : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels at once.

    Raises
    ------
    ValueError
        If the lanes are out of their range.
    """

    input: FeatureMap
    lanes: int = 1

    def __post_init__(self) -> None:
        StreamShape(map=self.input, lanes=self.lanes)

    @property
    def output(self) -> FeatureMap:
        return self.input.resized(rows=1, columns=1)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = 2  # input, greatest

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x.max(axis=(1, 2), keepdims=True),)
