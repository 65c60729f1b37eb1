"""What ONNX operators ask of their inputs."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcnnx.hdl.operator import FeatureMap

from .fuse import Windows
from .graph import Node
from .stages import Stages
from .tensors import Hosted, Integers, Pointwise, Refused, Weights


__all__ = ["Context", "bias_of", "floats", "is_constant", "kernel_of", "per_channel", "planar",
           "pointwise", "quantized", "raster_index", "take_padding", "windows_of"]



@dataclasses.dataclass(frozen=True)
class Context:
    """What an operator's function may need beside its inputs.

    Parameters
    ----------
    node : :class:`Node`
    stages : :class:`Stages`
    shapes, types : mappings
        Of the graph's tensors.
    opset : :class:`int`
        Version of ONNX's operators.
    constants : set of :class:`str`
        Inputs of the node that depend on nothing.
    """

    node: Node
    stages: Stages
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, np.dtype]
    opset: int
    constants: frozenset[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output."""
        if self.node.outputs[0] not in self.shapes:
            raise Refused("the shape of its output depends on values.",
                          "Export the model with fixed shapes.")
        return self.shapes[self.node.outputs[0]]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Of the node; what it is where the node does not say it."""
        return self.node.attributes.get(name, default)


def quantized(x: Any) -> Pointwise:
    """An activation that has just been dequantised."""
    if isinstance(x, Pointwise) and not x.functions:
        return x
    if isinstance(x, Hosted):
        raise Refused("it follows an operator that is computed on the host, at an output only.",
                      "End the model there.")
    if is_constant(x):
        raise Refused("its first input is constant.", "Put the constant second.")
    if isinstance(x, Integers):
        raise Refused("it computes with integers.", "Put DequantizeLinear before it.")
    raise Refused("its input is not quantised.",
                  "Put QuantizeLinear and DequantizeLinear before it, or give the float model.")


def pointwise(x: Any) -> Pointwise:
    """An activation that has been dequantised, and maybe gone through functions since."""
    return x if isinstance(x, Pointwise) else quantized(x)


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


def windows_of(context: Context, taken: FeatureMap, kernel: Sequence[int]) -> Windows:
    """Windows of a node over a map.

    Parameters
    ----------
    kernel : one or two sizes

    Raises
    ------
    Refused
        If padding is negative.
    """
    count = len(kernel)
    sizes = (taken.rows, taken.columns)

    def pair(values: Sequence[int], fill: int) -> tuple[int, int]:
        return (int(values[-2]) if count > 1 else fill, int(values[-1]))

    size = pair(kernel, 1)
    strides = pair(context.attribute("strides", (1, 1)), 1)
    dilations = pair(context.attribute("dilations", (1, 1)), 1)
    extent = tuple((each - 1) * step + 1 for each, step in zip(size, dilations, strict=True))
    automatic = context.attribute("auto_pad", "NOTSET")
    given = context.attribute("pads", (0, 0, 0, 0)) if automatic == "NOTSET" else (0, 0, 0, 0)
    before, after = pair(given[:len(given) // 2], 0), pair(given[len(given) // 2:], 0)
    if automatic.startswith("SAME"):
        total = [max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
                 for size, reach, stride in zip(sizes, extent, strides, strict=True)]
        less, more = (total[0] // 2, total[1] // 2), (-(-total[0] // 2), -(-total[1] // 2))
        before, after = (less, more) if automatic == "SAME_UPPER" else (more, less)
    if min(*before, *after) < 0:
        raise Refused("negative padding is not supported.")
    positions = pair(context.shape[2:], 1)
    beyond = tuple(max(0, (at - 1) * stride + reach - size - low - high)
                   for at, stride, reach, size, low, high in zip(
                       positions, strides, extent, sizes, before, after, strict=True))
    return Windows(kernel=size, strides=strides, dilations=dilations, beyond=beyond,
                   padding=(*before, after[0] + beyond[0], after[1] + beyond[1]))


def planar(x: Any) -> Any:
    """A tensor of one or two spatial dimensions as one of two: those of one have a single row."""
    rank = x.index.ndim
    if rank == 3:
        return x.view(lambda index: index[:, :, None])
    if rank != 4:
        raise Refused(f"its input has {rank} dimensions.",
                      "Maps have a batch, channels, and one or two spatial dimensions.")
    return x


def take_padding(x: Pointwise, padding: tuple[int, int, int, int]) -> tuple[
        Integers, tuple[int, int, int, int]]:
    """Takes the zeros of a Pad before it into the padding of a window."""
    integers = x.integers
    if not any(integers.padding) or integers.pad != x.quantization.zero:
        return integers, padding
    top, left, bottom, right = (a + b for a, b in zip(integers.padding, padding, strict=True))
    return dataclasses.replace(integers, padding=(0, 0, 0, 0)), (top, left, bottom, right)
