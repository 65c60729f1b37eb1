"""Pooling and reductions of ONNX over windows and whole maps."""

import dataclasses
import math
from typing import Any

import numpy as np

from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.global_max_pool import GlobalMaxPool

from .fuse import Greatest, Group, Joined, Means, Padded, Windows
from .operands import Context, planar, quantized, raster_index, take_padding, windows_of
from .tensors import NCHW, Integers, Pointwise, Refused


__all__ = ["average_pool", "global_average_pool", "global_max_pool", "max_pool", "reduce_max",
           "reduce_mean"]


def max_pool(context: Context, x: Any) -> Any:
    _check_kind(x)
    x = planar(x)
    _, channels, rows, columns = x.index.shape
    taken = FeatureMap(rows=rows, columns=columns, channels=channels)
    windows = windows_of(context, taken, context.attribute("kernel_shape"))
    size = (1, *context.shape[2:])[-2:]
    index = raster_index(taken.resized(rows=size[0], columns=size[1])).reshape(context.shape)
    return _greatest(context, x, None if windows.cover(taken) else windows, index)


def global_max_pool(context: Context, x: Any) -> Any:
    _check_kind(x)
    x = planar(x)
    return _greatest(context, x, None, np.arange(x.index.shape[1]).reshape(context.shape))


def _check_kind(x: Any) -> None:
    if not isinstance(x, (Pointwise, Integers, Group, Greatest, Joined, Padded)):
        quantized(x)


def _greatest(context: Context, x: Any, windows: Windows | None, index: np.ndarray) -> Any:
    """Of integers at once; of floats after they are quantised."""
    name = context.node.name
    if isinstance(x, Integers):
        pooled = context.stages.pool(name, x, windows, index)
        pooled.origin.name_tensor(context.node.outputs[0], index)
        return pooled
    if isinstance(x, Pointwise) and not x.functions:
        return dataclasses.replace(x, integers=context.stages.pool(name, x.integers, windows,
                                                                   index))
    return Greatest(name=name, index=index, inner=x, windows=windows)


def reduce_max(context: Context, x: Any, axes: Any = None) -> Any:
    x = quantized(x)
    given = _reduced(context, x, axes)
    origin = context.stages.stage(context.node.name, GlobalMaxPool(input=given), [x.integers])
    index = np.arange(given.channels).reshape(context.shape)
    return dataclasses.replace(x, integers=Integers(origin, index))


def average_pool(context: Context, x: Any) -> Means:
    x = planar(quantized(x))
    taken = x.integers.as_map(NCHW)
    windows = windows_of(context, taken, context.attribute("kernel_shape"))
    own = windows.padding
    counted = context.attribute("count_include_pad", 0)
    excluded = (0, 0, *windows.beyond) if counted else own
    merged, padding = x.integers, own
    if not any(excluded):
        merged, padding = take_padding(x, own)
    given = taken if merged is x.integers else merged.origin.map
    size = (1, *context.shape[2:])[-2:]
    output = given.resized(rows=size[0], columns=size[1])
    windows = dataclasses.replace(windows, padding=padding)
    return Means(name=context.node.name, index=raster_index(output).reshape(context.shape),
                 x=dataclasses.replace(x, integers=merged), input=given, excluded=excluded,
                 windows=None if windows.cover(given) else windows)


def reduce_mean(context: Context, x: Any, axes: Any = None) -> Means:
    x = quantized(x)
    given = _reduced(context, x, axes)
    return Means(name=context.node.name, index=np.arange(given.channels).reshape(context.shape),
                 x=x, input=given)


def _reduced(context: Context, x: Pointwise, axes: Any) -> FeatureMap:
    """The map of a reduction over all its pixels."""
    rank = x.index.ndim
    chosen = context.attribute("axes") if axes is None else [int(axis) for axis in axes.ravel()]
    if not chosen:
        chosen = () if context.attribute("noop_with_empty_axes", 0) else range(rank)
    reduced = tuple(sorted(axis % rank for axis in chosen))
    kept = tuple(axis for axis in range(rank) if axis not in reduced)
    if 0 not in kept:
        raise Refused("it reduces over the first dimension, which is the batch.",
                      "Reduce over rows and columns only.")
    if not reduced:
        raise Refused("it reduces over no dimension.")
    pixels = x.index.transpose(*kept[:1], *reduced, *kept[1:])
    if x.integers.origin.known is None:
        rows = pixels.shape[1] if len(reduced) > 1 else 1
        columns = math.prod(pixels.shape[1:1 + len(reduced)]) // rows
        x.integers.origin.settle(pixels.reshape(rows, columns, -1))
    given = x.integers.settled()
    places = x.integers.raster().transpose(*kept[:1], *reduced, *kept[1:]).reshape(
        math.prod(x.index.shape[axis] for axis in reduced), -1)
    if places.shape != (given.pixels, given.channels) or \
            (places % given.channels != np.arange(given.channels)).any():
        raise Refused(f"the axes {list(reduced)} are not all its rows and columns.",
                      "Reduce over rows and columns only.")
    return given


def global_average_pool(context: Context, x: Any) -> Means:
    x = planar(quantized(x))
    given = x.integers.as_map(NCHW)
    return Means(name=context.node.name, index=np.arange(given.channels).reshape(context.shape),
                 x=x, input=given)
