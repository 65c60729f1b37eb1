"""Operators of ONNX that move elements and compute nothing."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .evaluate import evaluate
from .fuse import Joined, Padded
from .operands import (
    Context,
    floats,
    is_constant,
    planar,
    pointwise,
    quantized,
    raster_index,
)
from .tensors import NCHW, Integers, Pointwise, Refused


__all__ = ["concat", "dropout", "identity", "pad", "reshape", "resize", "slice_", "split",
           "transpose"]


def _viewed(x: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    return change(x) if isinstance(x, np.ndarray) else x.view(change)


def reshape(context: Context, x: Any, *parameters: Any) -> Any:
    shape = context.shape
    return _viewed(x, lambda index: index.reshape(shape))


def transpose(context: Context, x: Any) -> Any:
    order = context.attribute("perm")
    return _viewed(x, lambda index: index.transpose(order))


def identity(context: Context, x: Any, *parameters: Any) -> Any:
    return x


def dropout(context: Context, x: Any, ratio: Any = None, training: Any = None) -> Any:
    if training is not None and not (is_constant(training) and not training.any()):
        raise Refused("it is in training mode.", "Export the model for inference.")
    return x


def _moved(x: Any, change: Callable[[Integers], Integers]) -> Any:
    """Integers moved, functions of them kept."""
    if isinstance(x, Integers):
        return change(x)
    x = pointwise(x)
    return dataclasses.replace(x, integers=change(x.integers))


def _named(context: Context, x: Any, tensor: str) -> Any:
    """Integers of the graph get its name; floats when they are quantised."""
    if isinstance(x, Integers) and x.origin.known is not None and not any(x.padding):
        x.origin.name_tensor(tensor, x.index)
    return x


def slice_(context: Context, x: Any, starts: Any, ends: Any, axes: Any = None,
           steps: Any = None) -> Any:
    if not all(each is None or isinstance(each, np.ndarray)
               for each in (starts, ends, axes, steps)):
        raise Refused("its ranges are not constant.")
    rank = x.index.ndim
    ranges: list[Any] = [slice(None)] * rank
    axes = range(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), int) if steps is None else steps
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise Refused("a step is negative.")
        ranges[int(axis)] = slice(int(start), int(end), int(step))
    return _named(context, _cut(context, x, tuple(ranges)), context.node.outputs[0])


def split(context: Context, x: Any, sizes: Any = None) -> tuple:
    axis = context.attribute("axis", 0)
    shapes = [context.shapes[name] for name in context.node.outputs]
    ends = np.cumsum([shape[axis] for shape in shapes])
    ranges: list[Any] = [slice(None)] * x.index.ndim
    parts = []
    for tensor, shape, end in zip(context.node.outputs, shapes, ends, strict=True):
        ranges[axis] = slice(int(end) - shape[axis], int(end))
        parts.append(_named(context, _cut(context, x, tuple(ranges)), tensor))
    return tuple(parts)


def _cut(context: Context, x: Any, ranges: tuple) -> Any:
    def cut(integers: Integers) -> Integers:
        if not integers.index[ranges].size:
            raise Refused("it leaves nothing.")
        if integers.index[ranges].size == integers.index.size:
            return integers
        if integers.index.ndim != 3:
            return context.stages.cut(context.node.name, integers, integers.index[ranges])
        flat = planar(integers)
        part = flat.index[(*ranges[:2], slice(None), ranges[2])]
        result = context.stages.cut(context.node.name, flat, part)
        return result.view(lambda index: index[:, :, 0])
    return _moved(x, cut)


def _channels_second(shape: Sequence[int], axis: int) -> Callable[[np.ndarray], np.ndarray]:
    """The view of a tensor as (1, channels, rows, columns), with the channels along an axis."""
    if len(shape) > 4:
        raise Refused(f"its input has {len(shape)} dimensions.",
                      "Maps have a batch, channels, and one or two spatial dimensions.")

    def change(index: np.ndarray) -> np.ndarray:
        moved = np.moveaxis(index, axis, 1)
        return moved.reshape(*moved.shape[:2], *(1, 1, *moved.shape[2:])[-2:])
    return change


def _joined(context: Context, terms: Sequence[Any], axis: int) -> Any:
    """Maps and constants side by side along an axis."""
    parts: list[Pointwise | np.ndarray] = []
    for term in terms:
        shape = term.shape if is_constant(term) and isinstance(term, np.ndarray) else (
            floats(term).shape if is_constant(term) else term.index.shape)
        change = _channels_second(shape, axis)
        if is_constant(term):
            values = change(floats(term))
            if (values != values[:, :, :1, :1]).any():
                raise Refused("its constant differs from pixel to pixel.",
                              "Use one value for each channel.")
            parts.append(values[0, :, 0, 0].astype(np.float32))
        else:
            view = pointwise(term).view(change)
            view.integers.as_map(NCHW)
            parts.append(view)
    shape = context.shape
    moved = [shape[0], shape[axis], *(size for at, size in enumerate(shape) if at not in (0, axis))]
    rows, columns = (1, 1, *moved[2:])[-2:]
    index = np.arange(rows * columns * moved[1]).reshape(rows, columns, moved[1])
    index = np.moveaxis(index.transpose(2, 0, 1).reshape(moved), 1, axis)
    return Joined(name=context.node.name, index=index, terms=tuple(parts))


def concat(context: Context, *inputs: Any) -> Any:
    axis = context.attribute("axis") % len(context.shape)
    if axis == 0:
        raise Refused("it concatenates along the first dimension, which is the batch.",
                      "Concatenate channels.")
    if len(inputs) == 1:
        return inputs[0]
    return _joined(context, inputs, axis)


def pad(context: Context, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    if context.attribute("mode", "constant") != "constant":
        raise Refused(f"the mode {context.attribute('mode')!r} is not supported.",
                      "Pad with a constant.")
    if not isinstance(pads, np.ndarray) or not (value is None or is_constant(value)):
        raise Refused("its padding is not constant.")
    rank = x.index.ndim
    chosen = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes.ravel()]
    padding = np.zeros((rank, 2), int)  # before and after
    padding[chosen] = pads.reshape(2, -1).T
    if not padding.any():
        return x
    if padding.min() < 0:
        raise Refused("negative padding is not supported.")
    x = quantized(x)
    number = 0.0 if value is None else float(floats(value).item())
    padded = [axis for axis in range(rank) if padding[axis].any()]
    if padded == [1]:
        return _padded_channels(context, x, int(padding[1, 0]), int(padding[1, 1]), number)
    if rank == 3:
        padding = np.insert(padding, 2, 0, axis=0)
    return _padded_pixels(context, planar(x), padding, number)


def _padded_channels(context: Context, x: Pointwise, before: int, after: int,
                     value: float) -> Any:
    def constant(count: int) -> list[np.ndarray]:
        shape = list(x.index.shape)
        shape[1] = count
        return [np.full(shape, value, np.float32)] if count else []
    return _joined(context, [*constant(before), x, *constant(after)], 1)


def _padded_pixels(context: Context, x: Pointwise, padding: np.ndarray, value: float) -> Any:
    integers = x.integers
    layout = (1, 2, 3) if not padding[3].any() and padding[1].any() else NCHW
    if padding[0].any() or padding[layout[2]].any():
        raise Refused("padding of the batch, or of rows, columns and channels at once, is not "
                      "supported.")
    if any(integers.padding):
        raise Refused("it pads what has just been padded.", "Pad once.")
    given = integers.as_map(layout)
    (top, bottom), (left, right) = padding[layout[0]].tolist(), padding[layout[1]].tolist()
    size = (given.rows + top + bottom, given.columns + left + right, given.channels)
    index = np.arange(np.prod(size)).reshape(size)
    index = index.transpose([layout.index(axis) for axis in sorted(layout)]).reshape(context.shape)
    if value:
        return Padded(name=context.node.name, index=index, x=x, padding=(top, left, bottom, right),
                      value=value)
    return dataclasses.replace(x, integers=dataclasses.replace(
        integers, index=index, padding=(top, left, bottom, right), pad=x.quantization.zero,
        name=context.node.name))


def resize(context: Context, x: Any, *parameters: Any) -> Any:
    if not all(each is None or isinstance(each, np.ndarray) for each in parameters):
        raise Refused("its scales or sizes are not constant.")
    if context.attribute("mode", "nearest") != "nearest":
        raise Refused(f"the mode {context.attribute('mode')!r} is not supported.",
                      "Use the nearest neighbour.")
    given, shape = x.index.shape, context.shape
    if any(size % old for size, old in zip(shape, given, strict=True)) or shape[:2] != given[:2]:
        raise Refused(f"it makes the size {list(shape)} of {list(given)}.",
                      "Repeat rows and columns a whole number of times.")
    factors = tuple(size // old for size, old in zip(shape, given, strict=True))
    places = np.arange(np.prod(given), dtype=np.float32).reshape(given)
    names = context.node.inputs
    constants = {name: each for name, each in zip(names[1:], parameters, strict=False)
                 if name and each is not None}
    (taken,) = evaluate(context.node, context.opset, {names[0]: places} | constants)
    repeated = places
    for axis, factor in enumerate(factors):
        repeated = repeated.repeat(factor, axis)
    if not np.array_equal(taken, repeated):
        raise Refused("it does not simply repeat rows and columns.",
                      "Use the transformation 'asymmetric' with 'floor'.")
    if max(factors) == 1:
        return x

    def upsample(integers: Integers) -> Integers:
        flat = planar(integers)
        rows, columns = (1, *factors[2:])[-2:]
        size = flat.as_map(NCHW)
        index = raster_index(size.resized(rows=size.rows * rows, columns=size.columns * columns))
        return context.stages.upsample(context.node.name, flat, (rows, columns),
                                       index.reshape(shape))
    return _named(context, _moved(x, upsample), context.node.outputs[0])
