"""Each ONNX operator in a small float model, quantised and held against onnxruntime."""

import numpy as np
import pytest

from fcnnx.frontend import supported
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.concat import Concat, PadChannels
from fcnnx.hdl.operators.convolution import Convolution
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.global_max_pool import GlobalMaxPool
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.multiply import Multiply
from fcnnx.hdl.operators.pad import Pad
from fcnnx.hdl.operators.pooling import AveragePool, MaxPool
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.operators.resize import Upsample
from fcnnx.hdl.operators.slice import Slice
from fcnnx.hdl.operators.table import Table

from .building import Builder


IMAGE = (1, 3, 9, 8)


def conv(b: Builder, x: str, channels=(3, 6), kernel=(3, 3), **attributes) -> str:
    out, per_group = channels[1], channels[0] // attributes.get("group", 1)
    return b.node("Conv", x, b.weights(out, per_group, *kernel), b.weights(out),
                  kernel_shape=kernel, **attributes)


def multiplied(b: Builder, x: str, operator: str, **attributes) -> str:
    return b.node("Mul", x, b.node(operator, x, **attributes))


def stepwise_hard_swish(b: Builder, x: str) -> str:
    y = b.node("Clip", b.node("Add", x, b.constant(3)), b.constant(0), b.constant(6))
    return b.node("Mul", x, b.node("Div", y, b.constant(6)))


