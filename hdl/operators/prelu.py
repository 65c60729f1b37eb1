"""PRelu: another scale, for each channel, where values are negative."""

import dataclasses

import numpy as np

from ..device import Device, Resources
from ..operator import Constants, FeatureMap, Input, Output, StreamShape, Timing
from .requantize import round_shift


__all__ = ["PRelu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PRelu:
    """:py:`clamp(zero_out + round(d * (scale if d >= 0 else slopes[c]) / 2 ** shift), low, high)`,
    :py:`d = x - zero`.

    Parameters
    ----------
    input, output : :class:`FeatureMap`
        Of one size.
    zero, zero_out : :class:`int`
        Zero points of the input and output.
    scale : :class:`int`
        Fixed-point scale where the input is not negative; 17 unsigned bits.
    slopes : :class:`Constants`, shape (channels,)
        Fixed-point scale where it is; 18 signed bits.
    shift : :class:`int`
        1 to 63.
    low, high : :class:`int`
        Range of the output.
    lanes : :class:`int`
        Folding: channels at once.
    """

    input: FeatureMap
    output: FeatureMap
    zero: int
    zero_out: int
    scale: int
    slopes: Constants
    shift: int
    low: int
    high: int
    lanes: int = 1

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        d = x - self.zero
        scaled = round_shift(d * np.where(d >= 0, self.scale, self.slopes.values), self.shift)
        return (np.clip(scaled + self.zero_out, self.low, self.high),)
