"""Float models whose scalings and offsets along one axis are weights of convolutions."""

import dataclasses
from collections import Counter

import numpy as np
import onnx

from .simplify import fold_into_gemm, with_nodes


__all__ = ["fold_affine", "plain_arithmetic"]


class _Draft:
    """A float model being changed: its nodes, constants and shapes."""

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.nodes = list(model.graph.node)
        self.values = {each.name: onnx.numpy_helper.to_array(each)
                       for each in model.graph.initializer}
        self.shapes = {info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
                       for info in [*model.graph.input, *model.graph.value_info,
                                    *model.graph.output]}
        self.outputs = {each.name for each in model.graph.output}
        self.uses = Counter(name for node in self.nodes for name in node.input)
        self.uses.update(self.outputs)
        self.makers = {name: node for node in self.nodes for name in node.output}

    def constant(self, name: str, values: np.ndarray) -> str:
        self.values[name] = np.asarray(values, np.float32)
        return name

    def finish(self, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
        return with_nodes(self.model, nodes, self.values)

    def operands(self, node: onnx.NodeProto) -> tuple[str, np.ndarray] | None:
        """Activation and constant of a node of two inputs, if that is what they are."""
        if len(node.input) != 2:
            return None
        known = [name in self.values for name in node.input]
        if sum(known) != 1 or self.values[node.input[known.index(True)]].dtype != np.float32:
            return None
        return node.input[known.index(False)], self.values[node.input[known.index(True)]]


def plain_arithmetic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Differences as sums, quotients as products, Max and Min with a value as Clip, and the
    greatest of a map as a MaxPool: what the quantiser, and onnxruntime's passes, know.

    Parameters
    ----------
    model : with inferred shapes
    """
    draft = _Draft(model)
    nodes: list[onnx.NodeProto] = []
    for node in draft.nodes:
        operands = draft.operands(node)
        constant_last = operands is not None and node.input[1] in draft.values
        if node.op_type in ("GlobalMaxPool", "ReduceMax"):
            nodes += _plain_maximum(draft, node)
        elif node.op_type == "Clip":
            nodes += _plain_clip(draft, node)
        elif operands is None:
            nodes.append(node)
        elif node.op_type in ("Max", "Min") and operands[1].size == 1:
            nodes += _bound(draft, node, *operands)
        elif node.op_type == "Sub" and constant_last:
            nodes.append(_arithmetic(draft, node, "Add", operands[0], -operands[1]))
        elif node.op_type == "Sub" and operands[1].size > 1:
            minus_one = draft.constant(f"{node.output[0]}_minus_one", np.array(-1))
            negative = f"{node.output[0]}_negative"
            nodes += [onnx.helper.make_node("Mul", [operands[0], minus_one], [negative],
                                            name=f"{node.name}_negative"),
                      _arithmetic(draft, node, "Add", negative, operands[1])]
        elif node.op_type == "Div" and constant_last and operands[1].all():
            nodes.append(_arithmetic(draft, node, "Mul", operands[0], 1 / operands[1]))
        else:
            nodes.append(node)
    return draft.finish(nodes)


def _arithmetic(draft: _Draft, node: onnx.NodeProto, operator: str, x: str,
                constant: np.ndarray) -> onnx.NodeProto:
    name = draft.constant(f"{node.output[0]}_constant", constant)
    return onnx.helper.make_node(operator, [x, name], [node.output[0]], name=node.name)


def _bound(draft: _Draft, node: onnx.NodeProto, x: str,
           constant: np.ndarray) -> list[onnx.NodeProto]:
    above = node.op_type == "Min"
    if (constant.item() < 0) if above else (constant.item() > 0):
        return [node]  # the quantiser keeps no Clip that excludes 0
    bound = draft.constant(f"{node.output[0]}_bound", constant.reshape(()))
    return [onnx.helper.make_node("Clip", [x, "", bound] if above else [x, bound],
                                  [node.output[0]], name=node.name)]


def _plain_maximum(draft: _Draft, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The quantiser keeps the scale of a MaxPool's input."""
    shape = draft.shapes.get(node.input[0], ())
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    axes = attributes.get("axes", range(2, len(shape)))
    if node.op_type == "ReduceMax" and len(node.input) > 1 and node.input[1]:
        axes = draft.values.get(node.input[1], np.zeros(0, np.int64)).tolist()
    elif node.op_type == "ReduceMax" and "axes" not in attributes:
        axes = []
    if len(shape) not in (3, 4) or sorted(axis % len(shape) for axis in axes) != list(
            range(2, len(shape))):
        return [node]
    pooled = f"{node.output[0]}_pooled"
    draft.values[f"{pooled}_shape"] = np.array(draft.shapes[node.output[0]], np.int64)
    return [onnx.helper.make_node("MaxPool", [node.input[0]], [pooled], name=node.name,
                                  kernel_shape=shape[2:]),
            onnx.helper.make_node("Reshape", [pooled, f"{pooled}_shape"], node.output[:1],
                                  name=f"{node.name}_reshaped")]


def _plain_clip(draft: _Draft, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The quantiser takes a Clip for the range of what is before it, which includes 0."""
    bounds = [draft.values.get(name) for name in node.input[1:] if name]
    if len(node.output) != 1 or any(each is None or each.dtype != np.float32 for each in bounds):
        return [node]
    low, high = ((float(draft.values[node.input[k]].item()) if len(node.input) > k and
                  node.input[k] else unbound) for k, unbound in ((1, -np.inf), (2, np.inf)))
    if low <= 0 <= high:
        return [node]
    x = node.input[0]
    nodes = []
    for operator, bound in (("Max", low), ("Min", high)):
        if np.isfinite(bound):
            name = draft.constant(f"{node.output[0]}_{operator}", np.array(bound))
            nodes.append(onnx.helper.make_node(operator, [x, name], [f"{x}_{operator}"],
                                               name=f"{node.name}_{operator}"))
            x = nodes[-1].output[0]
    nodes[-1].output[0] = node.output[0]
    return nodes


@dataclasses.dataclass
class _Affine:
    """:py:`x * factor + offset`, along an axis, or of one value where that is None."""

    x: str
    axis: int | None
    factor: np.ndarray
    offset: np.ndarray
    nodes: list[onnx.NodeProto]

    @property
    def output(self) -> str:
        return self.nodes[-1].output[0]

    def after(self, before: "_Affine") -> "_Affine | None":
        """Both in one, if they go along the same axis."""
        if None not in (self.axis, before.axis) and self.axis != before.axis:
            return None
        axis = before.axis if self.axis is None else self.axis
        return _Affine(before.x, axis, self.factor * before.factor,
                       self.factor * before.offset + self.offset, before.nodes + self.nodes)


def fold_affine(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float model without normalisations, scalings and offsets along an axis.

    They go into the weights before them, or those behind them, or become depthwise convolutions of
    one pixel.

    Parameters
    ----------
    model : with inferred shapes
    """
    draft = _Draft(model)
    found: dict[str, _Affine] = {}
    for node in draft.nodes:
        affine = _affine(draft, node)
        if affine is None:
            continue
        before = found.get(affine.x)
        both = affine.after(before) if before and draft.uses[affine.x] == 1 else None
        if both is not None:
            del found[affine.x]
        found[node.output[0]] = both or affine
    dropped = {id(node) for each in found.values() for node in each.nodes}
    ends = {id(each.nodes[-1]): each for each in found.values()}
    nodes: list[onnx.NodeProto] = []
    for node in draft.nodes:
        if id(node) in ends:
            nodes += _made(draft, ends[id(node)])
        elif id(node) not in dropped:
            nodes.append(node)
    return draft.finish(nodes)


def _affine(draft: _Draft, node: onnx.NodeProto) -> _Affine | None:
    if node.op_type == "BatchNormalization":
        return _normalization(draft, node)
    operands = draft.operands(node)
    if node.op_type not in ("Mul", "Add") or operands is None:
        return None
    x, constant = operands
    shape = draft.shapes.get(x, ())
    aligned = (1,) * (len(shape) - constant.ndim) + constant.shape
    axes = [axis for axis, size in enumerate(aligned) if size > 1]
    if len(aligned) > len(shape) or len(axes) > 1 or any(
            axis == 0 or aligned[axis] != shape[axis] for axis in axes):
        return None
    values = constant.astype(np.float64).ravel()
    factor, offset = (values, np.zeros(1)) if node.op_type == "Mul" else (np.ones(1), values)
    return _Affine(x, axes[0] if axes else None, factor, offset, [node])


def _normalization(draft: _Draft, node: onnx.NodeProto) -> _Affine | None:
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if any(name not in draft.values for name in node.input[1:]) or attributes.get(
            "training_mode", 0):
        return None
    gamma, beta, mean, variance = (draft.values[name].astype(np.float64)
                                   for name in node.input[1:])
    factor = gamma / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return _Affine(node.input[0], 1, factor, beta - mean * factor, [node])


def _made(draft: _Draft, affine: _Affine) -> list[onnx.NodeProto]:
    """What becomes of it: nothing but new weights elsewhere, or nodes."""
    if _into_producer(draft, affine) or _into_consumer(draft, affine):
        return []
    if affine.axis is None:
        return affine.nodes
    return _depthwise(draft, affine)


def _into_producer(draft: _Draft, affine: _Affine) -> bool:
    maker = draft.makers.get(affine.x)
    if maker is None or draft.uses[affine.x] > 1 or maker.op_type not in ("Conv", "Gemm",
                                                                          "MatMul") or \
            affine.axis not in (None, 1) or any(
                name not in draft.values for name in maker.input[1:] if name):
        return False
    if maker.op_type != "Conv":
        shape = draft.shapes[affine.x]
        if len(shape) != 2 or len(draft.shapes[maker.input[0]]) != 2:
            return False
        maker.op_type = "Gemm"
        fold_into_gemm(maker, draft.values, *(np.broadcast_to(each, shape[1:]).astype(np.float32)
                                              for each in (affine.factor, affine.offset)))
    else:
        weights = draft.values[maker.input[1]]
        factor = np.broadcast_to(affine.factor, weights.shape[:1])
        bias = draft.values[maker.input[2]] if len(maker.input) > 2 and maker.input[2] else 0.0
        _set_weights(draft, maker, weights * factor.reshape(-1, *[1] * (weights.ndim - 1)),
                     np.broadcast_to(bias * factor + affine.offset, weights.shape[:1]))
    maker.output[0] = affine.output
    draft.makers[affine.output] = maker
    return True


def _set_weights(draft: _Draft, conv: onnx.NodeProto, weights: np.ndarray,
                 bias: np.ndarray) -> None:
    del conv.input[1:]
    conv.input.extend([draft.constant(f"{conv.name}_{conv.output[0]}_weight", weights),
                       draft.constant(f"{conv.name}_{conv.output[0]}_bias", bias)])


def _into_consumer(draft: _Draft, affine: _Affine) -> bool:
    """Into the one Conv behind it, whose padding must stay what it is."""
    takers = [node for node in draft.nodes if affine.output in node.input]
    if len(takers) != 1 or affine.output in draft.outputs or affine.axis not in (None, 1):
        return False
    (conv,) = takers
    if conv.op_type != "Conv" or any(name not in draft.values for name in conv.input[1:] if name):
        return False
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in conv.attribute}
    padded = any(attributes.get("pads", ())) or attributes.get("auto_pad", b"NOTSET") not in (
        b"NOTSET", b"VALID")
    if affine.offset.any() and padded:
        return False
    weights = draft.values[conv.input[1]].astype(np.float64)
    groups = attributes.get("group", 1)
    shape = (groups, weights.shape[1])
    spatial = [1] * (weights.ndim - 2)
    count = len(weights) // groups  # outputs of a group
    factor, offset = (np.broadcast_to(each, shape[0] * shape[1]).reshape(shape).repeat(count, 0)
                      .reshape(len(weights), shape[1], *spatial)
                      for each in (affine.factor, affine.offset))
    bias = draft.values[conv.input[2]] if len(conv.input) > 2 and conv.input[2] else 0.0
    _set_weights(draft, conv, weights * factor,
                 bias + (weights * offset).reshape(len(weights), -1).sum(1))
    conv.input[0] = affine.x
    return True


def _depthwise(draft: _Draft, affine: _Affine) -> list[onnx.NodeProto]:
    shape, axis, name = draft.shapes[affine.x], affine.axis, affine.nodes[-1].name
    assert axis is not None
    if len(shape) > 4:
        return affine.nodes
    make = onnx.helper.make_node
    order = [0, axis, *(each for each in range(1, len(shape)) if each != axis)]
    moved = [shape[each] for each in order]
    steps: list[tuple[str, list[int]]] = []
    if axis != 1:
        steps.append(("Transpose", order))
    if len(shape) < 4:
        steps.append(("Reshape", [*moved[:2], *(1, 1, *moved[2:])[-2:]]))
    back = [("Reshape", moved)] * (len(shape) < 4)
    back += [("Transpose", np.argsort(order).tolist())] * (axis != 1)
    weights = np.broadcast_to(affine.factor, (shape[axis],)).reshape(-1, 1, 1, 1)
    bias = np.broadcast_to(affine.offset, (shape[axis],))
    nodes: list[onnx.NodeProto] = []
    x = affine.x
    for k, (operator, values) in enumerate([*steps, ("Conv", []), *back]):
        tensor, label = f"{affine.output}_{k}", f"{name}_{k}"
        if operator == "Conv":
            inputs = [x, draft.constant(f"{tensor}_weight", weights),
                      draft.constant(f"{tensor}_bias", bias)]
            nodes.append(make("Conv", inputs, [tensor], name=name, kernel_shape=[1, 1],
                              group=shape[axis]))
        elif operator == "Reshape":
            draft.values[f"{tensor}_shape"] = np.array(values, np.int64)
            nodes.append(make("Reshape", [x, f"{tensor}_shape"], [tensor], name=label))
        else:
            nodes.append(make("Transpose", [x], [tensor], name=label, perm=values))
        x = tensor
    nodes[-1].output[0] = affine.output
    return nodes
