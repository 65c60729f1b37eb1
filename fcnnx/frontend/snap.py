"""Scales of a model that is quantised here, moved to where fixed point has them exactly.

A multiplier of 17 bits is off by up to 2 ** -17, and a network repeats that error in every value of
a channel: it decides roundings, and differences grow from layer to layer. A scale moved by as much
changes nothing that 8 bits can tell, and makes hardware and quantised model the same arithmetic.
"""

import numpy as np
import onnx

from .fixed import channel_scales, common_scales
from .graph import Graph, Node


__all__ = ["snap_scales"]


PASSED_OVER = ("Relu", "Clip", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
PRODUCTS = ("Conv", "Gemm", "MatMul")


def snap_scales(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with scales of activations, weights, biases and slopes that fixed point can say.

    Parameters
    ----------
    model : as onnxruntime's quantiser writes it, with inferred shapes
    """
    snapping = _Snapping(Graph.read(model))
    snapping.activations()
    snapping.weights()
    for each in model.graph.initializer:
        if each.name in snapping.changed:
            each.CopyFrom(onnx.numpy_helper.from_array(snapping.changed[each.name], each.name))
    return model


class _Snapping:
    def __init__(self, graph: Graph):
        self._graph = graph
        self._makers = {tensor: node for node in graph.nodes for tensor in node.outputs}
        self._users: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for tensor in node.inputs:
                self._users.setdefault(tensor, []).append(node)
        self.changed: dict[str, np.ndarray] = {}

    def _value(self, name: str) -> np.ndarray:
        return self.changed.get(name, self._graph.constants[name])

    def _change(self, name: str, values: np.ndarray) -> None:
        shape = self._graph.constants[name].shape
        self.changed[name] = np.asarray(values, np.float32).reshape(shape)

    def _dequantizer(self, tensor: str) -> Node | None:
        node = self._makers.get(tensor)
        return node if node is not None and node.op == "DequantizeLinear" else None

    def _input_scale(self, tensor: str) -> str | None:
        """The tensor that holds an activation's scale."""
        node = self._dequantizer(tensor)
        if node is None or node.inputs[0] in self._graph.constants:
            return None
        return node.inputs[1]

    def _output_scale(self, node: Node) -> str | None:
        users = self._users.get(node.outputs[0], [])
        if len(users) != 1:
            return None
        if users[0].op == "QuantizeLinear":
            return users[0].inputs[1]
        return self._output_scale(users[0]) if users[0].op in PASSED_OVER else None

    def activations(self) -> None:
        """Moves the scales of inputs to those of outputs, from the last operator on, so that an
        output's is settled when its operator is looked at."""
        for node in reversed(self._graph.nodes):
            output = self._output_scale(node)
            if output is None or node.op in PRODUCTS:
                continue
            scale = self._value(output).astype(np.float64).item()
            if node.op in ("Add", "Sum"):
                self._terms(node, output, scale)
            elif node.op == "PRelu":
                self._slopes(node, output, scale)
            elif node.op in ("AveragePool", "GlobalAveragePool", "ReduceMean"):
                sizes = [np.prod(self._graph.shapes[tensor][1:], dtype=np.int64)
                         for tensor in (node.inputs[0], node.outputs[0])]
                kernel = node.attributes.get("kernel_shape")
                count = np.prod(kernel) if kernel else sizes[0] // sizes[1]
                self._terms(node, output, scale * float(count))

    def _terms(self, node: Node, output: str, scale: float) -> None:
        names = [name for tensor in node.inputs if (name := self._input_scale(tensor))]
        if len(names) < len(node.inputs):
            return
        ratios = np.array([self._value(name).item() / scale for name in names], np.float64)
        multipliers, shift = common_scales(ratios)
        for name, multiplier in zip(names, multipliers, strict=True):
            if name not in self.changed and name != output:
                self._change(name, scale * multiplier / 2.0 ** shift)

    def _slopes(self, node: Node, output: str, scale: float) -> None:
        name, slope = self._input_scale(node.inputs[0]), node.inputs[1]
        if name is None or slope not in self._graph.constants:
            return
        slopes = self._value(slope).astype(np.float64).ravel()
        ratio = self._value(name).astype(np.float64).item() / scale
        multipliers, shift = common_scales(ratio * np.append(slopes, 1))
        if name not in self.changed and name != output:
            self._change(name, scale * multipliers[-1] / 2.0 ** shift)
        if len(self._users[slope]) == 1:
            ratio = self._value(name).astype(np.float64).item() / scale
            self._change(slope, multipliers[:-1] / 2.0 ** shift / ratio)

    def weights(self) -> None:
        """Moves the scales of weights, and with them those of biases, to those of activations."""
        for node in self._graph.nodes:
            output = self._output_scale(node) if node.op in PRODUCTS else None
            given = self._input_scale(node.inputs[0])
            weights = self._dequantizer(node.inputs[1]) if len(node.inputs) > 1 else None
            if output is None or given is None or weights is None or \
                    len(self._users[weights.inputs[1]]) > 1:
                continue
            factor = float(self._value(given).item()) / float(self._value(output).item())
            scales = self._value(weights.inputs[1]).astype(np.float64).ravel()
            multipliers, shifts = channel_scales(scales * factor)
            self._change(weights.inputs[1], np.broadcast_to(
                multipliers / 2.0 ** np.asarray(shifts) / factor, scales.shape))
            bias = self._dequantizer(node.inputs[2]) if len(node.inputs) > 2 else None
            if bias is not None and len(self._users[bias.inputs[1]]) == 1:
                moved = self._value(weights.inputs[1]).astype(np.float64) * \
                    self._value(given).astype(np.float64).item()
                if moved.size == self._graph.constants[bias.inputs[1]].size:
                    self._change(bias.inputs[1], moved)
