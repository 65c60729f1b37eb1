"""The example models: what they are, and that they are the same every time."""

import math

import numpy as np
import onnx
import onnxruntime
import pytest

import recipes


MACS = {  # those of MLPerf Tiny's reference models
    "resnet8": 12_501_632, "dscnn": 2_656_768, "mobilenet": 7_489_664, "autoencoder": 264_192}


def session(path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, inputs):
    model = session(path)
    frames = len(next(iter(inputs.values())))
    rows = [model.run(None, {name: x[k:k + 1] for name, x in inputs.items()})
            for k in range(frames)]
    return {output.name: np.concatenate([row[k] for row in rows])
            for k, output in enumerate(model.get_outputs())}


@pytest.mark.parametrize("name", MACS)
def test_topology(example, name):
    model = onnx.shape_inference.infer_shapes(onnx.load(example(f"{name}.onnx")))
    shapes = {value.name: [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
              for value in [*model.graph.value_info, *model.graph.output]}
    weights = {weight.name: weight.dims for weight in model.graph.initializer}
    macs = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            macs += math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            macs += math.prod(weights[node.input[1]])
    assert macs == MACS[name]


@pytest.mark.parametrize("name", MACS)
def test_quantised_is_near(example, name):
    with np.load(example(f"{name}.npz")) as arrays:
        inputs = {tensor: array[:8] for tensor, array in arrays.items()}
    (exact,) = run(example(f"{name}.onnx"), inputs).values()
    (near,) = run(example(f"{name}_qdq.onnx"), inputs).values()
    assert exact.std() > 0.01
    assert np.abs(exact - near).mean() < 0.15 * exact.std()


@pytest.mark.parametrize(("name", "side", "verdict"), [("rnet", 24, "softmax_1"),
                                                       ("onet", 48, "softmax_2")])
def test_networks_see_faces(example, name, side, verdict):
    import faces
    import mtcnn

    patches, truth = faces.labelled(side)
    inputs = {mtcnn.INPUTS[name]: patches[::4]}
    for path in (example(f"{name}.onnx"), example(f"{name}_qdq.onnx")):
        assert (run(path, inputs)[verdict][:, 1] > 0.5).tolist() == truth[::4].tolist()


def test_same_every_time(example, tmp_path, monkeypatch):
    before = {name: example(name).read_bytes() for name in ("dscnn.onnx", "dscnn_qdq.onnx")}
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    assert {name: recipes.locate(name).read_bytes() for name in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dscnn.npz", "dscnn.onnx", "dscnn_qdq.onnx"]


def test_unknown_name():
    with pytest.raises(KeyError, match=r"no recipe for lenet\.onnx"):
        recipes.locate("lenet.onnx")
