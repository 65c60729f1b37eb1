"""A model without what its weights already decide: constants folded, normalisations in weights."""

import pathlib
import tempfile

import numpy as np
import onnx
import onnx.reference
import onnxruntime

from .graph import quiet


__all__ = ["basic_passes", "fold_constants", "fold_into_gemm", "is_quantized", "with_nodes"]


def is_quantized(model: onnx.ModelProto) -> bool:
    """Whether activations are quantised; weights alone are not enough."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.UNDEFINED)
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node) or not any(
        each.type.tensor_type.elem_type in floats for each in model.graph.input)


def fold_constants(model: onnx.ModelProto, *, quantized: bool) -> onnx.ModelProto:
    """The model with nodes that depend on nothing but weights and shapes computed.

    Parameters
    ----------
    model : with inferred shapes
    quantized : whether quantised weights stay as they are
    """
    graph = model.graph
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    fixed = {info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
             for info in [*graph.input, *graph.value_info]
             if all(dim.HasField("dim_value") for dim in info.type.tensor_type.shape.dim)}
    nodes = []
    for node in graph.node:
        if node.op_type == "Shape" and not node.attribute and node.input[0] in fixed:
            values[node.output[0]] = np.array(fixed[node.input[0]], np.int64)
            continue
        known = all(name in values for name in node.input if name)
        if not known or node.domain or (quantized and node.op_type == "DequantizeLinear"):
            nodes.append(node)
            continue
        try:
            with quiet():
                evaluator = onnx.reference.ReferenceEvaluator(node)
                results = evaluator.run(None, {name: values[name] for name in node.input if name})
        except Exception:  # what the evaluator cannot do is told with the operators
            nodes.append(node)
            continue
        for name, value in zip(node.output, results, strict=False):
            values[name] = np.asarray(value)
    return with_nodes(model, nodes, values)


def with_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto],
               values: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The model with these nodes, and those values that they use; what is not used goes."""
    used = {each.name for each in model.graph.output}
    kept = []
    for node in reversed(nodes):
        if used & set(node.output):
            kept.append(node)
            used |= {name for name in node.input if name}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for field in ("node", "initializer", "value_info", "input"):
        result.graph.ClearField(field)
    result.graph.node.extend(reversed(kept))
    result.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(value, order="C"), name)
                                    for name, value in values.items() if name in used)
    result.graph.input.extend(each for each in model.graph.input if each.name in used)
    return result


def basic_passes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float model after onnxruntime's basic passes: they fold constants, and BatchNormalization
    and constant Add after Conv into its weights, and make Gemm of MatMul and Add."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(path)
        with quiet():
            onnxruntime.InferenceSession(model.SerializeToString(), options,
                                         providers=["CPUExecutionProvider"],
                                         disabled_optimizers=["ConstantSharing"])
        simple = onnx.load(path)
    used = {node.domain for node in simple.graph.node} | {""}
    imports = [each for each in simple.opset_import if each.domain in used]
    del simple.opset_import[:]
    simple.opset_import.extend(imports)
    return _plain_gemms(simple)


def _plain_gemms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes alpha and beta into the weights, and gives biases one dimension: the quantiser knows
    no others."""
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Gemm" or any(name not in values for name in node.input[1:] if name):
            continue
        factors = [each.f for each in node.attribute if each.name in ("alpha", "beta")]
        rows = values[node.input[1]].shape[0 if _transposed(node) else 1]
        bias = values[node.input[2]].shape if len(node.input) > 2 and node.input[2] else (rows,)
        if bias != (rows,) or any(factor != 1 for factor in factors):
            fold_into_gemm(node, values, np.ones(rows, np.float32), np.zeros(rows, np.float32))
    return with_nodes(model, list(model.graph.node), values)


def _transposed(gemm: onnx.NodeProto) -> bool:
    return any(each.name == "transB" and each.i for each in gemm.attribute)


def fold_into_gemm(gemm: onnx.NodeProto, values: dict[str, np.ndarray],
                   factor: np.ndarray, offset: np.ndarray) -> None:
    """Multiplies outputs and adds to them, in the weights; shapes (outputs,)."""
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in gemm.attribute}
    weights = values[gemm.input[1]]
    if not _transposed(gemm):
        weights = weights.T
    weights = weights * np.float32(attributes.get("alpha", 1)) * factor[:, None]
    bias = offset
    if len(gemm.input) > 2 and gemm.input[2]:
        bias = offset + factor * np.float32(attributes.get("beta", 1)) * \
            values[gemm.input[2]].ravel()
    names = [f"{gemm.output[0]}_weight", f"{gemm.output[0]}_bias"]
    values[names[0]], values[names[1]] = weights, bias
    transposed = attributes.get("transA", 0)
    del gemm.input[1:], gemm.attribute[:]
    gemm.input.extend(names)
    gemm.attribute.extend([onnx.helper.make_attribute("transA", transposed),
                           onnx.helper.make_attribute("transB", 1)])
