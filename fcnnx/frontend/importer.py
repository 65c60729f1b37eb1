"""ONNX models in, networks of integer operators out."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from fcnnx.errors import BadInput, Problem
from fcnnx.network import Network, Port

from .affine import fold_affine, plain_arithmetic
from .graph import Graph, Node, first_line, quiet, session
from .load import ModelSource, check_weights, infer, load
from .lower import OPERATORS
from .operands import Context, is_constant
from .quantize import check_calibration, quantize, random_inputs
from .regions import MOVING
from .simplify import basic_passes, fold_constants, is_quantized
from .stages import Stages
from .tensors import Given, Hosted, Integers, Origin, Pointwise, Refused


__all__ = ["Imported", "import_models"]


NO_CALIBRATION = ("No calibration data: the model was quantised with random inputs, and its "
                  "accuracy means nothing. Give some with --calibration.")
SILENT = {*MOVING, "QuantizeLinear", "DequantizeLinear"}  # not worth telling
UNUSED_CALIBRATION = "The model is quantised already: its calibration data were not used."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imported:
    """A model that has been imported.

    Parameters
    ----------
    network : :class:`Network`
    model : :class:`bytes`
        The quantised ONNX model as implemented, shapes fixed.
    float_model : :class:`bool`
        Whether the model came in floats and was quantised here.
    layers : tuple of :class:`Port`
        For each stage (``name``) the tensor of the model that holds its output; stages within a
        group of operators have none.
    """

    network: Network
    model: bytes
    float_model: bool
    layers: tuple[Port, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Prepared:
    source: ModelSource
    model: onnx.ModelProto
    graph: Graph
    float_model: bool
    warnings: tuple[str, ...]


def import_models(sources: Sequence[ModelSource]) -> tuple[Imported, ...]:
    """Imports models; floats are quantised first.

    Parameters
    ----------
    sources : sequence of :class:`ModelSource`

    Raises
    ------
    BadInput
        With all problems of all models.
    """
    problems = _check_names(sources)
    prepared: list[_Prepared] = []
    for source in sources:
        try:
            prepared.append(_prepare(source))
        except BadInput as error:
            problems += error.problems
    imported = []
    for each in prepared:
        try:
            imported.append(_implement(each, quick=bool(problems)))
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(*problems)
    return tuple(each for each in imported if each is not None)


def _check_names(sources: Sequence[ModelSource]) -> list[Problem]:
    problems = [Problem(where=source.name, reason="A network's name is made of letters, digits and "
                        "underscores.", remedy="Give another with NAME=FILE.")
                for source in sources if not re.fullmatch(r"[A-Za-z0-9_]+", source.name)]
    for name, count in Counter(source.name for source in sources).items():
        if count > 1:
            paths = ", ".join(str(source.path) for source in sources if source.name == name)
            problems.append(Problem(where=name, reason=f"{count} models have this name: {paths}.",
                                    remedy="Give each its own with NAME=FILE."))
    return problems


def _prepare(source: ModelSource) -> _Prepared:
    """The model, simplified and checked, before any quantisation."""
    model = load(source)
    problems = check_weights(source.name, model)
    if problems:
        raise BadInput(*problems)
    inputs = Graph.read(model).inputs
    quantized = is_quantized(model)
    model = infer(source.name, fold_constants(model, quantized=quantized))
    problems = _unsupported(source.name, Graph.read(model), quantized)
    problems += _check_types(source.name, Graph.read(model))
    if not problems:
        problems += _run(source.name, model)
    if not quantized and not problems:
        model = _simplify(source.name, model)
    graph = Graph.read(model)
    warnings = tuple(f"The input {name!r} is not used." for name in inputs
                     if name not in graph.inputs)
    if source.calibration is not None and not quantized:
        problems += check_calibration(source.name, graph, source.calibration)
    if problems:
        raise BadInput(*problems)
    if not quantized and source.calibration is None:
        warnings += (NO_CALIBRATION,)
    if quantized and source.calibration is not None:
        warnings += (UNUSED_CALIBRATION,)
    return _Prepared(source=source, model=model, graph=graph, float_model=not quantized,
                     warnings=warnings)


def _simplify(name: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """A float model prepared for quantisation."""
    model = infer(name, basic_passes(plain_arithmetic(model)))
    return infer(name, fold_affine(model))


def _run(name: str, model: onnx.ModelProto) -> list[Problem]:
    """Problems that only running the model shows."""
    graph = Graph.read(model)
    try:
        with quiet():
            session(model).run(None, random_inputs(graph, 1, seed=0))
    except Exception as error:  # onnxruntime's have no common type
        return [Problem(where=name, reason=f"It cannot be run: {first_line(error)}.",
                        remedy="Export it again, or give the right input shapes with --shape.")]
    return []


def _unsupported(name: str, graph: Graph, quantized: bool) -> list[Problem]:
    nodes: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.op not in OPERATORS or (node.op == "BatchNormalization" and quantized):
            nodes.setdefault(node.op, []).append(node.name)
    return [Problem(where=f"{name}: {', '.join(names)} ({op})",
                    reason="The operator is not supported.",
                    remedy="The command 'fcnnx ops' lists those that are.")
            for op, names in nodes.items()]


def _check_types(name: str, graph: Graph) -> list[Problem]:
    """Problems of inputs that are neither floats nor quantised, and of other quantisations."""
    remedy = "Inputs are 32-bit floats, or quantised to 8 bits."
    problems = [Problem(where=f"{name}/{tensor}", remedy=remedy,
                        reason=f"The input is of the type {graph.types[tensor]}.")
                for tensor in graph.inputs
                if graph.types[tensor] not in (np.float32, np.int8, np.uint8)]
    return problems + [
        Problem(where=f"{name}: {node}", remedy="Quantise to 8 bits.", reason="Activations of the "
                f"type {graph.types[node.outputs[0]]} are not supported.") for node in graph.nodes
        if node.op == "QuantizeLinear" and graph.types[node.outputs[0]] not in (np.int8, np.uint8)]


def _implement(prepared: _Prepared, quick: bool) -> Imported | None:
    """The network; where other models have problems a float model's are looked for no further."""
    source, model, graph = prepared.source, prepared.model, prepared.graph
    if prepared.float_model:
        if quick:
            return None
        try:
            model = quantize(model, graph, source.calibration)
        except Exception as error:  # onnxruntime's have no common type
            raise BadInput(Problem(
                where=source.name, reason="onnxruntime's quantiser does not take it: "
                f"{first_line(error)}.", remedy="Give it quantised.")) from error
        model = infer(source.name, model)
        model = infer(source.name, fold_constants(model, quantized=True))
        graph = Graph.read(model)
    network, layers = _lower(source.name, graph, prepared.warnings)
    return Imported(network=network, model=model.SerializeToString(deterministic=True),
                    float_model=prepared.float_model, layers=layers)


