"""Convolution and fully connected layers: a window, a matrix-vector unit, requantisation."""

import dataclasses
import math

import numpy as np

from ..device import Device, Resources
from ..operator import Constants, FeatureMap, Output, StreamShape, Timing
from .requantize import Requantization
from .window import Window


__all__ = ["Convolution", "accumulator_width"]


def accumulator_width(weights: np.ndarray, bias: np.ndarray, width: int = 8) -> int:
    """Bits that hold any sum, and partial sum, of a row of weights times inputs, and its bias.

    Parameters
    ----------
    weights : integers, shape (rows, ...)
    bias : integers, shape (rows,)
        For inputs as they come: signed, or unsigned.
    width : :class:`int`
        Bits of an input; unsigned ones cross the multipliers less half their range.
    """
    weights = weights.reshape(len(weights), -1)
    most = np.abs(weights).sum(1) << width - 1
    offset = np.abs(weights.sum(1)) << width - 1
    return int((most + offset + np.abs(bias)).max()).bit_length() + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """Two-dimensional convolution of quantised values; a fully connected layer is one whose kernel
    is the map.

    :py:`requantization(sum(weights[o] * window) + bias[o])`, with the zero point of the input in
    the bias, so that a window holds values as they come, and ``pad`` where there are none.

    Parameters
    ----------
    input : :class:`FeatureMap`
    kernel, strides : pairs of :class:`int`
        Rows and columns.
    padding : four :class:`int`
        Top, left, bottom, right.
    pad : :class:`int`
        Value of the padding: the zero point of the input.
    weights : :class:`Constants`, shape (out_channels, kernel rows, kernel columns, channels)
        8 bits, signed.
    bias : :class:`Constants`, shape (out_channels,)
        Less the input's zero point times the sum of the weights.
    requantization : :class:`Requantization`
    output : :class:`FeatureMap`
        Its size must be what the window gives.
    acc_width : :class:`int`
        Bits of an accumulator, as :func:`accumulator_width` says.
    rows : :class:`int`
        Folding: output channels at once.
    lanes, part : :class:`int`, pair of :class:`int`
        Folding: input channels, and kernel rows and columns, at once.
    requantizers : :class:`int`
        Folding: outputs per cycle, and lanes of the output.
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
    rows: int = 1
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    requantizers: int = 1

    def __post_init__(self) -> None:
        shape = (self.output.channels, *self.kernel, self.input.channels)
        if self.weights.shape != shape or self.bias.shape != shape[:1]:
            raise ValueError(f"Weights and bias must have the shapes {shape!r} and {shape[:1]!r}, "
                             f"not {self.weights.shape!r} and {self.bias.shape!r}")
        if self.window.positions != (self.output.rows, self.output.columns):
            raise ValueError(f"Output must have the size {self.window.positions!r}, "
                             f"not {(self.output.rows, self.output.columns)!r}")
        if not 1 <= self.rows <= self.output.channels + self.output.channels % 2:
            raise ValueError(f"Rows must be between 1 and {self.output.channels!r} output "
                             f"channels, not {self.rows!r}")
        if not 1 <= self.requantizers <= self.output.channels:
            raise ValueError(f"Requantizers must be between 1 and {self.output.channels!r} output "
                             f"channels, not {self.requantizers!r}")
        if self.passes > 1 and self.rows % self.requantizers:
            raise ValueError(f"Rows {self.rows!r} must be a multiple of the requantizers "
                             f"{self.requantizers!r}, or outputs straddle passes")

    @property
    def window(self) -> Window:
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, lanes=self.lanes, part=self.part)

    @property
    def passes(self) -> int:
        """Groups of output channels of a pixel."""
        return math.ceil(self.output.channels / self.rows)

    @property
    def steps(self) -> int:
        """Cycles in which a pass reads its window."""
        return math.prod(self.window.parts) * self.window.groups

    @property
    def columns(self) -> int:
        """Inputs that meet the weights of each row in one cycle."""
        return self.lanes * math.prod(self.part)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.requantizers),)

    @property
    def macs(self) -> int:
        return self.output.size * math.prod(self.kernel) * self.input.channels

    @property
    def multipliers(self) -> int:
        return self.rows * self.columns

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        windows = self.window.gather(x, self.pad)
        # Sums stay far below 2 ** 53: floating point is exact here, and much faster.
        flat = windows.reshape(-1, math.prod(self.weights.shape[1:])).astype(np.float64)
        weights = self.weights.values.reshape(self.output.channels, -1).astype(np.float64)
        sums = (flat @ weights.T).astype(np.int64) + self.bias.values
        return (self.requantization.apply(sums).reshape(len(x), *self.output.shape),)
