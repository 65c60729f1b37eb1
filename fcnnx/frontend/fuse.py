"""Groups of float operators between DequantizeLinear and QuantizeLinear, as integer operators.

A group holds what the floats would be; quantising it gives its operator. Nothing is fused across a
QuantizeLinear: both roundings are the model's.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fcnnx.hdl.operator import Constants, FeatureMap, Operator
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.multiply import Multiply
from fcnnx.hdl.operators.pooling import AveragePool
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.operators.window import Window

from .fixed import channel_scales, common_scales
from .graph import Node
from .tensors import Integers, Pointwise, Quantization, Refused


__all__ = ["Factors", "Greatest", "Group", "Joined", "Means", "Padded", "Products", "Slopes",
           "Sums", "Windows"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
    """How a kernel slides over a map, rows before columns.

    Parameters
    ----------
    kernel, strides, padding, dilations : as in :class:`fcnnx.hdl.operators.window.Window`
    beyond : pair of :class:`int`
        Rows at the bottom and columns at the right, of the padding, that only the last windows of
        a ceil_mode reach.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    beyond: tuple[int, int] = (0, 0)

    def cover(self, taken: FeatureMap) -> bool:
        """Whether one of them is the whole map."""
        return self.kernel == taken.shape[:2] and not any(self.padding) and \
            self.dilations == (1, 1)

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of an operator's spec."""
        return {"kernel": self.kernel, "strides": self.strides, "padding": self.padding,
                "dilations": self.dilations}


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
    windows : :class:`Windows`
    weights : integers, shape (out_channels, rows, columns, channels), or (out_channels, rows,
        columns) of a depthwise one
        Where there are groups: of the channels of a group.
    scales : floats, shape (out_channels,)
        Of the weights.
    bias : floats, shape (out_channels,)
    rows, columns : :class:`int`
        Of the output.
    groups : :class:`int`
        Groups of channels that do not meet; 1 of a depthwise one.
    """

    x: Pointwise
    input: FeatureMap
    windows: Windows
    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    rows: int
    columns: int
    groups: int = 1

    @property
    def integers(self) -> tuple[Integers, ...]:
        return (self.x.integers,)

    def add(self, constant: np.ndarray) -> Self:
        """With more bias, shape (out_channels,)."""
        return dataclasses.replace(self, bias=self.bias + constant)

    def parts(self) -> list[Self]:
        """The convolution of each group; each has the group's channels as its input."""
        given = self.input.resized(channels=self.input.channels // self.groups)
        parts = zip(*(np.split(values, self.groups) for values in (
            self.weights, self.scales, self.bias)), strict=True)
        return [dataclasses.replace(self, input=given, weights=weights, scales=scales, bias=bias,
                                    groups=1) for weights, scales, bias in parts]

    def operator(self, output: Quantization) -> Operator:
        units = np.float64(self.x.quantization.scale) * self.scales.astype(np.float64)
        sums = self.weights.reshape(len(self.weights), -1).sum(1)
        bias = np.rint(self.bias / units).astype(np.int64) - self.x.quantization.zero * sums
        kind = DepthwiseConvolution if self.weights.ndim == 3 else Convolution
        return kind(input=self.input, **self.windows.parameters, pad=self.x.quantization.zero,
                    weights=Constants(self.weights), bias=Constants(bias),
                    requantization=self.requantization(units, output),
                    output=output.map(self.rows, self.columns, len(self.weights)),
                    acc_width=accumulator_width(self.weights, bias, self.input))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Means(Group):
    """Average pooling; over the whole map where there are no windows.

    Parameters
    ----------
    x, input, windows : as in :class:`Products`
    excluded : four :class:`int`
        Rows and columns of the padding that do not count, as in :class:`AveragePool`.
    """

    x: Pointwise
    input: FeatureMap
    windows: Windows | None = None
    excluded: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def integers(self) -> tuple[Integers, ...]:
        return (self.x.integers,)

    def operator(self, output: Quantization) -> Operator:
        unit, zero = np.float64(self.x.quantization.scale), self.x.quantization.zero
        if self.windows is None:
            return GlobalAveragePool(input=self.input, bias=-zero * self.input.pixels,
                                     requantization=self.requantization(unit / self.input.pixels,
                                                                        output),
                                     output=output.map(1, 1, self.input.channels))
        window = Window(input=self.input, **self.windows.parameters)
        counts = np.unique(window.counts(self.excluded))
        if counts[0] == 0:
            raise Refused("one of its windows holds nothing but padding.")
        scales, shift = common_scales(unit / np.float64(output.scale) / counts)
        low, high = output.range(self.low, self.high)
        return AveragePool(input=self.input, **self.windows.parameters, pad=zero,
                           excluded=self.excluded, bias=-zero * math.prod(self.windows.kernel),
                           requantization=Requantization(
                               multiplier=Constants(scales), shift=shift, zero=output.zero,
                               low=low, high=high),
                           output=output.map(*window.positions, self.input.channels))


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
class Factors(Group):
    """The product of two activations; the second may be one pixel for the map of the first."""

    terms: tuple[Pointwise, Pointwise]
    maps: tuple[FeatureMap, FeatureMap]

    @property
    def integers(self) -> tuple[Integers, ...]:
        return tuple(term.integers for term in self.terms)

    def operator(self, output: Quantization) -> Operator:
        first, second = (term.quantization for term in self.terms)
        scales, shift = common_scales(np.array([
            np.float64(first.scale) * np.float64(second.scale) / np.float64(output.scale)]))
        low, high = output.range(self.low, self.high)
        return Multiply(operands=self.maps, zeros=(first.zero, second.zero), scale=int(scales[0]),
                        shift=shift, zero=output.zero, low=low, high=high,
                        output=output.map(*self.maps[0].shape))


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
class Joined:
    """Channels side by side: of activations, and constant ones.

    Parameters
    ----------
    name, index : as of :class:`Group`
    terms : tuple of :class:`Pointwise`, and of floats, shape (channels,)
        Each activation a map of the output's rows and columns.
    """

    name: str
    index: np.ndarray
    terms: tuple[Pointwise | np.ndarray, ...]

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        return dataclasses.replace(self, index=change(self.index))

    def then(self, node: Node, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """With a function applied to each element."""
        terms = tuple(each.then(node, function) if isinstance(each, Pointwise) else function(each)
                      for each in self.terms)
        return dataclasses.replace(self, terms=terms)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Padded:
    """Rows and columns of a constant, which may be no value of the input, around a map.

    Parameters
    ----------
    name : as of :class:`Group`
    index, padding : as of :class:`Integers`
    x : :class:`Pointwise`
    value : :class:`float`
    """

    name: str
    index: np.ndarray
    x: Pointwise
    padding: tuple[int, int, int, int]
    value: float

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        return dataclasses.replace(self, index=change(self.index))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Greatest:
    """Max pooling of floats that are quantised only after it: quantising keeps order, so that it
    may come first.

    Parameters
    ----------
    name, index : as of :class:`Group`
    inner : :class:`Group` or :class:`Pointwise`
        Of the shape (1, channels, rows, columns).
    windows : :class:`Windows` or None
        None where it goes over the whole map.
    """

    name: str
    index: np.ndarray
    inner: Any
    windows: Windows | None

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        return dataclasses.replace(self, index=change(self.index))
