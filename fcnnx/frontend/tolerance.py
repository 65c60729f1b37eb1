"""How far a quantised model can be from the floats that it was made of, at the worst."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from .check import run_reference
from .evaluate import evaluate
from .graph import Graph, Node


__all__ = ["worst_errors"]


# A fixed-point scale of 17 bits or more moves a value of less than 2 ** 9 steps by so many steps.
FIXED_POINT = 2.0 ** -8

# The steepest slope of each function of one value, by its attributes.
SLOPES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "Celu": lambda given: 1.0,
    "Clip": lambda given: 1.0,
    "Elu": lambda given: max(1.0, given.get("alpha", 1.0)),
    "Gelu": lambda given: 1.13,  # at the square root of 2
    "HardSigmoid": lambda given: given.get("alpha", 0.2),
    "HardSwish": lambda given: 1.5,  # at 3
    "LeakyRelu": lambda given: max(1.0, abs(given.get("alpha", 0.01))),
    "Mish": lambda given: 1.09,  # at 1.5
    "Relu": lambda given: 1.0,
    "Selu": lambda given: given.get("gamma", 1.0507010) * max(1.0, given.get("alpha", 1.6732632)),
    "Sigmoid": lambda given: 0.25,
    "Softplus": lambda given: 1.0,
    "Softsign": lambda given: 1.0,
    "Tanh": lambda given: 1.0,
}
# Sums of moduli of a row of the derivative: of Softmax 2 p (1 - p), of LogSoftmax 2 (1 - p).
ROWS = {"Softmax": 0.5, "LogSoftmax": 2.0}
# Errors go through them as the values do.
CARRIED = {"AveragePool", "Concat", "DequantizeLinear", "Dropout", "Flatten", "GlobalAveragePool",
           "GlobalMaxPool", "Identity", "MaxPool", "Pad", "ReduceMax", "ReduceMean", "Reshape",
           "Resize", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze", "Upsample"}


def worst_errors(model: bytes, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Bounds of the difference between a float model and what the hardware makes of it.

    Half a step for each quantisation, of activations, weights and biases, carried to the outputs
    through everything that comes after it, at its worst. Nothing is assumed of the floats but that
    the model was calibrated with these inputs, so that none lies outside of its range.

    Parameters
    ----------
    model : the quantised model
    inputs : arrays by input, first axis frames

    Returns
    -------
    Arrays by output, first axis frames.
    """
    graph = Graph.read(onnx.load_from_string(model))
    names = [name for node in graph.nodes for name in node.outputs if name]
    frames = len(next(iter(inputs.values())))
    bounds = []
    for k in range(frames):
        single = {name: each[k:k + 1] for name, each in inputs.items()}
        bounds.append(_Walk(graph, run_reference(model, single, names)).run())
    return {name: np.stack([each[name].reshape(each[name].shape[1:]) if each[name].shape[:1] == (
        1,) else each[name] for each in bounds]) for name in graph.outputs}


class _Walk:
    """Errors of one frame, tensor by tensor."""

    def __init__(self, graph: Graph, values: Mapping[str, np.ndarray]):
        self._graph = graph
        self._values = dict(values) | dict(graph.constants)
        self._errors: dict[str, np.ndarray] = {
            name: np.zeros(self._values[name].shape, np.float32)
            for name in [*graph.inputs, *graph.constants]}

    def run(self) -> dict[str, np.ndarray]:
        for node in self._graph.nodes:
            for name, error in zip(node.outputs, self._node(node), strict=False):
                self._errors[name] = np.broadcast_to(error, self._values[name].shape)
        return self._errors

    def _node(self, node: Node) -> tuple[np.ndarray, ...]:
        inputs = [self._values[name] for name in node.inputs if name]
        errors = [self._errors[name] for name in node.inputs if name]
        if node.op == "QuantizeLinear":
            return (errors[0] + inputs[1] * np.float32(0.5 + FIXED_POINT),)
        if node.op == "DequantizeLinear" and node.inputs[0] in self._graph.constants:
            return (self._of_constants(node),)
        if node.op == "DequantizeLinear":
            return (errors[0],)
        if node.op in ("Conv", "Gemm", "MatMul"):
            return (self._products(node, inputs, errors),)
        if node.op in CARRIED:
            return self._carried(node, inputs, errors)
        if node.op in ROWS:
            axis = node.attributes.get("axis", -1)
            error = ROWS[node.op] * errors[0].max(axis=axis, keepdims=True)
            return (np.minimum(error, 1) if node.op == "Softmax" else error,)
        return (self._elementwise(node, inputs, errors),)

    def _of_constants(self, node: Node) -> np.ndarray:
        """Half a step of weights and biases."""
        given, scale = (self._graph.constants[name] for name in node.inputs[:2])
        shape = [1] * given.ndim
        if scale.size > 1:
            shape[node.attributes.get("axis", 1)] = scale.size
            scale = scale.reshape(shape)
        self._values[node.outputs[0]] = given.astype(np.float32) * scale
        return np.broadcast_to(scale * np.float32(0.5), given.shape).astype(np.float32)

    def _products(self, node: Node, inputs: list[np.ndarray],
                  errors: list[np.ndarray]) -> np.ndarray:
        plain = Node(name=node.name, op=node.op, inputs=node.inputs[:2], outputs=node.outputs,
                     attributes={name: abs(each) if name in ("alpha", "beta") else each
                                 for name, each in node.attributes.items()})
        moduli = np.abs(inputs[0]) + errors[0]
        total = np.zeros((), np.float32)
        for x, each in ((errors[0], np.abs(inputs[1])), (moduli, errors[1])):
            (part,) = evaluate(plain, self._graph.opset, dict(zip(
                node.inputs[:2], (np.asarray(x, order="C"), np.asarray(each, order="C")),
                strict=True)))
            total = total + part
        if len(errors) > 2:
            bias = errors[2].ravel()
            shape = (1, -1, *[1] * (total.ndim - 2)) if node.op == "Conv" else (-1,)
            total = total + bias.reshape(shape)
        return total

    def _carried(self, node: Node, inputs: list[np.ndarray],
                 errors: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        names = [name for name in node.inputs if name]
        moved = {name: error if value.dtype.kind == "f" and not self._steers(node, name) else value
                 for name, value, error in zip(names, inputs, errors, strict=True)}
        return evaluate(node, self._graph.opset, {
            name: np.asarray(each, order="C") for name, each in moved.items()})

    def _steers(self, node: Node, name: str) -> bool:
        """Whether an input says how the first one moves."""
        return node.op in ("Resize", "Upsample", "Dropout") and name != node.inputs[0]

    def _elementwise(self, node: Node, inputs: list[np.ndarray],
                     errors: list[np.ndarray]) -> np.ndarray:
        if node.op in ("Add", "Sub", "Sum"):
            return sum(errors[1:], errors[0])
        if node.op in ("Max", "Min"):
            return np.maximum.reduce(np.broadcast_arrays(*errors))
        if node.op == "Mul":
            (a, b), (da, db) = map(np.abs, inputs), errors
            return a * db + b * da + da * db
        if node.op == "Div" and node.inputs[1] in self._graph.constants:
            return errors[0] / np.abs(inputs[1])
        if node.op == "PRelu":
            return errors[0] * np.maximum(1, np.abs(inputs[1]))
        return errors[0] * np.float32(SLOPES[node.op](node.attributes))
