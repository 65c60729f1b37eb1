"""Float models to quantised ones, by onnxruntime's quantiser."""

import pathlib
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
import onnxruntime.quantization as ortq

from fcnnx.errors import Problem

from .graph import Graph, quiet
from .regions import DOMAIN, HOSTED, MOVING, UNARY, expand_functions, make_functions


__all__ = ["check_calibration", "quantize", "random_inputs"]


QUANTIZED = (*UNARY, *MOVING, "Add", "AveragePool", "Clip", "Concat", "Conv", "Gemm",
             "GlobalAveragePool", "GlobalMaxPool", "MatMul", "MaxPool", "Mul", "PRelu", "Pad",
             "ReduceMax", "ReduceMean", "Relu", "Resize", "Slice", "Split", "Sub", "Sum",
             "Upsample")
AT_OUTPUT = ("Sigmoid", "Tanh")  # better on the host than in 8 bits
RANDOM_SAMPLES = 16


def random_inputs(graph: Graph, frames: int, seed: int) -> dict[str, np.ndarray]:
    """Inputs in the model's own types, first axis frames: normal floats, any integer."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for name in graph.inputs:
        shape, kind = (frames, *graph.shapes[name][1:]), graph.types[name]
        if kind.kind == "f":
            inputs[name] = rng.normal(size=shape).astype(kind)
        else:
            limits = np.iinfo(kind)
            inputs[name] = rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return inputs


def check_calibration(where: str, graph: Graph,
                      calibration: Mapping[str, np.ndarray]) -> list[Problem]:
    """All that is wrong with calibration data of a float model."""
    names = ", ".join(map(repr, graph.inputs))
    problems = []
    for name, values in calibration.items():
        place = f"{where}: calibration {name!r}"
        if name not in graph.inputs:
            problems.append(Problem(where=place, reason="The model has no such input.",
                                    remedy=f"It has {names}."))
            continue
        shape = ("samples", *graph.shapes[name][1:])
        if values.ndim != len(shape) or values.shape[1:] != shape[1:]:
            problems.append(Problem(
                where=place, reason=f"The array has the shape {_shape(values.shape)}.",
                remedy=f"It must have {_shape(shape)}."))
        elif not len(values):
            problems.append(Problem(where=place, reason="The array is empty."))
        elif values.dtype.kind not in "fiub":
            problems.append(Problem(where=place, reason=f"The array holds {values.dtype}, "
                                    "not numbers."))
        elif not np.isfinite(values).all():
            problems.append(Problem(where=place, reason="The array holds values that are not "
                                    "finite (NaN, infinity)."))
    for name in graph.inputs:
        if name not in calibration:
            problems.append(Problem(where=f"{where}: calibration",
                                    reason=f"No array for the input {name!r}."))
    samples = {len(values) for values in calibration.values() if values.ndim}
    if not problems and len(samples) > 1:
        problems.append(Problem(where=f"{where}: calibration", reason="Its arrays have different "
                                f"numbers of samples: {', '.join(map(str, sorted(samples)))}."))
    return problems


def _shape(shape: tuple) -> str:
    return "x".join(map(str, shape)) or "no dimensions"


class _Samples(ortq.CalibrationDataReader):
    def __init__(self, inputs: Mapping[str, np.ndarray]):
        self._samples: Iterator[dict[str, np.ndarray]] = (
            {name: values[k:k + 1] for name, values in inputs.items()}
            for k in range(len(next(iter(inputs.values())))))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)


def quantize(model: onnx.ModelProto, graph: Graph,
             calibration: Mapping[str, np.ndarray] | None) -> onnx.ModelProto:
    """The model with QuantizeLinear and DequantizeLinear: 8 bits, weights per channel.

    Parameters
    ----------
    model, graph : the float model, prepared for it
    calibration : typical inputs, first axis samples; seeded random ones if None
    """
    for node, named in zip(model.graph.node, graph.nodes, strict=True):
        node.name = named.name
    inputs = calibration or random_inputs(graph, RANDOM_SAMPLES, seed=0)
    inputs = {name: np.asarray(values).astype(graph.types[name])
              for name, values in inputs.items()}
    left = _left_to_host(graph)
    anchored = _anchored(model, graph)
    functions = make_functions(anchored, Graph.read(anchored), left)
    own = [each.op_type for each in functions.graph.node if each.domain == DOMAIN]
    with tempfile.TemporaryDirectory() as folder, quiet():
        given, path = pathlib.Path(folder) / "float.onnx", pathlib.Path(folder) / "quantized.onnx"
        onnx.save(functions, given)
        ortq.quantize_static(
            str(given), str(path), _Samples(inputs), quant_format=ortq.QuantFormat.QDQ,
            op_types_to_quantize=[*QUANTIZED, *own], nodes_to_exclude=left,
            per_channel=True, activation_type=ortq.QuantType.QInt8,
            weight_type=ortq.QuantType.QInt8,
            extra_options={"ForceQuantizeNoInputCheck": True})
        quantized = onnx.load(path)
    return _float_slopes(model, expand_functions(quantized))


def _anchored(model: onnx.ModelProto, graph: Graph) -> onnx.ModelProto:
    """With something that the quantiser knows between the inputs and what the host computes."""
    anchored = onnx.ModelProto()
    anchored.CopyFrom(model)
    heads = {}
    for node in anchored.graph.node:
        if node.op_type in (*HOSTED, "Relu", "Clip") and node.input[0] in graph.inputs:
            x = node.input[0]
            heads[x] = onnx.helper.make_node("Identity", [x], [f"{x}_entered"], name=f"{x}_enters")
            node.input[0] = f"{x}_entered"
    for head in heads.values():
        anchored.graph.node.insert(0, head)
    return anchored


def _left_to_host(graph: Graph) -> list[str]:
    """Nodes of which only outputs come, without a further operator of the hardware."""
    left = []
    needed: set[str] = set()  # by the hardware
    for node in reversed(graph.nodes):
        free = needed.isdisjoint(node.outputs)
        if free and node.op in AT_OUTPUT and node.inputs[0] not in graph.inputs:
            left.append(node.name)
        elif not free or node.op not in (*MOVING, *HOSTED):
            needed.update(node.inputs)
    return left


def _float_slopes(model: onnx.ModelProto, quantized: onnx.ModelProto) -> onnx.ModelProto:
    """Gives PRelu its slopes back: as fixed-point multipliers they need no 8 bits."""
    slopes = {node.name: node.input[1] for node in model.graph.node
              if node.op_type == "PRelu"}
    weights = {each.name: each for each in model.graph.initializer}
    makers = {name: node for node in quantized.graph.node for name in node.output}
    given = {each.name for each in quantized.graph.initializer}
    for node in quantized.graph.node:
        if node.op_type != "PRelu":
            continue
        slope = slopes[node.name]
        if slope in weights and node.input[1] in makers:
            node.input[1] = slope
            if slope not in given:
                quantized.graph.initializer.append(weights[slope])
                given.add(slope)
    return quantized
