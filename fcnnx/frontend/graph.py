"""An ONNX graph of fixed shapes, read into plain Python."""

import contextlib
import dataclasses
import functools
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime


__all__ = ["Graph", "Node", "first_line", "quiet", "session"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the ONNX packages log, warn and print from the user's terminal."""
    onnxruntime.set_default_logger_severity(4)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()),
              contextlib.redirect_stderr(io.StringIO())):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def first_line(error: Exception) -> str:
    """What an error of the ONNX packages says, without the rest and the full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    """A session that computes node by node: the fused integer kernels of onnxruntime saturate on
    some processors, and are no reference."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node of the graph.

    Parameters
    ----------
    name : :class:`str`
        Unique in its graph; made up from operator and output where the file has none.
    op : :class:`str`
        The operator; with its domain where that is not ONNX's own.
    inputs, outputs : tuples of :class:`str`
        Tensors; an input that is left out is empty.
    attributes : mapping
        Values by name.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name} ({self.op})"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A graph whose nodes stand in topological order.

    Parameters
    ----------
    nodes : tuple of :class:`Node`
    inputs, outputs : tuples of :class:`str`
    constants : mapping of :class:`str` to array
    shapes : mapping of :class:`str` to tuple of :class:`int`
        Of all tensors whose shape is known.
    types : mapping of :class:`str` to :class:`numpy.dtype`
        Likewise.
    opset : :class:`int`
        Version of ONNX's operators.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, np.dtype]
    opset: int

    @functools.cached_property
    def used(self) -> frozenset[str]:
        """Tensors that a node or an output needs."""
        return frozenset(self.outputs).union(*(node.inputs for node in self.nodes))

    @classmethod
    def read(cls, model: onnx.ModelProto) -> "Graph":
        """The graph of a model whose shapes are inferred."""
        graph = model.graph
        constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        shapes = {name: value.shape for name, value in constants.items()}
        types = {name: value.dtype for name, value in constants.items()}
        for info in [*graph.input, *graph.value_info, *graph.output]:
            tensor = info.type.tensor_type
            dims = tensor.shape.dim
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
                shapes[info.name] = tuple(dim.dim_value for dim in dims)
            if tensor.elem_type:
                types[info.name] = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        return cls(nodes=tuple(_nodes(graph)), constants=constants, shapes=shapes, types=types,
                   inputs=tuple(x.name for x in graph.input if x.name not in constants),
                   outputs=tuple(x.name for x in graph.output),
                   opset=next(each.version for each in model.opset_import
                              if each.domain in ("", "ai.onnx")))


def _nodes(graph: onnx.GraphProto) -> Iterator[Node]:
    taken: set[str] = set()
    for node in graph.node:
        domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
        name = base = node.name or f"{node.op_type}_{node.output[0]}"
        count = 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        attributes = {each.name: _text(onnx.helper.get_attribute_value(each))
                      for each in node.attribute}
        yield Node(name=name, op=domain + node.op_type, inputs=tuple(node.input),
                   outputs=tuple(node.output), attributes=attributes)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