CHAINS = {
    "conv": (lambda b, x: conv(b, x), [Convolution]),
    "conv without bias": (lambda b, x: b.node("Conv", x, b.weights(4, 3, 3, 3)), [Convolution]),
    "conv of an odd kernel": (lambda b, x: conv(b, x, kernel=(5, 2), strides=(2, 3),
                                                pads=(1, 0, 3, 1)), [Convolution]),
    "conv same upper": (lambda b, x: conv(b, x, strides=(2, 2), auto_pad="SAME_UPPER"),
                        [Convolution]),
    "conv same lower": (lambda b, x: conv(b, x, kernel=(4, 4), auto_pad="SAME_LOWER"),
                        [Convolution]),
    "conv relu": (lambda b, x: b.node("Relu", conv(b, x)), [Convolution]),
    "conv clip": (lambda b, x: b.node("Clip", conv(b, x), b.constant(-0.5), b.constant(1.5)),
                  [Convolution]),
    "conv add": (lambda b, x: b.node("Add", conv(b, x), b.weights(1, 6, 1, 1)), [Convolution]),
    "depthwise": (lambda b, x: conv(b, x, (3, 3), group=3, pads=(1, 1, 1, 1)),
                  [DepthwiseConvolution]),
    "batch normalisation": (lambda b, x: b.node(
        "BatchNormalization", conv(b, x), b.weights(6), b.weights(6), b.weights(6),
        b.constant(b.rng.uniform(0.5, 2, 6))), [Convolution]),
    "batch normalisation first": (lambda b, x: b.node(
        "BatchNormalization", x, b.weights(3), b.weights(3), b.weights(3),
        b.constant(b.rng.uniform(0.5, 2, 3))), [DepthwiseConvolution]),
    "prelu": (lambda b, x: b.node("PRelu", conv(b, x), b.weights(6, 1, 1)), [Convolution, PRelu]),
    "prelu of one slope": (lambda b, x: b.node("PRelu", conv(b, x), b.constant([0.2])),
                           [Convolution, Table]),
    "leaky relu": (lambda b, x: b.node("LeakyRelu", conv(b, x), alpha=0.1), [Convolution, Table]),
    "max pool": (lambda b, x: b.node("MaxPool", conv(b, x), kernel_shape=(3, 2), strides=(2, 1),
                                     pads=(1, 0, 1, 1)), [Convolution, MaxPool]),
    "average pool": (lambda b, x: b.node("AveragePool", conv(b, x), kernel_shape=(2, 3),
                                         strides=(2, 1)), [Convolution, AveragePool]),
    "average pool with padding": (lambda b, x: b.node(
        "AveragePool", conv(b, x), kernel_shape=(3, 3), pads=(1, 1, 1, 1), count_include_pad=1),
        [Convolution, AveragePool]),
    "average pool over all": (lambda b, x: b.node("AveragePool", conv(b, x), kernel_shape=(7, 6)),
                              [Convolution, GlobalAveragePool]),
    "global average pool": (lambda b, x: b.node("GlobalAveragePool", conv(b, x)),
                            [Convolution, GlobalAveragePool]),
    "reduce mean": (lambda b, x: b.node("ReduceMean", conv(b, x), axes=(2, 3), keepdims=0),
                    [Convolution, GlobalAveragePool]),
    "pad before conv": (lambda b, x: conv(b, b.node(
        "Pad", b.node("Relu", conv(b, x)), b.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64)),
        (6, 4)), [Convolution, Convolution]),
    "pad alone": (lambda b, x: b.node("MaxPool", b.node(
        "Pad", conv(b, x), b.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64)),
        kernel_shape=(2, 2)), [Convolution, Pad, MaxPool]),
    "identity and dropout": (lambda b, x: b.node("Dropout", b.node("Identity", conv(b, x))),
                             [Convolution]),
    "flatten and gemm": (lambda b, x: b.node(
        "Gemm", b.node("Flatten", conv(b, x)), b.weights(5, 6 * 7 * 6, scale=0.05), b.weights(5),
        transB=1), [Convolution, Convolution]),
    "reshape and matmul": (lambda b, x: b.node("Add", b.node(
        "MatMul", b.node("Reshape", conv(b, x), b.constant([1, -1], np.int64)),
        b.weights(6 * 7 * 6, 5, scale=0.05)), b.weights(5)), [Convolution, Convolution]),
    "gemm with alpha and beta": (lambda b, x: b.node(
        "Gemm", b.node("Squeeze", b.node("GlobalAveragePool", conv(b, x)),
                       b.constant([2, 3], np.int64)),
        b.weights(6, 5), b.weights(1, 5), alpha=0.5, beta=2.0),
        [Convolution, GlobalAveragePool, Convolution]),
    "channels last before gemm": (lambda b, x: b.node("MatMul", b.node(
        "Flatten", b.node("Transpose", conv(b, x), perm=(0, 2, 3, 1))),
        b.weights(7 * 6 * 6, 5, scale=0.05)), [Convolution, Convolution]),
    "dilation": (lambda b, x: conv(b, x, dilations=(2, 3), pads=(1, 2, 2, 0)), [Convolution]),
    "groups": (lambda b, x: conv(b, conv(b, x), (6, 4), group=2, pads=(1, 1, 1, 1)),
               [Convolution, Slice, Convolution, Slice, Convolution, Concat]),
    "depthwise with a multiplier": (lambda b, x: conv(b, x, (3, 6), group=3),
                                    [DepthwiseConvolution]),
    "dilated depthwise": (lambda b, x: conv(b, x, (3, 3), group=3, dilations=(2, 2)),
                          [DepthwiseConvolution]),
    "max pool with ceil_mode": (lambda b, x: b.node(
        "MaxPool", conv(b, x), kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1),
        [Convolution, MaxPool]),
    "dilated max pool": (lambda b, x: b.node("MaxPool", conv(b, x), kernel_shape=(2, 2),
                                             dilations=(3, 2)), [Convolution, MaxPool]),
    "average pool that leaves padding out": (lambda b, x: b.node(
        "AveragePool", conv(b, x), kernel_shape=(3, 3), pads=(1, 1, 1, 1)),
        [Convolution, AveragePool]),
    "average pool with ceil_mode": (lambda b, x: b.node(
        "AveragePool", conv(b, x), kernel_shape=(3, 4), strides=(3, 3), ceil_mode=1,
        count_include_pad=1, pads=(1, 1, 1, 1)), [Convolution, AveragePool]),
    "global max pool": (lambda b, x: b.node("GlobalMaxPool", conv(b, x)),
                        [Convolution, GlobalMaxPool]),
    "reduce max": (lambda b, x: b.node("ReduceMax", conv(b, x), axes=(2, 3), keepdims=0),
                   [Convolution, GlobalMaxPool]),
    "hard sigmoid": (lambda b, x: b.node("HardSigmoid", conv(b, x)), [Convolution, Table]),
    "hard swish of its parts": (lambda b, x: multiplied(b, conv(b, x), "HardSigmoid",
                                                        alpha=1 / 6), [Convolution, Table]),
    "hard swish of single steps": (lambda b, x: stepwise_hard_swish(b, conv(b, x)),
                                   [Convolution, Table]),
    "silu": (lambda b, x: multiplied(b, conv(b, x), "Sigmoid"), [Convolution, Table]),
    "sigmoid inside": (lambda b, x: conv(b, b.node("Sigmoid", conv(b, x)), (6, 4)),
                       [Convolution, Table, Convolution]),
    "tanh inside": (lambda b, x: conv(b, b.node("Tanh", conv(b, x)), (6, 4)),
                    [Convolution, Table, Convolution]),
    "elu": (lambda b, x: b.node("Elu", conv(b, x)), [Convolution, Table]),
    "relu6 as clip": (lambda b, x: b.node("Clip", conv(b, x), b.constant(0), b.constant(6)),
                      [Convolution]),
    "relu6 as min and max": (lambda b, x: b.node(
        "Min", b.constant(6), b.node("Max", conv(b, x), b.constant(0))), [Convolution]),
    "relu6 as relu and min": (lambda b, x: b.node("Min", b.node("Relu", conv(b, x)),
                                                  b.constant(6)), [Convolution]),
    "clip without zero": (lambda b, x: b.node("Clip", conv(b, x), b.constant(0.2),
                                              b.constant(0.8)), [Convolution, Table]),
    "mul and add after conv": (lambda b, x: b.node("Sub", b.node("Div", conv(b, x), b.weights(
        6, 1, 1)), b.weights(1, 6, 1, 1)), [Convolution]),
    "mul before conv": (lambda b, x: conv(b, b.node("Mul", b.node("LeakyRelu", conv(
        b, x)), b.weights(6, 1, 1)), (6, 4), pads=(1, 1, 1, 1)),
        [Convolution, Table, Convolution]),
    "mul and add between": (lambda b, x: b.node("MaxPool", b.node("Add", b.node("Mul", b.node(
        "LeakyRelu", conv(b, x)), b.weights(6, 1, 1)), b.weights(6, 1, 1)), kernel_shape=(2, 2)),
        [Convolution, Table, DepthwiseConvolution, MaxPool]),
    "a constant less activations": (lambda b, x: b.node("Sub", b.constant(1), b.node(
        "LeakyRelu", conv(b, x))), [Convolution, Table]),
    "upsample": (lambda b, x: b.node("Resize", conv(b, x), "", b.constant([1, 1, 2, 3]),
                                     coordinate_transformation_mode="asymmetric",
                                     nearest_mode="floor"), [Convolution, Upsample]),
    "slice of channels": (lambda b, x: b.node("Slice", conv(b, x), b.constant(
        [1], np.int64), b.constant([5], np.int64), b.constant([1], np.int64)),
        [Convolution, Slice]),
    "slice of every other pixel": (lambda b, x: b.node("Slice", conv(b, x), b.constant(
        [0, 1], np.int64), b.constant([99, 99], np.int64), b.constant([2, 3], np.int64),
        b.constant([2, 2], np.int64)), [Convolution, Slice, MaxPool]),
    "pad of channels": (lambda b, x: b.node("Pad", conv(b, x), b.constant(
        [0, 2, 0, 0, 0, 3, 0, 0], np.int64)), [Convolution, PadChannels]),
    "pad with a value": (lambda b, x: b.node("Pad", conv(b, x), b.constant(
        [0, 0, 2, 0, 0, 0, 1, 0], np.int64), b.constant(0.7)), [Convolution, Pad]),
    "concat with constants": (lambda b, x: b.node("Concat", b.constant(np.zeros((1, 2, 7, 6))),
                                                  conv(b, x), axis=1),
                              [Convolution, PadChannels]),
    "unsqueeze": (lambda b, x: conv(b, b.node("Unsqueeze", b.node("Reshape", b.node(
        "GlobalAveragePool", conv(b, x)), b.constant([1, 6], np.int64)),
        b.constant([2, 3], np.int64)), (6, 4), (1, 1)),
        [Convolution, GlobalAveragePool, Convolution]),
}

