"""Addition of feature maps of different scales: residual connections."""

import dataclasses

import numpy as np

from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from .requantize import round_shift


__all__ = ["Add"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Add:
    """:py:`clamp(zero + round(sum((x[k] - zeros[k]) * scales[k]) / 2 ** shift), low, high)`.

    Parameters
    ----------
    operands : two or more :class:`FeatureMap`
        Of one size; widths and signs may differ.
    zeros, scales : as many :class:`int`
        Zero points, and fixed-point scales of 17 unsigned bits, of the operands.
    shift : :class:`int`
        1 to 63.
    zero, low, high : :class:`int`
        Zero point and range of the output.
    output : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels at once.
    """

    operands: tuple[FeatureMap, ...]
    zeros: tuple[int, ...]
    scales: tuple[int, ...]
    shift: int
    zero: int
    low: int
    high: int
    output: FeatureMap
    lanes: int = 1

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return tuple(StreamShape(map=each, lanes=self.lanes) for each in self.operands)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        total = sum((x - zero) * scale for x, zero, scale in
                    zip(inputs, self.zeros, self.scales, strict=True))
        return (np.clip(round_shift(total, self.shift) + self.zero, self.low, self.high),)
