"""The four topologies of MLPerf Tiny as float ONNX models, with seeded weights.

Layers, kernels and paddings are those of the benchmark's reference models; weights are random, of a
scale that keeps activations alive. The form is that of an exporter: channels first, a free batch
dimension, BatchNormalization not yet folded.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


__all__ = ["autoencoder", "dscnn", "mobilenet", "resnet8"]


class _Graph:
    """Nodes and weights that follow one another; each method returns the tensor that it made."""

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes) -> str:
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [f"{name}_output"], name=name,
                                            **attributes))
        return f"{name}_output"

    def _weight(self, values: np.ndarray) -> str:
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def normalise(self, x: str, channels: int) -> str:
        random = self._random
        return self.node("BatchNormalization", x,
                         self._weight(random.uniform(0.8, 1.2, channels)),
                         self._weight(random.normal(0, 0.2, channels)),
                         self._weight(random.normal(0, 0.2, channels)),
                         self._weight(random.uniform(0.8, 1.2, channels)), epsilon=1e-3)

    def convolve(self, x: str, in_channels: int, out_channels: int, kernel: tuple[int, int], *,
                 stride: int = 1, pads: tuple[int, int, int, int], group: int = 1,
                 relu: bool = True) -> str:
        """Conv without a bias, BatchNormalization, Relu; pads are top, left, bottom, right."""
        shape = out_channels, in_channels // group, *kernel
        scale = np.sqrt(2 / np.prod(shape[1:]))
        x = self.node("Conv", x, self._weight(self._random.normal(0, scale, shape)),
                      kernel_shape=kernel, strides=(stride, stride), pads=pads, group=group)
        x = self.normalise(x, out_channels)
        return self.node("Relu", x) if relu else x

    def multiply(self, x: str, in_channels: int, out_channels: int) -> str:
        """A dense layer without a bias."""
        weight = self._random.normal(0, np.sqrt(2 / in_channels), (in_channels, out_channels))
        return self.node("MatMul", x, self._weight(weight))

    def dense(self, x: str, in_channels: int, out_channels: int) -> str:
        weight = self._random.normal(0, np.sqrt(2 / in_channels), (out_channels, in_channels))
        bias = self._random.normal(0, 0.1, out_channels)
        return self.node("Gemm", x, self._weight(weight), self._weight(bias), transB=1)

    def classify(self, x: str, in_channels: int, classes: int) -> str:
        """Average over the map, a dense layer, Softmax."""
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        return self.node("Softmax", self.dense(x, in_channels, classes), axis=1)

    def model(self, name: str, in_shape: tuple[int, ...],
              out_shape: tuple[int, ...]) -> onnx.ModelProto:
        """The whole; the last node gives its output."""
        self._nodes[-1].output[0] = "output"
        graph = helper.make_graph(
            self._nodes, name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *in_shape])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", *out_shape])],
            self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                                  producer_name="fcnnx models")
        onnx.checker.check_model(model, full_check=True)
        return model


def resnet8() -> onnx.ModelProto:
    """Image classification, CIFAR-10: three residual stacks of 16, 32 and 64 channels."""
    graph, same, halved = _Graph(8), (1, 1, 1, 1), (0, 0, 1, 1)
    x, channels = graph.convolve("input", 3, 16, (3, 3), pads=same), 16
    for out_channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = graph.convolve(x, channels, out_channels, (3, 3), stride=stride,
                           pads=same if stride == 1 else halved)
        y = graph.convolve(y, out_channels, out_channels, (3, 3), pads=same, relu=False)
        if stride > 1:
            x = graph.convolve(x, channels, out_channels, (1, 1), stride=stride,
                               pads=(0, 0, 0, 0), relu=False)
        x, channels = graph.node("Relu", graph.node("Add", x, y)), out_channels
    graph.classify(x, 64, 10)
    return graph.model("resnet8", (3, 32, 32), (10,))


def _separable(graph: _Graph, x: str, in_channels: int, out_channels: int, stride: int = 1) -> str:
    x = graph.convolve(x, in_channels, in_channels, (3, 3), stride=stride, group=in_channels,
                       pads=(1, 1, 1, 1) if stride == 1 else (0, 0, 1, 1))
    return graph.convolve(x, in_channels, out_channels, (1, 1), pads=(0, 0, 0, 0))


def dscnn() -> onnx.ModelProto:
    """Keyword spotting: 49 x 10 cepstral coefficients, one convolution, four separable ones."""
    graph = _Graph(49)
    x = graph.convolve("input", 1, 64, (10, 4), stride=2, pads=(4, 1, 5, 1))
    for _ in range(4):
        x = _separable(graph, x, 64, 64)
    graph.classify(x, 64, 12)
    return graph.model("dscnn", (1, 49, 10), (12,))


def mobilenet() -> onnx.ModelProto:
    """Visual wake words: MobileNetV1 at a width of 0.25 on 96 x 96 pixels."""
    graph = _Graph(96)
    x, channels = graph.convolve("input", 3, 8, (3, 3), stride=2, pads=(0, 0, 1, 1)), 8
    for out_channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1),
                                 (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1)):
        x, channels = _separable(graph, x, channels, out_channels, stride), out_channels
    graph.classify(x, 256, 2)
    return graph.model("mobilenet", (3, 96, 96), (2,))


def autoencoder() -> onnx.ModelProto:
    """Anomaly detection: 640 spectrogram values through a bottleneck of 8 and back."""
    graph, x, channels = _Graph(640), "input", 640
    for out_channels in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = graph.normalise(graph.multiply(x, channels, out_channels), out_channels)
        x, channels = graph.node("Relu", x), out_channels
    graph.dense(x, channels, 640)
    return graph.model("autoencoder", (640,), (640,))