INNER = {"groups": 4, "slice of every other pixel": 1}  # stages whose output is no tensor


@pytest.mark.parametrize("name", CHAINS)
def test_operator_in_a_float_model(name, importing, judge):
    make, kinds = CHAINS[name]
    builder = Builder()
    y = make(builder, "x")
    imported = importing(builder.model({"x": ("n", *IMAGE[1:])}, {y: None}))
    assert [type(stage.operator) for stage in imported.network.stages] == kinds
    assert imported.float_model
    assert len(judge(imported)) == len(kinds) - INNER.get(name, 0)


def residual(builder: Builder, operator: str) -> str:
    trunk = builder.node("Relu", conv(builder, "x", pads=(1, 1, 1, 1)))
    left = conv(builder, trunk, (6, 6), pads=(1, 1, 1, 1))
    right = conv(builder, trunk, (6, 6), (1, 1))
    terms = [trunk, left] if operator == "Add" else [trunk, left, right]
    return builder.node("Relu", builder.node(operator, *terms))


@pytest.mark.parametrize("operator", ["Add", "Sum"])
def test_residual_additions(operator, importing, judge):
    builder = Builder()
    y = residual(builder, operator)
    imported = importing(builder.model({"x": IMAGE}, {y: None}))
    (add,) = (stage for stage in imported.network.stages if isinstance(stage.operator, Add))
    assert len(add.inputs) == (2 if operator == "Add" else 3)
    assert add.operator.low == add.operator.zero or add.operator.zero == add.operator.output.low
    judge(imported)


