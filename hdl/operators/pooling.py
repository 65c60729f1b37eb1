"""Pooling: the greatest, or the mean, of a window, and the mean of a whole map."""

import dataclasses
import math

import numpy as np

from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from .requantize import Requantization
from .window import Window


__all__ = ["AveragePool", "GlobalAveragePool", "MaxPool"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxPool:
    """The greatest value of each channel in a window; padding never wins.

    Parameters
    ----------
    input, kernel, strides, padding
        As in :class:`Convolution`. Every window must hold a pixel that is not padding.
    lanes, part : :class:`int`, pair of :class:`int`
        Folding: channels, and kernel rows and columns, at once.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    lanes: int = 1
    part: tuple[int, int] = (1, 1)

    @property
    def window(self) -> Window:
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, lanes=self.lanes, part=self.part)

    @property
    def output(self) -> FeatureMap:
        rows, columns = self.window.positions
        return self.input.resized(rows=rows, columns=columns)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.window.gather(x, self.input.low).max(axis=(3, 4)),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AveragePool:
    """The requantised sum of each channel in a window: the divisor is in the requantisation.

    Parameters
    ----------
    input, kernel, strides, padding, pad, requantization, output
        As in :class:`Convolution`; padding counts.
    bias : :class:`int`
        Less the input's zero point times the size of the kernel.
    lanes, part, requantizers
        Folding, as in :class:`DepthwiseConvolution`.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad: int = 0
    bias: int = 0
    requantization: Requantization
    output: FeatureMap
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    requantizers: int = 1

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

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        sums = self.window.gather(x, self.pad).sum(axis=(3, 4)) + self.bias
        return (self.requantization.apply(sums),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlobalAveragePool:
    """The requantised sum of each channel over the whole map, summed as the pixels come.

    Parameters
    ----------
    input : :class:`FeatureMap`
    bias : :class:`int`
        Less the input's zero point times the pixels.
    requantization : :class:`Requantization`
        The divisor included.
    output : :class:`FeatureMap`
        One pixel.
    lanes : :class:`int`
        Folding: channels at once.
    """

    input: FeatureMap
    bias: int = 0
    requantization: Requantization
    output: FeatureMap
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
        sums = x.sum(axis=(1, 2), keepdims=True) + self.bias
        return (self.requantization.apply(sums),)
