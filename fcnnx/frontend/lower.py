"""ONNX operators as integer operators: one function for each, and the table of them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fcnnx.hdl.operator import FeatureMap

from .fuse import Greatest, Group, Means, Products, Slopes, Sums
from .operands import (
    NCHW,
    Context,
    bias_of,
    check_windows,
    floats,
    is_constant,
    kernel_of,
    per_channel,
    quantized,
    raster_index,
    take_padding,
    window_of,
)
from .tensors import Hosted, Integers, Pointwise, Quantization, Refused, Weights


__all__ = ["OPERATORS", "OnnxOperator", "supported"]


def conv(context: Context, x: Any, weights: Any, bias: Any = None) -> Products:
    x = quantized(x)
    integers, scales = kernel_of(weights, 0)
    kernel = integers.shape[2:]
    taken = x.integers.as_map(NCHW)
    strides, padding = window_of(context, taken, kernel)
    groups = context.attribute("group", 1)
    depthwise = groups > 1 and groups == taken.channels
    if groups > 1 and not (depthwise and len(integers) == groups):
        raise Refused(f"{groups} groups of {taken.channels} channels to {len(integers)} are not "
                      "supported.", "Use one group, or one for each channel and output.")
    merged, padding = take_padding(x, padding)
    given = taken if merged is x.integers else merged.origin.map
    weights = integers[:, 0] if depthwise else integers.transpose(0, 2, 3, 1)
    rows, columns = context.shape[2:]
    output = given.resized(rows=rows, columns=columns, channels=len(integers))
    return Products(name=context.node.name, index=raster_index(output),
                    x=dataclasses.replace(x, integers=merged), input=given, kernel=kernel,
                    strides=strides, padding=padding, weights=weights, scales=scales,
                    bias=bias_of(bias, len(integers)), rows=rows, columns=columns)


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
                    input=given, kernel=(given.rows, given.columns),
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


def add(context: Context, *inputs: Any) -> Any:
    constants = [floats(each) for each in inputs if is_constant(each)]
    activations = [each for each in inputs if not is_constant(each)]
    if len(activations) > 1:
        terms: list[Pointwise] = []
        for each in activations:
            whole = isinstance(each, Sums) and np.isinf([each.low, each.high]).all()
            terms += each.terms if whole else [quantized(each)]
        x = _sum(context, tuple(terms))
        if constants:
            raise Refused("it adds a constant to a sum of activations.", "Add it before.")
        return x
    (x,) = activations
    for constant in constants:
        x = _add_constant(context, x, constant)
    return x


def _add_constant(context: Context, x: Any, constant: np.ndarray) -> Any:
    if isinstance(x, Products) and np.isinf([x.low, x.high]).all():
        return x.add(per_channel(constant, x.index, len(x.weights)))
    if isinstance(x, Pointwise) and constant.size == 1 and constant.ndim <= x.index.ndim:
        value = constant.astype(np.float32).ravel()[0]
        return x.then(context.node.name, lambda x: x + value)
    raise Refused("it adds a constant to activations that no Conv, Gemm or MatMul has just made.",
                  "Put it right behind one, or use a single value.")


def _sum(context: Context, terms: tuple[Pointwise, ...]) -> Sums:
    if len({term.index.shape for term in terms}) > 1:
        raise Refused("it adds activations of different shapes: "
                      f"{', '.join(str(list(term.index.shape)) for term in terms)}.")
    settled = [term for term in terms if term.integers.origin.known is not None]
    if settled:
        index, shape = settled[0].integers.raster(), settled[0].integers.map.shape
        for term in terms:
            if term.integers.origin.known is None:
                places = np.empty(index.size, np.int64)
                places[index.ravel()] = term.index.ravel()
                term.integers.origin.settle(places.reshape(shape))
    maps = tuple(term.integers.settled() for term in terms)
    index = terms[0].integers.raster()
    if len({each.shape for each in maps}) > 1 or any(
            not np.array_equal(term.integers.raster(), index) for term in terms):
        raise Refused("it adds activations whose rows, columns and channels come in different "
                      "orders.", "Transpose them alike.")
    return Sums(name=context.node.name, index=index, terms=terms, maps=maps)


def _clipped(context: Context, x: Any, low: float, high: float) -> Any:
    if isinstance(x, Pointwise):
        bounds = np.float32(low), np.float32(high)
        return x.then(context.node.name, lambda x: np.clip(x, *bounds))
    if isinstance(x, Group):
        return x.clip(low, high)
    if isinstance(x, Greatest):
        return dataclasses.replace(x, inner=_clipped(context, x.inner, low, high))
    return x if isinstance(x, Hosted) else quantized(x)


def relu(context: Context, x: Any) -> Any:
    return _clipped(context, x, 0.0, np.inf)


def clip(context: Context, x: Any, low: Any = None, high: Any = None) -> Any:
    if not all(each is None or is_constant(each) for each in (low, high)):
        raise Refused("its bounds are not constant.")
    low = -np.inf if low is None else float(floats(low).item())
    high = np.inf if high is None else float(floats(high).item())
    if low > high:
        raise Refused(f"its bounds are the wrong way round: {low} and {high}.")
    return _clipped(context, x, low, high)


def _leaky(context: Context, x: Any, slope: np.float32) -> Any:
    if isinstance(x, Hosted):
        return x
    if not isinstance(x, Pointwise):
        x = quantized(x)
    return x.then(context.node.name,
                  lambda x: np.where(x >= 0, x, x * slope))


def leaky_relu(context: Context, x: Any) -> Any:
    return _leaky(context, x, np.float32(context.attribute("alpha", 0.01)))


def prelu(context: Context, x: Any, slope: Any) -> Any:
    if not is_constant(slope):
        raise Refused("its slopes are not constant.")
    slopes = floats(slope)
    if slopes.size == 1 or isinstance(x, Hosted):
        return _leaky(context, x, np.float32(slopes.ravel()[0]))
    x = quantized(x)
    given = x.integers.settled()
    index = x.integers.raster()
    values = per_channel(slopes, index, given.channels)
    if (values == values[0]).all():
        return _leaky(context, x, np.float32(values[0]))
    return Slopes(name=context.node.name, index=index, x=x, input=given, slopes=values)


def max_pool(context: Context, x: Any) -> Any:
    if len(context.node.outputs) > 1 and context.node.outputs[1]:
        raise Refused("its second output (indices) is not supported.")
    kernel = tuple(context.attribute("kernel_shape"))
    name = context.node.name
    if isinstance(x, (Pointwise, Integers)) and not getattr(x, "functions", ()):
        integers = x.integers if isinstance(x, Pointwise) else x
        taken = integers.as_map(NCHW)
        strides, padding = window_of(context, taken, kernel)
        check_windows(context, taken, kernel, strides, padding)
        rows, columns = context.shape[2:]
        index = raster_index(taken.resized(rows=rows, columns=columns))
        pooled = context.stages.pool(name, integers, NCHW, kernel, strides, padding, index)
        if isinstance(x, Integers):
            pooled.origin.name_tensor(context.node.outputs[0], index)
            return pooled
        return dataclasses.replace(x, integers=pooled)
    if not isinstance(x, (Group, Pointwise, Greatest)) or x.index.ndim != 4:
        quantized(x)
    _, channels, rows, columns = x.index.shape
    taken = FeatureMap(rows=rows, columns=columns, channels=channels)
    strides, padding = window_of(context, taken, kernel)
    check_windows(context, taken, kernel, strides, padding)
    index = raster_index(taken.resized(rows=context.shape[2], columns=context.shape[3]))
    return Greatest(name=name, index=index, inner=x, axes=NCHW, kernel=kernel, strides=strides,
                    padding=padding)


def average_pool(context: Context, x: Any) -> Means:
    x = quantized(x)
    taken = x.integers.as_map(NCHW)
    kernel = tuple(context.attribute("kernel_shape"))
    strides, padding = window_of(context, taken, kernel)
    check_windows(context, taken, kernel, strides, padding)
    if any(padding) and not context.attribute("count_include_pad", 0):
        raise Refused("padding that does not count (count_include_pad is 0) is not supported.",
                      "Set count_include_pad, or pad before it.")
    merged, padding = take_padding(x, padding)
    given = taken if merged is x.integers else merged.origin.map
    index = raster_index(given.resized(rows=context.shape[2], columns=context.shape[3]))
    x = dataclasses.replace(x, integers=merged)
    whole = not any(padding) and kernel == (given.rows, given.columns)
    return Means(name=context.node.name, index=index, x=x, input=given,
                 kernel=None if whole else kernel, strides=strides, padding=padding)


def reduce_mean(context: Context, x: Any, axes: Any = None) -> Means:
    x = quantized(x)
    rank = x.index.ndim
    chosen = context.attribute("axes") if axes is None else [int(axis) for axis in axes.ravel()]
    reduced = tuple(sorted(axis % rank for axis in (range(rank) if chosen is None else chosen)))
    kept = tuple(axis for axis in range(rank) if axis not in reduced)
    if x.integers.origin.known is None and rank == 4 and reduced in ((1, 2), (2, 3)):
        x.integers.as_map((*reduced, kept[-1]))
    given = x.integers.settled()
    pixels = x.integers.raster().transpose(*reduced, *kept).reshape(
        math.prod(x.index.shape[axis] for axis in reduced), -1)
    if pixels.shape != (given.pixels, given.channels) or \
            (pixels % given.channels != np.arange(given.channels)).any():
        raise Refused(f"its mean over the axes {list(reduced)} is not that over all rows and "
                      "columns.", "Reduce over rows and columns only.")
    return Means(name=context.node.name, index=np.arange(given.channels).reshape(context.shape),
                 x=x, input=given)


def global_average_pool(context: Context, x: Any) -> Means:
    x = quantized(x)
    given = x.integers.as_map(NCHW)
    return Means(name=context.node.name, index=np.arange(given.channels).reshape(context.shape),
                 x=x, input=given)


def batch_normalization(context: Context, *inputs: Any) -> Any:
    raise Refused("its parameters are not constant, or the model is quantised.",
                  "Fold it into the weights before quantising.")


def pad(context: Context, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    if context.attribute("mode", "constant") != "constant":
        raise Refused(f"the mode {context.attribute('mode')!r} is not supported.",
                      "Pad with a constant.")
    if not isinstance(pads, np.ndarray) or not (value is None or is_constant(value)):
        raise Refused("its padding is not constant.")
    plain = quantized(x)
    integers = plain.integers
    rank = integers.index.ndim
    chosen = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes.ravel()]
    begin, end = np.zeros(rank, int), np.zeros(rank, int)
    begin[chosen], end[chosen] = pads.reshape(2, -1)
    if (begin == 0).all() and (end == 0).all():
        return x
    if min(begin.min(), end.min()) < 0:
        raise Refused("negative padding is not supported.")
    float_value = 0.0 if value is None else float(floats(value).item())
    number = int(plain.quantization.quantize(np.float32(float_value)))
    if not np.isclose(plain.quantization.dequantize(np.array(number)), float_value):
        raise Refused(f"its value {float_value} is not one of the quantised input.", "Pad with 0.")
    layout = (1, 2, 3) if rank == 4 and (begin[3], end[3]) == (0, 0) and \
        (begin[1], end[1]) != (0, 0) else NCHW
    if rank != 4 or any((begin[axis], end[axis]) != (0, 0) for axis in (0, layout[2])):
        raise Refused("padding of other dimensions than rows and columns is not supported.")
    if any(integers.padding):
        raise Refused("it pads what has just been padded.", "Pad once.")
    integers.as_map(layout)
    rows, columns = layout[:2]
    padding = (int(begin[rows]), int(begin[columns]), int(end[rows]), int(end[columns]))
    padded = dataclasses.replace(integers, padding=padding, pad=number, name=context.node.name)
    size = [padded.map.shape[layout.index(axis)] for axis in sorted(layout)]
    index = np.arange(padded.map.size).reshape(padded.map.shape)
    index = index.transpose([layout.index(axis) for axis in sorted(layout)]).reshape(1, *size)
    return dataclasses.replace(plain, integers=dataclasses.replace(padded, index=index))


def _viewed(x: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    return change(x) if isinstance(x, np.ndarray) else x.view(change)


def reshape(context: Context, x: Any, *parameters: Any) -> Any:
    if isinstance(x, Hosted):
        return x
    shape = context.shape
    return _viewed(x, lambda index: index.reshape(shape))


def transpose(context: Context, x: Any) -> Any:
    order = context.attribute("perm")
    return _viewed(x, lambda index: index.transpose(order))


def identity(context: Context, x: Any, *parameters: Any) -> Any:
    return x


def on_host(context: Context, x: Any) -> Hosted:
    if isinstance(x, Hosted):
        return x
    x = quantized(x)
    x.integers.settled()
    plain = context.stages.plain(x.integers)
    if plain.origin.tensor is None:
        raise Refused("its input is not quantised.", "Put QuantizeLinear and DequantizeLinear "
                      "before it.")
    return Hosted((plain.origin,))


def quantization(context: Context, scale: Any, kind: np.dtype, zero: Any = None) -> Quantization:
    """The one of a QuantizeLinear or DequantizeLinear of activations."""
    if not isinstance(scale, np.ndarray) or not (zero is None or isinstance(zero, np.ndarray)):
        raise Refused("its scale and zero point are not constant.")
    if scale.size != 1 or not scale.item() > 0:
        raise Refused("its scale must be one positive value.",
                      "Quantise activations per tensor.")
    if kind not in (np.int8, np.uint8):
        raise Refused(f"activations of type {kind} are not supported.", "Quantise to 8 bits.")
    return Quantization(np.float32(scale.item()), int(zero.item()) if zero is not None else 0,
                        kind == np.int8)


def quantize_linear(context: Context, x: Any, scale: Any, zero: Any = None) -> Any:
    if isinstance(x, Hosted):
        return x
    tensor = context.node.outputs[0]
    output = quantization(context, scale, context.types[tensor], zero)
    if isinstance(x, Integers):
        raise Refused("its input is quantised already.")
    return context.stages.quantize(context.node.name, x, output, tensor)


def dequantize_linear(context: Context, x: Any, scale: Any, zero: Any = None) -> Any:
    if isinstance(x, np.ndarray):
        return _weights(context, x, scale, zero)
    if isinstance(x, Hosted):
        return x
    if not isinstance(x, Integers):
        raise Refused("its input is not quantised.")
    return Pointwise(x, quantization(context, scale, context.types[context.node.inputs[0]], zero))


def _weights(context: Context, x: np.ndarray, scale: np.ndarray,
             zero: np.ndarray | None) -> Weights:
    zero = np.zeros(1, x.dtype) if zero is None else zero
    shape = [1] * x.ndim
    if scale.size > 1:
        axis = context.attribute("axis", 1)
        if scale.ndim != 1 or scale.size != x.shape[axis]:
            raise Refused("its scales are not one for each channel.")
        shape[axis] = scale.size
    zeros = zero.reshape(shape) if zero.size == scale.size else zero
    integers = x.astype(np.int64) - zeros.astype(np.int64)
    return Weights(integers, scale.astype(np.float32).reshape(shape), context.node.name, zeros)


@dataclasses.dataclass(frozen=True)
class OnnxOperator:
    """How an ONNX operator is lowered.

    Parameters
    ----------
    lower : function of the :class:`Context` and the inputs
        Gives the output; raises :class:`Refused`.
    limits : :class:`str`
        What is supported of it, in words.
    """

    lower: Callable[..., Any]
    limits: str = ""


OPERATORS = {
    "Add": OnnxOperator(add, "activations of one size; or a constant per channel after Conv, Gemm "
                             "and MatMul"),
    "AveragePool": OnnxOperator(average_pool, "two-dimensional; padding must count; no ceil_mode"),
    "BatchNormalization": OnnxOperator(batch_normalization, "of float models, constant: folded "
                                       "into weights"),
    "Clip": OnnxOperator(clip, "constant bounds"),
    "Conv": OnnxOperator(conv, "two-dimensional; one group, or depthwise with as many outputs; no "
                               "dilation"),
    "DequantizeLinear": OnnxOperator(dequantize_linear, "8 bits; activations per tensor, weights "
                                     "symmetric, per tensor or channel"),
    "Dropout": OnnxOperator(identity, "does nothing"),
    "Flatten": OnnxOperator(reshape),
    "Gemm": OnnxOperator(gemm, "constant weights and bias; transA is 0"),
    "GlobalAveragePool": OnnxOperator(global_average_pool, "two-dimensional"),
    "Identity": OnnxOperator(identity),
    "LeakyRelu": OnnxOperator(leaky_relu, "of quantised activations"),
    "MatMul": OnnxOperator(matmul, "a vector with a constant matrix"),
    "MaxPool": OnnxOperator(max_pool, "two-dimensional; no ceil_mode, no indices"),
    "PRelu": OnnxOperator(prelu, "of quantised activations; constant slopes, one or per channel"),
    "Pad": OnnxOperator(pad, "rows and columns, with a constant"),
    "QuantizeLinear": OnnxOperator(quantize_linear, "8 bits, per tensor"),
    "ReduceMean": OnnxOperator(reduce_mean, "over all rows and columns"),
    "Relu": OnnxOperator(relu),
    "Reshape": OnnxOperator(reshape, "to a vector and back to the same map"),
    "Sigmoid": OnnxOperator(on_host, "at an output, on the host"),
    "Softmax": OnnxOperator(on_host, "at an output, on the host"),
    "Squeeze": OnnxOperator(reshape),
    "Sum": OnnxOperator(add, "activations of one size"),
    "Transpose": OnnxOperator(transpose, "where a map becomes one again, or a vector"),
    "Unsqueeze": OnnxOperator(reshape),
}


def supported() -> list[tuple[str, str]]:
    """The ONNX operators that are taken, with their limits in words."""
    return [(name, each.limits) for name, each in sorted(OPERATORS.items())]
