"""Padding that no following operator can take into its window."""

import dataclasses

import numpy as np

from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing


__all__ = ["Pad"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pad:
    """Rows and columns of a constant around a map.

    Parameters
    ----------
    input : :class:`FeatureMap`
    padding : four :class:`int`
        Top, left, bottom, right.
    value : :class:`int`
        What they hold, in all channels.
    lanes : :class:`int`
        Folding: channels at once.
    """

    input: FeatureMap
    padding: tuple[int, int, int, int]
    value: int
    lanes: int = 1

    @property
    def output(self) -> FeatureMap:
        top, left, bottom, right = self.padding
        return self.input.resized(rows=self.input.rows + top + bottom,
                                  columns=self.input.columns + left + right)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        top, left, bottom, right = self.padding
        return (np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)),
                       constant_values=self.value),)
