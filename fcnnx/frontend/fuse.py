"""Groups of float operators between DequantizeLinear and QuantizeLinear, as integer operators.

A group holds what the floats would be; quantising it gives its operator. Nothing is fused across a
QuantizeLinear: both roundings are the model's.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt

from fcnnx.hdl.operator import Constants, FeatureMap, Operator
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.pooling import AveragePool
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.operators.window import Window

from .fixed import channel_scales, common_scales
from .tensors import Integers, Pointwise, Quantization


__all__ = ["Greatest", "Group", "Means", "Products", "Slopes", "Sums"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Group(abc.ABC):
    """Floats that one operator computes, limited to a range.

    Parameters
    ----------
    name : :class:`str`
        The node of the operator.
    index : integers, shape of the tensor
        Each element's place in the operator's output map, in raster order.
    low, high : :class:`float`
        Range that Relu or Clip leave.
    """

    name: str
    index: np.ndarray
    low: float = -np.inf
    high: float = np.inf

    @property
    @abc.abstractmethod
    def integers(self) -> tuple[Integers, ...]:
        """What it is computed from."""

    @abc.abstractmethod
    def operator(self, output: Quantization) -> Operator:
        """The operator that gives the quantised floats."""

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        return dataclasses.replace(self, index=change(self.index))

    def clip(self, low: float, high: float) -> Self:
        """Limited further."""
        return dataclasses.replace(self, low=float(np.clip(self.low, low, high)),
                                   high=float(np.clip(self.high, low, high)))

    def requantization(self, scales: npt.ArrayLike, output: Quantization) -> Requantization:
        """Of sums whose unit is ``scales``, one for each channel or one for all."""
        multipliers, shifts = channel_scales(np.asarray(scales) / np.float64(output.scale))
        low, high = output.range(self.low, self.high)
        shift = shifts if isinstance(shifts, int) else Constants(shifts)
        return Requantization(multiplier=Constants(multipliers), shift=shift, zero=output.zero,
                              low=low, high=high)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Products(Group):
    """Convolution, depthwise convolution, fully connected layer.

    Parameters
    ----------
    x : :class:`Pointwise`
        Dequantised and nothing more.
    input : :class:`FeatureMap`
        Of ``x``, without padding.
    kernel, strides, padding : as in :class:`Convolution`
    weights : integers, shape (out_channels, rows, columns, channels), or (channels, rows, columns)
        of a depthwise one
    scales : floats, shape (out_channels,)
        Of the weights.
    bias : floats, shape (out_channels,)
    rows, columns : :class:`int`
        Of the output.
    """

    x: Pointwise
    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    rows: int
    columns: int

    @property
    def integers(self) -> tuple[Integers, ...]:
        return (self.x.integers,)

    def add(self, constant: np.ndarray) -> Self:
        """With more bias, shape (out_channels,)."""
        return dataclasses.replace(self, bias=self.bias + constant)

    def operator(self, output: Quantization) -> Operator:
        units = np.float64(self.x.quantization.scale) * self.scales.astype(np.float64)
        sums = self.weights.reshape(len(self.weights), -1).sum(1)
        bias = np.rint(self.bias / units).astype(np.int64) - self.x.quantization.zero * sums
        kind = DepthwiseConvolution if self.weights.ndim == 3 else Convolution
        return kind(input=self.input, kernel=self.kernel, strides=self.strides,
                    padding=self.padding, pad=self.x.quantization.zero,
                    weights=Constants(self.weights), bias=Constants(bias),
                    requantization=self.requantization(units, output),
                    output=output.map(self.rows, self.columns, len(self.weights)),
                    acc_width=accumulator_width(self.weights, bias, self.input))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Means(Group):
    """Average pooling; over the whole map where ``kernel`` is None, as in :class:`Products`
    otherwise."""

    x: Pointwise
    input: FeatureMap
    kernel: tuple[int, int] | None = None
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def integers(self) -> tuple[Integers, ...]:
        return (self.x.integers,)

    def operator(self, output: Quantization) -> Operator:
        count = self.input.pixels if self.kernel is None else self.kernel[0] * self.kernel[1]
        zero = self.x.quantization.zero
        requantization = self.requantization(np.float64(self.x.quantization.scale) / count, output)
        if self.kernel is None:
            return GlobalAveragePool(input=self.input, bias=-zero * count,
                                     requantization=requantization,
                                     output=output.map(1, 1, self.input.channels))
        rows, columns = Window(input=self.input, kernel=self.kernel, strides=self.strides,
                               padding=self.padding).positions
        return AveragePool(input=self.input, kernel=self.kernel, strides=self.strides,
                           padding=self.padding, pad=zero, bias=-zero * count,
                           requantization=requantization,
                           output=output.map(rows, columns, self.input.channels))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sums(Group):
    """The sum of activations of one size."""

    terms: tuple[Pointwise, ...]
    maps: tuple[FeatureMap, ...]

    @property
    def integers(self) -> tuple[Integers, ...]:
        return tuple(term.integers for term in self.terms)

    def operator(self, output: Quantization) -> Operator:
        quantizations = [term.quantization for term in self.terms]
        scales, shift = common_scales(np.array([np.float64(each.scale) / np.float64(output.scale)
                                                for each in quantizations]))
        low, high = output.range(self.low, self.high)
        return Add(operands=self.maps, zeros=tuple(each.zero for each in quantizations),
                   scales=tuple(map(int, scales)), shift=shift, zero=output.zero, low=low,
                   high=high, output=output.map(*self.maps[0].shape))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Slopes(Group):
    """PRelu with a slope for each channel."""

    x: Pointwise
    input: FeatureMap
    slopes: np.ndarray

    @property
    def integers(self) -> tuple[Integers, ...]:
        return (self.x.integers,)

    def operator(self, output: Quantization) -> Operator:
        given = self.x.quantization
        slopes = np.append(self.slopes, 1).astype(np.float32)
        ratio = np.float64(given.scale) / np.float64(output.scale)
        scales, shift = common_scales(ratio * slopes.astype(np.float64))
        low, high = output.range(self.low, self.high)
        return PRelu(input=self.input, output=output.map(*self.input.shape), zero=given.zero,
                     zero_out=output.zero, scale=int(scales[-1]), slopes=Constants(scales[:-1]),
                     shift=shift, low=low, high=high)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Greatest:
    """Max pooling of floats that are quantised only after it: quantising keeps order, so that it
    may come first.

    Parameters
    ----------
    name, index : as of :class:`Group`
    inner : :class:`Group` or :class:`Pointwise`
    axes : tuple of :class:`int`
        Of rows, columns and channels, in the pooled tensor.
    kernel, strides, padding : as in :class:`MaxPool`
    """

    name: str
    index: np.ndarray
    inner: Group | Pointwise
    axes: tuple[int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        return dataclasses.replace(self, index=change(self.index))
