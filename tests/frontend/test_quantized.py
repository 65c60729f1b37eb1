"""Models that come quantised, as onnxruntime's quantiser and TFLite's exporters write them."""

import numpy as np
import pytest

from fcnnx.errors import BadInput
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.convolution import Convolution
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.pad import Pad
from fcnnx.hdl.operators.pooling import MaxPool
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.operators.table import Table

from .building import Builder


KINDS = pytest.mark.parametrize("kind", [np.uint8, np.int8])


def zero(kind, value):
    """A zero point: of unsigned values, or moved to signed ones."""
    return value if kind == np.uint8 else value - 128


@KINDS
def test_model_from_tflite(kind, importing, judge):
    """Quantised inputs and outputs, channels last, asymmetric, relus before the quantisation."""
    b = Builder()
    x = b.dequantized(b.node("Transpose", "x", perm=(0, 3, 1, 2)), 0.02, zero(kind, 117), kind)
    bias = b.node("DequantizeLinear", b.constant(b.rng.integers(-4000, 4000, 8), np.int32),
                  b.constant(np.full(8, 8e-5)), b.constant(np.zeros(8), np.int32), axis=0)
    trunk = b.quantized(b.node("Relu", b.node("Conv", x, b.integer_weights(8, 3, 3, 3), bias,
                                              pads=(0, 0, 1, 1), strides=(2, 2))),
                        0.03, zero(kind, 0), kind)
    branch = b.quantized(b.node("Conv", trunk, b.integer_weights(8, 1, 3, 3), group=8,
                                pads=(1, 1, 1, 1)), 0.017, zero(kind, 131), kind)
    total = b.quantized(b.node("Relu", b.node("Add", trunk, branch)), 0.031, zero(kind, 0), kind)
    mean = b.quantized(b.node("AveragePool", total, kernel_shape=(6, 5)), 0.031, zero(kind, 0),
                       kind)
    dense = b.node("MatMul", b.node("Reshape", mean, b.constant([-1, 8], np.int64)),
                   b.integer_weights(8, 4, axis=1))
    logits = b.quantized(b.node("Add", dense, b.weights(4)), 0.01, zero(kind, 100), kind)
    y = b.node("QuantizeLinear", b.node("Softmax", logits), b.constant(1 / 256),
               b.constant(zero(kind, 0), kind))
    imported = importing(b.model({"x": ("n", 12, 10, 3)}, {y: ("n", 4)}, kind=kind))
    network = imported.network
    assert [type(stage.operator) for stage in network.stages] == [
        Convolution, DepthwiseConvolution, Add, GlobalAveragePool, Convolution]
    (port,) = network.inputs
    assert (port.tensor, port.shape, port.axes) == ("x", (12, 10, 3), (0, 1, 2))
    assert port.map.signed == (kind == np.int8)
    assert not imported.float_model
    assert len(judge(imported, far=0.05)) == 5


@KINDS
@pytest.mark.parametrize("relu", [True, False])
def test_relu_and_clip_limit_the_requantisation(kind, relu, importing, judge):
    b = Builder()
    x = b.dequantized("x", 0.02, zero(kind, 128), kind)
    y = b.node("Conv", x, b.integer_weights(4, 3, 3, 3))
    y = b.node("Relu", y) if relu else b.node("Clip", y, b.constant(-0.5), b.constant(0.5))
    y = b.node("QuantizeLinear", y, b.constant(0.01), b.constant(zero(kind, 60), kind))
    imported = importing(b.model({"x": (1, 3, 6, 6)}, {y: (1, 4, 4, 4)}, kind=kind))
    requantization = imported.network.stages[0].operator.requantization
    limits = (60, 255) if relu else (10, 110)
    assert (requantization.low, requantization.high) == tuple(zero(kind, each) for each in limits)
    judge(imported)


def elementwise(b: Builder, name: str, x: str) -> tuple[str, list]:
    """Operators between quantisations of different scales, and their stages."""
    if name == "requantise":
        return x, [Table]
    if name == "relu":
        return b.node("Relu", x), [Table]
    if name == "leaky relu and clip":
        y = b.node("LeakyRelu", x, alpha=0.3)
        return b.node("Clip", y, b.constant(-0.2), b.constant(1.1)), [Table]
    if name == "add of a value":
        return b.node("Add", x, b.constant(0.25)), [Table]
    if name == "prelu":
        return b.node("PRelu", x, b.constant([[[-0.5]], [[2.5]], [[0.1]]])), [PRelu]
    return b.node("MaxPool", x, kernel_shape=(2, 2)), [MaxPool, Table]


@KINDS
@pytest.mark.parametrize("name", ["requantise", "relu", "leaky relu and clip", "add of a value",
                                  "prelu", "max pool"])
def test_elementwise_operators(name, kind, importing, judge):
    b = Builder()
    y, kinds = elementwise(b, name, b.dequantized("x", 0.011, zero(kind, 100), kind))
    y = b.node("QuantizeLinear", y, b.constant(0.0137), b.constant(zero(kind, 90), kind))
    imported = importing(b.model({"x": (1, 3, 8, 8)}, {y: None}, kind=kind))
    assert [type(stage.operator) for stage in imported.network.stages] == kinds
    for layer in judge(imported):
        assert layer.worst == 0 or name == "prelu"


