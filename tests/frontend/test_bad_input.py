"""What a user may give that is wrong: one clear message each, all of them at once."""

import numpy as np
import onnx
import pytest

from fcnnx.errors import BadInput
from fcnnx.frontend import ModelSource, import_models, network_name

from .building import Builder


def small(b: Builder | None = None, channels: int = 3, weight: float = 0.1) -> onnx.ModelProto:
    b = b or Builder()
    values = b.rng.normal(0, 0.1, (4, channels, 3, 3))
    values[0, 0, 0, 0] = weight
    y = b.node("Conv", "x", b.constant(values))
    return b.model({"x": ("n", channels, 8, 8)}, {y: None})


def problems(*sources: ModelSource) -> list[str]:
    with pytest.raises(BadInput) as caught:
        import_models(sources)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("content", "reason"), [
    (b"\x89PNG\r\n\x1a\n" + bytes(40), "This is not an ONNX file."),
    (b"hello, world\n", "This is not an ONNX file."),
    (b"", "This is not an ONNX file."),
    (None, "There is no such file."),
])
def test_files_that_are_no_models(content, reason, tmp_path):
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    assert problems(ModelSource("net", path)) == [f"{path}: {reason}"]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
def test_truncated_files(share, tmp_path):
    path = tmp_path / "net.onnx"
    content = small().SerializeToString()
    path.write_bytes(content[:int(share * len(content))])
    (problem,) = problems(ModelSource("net", path))
    assert problem == f"{path}: The ONNX file is truncated or damaged. Export or copy it again."


def test_a_folder(tmp_path):
    assert problems(ModelSource("net", tmp_path)) == [
        f"{tmp_path}: This is a folder, not an ONNX file."]


def test_weights_in_a_file_that_is_missing(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(small(channels=16), path, save_as_external_data=True, location="net.data",
              size_threshold=0)
    (tmp_path / "net.data").unlink()
    (problem,) = problems(ModelSource("net", path))
    assert "external data" in problem
    assert "Put it beside the model." in problem


def test_unsupported_operators_of_all_models_are_named(save):
    first, second = Builder(), Builder()
    x = first.node("Cos", first.node("Cos", "x"))
    y = first.node("Tan", x)
    first = save(first.model({"x": (1, 3, 8, 8)}, {y: None}), "first")
    y = second.node("Einsum", "x", equation="nchw->nhwc")
    second = save(second.model({"x": (1, 3, 8, 8)}, {y: None}), "second")
    remedy = "The operator is not supported. The command 'fcnnx ops' lists those that are."
    assert problems(ModelSource("first", first), ModelSource("second", second)) == [
        f"first: Cos_0, Cos_1 (Cos): {remedy}", f"first: Tan_2 (Tan): {remedy}",
        f"second: Einsum_0 (Einsum): {remedy}"]


def test_unbound_dimensions(save):
    b = Builder()
    x = b.node("Transpose", "image", perm=(0, 3, 1, 2))
    y = b.node("Conv", x, b.weights(4, 3, 3, 3))
    path = save(b.model({"image": ("n", "height", "width", 3)}, {y: None}))
    assert problems(ModelSource("net", path)) == [
        "net/image: The input is dynamic in dimensions 1 (height) and 2 (width). Give its shape "
        "with --shape net/image=1,48,48,3 (an example)."]
    (imported,) = import_models([ModelSource("net", path, {"image": (1, 20, 24, 3)})])
    assert imported.network.inputs[0].map.shape == (20, 24, 3)


@pytest.mark.parametrize(("shapes", "message"), [
    ({"y": (1, 3, 8, 8)}, "net/y: --shape names no input of the model. It has 'x'."),
    ({"x": (1, 3, 8)}, "net/x: The input has 4 dimensions, and --shape gives 3."),
    ({"x": (1, 3, 9, 8)}, "net/x: Dimension 2 is 8, and --shape gives 9."),
    ({"x": (4, 3, 8, 8)}, "net/x: The first dimension is the batch, which is 1, and --shape gives "
                          "4."),
])
def test_shapes_that_do_not_fit(shapes, message, save):
    assert problems(ModelSource("net", save(small()), shapes)) == [message]


@pytest.mark.parametrize(("calibration", "messages"), [
    ({"x": np.ones((4, 3, 8, 9))}, ["net: calibration 'x': The array has the shape 4x3x8x9. It "
                                    "must have samplesx3x8x8."]),
    ({"x": np.ones((0, 3, 8, 8))}, ["net: calibration 'x': The array is empty."]),
    ({"x": np.full((2, 3, 8, 8), np.nan)}, ["net: calibration 'x': The array holds values that are "
                                            "not finite (NaN, infinity)."]),
    ({"x": np.full((2, 3, 8, 8), "a")}, ["net: calibration 'x': The array holds <U1, not "
                                         "numbers."]),
    ({"z": np.ones((2, 3, 8, 8))}, ["net: calibration 'z': The model has no such input. It has "
                                    "'x'.", "net: calibration: No array for the input 'x'."]),
])
def test_calibration_that_does_not_fit(calibration, messages, save):
    assert problems(ModelSource("net", save(small()), {}, calibration)) == messages


def test_inputs_calibrated_with_different_numbers_of_samples(save):
    b = Builder()
    y = b.node("Add", "x", "z")
    path = save(b.model({"x": (1, 3, 8, 8), "z": (1, 3, 8, 8)}, {y: None}))
    calibration = {"x": np.ones((2, 3, 8, 8)), "z": np.ones((3, 3, 8, 8))}
    assert problems(ModelSource("net", path, {}, calibration)) == [
        "net: calibration: Its arrays have different numbers of samples: 2, 3."]


@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (np.inf, "infinite values")])
def test_weights_that_are_not_finite(value, what, save):
    assert problems(ModelSource("net", save(small(weight=value)))) == [
        f"net: Conv_0 (Conv): 'constant_0' holds {what}. Train or export the model again."]


