"""Product of two feature maps, of which one may be a pixel for the whole of the other."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import FeatureMap, Input, StreamShape, Timing
from ..streams import OutputQueue
from .beats import beat_timing, full_rate_places, give_beats
from .requantize import MULTIPLIER_WIDTH, check_range, clamped, round_shift, rounded
from .window import delayed, fewest_for_each


__all__ = ["Multiplier", "Multiply"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multiply:
    """:py:`clamp(zero + round((a - zeros[0]) * (b - zeros[1]) * scale / 2 ** shift), low, high)`.

    Parameters
    ----------
    operands : two :class:`FeatureMap`
        The first of the output's size; the second too, or a single pixel, by which each pixel of
        the first is multiplied. At most 8 bits each.
    zeros : pair of :class:`int`
        Zero points of the operands.
    scale, shift : :class:`int`
        Fixed-point scale, of as many bits as a requantiser's; 1 to 63.
    zero, low, high : :class:`int`
        Zero point and range of the output.
    output : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels at once.

    Raises
    ------
    ValueError
        If operands and output do not fit together, or a parameter is out of its range.
    """

    operands: tuple[FeatureMap, FeatureMap]
    zeros: tuple[int, int]
    scale: int
    shift: int
    zero: int
    low: int
    high: int
    output: FeatureMap
    lanes: int = 1

    def __post_init__(self) -> None:
        first, second = self.operands
        if first.shape != self.output.shape or second.shape not in (
                first.shape, (1, 1, first.channels)):
            raise ValueError(f"The first operand must have the output's size "
                             f"{self.output.shape!r}, and the second too, or one pixel, "
                             f"not {first.shape!r} and {second.shape!r}")
        for each, zero in zip(self.operands, self.zeros, strict=True):
            if each.width > 8:
                raise ValueError(f"Operands must have 8 bits at most, not {each.width!r}")
            if not each.low <= zero <= each.high:
                raise ValueError(f"Zero point must be between {each.low!r} and {each.high!r}, "
                                 f"not {zero!r}")
        if not 0 <= self.scale < 1 << MULTIPLIER_WIDTH:
            raise ValueError(f"Scale must have {MULTIPLIER_WIDTH!r} bits at most and not be "
                             f"negative, not {self.scale!r}")
        if not 1 <= self.shift <= 63:
            raise ValueError(f"Shift must be between 1 and 63, not {self.shift!r}")
        check_range(self.low, self.high, self.output)
        StreamShape(map=self.output, lanes=self.lanes)

    @property
    def repeated(self) -> bool:
        """Whether the second operand is one pixel for a map of several."""
        return self.operands[1].pixels < self.operands[0].pixels

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return tuple(StreamShape(map=each, lanes=self.lanes) for each in self.operands)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
        product = (a - self.zeros[0]) * (b - self.zeros[1]) * self.scale
        return (np.clip(round_shift(product, self.shift) + self.zero, self.low, self.high),)