def test_max_pool_of_integers_and_of_floats(importing, judge):
    b = Builder()
    x = b.node("MaxPool", "x", kernel_shape=(2, 2))
    y = b.node("Relu", b.node("Conv", b.dequantized(x, 0.02, 100), b.integer_weights(4, 3, 3, 3)))
    y = b.node("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2))
    y = b.node("QuantizeLinear", y, b.constant(0.02), b.constant(3, np.uint8))
    imported = importing(b.model({"x": (1, 3, 9, 9)}, {y: None}, kind=np.uint8))
    assert [type(stage.operator) for stage in imported.network.stages] == [
        MaxPool, Convolution, MaxPool]
    judge(imported)


def test_padding_is_shared_where_one_consumer_cannot_take_it(importing, judge):
    b = Builder()
    x = b.quantized(b.node("Pad", b.dequantized("x", 0.02, 100), b.constant(
        [0, 0, 1, 1, 0, 0, 1, 1], np.int64), b.constant(0.0)), 0.02, 100)
    y = b.quantized(b.node("Conv", x, b.integer_weights(3, 3, 3, 3), pads=(1, 1, 1, 1)), 0.02, 120)
    y = b.quantized(b.node("Add", x, y), 0.03, 110)
    imported = importing(b.model({"x": (1, 3, 6, 6)}, {y: None}, kind=np.uint8,
                                 output_kind=np.float32))
    stages = {type(stage.operator): stage.operator for stage in imported.network.stages}
    assert set(stages) == {Convolution, Pad, Add}
    assert stages[Convolution].padding == (2, 2, 2, 2)
    assert stages[Pad].value == 100
    judge(imported)


def test_an_input_is_reshaped_to_a_map(importing, judge):
    b = Builder()
    x = b.node("Reshape", "x", b.constant([1, 2, 7, 6], np.int64))
    y = b.quantized(b.node("Conv", b.dequantized(x, 0.02, 100), b.integer_weights(3, 2, 3, 3)),
                    0.02, 120)
    imported = importing(b.model({"x": (1, 84)}, {y: None}, kind=np.uint8, output_kind=np.float32))
    (port,) = imported.network.inputs
    assert (port.tensor, port.shape, port.axes) == ("x", (2, 7, 6), (1, 2, 0))
    judge(imported)


def test_scales_that_spread_get_a_shift_each(importing, judge):
    b = Builder()
    values = b.constant(b.rng.integers(-127, 128, (4, 3, 3, 3)), np.int8)
    weights = b.node("DequantizeLinear", values, b.constant([1e-4, 5e-3, 4e-2, 1e-3]),
                     b.constant(np.zeros(4), np.int8), axis=0)
    y = b.quantized(b.node("Conv", b.dequantized("x", 0.02, 100), weights), 0.3, 120)
    imported = importing(b.model({"x": (1, 3, 9, 9)}, {y: None}, kind=np.uint8,
                                 output_kind=np.float32))
    shift = imported.network.stages[0].operator.requantization.shift
    assert shift.shape == (4,)
    judge(imported)


def refusals():
    def conv(b, **attributes):
        return b.quantized(b.node("Conv", b.dequantized("x", 0.02, 100),
                                  b.integer_weights(4, 4, 3, 3), **attributes), 0.02, 120)

    def asymmetric(b):
        weights = b.node("DequantizeLinear", b.constant(np.ones((4, 4, 3, 3)), np.uint8),
                         b.constant(0.1), b.constant(3, np.uint8))
        return b.quantized(b.node("Conv", b.dequantized("x", 0.02, 100), weights), 0.02, 120)

    def linear(b):
        return b.quantized(b.node("Resize", b.dequantized("x", 0.02, 100), "", b.constant(
            [1, 1, 2, 2]), mode="linear"), 0.02, 100)

    def joined_rows(b):
        x = b.quantized(b.node("Conv", b.dequantized("x", 0.02, 100), b.integer_weights(
            4, 4, 3, 3)), 0.02, 120)
        return b.quantized(b.node("Concat", x, x, axis=2), 0.02, 100)

    def inner_softmax(b):
        x = b.quantized(b.node("Softmax", b.dequantized("x", 0.02, 100), axis=1), 1 / 256, 0)
        return b.quantized(b.node("Conv", x, b.integer_weights(4, 4, 3, 3)), 0.02, 120)

    def unquantised(b):
        x = b.node("Conv", b.dequantized("x", 0.02, 100), b.integer_weights(4, 4, 3, 3))
        return b.quantized(b.node("LeakyRelu", x), 0.02, 120)

    def reshaped(b):
        x = b.quantized(b.node("Relu", b.dequantized("x", 0.02, 100)), 0.02, 0)
        x = b.node("Reshape", x, b.constant([1, 2, 8, 16], np.int64))
        return b.quantized(b.node("Conv", x, b.integer_weights(4, 2, 3, 3)), 0.02, 120)

    def float_output(b):
        return b.node("Conv", conv(b), b.integer_weights(4, 4, 3, 3))

    return {
        "small: Conv_2 (Conv): Its weights have a zero point other than 0 (node "
        "DequantizeLinear_0). Quantise weights symmetrically.": asymmetric,
        "small: Resize_1 (Resize): The mode 'linear' is not supported.": linear,
        "small: Concat_5 (Concat): It takes a map of 4x6x6 where one of 6x6x4": joined_rows,
        "small: Conv_5 (Conv): It follows an operator that is computed on the host": inner_softmax,
        "small: LeakyRelu_3 (LeakyRelu): Its input is not quantised.": unquantised,
        "small: Conv_6 (Conv): It takes a map of 8x16x2 where one of 8x8x4 comes": reshaped,
        "small: output 'Conv_6_out': It is not quantised.": float_output,
    }


@pytest.mark.parametrize("message", refusals())
def test_what_is_not_supported_is_refused_by_node(message, importing):
    b = Builder()
    y = refusals()[message](b)
    with pytest.raises(BadInput) as caught:
        importing(b.model({"x": (1, 4, 8, 8)}, {y: None}, kind=np.uint8, output_kind=np.float32))
    (problem,) = caught.value.problems
    assert str(problem).startswith(message)