def test_two_models_of_one_name(save):
    path = save(small())
    assert problems(ModelSource("net", path), ModelSource("net", path)) == [
        f"net: 2 models have this name: {path}, {path}. Give each its own with NAME=FILE."]


def test_names_that_are_none(save):
    (problem,) = problems(ModelSource("a b", save(small())))
    assert problem.startswith("a b: A network's name is made of letters, digits and underscores.")


def test_names_come_from_files():
    assert network_name("models/my net-v1.2.onnx") == "my_net_v1_2"


@pytest.mark.parametrize("perm", [(2, 1, 0), (1, 0, 2)])
def test_a_first_dimension_that_is_no_batch(perm, save):
    b = Builder()
    y = b.node("Relu", b.node("Transpose", "x", perm=perm))
    (problem,) = problems(ModelSource("net", save(b.model({"x": (2, 3, 4)}, {y: None}))))
    assert problem.startswith("net: The first dimension of its inputs, 2, is taken for the batch")


def test_softmax_over_the_batch(save):
    b = Builder()
    y = b.node("Softmax", b.node("Conv", "x", b.weights(4, 3, 3, 3)), axis=0)
    (problem,) = problems(ModelSource("net", save(b.model({"x": (1, 3, 8, 8)}, {y: None}))))
    assert problem == ("net: Softmax_1 (Softmax): It works along the first dimension, which is the "
                       "batch.")


def test_outputs_that_nothing_makes(save):
    b = Builder()
    y = b.node("MaxPool", "x", kernel_shape=(2, 2), outputs=2)
    model = b.model({"x": (1, 3, 8, 8)}, {y: None})
    model.graph.output.append(onnx.helper.make_tensor_value_info(
        "MaxPool_0_out1", onnx.TensorProto.INT64, None))
    (problem,) = problems(ModelSource("net", save(model)))
    assert problem == ("net: MaxPool_0 (MaxPool): Its output 'MaxPool_0_out1' is not supported. "
                       "Export it without.")


def test_operator_sets_that_are_too_old(save):
    model = small()
    model.opset_import[0].version = 6
    (problem,) = problems(ModelSource("net", save(model)))
    assert problem.startswith("net: Operator set 6 is not supported. Export it with one from 7 to")


def test_half_precision(save):
    model = small()
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(
        np.ones((4, 3, 3, 3), np.float16), model.graph.initializer[0].name))
    assert problems(ModelSource("net", save(model))) == [
        "net: 'constant_0' is not of 32-bit floats. Export the model in 32-bit floats."]


def test_shapes_that_contradict_each_other(save):
    b = Builder()
    y = b.node("Conv", "x", b.weights(4, 5, 3, 3))
    (problem,) = problems(ModelSource("net", save(b.model({"x": (1, 3, 8, 8)}, {y: None}))))
    assert problem.startswith("net: It cannot be run: ")
    assert "C: 3 kernel channels: 5" in problem


def test_elements_that_get_lost(save):
    b = Builder()
    y = b.node("Reshape", b.node("Relu", "x"), b.constant([1, 100], np.int64))
    (problem,) = problems(ModelSource("net", save(b.model({"x": (1, 3, 8, 8)}, {y: None}))))
    assert problem.startswith("net: ")


def test_problems_of_all_models_are_told_together(save, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no")
    b = Builder()
    bad = save(b.model({"x": (1, 3, 8, 8)}, {b.node("Conv", "x", b.weights(
        4, 3, 3, 3)): None}), "bad")
    calibration = {"x": np.ones((0, 3, 8, 8))}
    found = problems(ModelSource("broken", broken), ModelSource("bad", bad, {}, calibration))
    assert len(found) == 2


def test_nothing_is_printed(save, capfd):
    import_models([ModelSource("net", save(small()))])
    problems(ModelSource("net", save(small(weight=np.nan))))
    assert capfd.readouterr() == ("", "")
