"""Small ONNX models, built node by node."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int8): TensorProto.INT8,
         np.dtype(np.uint8): TensorProto.UINT8}


class Builder:
    """Nodes and constants of a model; each call gives the tensor that it made."""

    def __init__(self, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, values, kind=np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(values, kind)
        return name

    def weights(self, *shape: int, scale: float = 0.3) -> str:
        return self.constant(self.rng.normal(0, scale, shape))

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str:
        name = f"{operator}_{len(self.nodes)}"
        tensors = [f"{name}_out", *(f"{name}_out{k}" for k in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, inputs, tensors, name=name, **attributes))
        return tensors[0]

    def dequantized(self, x: str, scale: float, zero: int, kind=np.uint8) -> str:
        return self.node("DequantizeLinear", x, self.constant(scale), self.constant(zero, kind))

    def quantized(self, x: str, scale: float, zero: int, kind=np.uint8) -> str:
        """QuantizeLinear and DequantizeLinear."""
        return self.dequantized(self.node("QuantizeLinear", x, self.constant(scale),
                                          self.constant(zero, kind)), scale, zero, kind)

    def integer_weights(self, *shape: int, axis: int = 0) -> str:
        """Per-channel weights of 8 bits, dequantised."""
        values = self.constant(self.rng.integers(-127, 128, shape), np.int8)
        scales = self.constant(self.rng.uniform(0.002, 0.006, shape[axis]))
        return self.node("DequantizeLinear", values, scales,
                         self.constant(np.zeros(shape[axis]), np.int8), axis=axis)

    def model(self, inputs: Mapping[str, tuple], outputs: Mapping[str, tuple | None], *,
              kind=np.float32, output_kind=None, opset: int = 13) -> onnx.ModelProto:
        def info(name, shape, kind):
            return helper.make_tensor_value_info(name, KINDS[np.dtype(kind)], shape)

        graph = helper.make_graph(
            self.nodes, "graph", [info(name, shape, kind) for name, shape in inputs.items()],
            [info(name, shape, output_kind or kind) for name, shape in outputs.items()],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                                 ir_version=8)
