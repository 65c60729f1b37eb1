"""A part of ONNX's own test cases, those that take least time; ``benchmarks/conformance.py`` runs
all."""

import numpy as np
import pytest

import conformance
from fcnnx.frontend.check import run_reference
from fcnnx.frontend.tolerance import worst_errors

from .building import Builder


OPERATORS = {"AveragePool", "Conv", "HardSwish", "Resize", "Softmax", "Split", "Upsample"}


@pytest.fixture(scope="module")
def results() -> list[conformance.Result]:
    return [conformance.run(case) for case in conformance.cases(OPERATORS)
            if "_3d_" not in case.name]


def test_no_case_fails(results):
    assert [each for each in results if each.outcome == "failed"] == []
    assert sum(each.outcome == "passed" for each in results) > 30


def test_what_is_refused_has_a_reason(results):
    refused = {each.case: each.reason for each in results if each.outcome == "refused"}
    assert all(refused.values())
    assert refused["test_resize_upsample_scales_linear"] == (
        "Resize_Y (Resize) The mode 'linear' is not supported.")
    assert not {case for case in refused if case.startswith(("test_conv", "test_basic_conv"))}


def test_tolerances_mean_something(results):
    """Differences come near to what is tolerated, which is little."""
    passed = {each.case: each for each in results if each.outcome == "passed"}
    assert max(each.worst for each in passed.values()) > 0.8
    usual = [each.bound for each in passed.values() if "large_number" not in each.case]
    assert max(usual) < 0.05


def test_the_table_tells_all(results):
    text = conformance.report(results)
    assert all(f"| {each.case} |" in text for each in results)
    assert "| Conv | one or two spatial dimensions" in text


@pytest.mark.parametrize("seed", range(5))
def test_errors_are_never_worse_than_the_worst(seed, importing):
    """A whole small network, against its own floats."""
    b = Builder(seed)
    x = b.node("LeakyRelu", b.node("Conv", "x", b.weights(6, 3, 3, 3), b.weights(6)))
    y = b.node("Sigmoid", b.node("Conv", x, b.weights(6, 6, 1, 1)))
    y = b.node("AveragePool", b.node("Mul", x, y), kernel_shape=(3, 3), strides=(2, 2))
    model = b.model({"x": (1, 3, 9, 9)}, {b.node("Concat", y, y, axis=1): None})
    samples = np.random.default_rng(seed).normal(size=(6, 3, 9, 9)).astype(np.float32)
    imported = importing(model, calibration={"x": samples})
    name = model.graph.output[0].name
    bounds = worst_errors(imported.model, {"x": samples})[name]
    found = conformance.golden(imported, {"x": samples})[name]
    wanted = run_reference(model.SerializeToString(), {"x": samples}, [])[name]
    used = np.abs(found - wanted) / bounds
    assert 0.05 < used.max() <= 1