@pytest.mark.parametrize("operator", ["Mul", "Sub"])
def test_two_activations(operator, importing, judge):
    b = Builder()
    left, right = conv(b, "x"), conv(b, "y")
    imported = importing(b.model({"x": IMAGE, "y": IMAGE}, {b.node(operator, left, right): None}))
    kinds = [type(stage.operator) for stage in imported.network.stages]
    assert kinds[2:] == ([Multiply] if operator == "Mul" else [Table, Add])
    judge(imported)


def test_squeeze_and_excitation(importing, judge):
    b = Builder()
    trunk = b.node("Relu", conv(b, "x"))
    gate = b.node("Sigmoid", conv(b, b.node("GlobalAveragePool", trunk), (6, 6), (1, 1)))
    imported = importing(b.model({"x": IMAGE}, {b.node("Mul", trunk, gate): None}))
    assert [type(stage.operator) for stage in imported.network.stages] == [
        Convolution, GlobalAveragePool, Convolution, Table, Multiply]
    judge(imported)


def test_split_and_concat(importing, judge):
    b = Builder()
    parts = b.node("Split", conv(b, "x"), b.constant([2, 3, 1], np.int64), axis=1, outputs=3)
    middle = conv(b, f"{parts}1", (3, 4), (1, 1))
    y = b.node("Concat", f"{parts}2", middle, parts, axis=1)
    imported = importing(b.model({"x": IMAGE}, {b.node("Relu", y): None}))
    kinds = [type(stage.operator) for stage in imported.network.stages]
    assert kinds.count(Slice) == 3
    assert kinds.count(Concat) == 1
    judge(imported)


def test_one_dimension(importing, judge):
    b = Builder()
    x = b.node("Relu", b.node("Conv", "x", b.weights(6, 4, 5), b.weights(6), dilations=(2,),
                              strides=(2,), pads=(3, 1)))
    x = b.node("AveragePool", b.node("MaxPool", x, kernel_shape=(2,)), kernel_shape=(3,),
               pads=(1, 1))
    x = b.node("Mul", x, b.weights(6, 1))
    y = b.node("ReduceMean", x, axes=(2,))
    imported = importing(b.model({"x": ("n", 4, 40)}, {y: None}))
    assert [type(stage.operator) for stage in imported.network.stages] == [
        Convolution, MaxPool, AveragePool, DepthwiseConvolution, GlobalAveragePool]
    assert imported.network.stages[0].operator.kernel == (1, 5)
    judge(imported)


def test_functions_at_an_output_stay_with_the_host(importing, judge):
    b = Builder()
    y = b.node("Tanh", b.node("Flatten", conv(b, "x")))
    imported = importing(b.model({"x": IMAGE}, {y: None}))
    assert [type(stage.operator) for stage in imported.network.stages] == [Convolution]
    assert "Tanh_2 (Tanh) is computed on the host, after the hardware." in \
        imported.network.warnings
    judge(imported)


def test_a_fully_connected_layer_takes_the_map_as_its_kernel(importing):
    builder = Builder()
    y = CHAINS["flatten and gemm"][0](builder, "x")
    dense = importing(builder.model({"x": IMAGE}, {y: None})).network.stages[1].operator
    assert dense.kernel == (7, 6)
    assert dense.output.shape == (1, 1, 5)


def test_a_vector_model(importing, judge):
    builder = Builder()
    x = builder.node("Relu", builder.node("Gemm", "x", builder.weights(20, 12),
                                          builder.weights(12)))
    y = builder.node("Gemm", x, builder.weights(12, 7), builder.weights(7))
    imported = importing(builder.model({"x": ("n", 20)}, {y: None}))
    (port,) = imported.network.inputs
    assert (port.shape, port.axes) == ((1, 1, 20), (0, 1, 2))
    judge(imported)


def test_batch_normalisation_after_a_vector(importing, judge):
    builder = Builder()
    x = builder.node("Gemm", "x", builder.weights(20, 12), builder.weights(12))
    y = builder.node("BatchNormalization", x, builder.weights(12), builder.weights(12),
                     builder.weights(12), builder.constant(builder.rng.uniform(0.5, 2, 12)))
    imported = importing(builder.model({"x": ("n", 20)}, {y: None}))
    assert len(imported.network.stages) == 1
    judge(imported)


