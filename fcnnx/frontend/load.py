"""ONNX files, validated, with fixed shapes, at one version of the operator set."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping

import numpy as np
import onnx
import onnx.inliner
import onnx.version_converter
from google.protobuf.message import DecodeError

from fcnnx.errors import BadInput, Problem

from .batch import make_single
from .graph import Graph, first_line, quiet


__all__ = ["ModelSource", "check_weights", "infer", "load", "network_name"]


OLDEST_OPSET, OPSET = 7, 13
RUN_OPSET = 23  # the newest of which every onnxruntime has all operators
ONE_TYPE = {onnx.TensorProto.FLOAT16: "16-bit float", onnx.TensorProto.BFLOAT16: "bfloat16",
            onnx.TensorProto.DOUBLE: "64-bit float"}


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model that a user gave.

    Parameters
    ----------
    name : :class:`str`
        What the network is called: letters, digits, underscores.
    path : :class:`str` or path
        The ONNX file.
    shapes : mapping
        Shapes of inputs, batch included, where the file leaves them open.
    calibration : mapping of :class:`str` to array, or None
        Typical values of every input, first axis samples, for a model that is not quantised.
    """

    name: str
    path: str | pathlib.Path
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    calibration: Mapping[str, np.ndarray] | None = None


def network_name(path: str | pathlib.Path) -> str:
    """The name of the network in a file: its stem, of letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9_]", "_", pathlib.Path(path).stem)


def load(source: ModelSource) -> onnx.ModelProto:
    """The model with batch 1, shapes fixed and inferred, at operator set 13 or newer.

    Raises
    ------
    BadInput
        If it cannot be read, or its shapes cannot be fixed.
    """
    path = pathlib.Path(source.path)
    model = _read(path)
    _check_types(source, model)
    batched = onnx.ModelProto()
    batched.CopyFrom(model)
    _bind(source, model)
    make_single(source.name, batched, model)
    _check(path, model)
    return infer(source.name, _convert(source, model))


def infer(name: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shape of every tensor.

    Raises
    ------
    BadInput
        If shapes contradict each other.
    """
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        with quiet():
            return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise BadInput(Problem(
            where=name, reason=f"The shapes of its tensors contradict each other: "
            f"{first_line(error)}.", remedy="Give the right input shapes with --shape.")) from None


def _bad_file(path: pathlib.Path, reason: str, remedy: str = "") -> BadInput:
    return BadInput(Problem(where=str(path), reason=reason, remedy=remedy))


def _read(path: pathlib.Path) -> onnx.ModelProto:
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise _bad_file(path, "This is a folder, not an ONNX file.") from None
    except FileNotFoundError:
        raise _bad_file(path, "There is no such file.") from None
    except OSError as error:
        raise _bad_file(path, f"The file cannot be read: {error.strerror}.") from None
    begins = content[:1] == b"\x08"  # the field that every ONNX file begins with
    cut = _bad_file(path, "The ONNX file is truncated or damaged.", "Export or copy it again.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise (cut if begins else _bad_file(path, "This is not an ONNX file.")) from None
    if not (model.ir_version and model.opset_import and model.graph.output):
        raise (cut if begins and model.ir_version
               else _bad_file(path, "This is not an ONNX file."))
    what = "The file with its weights (external data)"
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except OSError:
        raise _bad_file(path, f"{what} is missing.", "Put it beside the model.") from None
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise _bad_file(path, f"{what} cannot be used: {first_line(error)}.",
                        "Put it beside the model.") from None
    return model


def _check(path: pathlib.Path, model: onnx.ModelProto) -> None:
    try:
        with quiet():
            inferred = onnx.shape_inference.infer_shapes(model)
            for output in inferred.graph.output:  # the checker wants one, whatever it is
                output.type.tensor_type.shape.SetInParent()
            onnx.checker.check_model(inferred)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError,
            RuntimeError) as error:
        raise _bad_file(path, f"The ONNX file is not valid: {first_line(error)}.",
                        "Export it again.") from None


