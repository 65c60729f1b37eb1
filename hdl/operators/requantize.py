"""Requantisation: accumulator words to narrower activation words."""

import dataclasses

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import Constants, FeatureMap


__all__ = ["Requantization", "round_shift"]


def round_shift(x: np.ndarray, shift) -> np.ndarray:
    """:py:`x / 2 ** shift` to the nearest integer, ties to even."""
    to_even = (x >> shift) & 1
    return (x + (1 << np.asarray(shift) - 1) - 1 + to_even) >> shift


@dataclasses.dataclass(frozen=True, kw_only=True)
class Requantization:
    """Parameters of :py:`clamp(zero + round(x * multiplier[c] / 2 ** shift[c]), low, high)`.

    Rounding is to nearest, ties to even, as in ONNX QuantizeLinear.

    Parameters
    ----------
    multiplier : :class:`Constants`, shape (channels,) or (1,)
        Fixed-point scale, 0 to 2 ** 17 - 1; one for each channel, or one for all.
    shift : :class:`Constants`, shape (channels,) or (1,)
        1 to 63.
    zero : :class:`int`
        Zero point of the output.
    low, high : :class:`int`
        Range of the output: that of its type, or less where a Relu or Clip is folded in.
    """

    multiplier: Constants
    shift: Constants
    zero: int
    low: int
    high: int

    def __post_init__(self) -> None:
        values, shifts = self.multiplier.values, self.shift.values
        if values.ndim != 1 or not ((values >= 0) & (values < 1 << 17)).all():
            raise ValueError("Multipliers must be a vector of integers from 0 to 2 ** 17 - 1")
        if shifts.ndim != 1 or not ((shifts >= 1) & (shifts <= 63)).all():
            raise ValueError("Shifts must be a vector of integers from 1 to 63")
        if self.low > self.high:
            raise ValueError(f"Low must be at most high, not {self.low!r} and {self.high!r}")

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Activations of accumulators, shape (..., channels)."""
        scaled = round_shift(x * self.multiplier.values, self.shift.values)
        return np.clip(scaled + self.zero, self.low, self.high)
