"""What ONNX operators ask of their inputs."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fcnnx.hdl.operator import FeatureMap

from .graph import Node
from .stages import Stages
from .tensors import Hosted, Integers, Pointwise, Refused, Weights


__all__ = ["NCHW", "Context", "bias_of", "check_windows", "floats", "is_constant", "kernel_of",
           "per_channel", "quantized", "raster_index", "take_padding", "window_of"]


NCHW = (2, 3, 1)


@dataclasses.dataclass(frozen=True)
class Context:
    """What an operator's function may need beside its inputs.

    Parameters
    ----------
    node : :class:`Node`
    stages : :class:`Stages`
    shapes, types : mappings
        Of the graph's tensors.
    """

    node: Node
    stages: Stages
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, np.dtype]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output."""
        if self.node.outputs[0] not in self.shapes:
            raise Refused("the shape of its output depends on values.",
                          "Export the model with fixed shapes.")
        return self.shapes[self.node.outputs[0]]

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)


def quantized(x: Any) -> Pointwise:
    """An activation that has just been dequantised."""
    if isinstance(x, Pointwise) and not x.functions:
        return x
    if isinstance(x, Hosted):
        raise Refused("it follows a Softmax or Sigmoid, which are computed at an output only.",
                      "End the model there.")
    if isinstance(x, (np.ndarray, Weights)):
        raise Refused("its first input is constant.", "Put the constant second.")
    raise Refused("its input is not quantised.",
                  "Put QuantizeLinear and DequantizeLinear before it, or give the float model.")


def floats(x: Any) -> np.ndarray:
    """A constant's values."""
    return x.values if isinstance(x, Weights) else x


def is_constant(x: Any) -> bool:
    """Whether a tensor depends on nothing."""
    return isinstance(x, (np.ndarray, Weights))


def per_channel(values: np.ndarray, index: np.ndarray, channels: int) -> np.ndarray:
    """One value for each channel of constants that meet a tensor with this raster index."""
    try:
        spread = np.broadcast_to(values, index.shape)
    except ValueError:
        raise Refused(f"its constant of shape {list(values.shape)} would enlarge the activations "
                      f"of shape {list(index.shape)}.") from None
    flat = np.empty(index.size, np.float64)
    flat[index.ravel()] = spread.ravel()
    pixels = flat.reshape(-1, channels)
    if (pixels != pixels[0]).any():
        raise Refused("its constant differs from pixel to pixel.",
                      "Use one value, or one for each channel.")
    return pixels[0]


def raster_index(taken: FeatureMap) -> np.ndarray:
    """Of a map in a tensor of the shape (1, channels, rows, columns)."""
    return np.arange(taken.size).reshape(taken.shape).transpose(2, 0, 1)[None]


def kernel_of(x: Any, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and their scales, output channels (``axis``) first."""
    if isinstance(x, np.ndarray):
        raise Refused("its weights are not quantised.", "Quantise them to 8 bits, symmetrically.")
    if not isinstance(x, Weights):
        raise Refused("its weights are not constant.")
    if x.zeros.any():
        raise Refused(f"its weights have a zero point other than 0 (node {x.node}).",
                      "Quantise weights symmetrically.")
    if x.integers.min() < -128 or x.integers.max() > 127:
        raise Refused(f"its weights do not fit 8 signed bits (node {x.node}).")
    scales = np.moveaxis(np.broadcast_to(x.scale, x.integers.shape), axis, 0)
    scales = scales.reshape(len(scales), -1)
    if (scales != scales[:, :1]).any():
        raise Refused("the scales of its weights differ within an output channel.",
                      "Quantise weights per output channel, or per tensor.")
    return np.moveaxis(x.integers, axis, 0).astype(np.int64), scales[:, 0]


def bias_of(x: Any, channels: int) -> np.ndarray:
    """A bias in floats, one for each output channel; zeros where there is none."""
    if x is None:
        return np.zeros(channels)
    if not is_constant(x):
        raise Refused("its bias is not constant.")
    return np.broadcast_to(floats(x).astype(np.float64).ravel(), (channels,))


def window_of(context: Context, taken: FeatureMap,
            kernel: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Strides and padding."""
    if len(kernel) != 2:
        raise Refused(f"it has {len(kernel)} spatial dimensions.",
                      "Two-dimensional operators are supported.")
    if any(each != 1 for each in context.attribute("dilations", ())):
        raise Refused("dilation is not supported.")
    strides = tuple(context.attribute("strides", (1, 1)))
    automatic = context.attribute("auto_pad", "NOTSET")
    padding = tuple(context.attribute("pads", (0, 0, 0, 0)))
    if automatic == "VALID":
        padding = (0, 0, 0, 0)
    elif automatic != "NOTSET":
        begin, end = [], []
        for size, reach, stride in zip((taken.rows, taken.columns), kernel, strides, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
            less, more = total // 2, total - total // 2
            begin.append(less if automatic == "SAME_UPPER" else more)
            end.append(more if automatic == "SAME_UPPER" else less)
        padding = (*begin, *end)
    if min(padding) < 0:
        raise Refused("negative padding is not supported.")
    return strides, padding


def take_padding(x: Pointwise, padding: tuple[int, int, int, int]) -> tuple[
        Integers, tuple[int, int, int, int]]:
    """Takes the zeros of a Pad before it into the padding of a window."""
    integers = x.integers
    if not any(integers.padding) or integers.pad != x.quantization.zero:
        return integers, padding
    top, left, bottom, right = (a + b for a, b in zip(integers.padding, padding, strict=True))
    return dataclasses.replace(integers, padding=(0, 0, 0, 0)), (top, left, bottom, right)


def check_windows(context: Context, taken: FeatureMap, kernel: tuple[int, int],
                   strides: tuple[int, int], padding: tuple[int, int, int, int]) -> None:
    """Refuses windows that reach over the padded map, or hold nothing but padding."""
    top, left, bottom, right = padding
    rest = ((taken.rows + top + bottom - kernel[0]) % strides[0],
            (taken.columns + left + right - kernel[1]) % strides[1])
    if context.attribute("ceil_mode", 0) and any(rest):
        raise Refused("ceil_mode is not supported.", "Export it with floor, and pad before it.")
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise Refused(f"its padding {list(padding)} is as large as its kernel {list(kernel)}.")