class _Broken:
    """What comes of a node with a problem: no further problem is reported because of it."""


def _lower(name: str, graph: Graph,
           warnings: tuple[str, ...]) -> tuple[Network, tuple[Port, ...]]:
    quantized = [node.outputs[0] for node in graph.nodes if node.op == "QuantizeLinear"]
    stages = Stages([*graph.inputs, *quantized])
    values: dict[str, Any] = dict(graph.constants)
    problems = []
    for tensor in graph.inputs:
        values[tensor] = _entering(stages, tensor, graph)
    hosted: dict[str, None] = {}
    for node in graph.nodes:
        try:
            results = _lower_node(node, stages, values, graph)
        except (Refused, ValueError) as error:
            remedy = error.remedy if isinstance(error, Refused) else ""
            problems.append(_problem(f"{name}: {node}", str(error), remedy))
            results = (_Broken(),) * len(node.outputs)
        values |= zip(node.outputs, results, strict=False)
        if isinstance(results[0], Hosted):
            hosted |= _computed_there(node, [values[each] for each in node.inputs if each])
    outputs = []
    for tensor in graph.outputs:
        try:
            outputs += [(tensor, origin) for origin in _leaving(stages, values[tensor])]
            hosted |= _computed_there(None, [values[tensor]])
        except Refused as error:
            problems.append(_problem(f"{name}: output {tensor!r}", error.reason, error.remedy))
    if not problems:
        try:
            inputs, kept, ports, layers = stages.finish(outputs)
        except Refused as error:
            problems.append(_problem(name, error.reason, error.remedy))
    if problems:
        raise BadInput(*problems)
    network = Network(name=name, inputs=inputs, stages=kept, outputs=ports,
                      warnings=(*warnings, *(f"{node} is computed on the host, after the "
                                             "hardware." for node in hosted)))
    return network, layers


def _computed_there(node: Node | None, values: list[Any]) -> dict[str, None]:
    """Nodes that the host computes: one of them, and functions of integers that leave."""
    names = [each for value in values if isinstance(value, Pointwise) for each in value.nodes]
    if node is not None and node.op not in SILENT:
        names.append(str(node))
    return dict.fromkeys(names)


def _problem(where: str, reason: str, remedy: str) -> Problem:
    return Problem(where=where, reason=reason[0].upper() + reason[1:], remedy=remedy)


def _entering(stages: Stages, tensor: str, graph: Graph) -> Any:
    shape = graph.shapes[tensor]
    index = np.arange(int(np.prod(shape))).reshape(shape)
    if graph.types[tensor].kind == "f":
        return Given(tensor, index)
    return stages.input(tensor, tensor, index, graph.types[tensor] == np.int8)


def _lower_node(node: Node, stages: Stages, values: dict[str, Any], graph: Graph) -> tuple:
    """The outputs of a node, those that nothing uses left out."""
    inputs = [values[tensor] if tensor else None for tensor in node.inputs]
    if any(isinstance(each, _Broken) for each in inputs):
        return (_Broken(),) * len(node.outputs)
    operator = OPERATORS[node.op]
    constants = frozenset(name for name, each in zip(node.inputs, inputs, strict=True)
                          if each is not None and is_constant(each))
    given = [each for name, each in zip(node.inputs, inputs, strict=True)
             if each is not None and name not in constants]
    hosted = [each for each in given if isinstance(each, Hosted)]
    if hosted and operator.after_host and len(hosted) == len(given):
        return (Hosted(tuple(dict.fromkeys(origin for each in hosted
                                           for origin in each.origins))),)
    result = operator.lower(
        Context(node=node, stages=stages, shapes=graph.shapes, types=graph.types,
                opset=graph.opset, constants=constants), *inputs)
    results = result if isinstance(result, tuple) else (result,)
    more = [tensor for tensor in node.outputs[len(results):] if tensor in graph.used]
    if more:
        raise Refused(f"its output {more[0]!r} is not supported.", "Export it without.")
    return results


def _leaving(stages: Stages, value: Any) -> tuple[Origin, ...]:
    """Where an output of the model comes from."""
    if isinstance(value, _Broken):
        return ()
    if isinstance(value, Hosted):
        return value.origins
    if isinstance(value, Pointwise):
        value = value.integers
    if isinstance(value, Integers):
        origin = stages.leaving(value)
        if origin.tensor:
            return (origin,)
    raise Refused("it is not quantised.", "Quantise it, or give the float model.")
