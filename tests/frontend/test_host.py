"""What the host does around the hardware."""

import numpy as np
import pytest

from fcnnx.frontend import Host
from fcnnx.frontend.check import run_reference

from .building import Builder


@pytest.fixture
def imported(importing):
    b = Builder()
    x = b.node("Transpose", "x", perm=(0, 3, 1, 2))
    y = b.node("Conv", x, b.weights(4, 3, 3, 3), b.weights(4))
    y = b.node("Transpose", y, perm=(0, 2, 3, 1))
    return importing(b.model({"x": ("n", 7, 6, 3)}, {b.node("Softmax", y, axis=3): None}))


def test_quantising_gives_the_tensor_of_the_port(imported):
    host = Host(imported.model, imported.network)
    inputs = host.random(3, seed=2)
    (port,) = imported.network.inputs
    tensors = run_reference(imported.model, inputs, [port.tensor])
    quantized = host.quantize(inputs)[port.tensor]
    assert quantized.shape == (3, 7, 6, 3)
    assert np.array_equal(quantized, port.to_map(tensors[port.tensor]))


def test_dequantising_gives_the_outputs(imported):
    host = Host(imported.model, imported.network)
    (port,) = imported.network.outputs
    inputs = host.random(3, seed=2)
    tensors = run_reference(imported.model, inputs, [port.tensor])
    (name,) = host.dequantize({port.tensor: port.to_map(tensors[port.tensor])})
    found = host.dequantize({port.tensor: port.to_map(tensors[port.tensor])})[name]
    assert found.shape == (3, 5, 4, 4)
    assert np.array_equal(found, tensors[name])


def test_random_inputs_are_seeded(imported):
    host = Host(imported.model, imported.network)
    assert np.array_equal(host.random(2, seed=1)["x"], host.random(2, seed=1)["x"])
    assert not np.array_equal(host.random(2, seed=1)["x"], host.random(2, seed=2)["x"])


def test_a_model_from_a_file(imported, tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(imported.model)
    assert Host(path, imported.network).random(1, seed=0)["x"].shape == (1, 7, 6, 3)


GOOD = np.zeros((4, 7, 6, 3), np.float32)


@pytest.mark.parametrize(("inputs", "messages"), [
    ({"x": GOOD}, []),
    ({"x": GOOD.astype(np.float64)}, []),
    ({"y": GOOD}, ["small/y: The model has no such input. It has 'x'.",
                   "small/x: There is no array for this input."]),
    ({"x": GOOD[:, 1:]}, ["small/x: The array has the shape 4x6x6x3. It must have framesx7x6x3."]),
    ({"x": GOOD[:3]}, ["small/x: The array has 3 frames, and 4 are needed."]),
    ({"x": GOOD.astype(np.int64)}, ["small/x: The array holds int64. The model takes float32."]),
    ({"x": GOOD + np.nan}, ["small/x: The array holds values that are not finite (NaN, "
                            "infinity)."]),
])
def test_problems_of_inputs(inputs, messages, imported):
    host = Host(imported.model, imported.network)
    assert list(map(str, host.problems(inputs, frames=4))) == messages


def test_no_frames(imported):
    host = Host(imported.model, imported.network)
    (problem,) = host.problems({"x": GOOD[:0]})
    assert problem.reason == "The array has 0 frames, and at least one is needed."
