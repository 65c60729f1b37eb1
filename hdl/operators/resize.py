"""Larger maps: each pixel repeated."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Memory
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places
from .window import fewest_for_each


__all__ = ["Upsample", "Upsampler"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upsample:
    """The nearest neighbour: :py:`y[row, column] = x[row // factors[0], column // factors[1]]`.

    Parameters
    ----------
    input : :class:`FeatureMap`
    factors : pair of :class:`int`
        Times that each row, and each column, is repeated; not both once.
    lanes : :class:`int`
        Folding: channels at once.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    input: FeatureMap
    factors: tuple[int, int]
    lanes: int = 1

    def __post_init__(self) -> None:
        if min(self.factors) < 1 or max(self.factors) < 2:
            raise ValueError(f"Factors must be positive, and not both 1, not {self.factors!r}")
        StreamShape(map=self.input, lanes=self.lanes)

    @property
    def output(self) -> FeatureMap:
        return self.input.resized(rows=self.input.rows * self.factors[0],
                                  columns=self.input.columns * self.factors[1])

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = Memory.latency

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x.repeat(self.factors[0], axis=1).repeat(self.factors[1], axis=2),)
