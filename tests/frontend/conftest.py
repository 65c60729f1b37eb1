"""Importing small models, and holding them against onnxruntime."""

import pathlib
import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from fcnnx.frontend import Imported, ModelSource, import_models
from fcnnx.frontend.check import compare_layers, run_reference
from fcnnx.frontend.host import Host


sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture
def save(tmp_path) -> Callable[..., pathlib.Path]:
    def save(model: onnx.ModelProto, name: str = "small") -> pathlib.Path:
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return path
    return save


@pytest.fixture
def importing(save) -> Callable[..., Imported]:
    """Imports one model."""
    def importing(model: onnx.ModelProto, name: str = "small", shapes=None,
                  calibration=None) -> Imported:
        source = ModelSource(name, save(model, name), shapes or {}, calibration)
        (imported,) = import_models([source])
        return imported
    return importing


@pytest.fixture
def judge() -> Callable[..., list]:
    """Holds an imported model against onnxruntime, layer by layer and as a whole."""
    def judge(imported: Imported, frames: int = 16, far: float = 0.01) -> list:
        host = Host(imported.model, imported.network)
        inputs = host.random(frames, seed=1)
        layers = compare_layers(imported, inputs)
        for layer in layers:
            assert layer.values > 0
            assert layer.share >= 0.999, layer
            assert layer.worst <= 1, layer
        found = host.dequantize(imported.network.compute(host.quantize(inputs)))
        wanted = run_reference(imported.model, inputs, [])
        assert found
        for name, values in found.items():
            reference = wanted[name].astype(np.float64)
            assert values.shape == reference.shape
            assert values.dtype == wanted[name].dtype
            assert reference.std() > 0
            assert np.abs(values - reference).mean() <= far * reference.std()
        return layers
    return judge
