"""ONNX operators as integer operators: the table of the functions that lower each."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from . import elementwise, layout, linear, pools
from .operands import Context, pointwise
from .tensors import Hosted, Integers, Pointwise, Quantization, Refused, Weights


__all__ = ["OPERATORS", "OnnxOperator", "supported"]


def on_host(context: Context, x: Any) -> Hosted:
    """What the host computes of an output."""
    rank = len(context.shape)
    if context.attribute("axis", -1) % rank == 0:
        raise Refused("it works along the first dimension, which is the batch.")
    origin = context.stages.leaving(pointwise(x).integers)
    if origin.tensor is None:
        raise Refused("its input is not quantised.", "Put QuantizeLinear and DequantizeLinear "
                      "before it.")
    return Hosted((origin,))


def quantization(context: Context, scale: Any, kind: np.dtype, zero: Any = None) -> Quantization:
    """The one of a QuantizeLinear or DequantizeLinear of activations."""
    if not isinstance(scale, np.ndarray) or not (zero is None or isinstance(zero, np.ndarray)):
        raise Refused("its scale and zero point are not constant.")
    if scale.size != 1 or not scale.item() > 0:
        raise Refused("its scale must be one positive value.",
                      "Quantise activations per tensor.")
    return Quantization(np.float32(scale.item()), int(zero.item()) if zero is not None else 0,
                        kind == np.int8)


def quantize_linear(context: Context, x: Any, scale: Any, zero: Any = None) -> Any:
    tensor = context.node.outputs[0]
    output = quantization(context, scale, context.types[tensor], zero)
    if isinstance(x, Integers):
        raise Refused("its input is quantised already.")
    return context.stages.quantize(context.node.name, x, output, tensor)


def dequantize_linear(context: Context, x: Any, scale: Any, zero: Any = None) -> Any:
    if isinstance(x, np.ndarray):
        return _weights(context, x, scale, zero)
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
        Gives the output, or a tuple of several; raises :class:`Refused`.
    limits : :class:`str`
        What is supported of it, in words.
    after_host : :class:`bool`
        Whether the host computes it too where it computes the input.
    """

    lower: Callable[..., Any]
    limits: str = ""
    after_host: bool = True


def _function(limits: str = "") -> OnnxOperator:
    return OnnxOperator(elementwise.function, limits)


def _hardware(lower: Callable[..., Any], limits: str = "") -> OnnxOperator:
    return OnnxOperator(lower, limits, after_host=False)


WINDOWS = "one or two spatial dimensions"
ON_HOST = "at an output: on the host; not over the batch"
CONSTANT = ("a constant of one value, or, in float models and right after Conv, Gemm and MatMul, "
            "along one axis")
INSIDE = "inside the network; at an output: on the host"

OPERATORS = {
    "Add": OnnxOperator(elementwise.add, f"activations of one size; or {CONSTANT}"),
    "AveragePool": _hardware(pools.average_pool, WINDOWS),
    "BatchNormalization": _hardware(
        elementwise.batch_normalization, "of float models, constant, not in training mode: folded "
        "into weights"),
    "Celu": _function(),
    "Clip": OnnxOperator(elementwise.clip, "constant bounds"),
    "Concat": _hardware(layout.concat, "not along the batch; constants of one value for each "
                        "channel"),
    "Conv": _hardware(linear.conv, f"{WINDOWS}; constant weights and bias"),
    "DequantizeLinear": OnnxOperator(
        dequantize_linear, "8 bits; activations per tensor, weights symmetric, per tensor or "
        "output channel; no blocks"),
    "Div": OnnxOperator(elementwise.div, f"{CONSTANT}; a constant of one value by activations"),
    "Dropout": OnnxOperator(layout.dropout, "does nothing; no mask, no training mode"),
    "Elu": _function(),
    "Flatten": OnnxOperator(layout.reshape, "behind the batch"),
    "Gelu": _function(),
    "Gemm": _hardware(linear.gemm, "a vector with constant weights, and a bias for each output; "
                      "transA is 0"),
    "GlobalAveragePool": _hardware(pools.global_average_pool, WINDOWS),
    "GlobalMaxPool": _hardware(pools.global_max_pool, WINDOWS),
    "HardSigmoid": _function(),
    "HardSwish": _function(),
    "Identity": OnnxOperator(layout.identity, "of tensors"),
    "LeakyRelu": OnnxOperator(elementwise.leaky_relu),
    "LogSoftmax": OnnxOperator(on_host, ON_HOST),
    "MatMul": _hardware(linear.matmul, "a vector with a constant matrix"),
    "Max": OnnxOperator(elementwise.maximum, "one activation with constants of one value"),
    "MaxPool": _hardware(pools.max_pool, f"{WINDOWS}; no indices"),
    "Min": OnnxOperator(elementwise.minimum, "one activation with constants of one value"),
    "Mish": _function(),
    "Mul": OnnxOperator(elementwise.mul, "activations of one size, or of which one is one pixel; "
                        f"or {CONSTANT}"),
    "PRelu": OnnxOperator(elementwise.prelu, "constant slopes, one or per channel"),
    "Pad": _hardware(layout.pad, "rows and columns, or channels, with a constant; not negative"),
    "QuantizeLinear": OnnxOperator(quantize_linear, "8 bits, per tensor"),
    "ReduceMax": _hardware(pools.reduce_max, "over all rows and columns; not over the batch"),
    "ReduceMean": _hardware(pools.reduce_mean, "over all rows and columns; not over the batch"),
    "Relu": OnnxOperator(elementwise.relu),
    "Reshape": OnnxOperator(layout.reshape, "to a vector and back to the same map; not of the "
                            "batch"),
    "Resize": _hardware(layout.resize, "nearest neighbour that repeats each row and column a whole "
                        "number of times"),
    "Selu": _function(),
    "Sigmoid": _function(INSIDE),
    "Slice": _hardware(layout.slice_, "constant ranges, not empty, steps of 1 on channels and "
                       "positive on rows and columns; not of the batch"),
    "Softmax": OnnxOperator(on_host, ON_HOST),
    "Softplus": _function(),
    "Softsign": _function(),
    "Split": _hardware(layout.split, "constant sizes, none empty; not of the batch"),
    "Squeeze": OnnxOperator(layout.reshape, "not of the batch"),
    "Sub": OnnxOperator(elementwise.sub, f"activations of one size; or {CONSTANT}; a constant of "
                        "one value less activations"),
    "Sum": OnnxOperator(elementwise.add, "activations of one size"),
    "Tanh": _function(INSIDE),
    "Transpose": OnnxOperator(layout.transpose, "where a map becomes one again, or a vector; not "
                              "of the batch"),
    "Unsqueeze": OnnxOperator(layout.reshape, "behind the batch"),
    "Upsample": _hardware(layout.resize, "nearest neighbour, by whole numbers"),
}

EVERYWHERE = ("(every operator)", "32-bit floats with calibration data, or 8-bit activations "
              "between QuantizeLinear and DequantizeLinear; the first dimension is the batch")


def supported() -> list[tuple[str, str]]:
    """The ONNX operators that are taken, with their limits in words; first what limits all."""
    return [EVERYWHERE, *((name, each.limits) for name, each in sorted(OPERATORS.items()))]
