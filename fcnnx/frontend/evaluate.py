"""Single nodes computed by onnxruntime, so that tables hold exactly what it gives."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from .graph import Node, quiet, session


__all__ = ["elementwise", "evaluate"]


def evaluate(node: Node, opset: int, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The outputs of a node.

    Parameters
    ----------
    node : :class:`Node`
        Of ONNX's own operators.
    opset : :class:`int`
        Version of these.
    inputs : arrays by tensor
    """
    helper = onnx.helper
    proto = helper.make_node(node.op, node.inputs, node.outputs, **node.attributes)
    given = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(each.dtype),
                                           each.shape) for name, each in inputs.items()]
    graph = helper.make_graph([proto], "node", given,
                              [helper.make_empty_tensor_value_info(name)
                               for name in node.outputs if name])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    with quiet():
        return tuple(session(model).run(None, dict(inputs)))


def elementwise(node: Node, opset: int,
                constants: Mapping[str, np.ndarray]) -> Callable[..., np.ndarray]:
    """The function of 32-bit floats that an element-wise node is.

    Parameters
    ----------
    node, opset : as of :func:`evaluate`
    constants : single values by tensor; the function takes the other inputs in their order
    """
    names = [name for name in dict.fromkeys(node.inputs) if name and name not in constants]

    def function(*values: np.ndarray) -> np.ndarray:
        inputs = {name: np.asarray(value, np.float32)
                  for name, value in zip(names, values, strict=True)}
        return evaluate(node, opset, inputs | dict(constants))[0]
    return function
