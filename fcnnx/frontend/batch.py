"""Models of a fixed batch as models of one sample."""

import numpy as np
import onnx

from fcnnx.errors import BadInput, Problem

from .graph import quiet


__all__ = ["make_single"]


TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


def make_single(name: str, batched: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Makes a model one of single samples, and checks that it was one of samples before.

    Parameters
    ----------
    name : :class:`str`
        Of the network.
    batched : as it was given
    model : the same, whose inputs have a batch of 1 already; changed

    Raises
    ------
    BadInput
        If more than the first dimension of its tensors changes.
    """
    before = _shapes(batched)
    batch = max((before[each.name][0] for each in model.graph.input if before.get(each.name)),
                default=0)
    if batch < 2:
        return
    _reshape(model, batch)
    after = _shapes(model)
    for tensor, shape in before.items():
        if 0 not in shape and (shape[:1] != [batch] or after.get(tensor) != [1, *shape[1:]]):
            raise BadInput(Problem(
                where=name, reason=f"The first dimension of its inputs, {batch}, is taken for the "
                f"batch, and becomes 1; but that of {tensor!r}, of the shape {shape}, is not.",
                remedy="Export the model with a batch of 1."))


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Of activations, as far as they are known; 0 stands for a dimension that is not."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for output in plain.graph.output:
        output.type.tensor_type.ClearField("shape")
    with quiet():
        graph = onnx.shape_inference.infer_shapes(plain, data_prop=True).graph
    activations = {each.name for each in graph.input}
    for node in graph.node:
        if not activations.isdisjoint(node.input):
            activations.update(node.output)
    return {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim]
            for each in [*graph.input, *graph.value_info, *graph.output]
            if each.name in activations and each.type.tensor_type.HasField("shape")
            and each.type.tensor_type.elem_type in TYPES}


def _reshape(model: onnx.ModelProto, batch: int) -> None:
    """Constant shapes that begin with the batch begin with 1."""
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    constants |= {node.output[0]: onnx.numpy_helper.to_array(each.t) for node in model.graph.node
                  if node.op_type == "Constant" for each in node.attribute if each.name == "value"}
    for k, node in enumerate(model.graph.node):
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and shape.ndim == 1 and shape.size and shape[0] == batch:
            single = f"{node.input[1]}_of_one_{k}"
            model.graph.initializer.append(onnx.numpy_helper.from_array(
                np.array([1, *shape[1:]], np.int64), single))
            node.input[1] = single
