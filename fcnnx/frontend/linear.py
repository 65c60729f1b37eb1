"""Convolutions and fully connected layers of ONNX as groups of floats."""

import dataclasses
from typing import Any

import numpy as np

from .fuse import Products, Windows
from .operands import (
    Context,
    bias_of,
    is_constant,
    kernel_of,
    planar,
    quantized,
    raster_index,
    take_padding,
    windows_of,
)
from .tensors import NCHW, Refused, Weights


__all__ = ["conv", "gemm", "matmul"]


def conv(context: Context, x: Any, weights: Any, bias: Any = None) -> Products:
    x = planar(quantized(x))
    integers, scales = kernel_of(weights, 0)
    if integers.ndim == 3:
        integers = integers[:, :, None]
    taken = x.integers.as_map(NCHW)
    windows = windows_of(context, taken, context.shapes[context.node.inputs[1]][2:])
    groups = context.attribute("group", 1)
    depthwise = groups > 1 and groups == taken.channels
    merged, padding = take_padding(x, windows.padding)
    given = taken if merged is x.integers else merged.origin.map
    rows, columns = (1, *context.shape[2:])[-2:]
    output = given.resized(rows=rows, columns=columns, channels=len(integers))
    return Products(name=context.node.name, index=raster_index(output).reshape(context.shape),
                    x=dataclasses.replace(x, integers=merged), input=given,
                    windows=dataclasses.replace(windows, padding=padding),
                    weights=integers[:, 0] if depthwise else integers.transpose(0, 2, 3, 1),
                    scales=scales, bias=bias_of(bias, len(integers)), rows=rows, columns=columns,
                    groups=1 if depthwise else groups)


def _matrix(context: Context, x: Any, weights: np.ndarray, scales: np.ndarray,
            bias: np.ndarray) -> Products:
    """A fully connected layer; weights of the shape (outputs, inputs)."""
    x = quantized(x)
    if x.integers.index.size != weights.shape[1]:
        raise Refused(f"it multiplies a tensor of shape {list(x.integers.index.shape)}, and more "
                      "than one vector.", "Flatten the tensor first.")
    given = x.integers.as_vector()
    rasters = np.empty_like(weights)
    rasters[:, x.integers.raster().ravel()] = weights
    count = len(weights)
    return Products(name=context.node.name, index=np.arange(count).reshape(context.shape), x=x,
                    input=given, windows=Windows(kernel=(given.rows, given.columns)),
                    weights=rasters.reshape(count, *given.shape), scales=scales, bias=bias,
                    rows=1, columns=1)


def gemm(context: Context, x: Any, weights: Any, bias: Any = None) -> Products:
    if context.attribute("transA", 0):
        raise Refused("its first input is transposed (transA).")
    integers, scales = kernel_of(weights, 0 if context.attribute("transB", 0) else 1)
    scales = scales.astype(np.float64) * context.attribute("alpha", 1.0)
    if (scales < 0).any():
        raise Refused("alpha is negative.")
    offset = bias_of(bias, len(integers)) * context.attribute("beta", 1.0)
    return _matrix(context, x, integers, scales, offset)


def matmul(context: Context, x: Any, weights: Any) -> Products:
    if is_constant(x):
        raise Refused("its first input is constant.")
    if isinstance(weights, Weights) and weights.integers.ndim != 2:
        raise Refused(f"its weights have {weights.integers.ndim} dimensions.", "They must have 2.")
    integers, scales = kernel_of(weights, 1)
    return _matrix(context, x, integers, scales, np.zeros(len(integers)))
