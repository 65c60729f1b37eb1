"""Large topologies that ship inside the onnx package, with seeded random weights.

The package has them without weights: every one is filled in by ConstantOfShape, all alike, of which
an accelerator would learn nothing. Here they are random, of a scale that keeps activations alive.
Local response normalisation, which nothing newer has, is left out, as is Dropout.
"""

import pathlib

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper


__all__ = ["NAMES", "make"]


_FILES = {"alexnet": "light_bvlc_alexnet.onnx"} | {
    name: f"light_{name}.onnx" for name in ("resnet50", "squeezenet", "vgg19", "zfnet512")}
NAMES = tuple(_FILES)
_LEFT_OUT = ("LRN", "Dropout")
_FOLDER = pathlib.Path(onnx.backend.test.__file__).parent / "data" / "light"


def make(name: str) -> onnx.ModelProto:
    """A model by its short name, from ``input`` (1, 3, 224, 224) to ``output``; its weights are the
    same every time.

    Raises
    ------
    KeyError
        If the package has none of this name.
    """
    model = onnx.load(_FOLDER / _FILES[name])
    graph = model.graph
    shapes = {each.name: tuple(numpy_helper.to_array(each).tolist())
              for each in graph.initializer}
    roles = {tensor: (node, position) for node in graph.node
             for position, tensor in enumerate(node.input)}
    random = np.random.default_rng(sorted(_FILES).index(name))
    renamed: dict[str, str] = {}
    kept, filled = [], []
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            (made,) = node.output
            values = _weight(random, shapes[node.input[0]], *_role(roles, made))
            filled.append(numpy_helper.from_array(values.astype(np.float32), made))
        elif node.op_type in _LEFT_OUT:
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
        else:
            for position, tensor in enumerate(node.input):
                node.input[position] = renamed.get(tensor, tensor)
            kept.append(node)
    used = {tensor for node in kept for tensor in node.input}
    constants = [each for each in graph.initializer if each.name in used]
    inputs = [each for each in graph.input if each.name in used and each.name not in shapes]
    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend(kept)
    graph.initializer.extend([*constants, *filled])
    graph.input.extend(inputs)
    model.ir_version = 8  # from 4 on, weights need not be inputs as well
    _rename(graph, {graph.input[0].name: "input", graph.output[0].name: "output"})
    return model


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]


def _role(roles, tensor: str) -> tuple[str, int]:
    """The operator that takes a weight, and which of its inputs it is."""
    node, position = roles[tensor]
    while node.op_type == "Unsqueeze":
        node, position = roles[node.output[0]]
    return node.op_type, position


def _weight(random: np.random.Generator, shape: tuple[int, ...], operator: str,
            position: int) -> np.ndarray:
    if operator == "BatchNormalization":  # scale, bias, mean, variance
        if position in (1, 4):
            return random.uniform(0.8, 1.2, shape)
        return random.normal(0, 0.2, shape)
    if len(shape) > 1:
        return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    return random.normal(0, 0.05, shape)
