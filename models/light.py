"""Large topologies that ship inside the onnx package, with seeded random weights.

The package has them without weights: every one is filled in by ConstantOfShape, all alike, of which
an accelerator would learn nothing. Here they are random, of a scale that keeps activations alive.
Local response normalisation, which nothing newer has, is left out, as is Dropout; a Sum of two is
an Add, as newer exporters have it, and as onnxruntime's quantiser wants it.

They can be made smaller, their topology kept: a lesser picture, and layers of fewer channels.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import onnx
import onnx.backend.test
import onnx.shape_inference
from onnx import numpy_helper


__all__ = ["NAMES", "SCALED", "SIDE", "make"]


_FILES = {"alexnet": "light_bvlc_alexnet.onnx"} | {
    name: f"light_{name}.onnx" for name in ("resnet50", "squeezenet", "vgg19", "zfnet512")}
NAMES = tuple(_FILES)
SIDE = 224  # pixels of a picture
# Smaller ones by name: which, the side of its pictures, and what its channels are divided by.
# Where a window fills the whole map, frames do not overlap: pictures stay larger than that.
SCALED = {"alexnet_small": ("alexnet", 128, 8), "zfnet512_small": ("zfnet512", 128, 8),
          "squeezenet_small": ("squeezenet", 112, 4), "vgg19_small": ("vgg19", 96, 16),
          "resnet50_small": ("resnet50", 96, 8)}
_COLOURS = 3
_LEFT_OUT = ("LRN", "Dropout")
_FOLDER = pathlib.Path(onnx.backend.test.__file__).parent / "data" / "light"


def make(name: str, *, side: int = SIDE, narrower: int = 1) -> onnx.ModelProto:
    """A model by its short name, from ``input`` (1, 3, side, side) to ``output``; its weights are
    the same every time.

    Parameters
    ----------
    name : one of :data:`NAMES`
    side : :class:`int`
        Rows and columns of its pictures.
    narrower : :class:`int`
        What the channels of all layers, and the classes, are divided by.

    Raises
    ------
    KeyError
        If the package has none of this name.
    """
    model = onnx.load(_FOLDER / _FILES[name])
    model.ir_version = 8  # from 4 on, weights need not be inputs as well
    if (side, narrower) != (SIDE, 1):
        _scale(model, side, narrower)
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
            if node.op_type == "Sum" and len(node.input) == 2:
                node.op_type = "Add"
            kept.append(node)
    used = {tensor for node in kept for tensor in node.input}
    constants = [each for each in graph.initializer if each.name in used]
    inputs = [each for each in graph.input if each.name in used and each.name not in shapes]
    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend(kept)
    graph.initializer.extend([*constants, *filled])
    graph.input.extend(inputs)
    _rename(graph, {graph.input[0].name: "input", graph.output[0].name: "output"})
    return model


def _scale(model: onnx.ModelProto, side: int, narrower: int) -> None:
    """Make its picture and its layers smaller, by the constants that say what shape they have."""
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    weights = {node.output[0]: constants[node.input[0]] for node in graph.node
               if node.op_type == "ConstantOfShape"}
    for constant in {each.name: each for each in weights.values()}.values():  # some are shared
        out, *rest = numpy_helper.to_array(constant).tolist()
        taken = [size if size == _COLOURS else size // narrower for size in rest[:1]]
        _set(constant, [out // narrower, *taken, *rest[1:]])
    for constant in graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT and len(constant.dims) == 1:
            values = numpy_helper.to_array(constant)  # of each channel, where they are there
            _set(constant, values[:len(values) // narrower].tolist())
    (picture,) = (each for each in graph.input if each.name not in constants)
    del graph.input[:]
    graph.input.append(picture)
    for size in graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_value = side
    classes = graph.output[0].type.tensor_type.shape.dim[1]
    classes.dim_value //= narrower
    # What follows the last map depends on how much of it is left.
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {each.name: [size.dim_value for size in each.type.tensor_type.shape.dim]
              for each in inferred}
    takers = {node.input[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type == "AveragePool":
            left = shapes[node.input[0]][2:]
            next(each for each in node.attribute if each.name == "kernel_shape").ints[:] = left
            shapes[node.output[0]] = [*shapes[node.input[0]][:2], 1, 1]
        if node.op_type == "Reshape":
            features = int(np.prod(shapes[node.input[0]]))
            _set(constants[node.input[1]], [1, features])
            weight = weights[takers[node.output[0]].input[1]]
            _set(weight, [numpy_helper.to_array(weight)[0], features])


def _set(constant: onnx.TensorProto, values: Sequence[float]) -> None:
    constant.CopyFrom(onnx.helper.make_tensor(constant.name, constant.data_type, [len(values)],
                                              values))


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
