"""Depthwise convolution: each channel with a kernel of its own."""

import dataclasses
import math

import numpy as np

from ..device import Device, Resources
from ..operator import Constants, FeatureMap, Output, StreamShape, Timing
from .requantize import Requantization
from .window import Window


__all__ = ["DepthwiseConvolution"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthwiseConvolution:
    """Two-dimensional convolution of each channel with its own kernel.

    :py:`requantization(sum(weights[c] * window[c]) + bias[c])`, the zero point of the input in the
    bias, as in :class:`Convolution`.

    Parameters
    ----------
    input, kernel, strides, padding, pad, bias, requantization, output, acc_width
        As in :class:`Convolution`; the output has the input's channels.
    weights : :class:`Constants`, shape (channels, kernel rows, kernel columns)
        8 bits, signed.
    lanes, part : :class:`int`, pair of :class:`int`
        Folding: channels, and kernel rows and columns, at once.
    requantizers : :class:`int`
        Folding: outputs per cycle, and lanes of the output; divides the lanes.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad: int = 0
    weights: Constants
    bias: Constants
    requantization: Requantization
    output: FeatureMap
    acc_width: int
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    requantizers: int = 1

    def __post_init__(self) -> None:
        shape = (self.input.channels, *self.kernel)
        if self.weights.shape != shape or self.bias.shape != shape[:1]:
            raise ValueError(f"Weights and bias must have the shapes {shape!r} and {shape[:1]!r}, "
                             f"not {self.weights.shape!r} and {self.bias.shape!r}")
        if (*self.window.positions, self.input.channels) != self.output.shape:
            raise ValueError(f"Output must have the size "
                             f"{(*self.window.positions, self.input.channels)!r}, "
                             f"not {self.output.shape!r}")
        if self.requantizers < 1 or self.lanes % self.requantizers:
            raise ValueError(f"Requantizers must divide {self.lanes!r} lanes, "
                             f"not {self.requantizers!r}")

    @property
    def window(self) -> Window:
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, lanes=self.lanes, part=self.part)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.requantizers),)

    @property
    def macs(self) -> int:
        return self.output.size * math.prod(self.kernel)

    @property
    def multipliers(self) -> int:
        return self.lanes * math.prod(self.part)

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        windows = self.window.gather(x, self.pad)
        sums = np.einsum("fyxijc,cij->fyxc", windows, self.weights.values) + self.bias.values
        return (self.requantization.apply(sums),)
