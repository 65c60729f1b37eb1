"""The large topologies: complete, alive, and the same every time."""

import numpy as np
import onnx
import onnxruntime

import light


def test_squeezenet():
    model = light.make("squeezenet")
    onnx.checker.check_model(model, full_check=True)
    assert model.SerializeToString() == light.make("squeezenet").SerializeToString()
    left = {node.op_type for node in model.graph.node}
    assert not left & {"ConstantOfShape", "LRN", "Dropout"}
    weights = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer]
    assert all(len(np.unique(values)) > 1 for values in weights if values.size > 4)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    frames = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    first, second = (session.run(["output"], {"input": frame[None]})[0].ravel()
                     for frame in frames)
    assert len(first) == 1000
    assert np.ptp(first) > 1e-3
    assert np.abs(first - second).max() > 1e-3