def _check_types(source: ModelSource, model: onnx.ModelProto) -> None:
    others = [each.name for each in model.graph.input if not each.type.HasField("tensor_type")]
    if others:
        raise BadInput(Problem(where=f"{source.name}/{others[0]}",
                               reason="The input is no tensor.",
                               remedy="Networks of tensors are supported."))
    if model.functions:
        model.CopyFrom(onnx.inliner.inline_local_functions(model))
    wide = [each.name for each in model.graph.initializer if each.data_type in ONE_TYPE]
    wide += [each.name for each in model.graph.input
             if each.type.tensor_type.elem_type in ONE_TYPE]
    if wide:
        raise BadInput(Problem(
            where=source.name, reason=f"{wide[0]!r} is not of 32-bit floats.",
            remedy="Export the model in 32-bit floats."))


def _bind(source: ModelSource, model: onnx.ModelProto) -> None:
    """Fixes the shape of every input."""
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    known = ", ".join(repr(each.name) for each in inputs)
    problems = [Problem(where=f"{source.name}/{name}",
                        reason="--shape names no input of the model.", remedy=f"It has {known}.")
                for name in source.shapes if name not in {each.name for each in inputs}]
    for each in model.graph.input:
        problems += _bind_input(source, each)
    if problems:
        raise BadInput(*problems)


def _bind_input(source: ModelSource, given: onnx.ValueInfoProto) -> list[Problem]:
    where = f"{source.name}/{given.name}"
    tensor = given.type.tensor_type
    wanted = source.shapes.get(given.name)
    example = f"Give its shape with --shape {where}="
    if not tensor.HasField("shape"):
        if wanted is None:
            return [Problem(where=where, reason="The input has no shape.",
                            remedy=f"{example}1,48,48,3 (an example).")]
        for _ in wanted:
            tensor.shape.dim.add()
    dims = tensor.shape.dim
    if wanted is not None and len(wanted) != len(dims):
        return [Problem(where=where, reason=f"The input has {len(dims)} dimensions, and --shape "
                        f"gives {len(wanted)}.")]
    problems = []
    unbound = []
    for axis, dim in enumerate(dims):
        value = 1 if axis == 0 else dim.dim_value
        if wanted is not None and value not in (0, wanted[axis]):
            what = "The first dimension is the batch, which is 1" if axis == 0 \
                else f"Dimension {axis} is {value}"
            problems.append(Problem(where=where, reason=f"{what}, and --shape gives "
                                    f"{wanted[axis]}."))
        if wanted is not None:
            value = wanted[axis]
        if value < 1:
            unbound.append(f"{axis} ({dim.dim_param})" if dim.dim_param else str(axis))
        dim.dim_value = value
    if unbound:
        sizes = ",".join(str(dim.dim_value) if dim.dim_value > 0 else "48" for dim in dims)
        plural = "dimensions" if len(unbound) > 1 else "dimension"
        problems.append(Problem(
            where=where, reason=f"The input is dynamic in {plural} {' and '.join(unbound)}.",
            remedy=f"{example}{sizes} (an example)."))
    return problems


def _convert(source: ModelSource, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model at operator set 13, or as it is where it is newer and can be run."""
    version = next((each.version for each in model.opset_import
                    if each.domain in ("", "ai.onnx")), 0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= version <= newest:
        raise BadInput(Problem(
            where=source.name, reason=f"Operator set {version} is not supported.",
            remedy=f"Export it with one from {OLDEST_OPSET} to {newest}."))
    model.ir_version = max(model.ir_version, 8)
    if OPSET <= version <= RUN_OPSET:
        return model
    target = OPSET if version < OPSET else RUN_OPSET
    model = infer(source.name, model)
    try:
        with quiet():
            return onnx.version_converter.convert_version(model, target)
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        raise BadInput(Problem(
            where=source.name, reason=f"Operator set {version} cannot be converted to {target}: "
            f"{first_line(error)}.", remedy=f"Export it with operator set {target}.")) from None


def check_weights(name: str, model: onnx.ModelProto) -> list[Problem]:
    """Problems of weights that are not finite, one for each tensor and node."""
    graph = Graph.read(model)
    problems = []
    for node in graph.nodes:
        for tensor in node.inputs:
            value = graph.constants.get(tensor)
            if value is None or value.dtype.kind != "f":
                continue
            bad = "NaN" if np.isnan(value).any() else \
                "infinite values" if np.isinf(value).any() and node.op != "Clip" else None
            if bad:
                problems.append(Problem(where=f"{name}: {node}",
                                        reason=f"{tensor!r} holds {bad}.",
                                        remedy="Train or export the model again."))
    return problems