def test_several_inputs_and_outputs(importing, judge):
    builder = Builder()
    total = builder.node("Add", conv(builder, "x"), conv(builder, "y"))
    probability = builder.node("Softmax", builder.node("Flatten", builder.node(
        "GlobalAveragePool", total)))
    second = conv(builder, total, (6, 2), (1, 1))
    imported = importing(builder.model({"x": IMAGE, "y": IMAGE}, {probability: None,
                                                                  second: None}))
    assert [port.name for port in imported.network.inputs] == ["x", "y"]
    assert [port.name for port in imported.network.outputs] == [probability, second]
    assert any("Softmax" in warning for warning in imported.network.warnings)
    judge(imported)


def test_two_outputs_of_one_tensor_share_a_port(importing, judge):
    builder = Builder()
    vector = builder.node("Flatten", builder.node("GlobalAveragePool", conv(builder, "x")))
    outputs = {vector: None, builder.node("Sigmoid", vector): None}
    imported = importing(builder.model({"x": IMAGE}, outputs))
    assert len(imported.network.outputs) == 1
    judge(imported)


def test_channels_last_at_the_borders(importing, judge):
    builder = Builder()
    x = builder.node("Transpose", "x", perm=(0, 3, 1, 2))
    y = builder.node("Transpose", conv(builder, x), perm=(0, 2, 3, 1))
    imported = importing(builder.model({"x": ("n", 9, 8, 3)}, {y: None}))
    assert imported.network.inputs[0].map.shape == (9, 8, 3)
    assert imported.network.outputs[0].map.shape == (7, 6, 6)
    judge(imported)


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 17, 21])
def test_opsets(opset, importing, judge):
    builder = Builder()
    x = builder.node("MaxPool", builder.node("Relu", conv(builder, "x")), kernel_shape=(2, 2))
    y = builder.node("Softmax", builder.node("Flatten", x), axis=1)
    model = builder.model({"x": ("n", *IMAGE[1:])}, {y: None}, opset=opset)
    judge(importing(model))


@pytest.mark.parametrize("quantized", [False, True])
def test_shapes_that_the_graph_computes(quantized, importing, judge):
    """As PyTorch exports a flattening: Shape, Gather, Unsqueeze, Concat, Reshape."""
    b = Builder()
    x = b.quantized("x", 0.02, 120) if quantized else "x"
    weights = b.integer_weights(6, 3, 3, 3) if quantized else b.weights(6, 3, 3, 3)
    y = b.node("Conv", x, weights)
    y = b.quantized(y, 0.02, 120) if quantized else y
    batch = b.node("Gather", b.node("Shape", y), b.node("Constant", value_int=0))
    shape = b.node("Concat", b.node("Unsqueeze", batch, b.constant([0], np.int64)),
                   b.constant([-1], np.int64), axis=0)
    vector = b.node("Reshape", y, shape)
    weights = b.integer_weights(252, 5, axis=1) if quantized else b.weights(252, 5)
    y = b.node("MatMul", vector, weights)
    y = b.quantized(y, 0.05, 120) if quantized else y
    imported = importing(b.model({"x": ("n", *IMAGE[1:])}, {y: None}))
    assert [type(stage.operator) for stage in imported.network.stages] == [Convolution] * 2
    judge(imported)


def test_names_are_those_of_the_nodes(importing):
    builder = Builder()
    y = builder.node("PRelu", conv(builder, "x"), builder.weights(6, 1, 1))
    imported = importing(builder.model({"x": IMAGE}, {y: None}))
    assert [stage.name for stage in imported.network.stages] == ["Conv_0", "PRelu_1"]
    assert [layer.name for layer in imported.layers] == ["Conv_0", "PRelu_1"]


def test_calibration_sets_the_ranges(importing):
    builder = Builder()
    y = conv(builder, "x")
    model = builder.model({"x": IMAGE}, {y: None})
    samples = np.full((5, *IMAGE[1:]), 3.0)
    quiet = importing(model, calibration={"x": samples})
    assert quiet.network.warnings == ()
    (warning,) = importing(model).network.warnings
    assert "accuracy means nothing" in warning


def test_supported_operators_have_their_limits_in_words():
    (everywhere, limits), *operators = supported()
    assert (everywhere, "batch" in limits) == ("(every operator)", True)
    names = [name for name, _ in operators]
    assert names == sorted(names)
    assert {"Conv", "PRelu", "Softmax"} <= set(names)
    assert "on the host" in dict(supported())["Softmax"]
