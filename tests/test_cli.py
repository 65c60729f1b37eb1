"""The command line: every bad input gives one clear message, exit code 2 and no build."""

import json
import re
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fcnnx import building, folder
from fcnnx.cli import main
from fcnnx.report.html import page


def write_model(path, *, channels=2, middle=None, weight=0.5, size=6):
    """A small float model: a convolution, a node of the caller's, a dense layer."""
    random = np.random.default_rng(1)
    kernel = (weight * random.normal(size=(4, channels, 3, 3))).astype(np.float32)
    matrix = random.normal(size=(4, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["a"], name="conv", pads=[1, 1, 1, 1]),
             middle or helper.make_node("Relu", ["a"], ["b"], name="relu"),
             helper.make_node("GlobalAveragePool", ["b"], ["c"], name="pool"),
             helper.make_node("Flatten", ["c"], ["d"], name="flatten"),
             helper.make_node("MatMul", ["d", "matrix"], ["y"], name="dense")]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", channels, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(matrix, "matrix")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              path)
    return path


@pytest.fixture
def small(tmp_path):
    return write_model(tmp_path / "small.onnx")


@pytest.fixture
def fcnnx(capsys):
    """Run a command; gives exit code, output and errors, its lines joined."""
    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def refused(fcnnx, tmp_path):
    """Run a build that must be refused; gives its errors, and holds that nothing stays."""
    def run(*words, code=2):
        out = tmp_path / "out"
        before = sorted(tmp_path.rglob("*"))
        found, _, errors = fcnnx("build", *words, "--out", out)
        assert found == code
        assert sorted(tmp_path.rglob("*")) == before
        assert "Traceback" not in errors
        return [line.removeprefix("error: ") for line in errors.splitlines()
                if line.startswith("error: ")]

    return run


def test_not_an_onnx_file(refused, tmp_path):
    path = tmp_path / "photo.onnx"
    path.write_bytes(b"\x89PNG\r\n" + bytes(100))
    assert refused("--models", path, "--board", "zedboard") == [
        f"{path}: This is not an ONNX file."]


def test_no_file(refused, tmp_path):
    assert refused("--models", tmp_path / "no.onnx", "--board", "zedboard") == [
        f"{tmp_path}/no.onnx: There is no such file."]


def test_truncated_file(refused, small):
    small.write_bytes(small.read_bytes()[:-40])
    assert refused("--models", small, "--board", "zedboard") == [
        f"{small}: The ONNX file is truncated or damaged. Export or copy it again."]


def test_unsupported_operators_of_all_models(refused, tmp_path):
    one = write_model(tmp_path / "one.onnx",
                      middle=helper.make_node("Erf", ["a"], ["b"], name="erf"))
    two = write_model(tmp_path / "two.onnx",
                      middle=helper.make_node("Sin", ["a"], ["b"], name="sine"))
    remedy = "The command 'fcnnx ops' lists those that are."
    assert refused("--models", one, two, "--board", "zedboard") == [
        f"one: erf (Erf): The operator is not supported. {remedy}",
        f"two: sine (Sin): The operator is not supported. {remedy}"]


def test_unbound_shape(refused, tmp_path):
    path = write_model(tmp_path / "open.onnx", size="side")
    (error,) = refused("--models", path, "--board", "zedboard")
    assert error.startswith("open/x: The input is dynamic in dimensions 2 (side) and 3 (side). "
                            "Give its shape with --shape open/x=1,2,")


def test_bad_shapes(refused, small):
    assert refused("--models", small, "--board", "zedboard", "--shape", "x=1,2,six,6") == [
        "--shape x: '1,2,six,6' is not a shape. Write positive sizes and commas, as in 1,48,48,3."]
    (error,) = refused("--models", small, "--board", "zedboard", "--shape", "z=1,2,6,6")
    assert error.startswith("small/z: --shape names no input of the model.")


@pytest.mark.parametrize(("array", "reason"), [
    (np.zeros((4, 2, 5, 6), np.float32),
     "The array has the shape 4x2x5x6. It must have samplesx2x6x6."),
    (np.zeros((0, 2, 6, 6), np.float32), "The array is empty."),
    (np.full((4, 2, 6, 6), np.nan, np.float32),
     "The array holds values that are not finite (NaN, infinity).")])
def test_bad_calibration(refused, small, tmp_path, array, reason):
    np.savez(tmp_path / "data.npz", x=array)
    assert refused("--models", small, "--board", "zedboard", "--calibration",
                   f"small={tmp_path}/data.npz") == [f"small: calibration 'x': {reason}"]


def test_calibration_files(refused, small, tmp_path):
    (tmp_path / "data.npz").write_bytes(b"no npz")
    assert refused("--models", small, "--board", "zedboard", "--calibration",
                   f"small={tmp_path}/data.npz", f"big={tmp_path}/none.npz") == [
        f"{tmp_path}/data.npz: This is not an npz file of plain arrays, or it is damaged. "
        "Write it with numpy.savez.",
        "--calibration: There is no network 'big'. There are: small."]
    assert refused("--models", small, "--board", "zedboard", "--calibration",
                   tmp_path / "data.npz") == [
        f"--calibration: '{tmp_path}/data.npz' is not of the form NAME=VALUE."]


def test_nan_weights(refused, tmp_path):
    path = write_model(tmp_path / "small.onnx", weight=np.nan)
    (error,) = refused("--models", path, "--board", "zedboard")
    assert error == ("small: conv (Conv): 'kernel' holds NaN. Train or export the model again.")


def test_unknown_board(refused, small):
    assert refused("--models", small, "--board", "zedbord") == [
        "--board: There is no board 'zedbord'. Near it: zedboard."]


def test_two_models_of_one_name(refused, small, tmp_path):
    (tmp_path / "deep").mkdir()
    other = write_model(tmp_path / "deep" / "small.onnx")
    assert refused("--models", small, other, "--board", "zedboard") == [
        f"--models: Two models are called small: {small} and {other}. Name one of them: "
        f"--models OTHER={other}."]


def test_all_options_at_once(refused, small):
    errors = refused("--models", small, small, "--board", "zedbord", "--targets", "small=fast",
                     "--bandwidth", "0", "--shape", "x=none")
    assert [error.split(":")[0] for error in errors] == [
        "--models", "--shape x", "--board", "--targets", "--bandwidth"]


def test_unknown_target_and_bad_target(refused, small):
    (error,) = refused("--models", small, "--board", "zedboard", "--targets", "smal=30fps")
    assert error == "--targets: There is no network 'smal'. Did you mean small?"
    assert len(refused("--models", small, "--board", "zedboard", "--targets", "small=fast",
                       "small=-1fps")) == 2


def test_targets_that_contradict_each_other(refused, small):
    words = "--models", small, "--board", "zedboard", "--targets"
    assert refused(*words, "small=30fps", "small=20fps,2.0", "small=3.0") == [
        "--targets: Targets of small contradict each other: fps is given twice, and differs. Give "
        "each once.",
        "--targets: Targets of small contradict each other: weight is given twice, and differs. "
        "Give each once."]
    assert refused(*words, "small=30fps,20fps") == [
        "--targets: small has two targets of one kind: '30fps,20fps'."]


def test_target_that_cannot_be_met(refused, small):
    (error,) = refused("--models", small, "--board", "zedboard", "--targets", "small=1e9fps",
                       code=1)
    assert error.startswith("small: 1e+09 fps cannot be met: alone on the whole budget it reaches")


def test_caps_too_small(refused, fcnnx, small, tmp_path):
    errors = refused("--models", small, "--board", "zedboard", "--lut", "10")
    (error,) = [error for error in errors if "lut" in error]
    least = int(re.search(r"(\d+) or more", error)[1])
    code, _, _ = fcnnx("build", "--models", small, "--board", "zedboard", "--lut", least,
                       "--out", tmp_path / "fits", "--plan-only")
    assert code == 0


@pytest.mark.parametrize(("option", "value"), [
    ("--headroom", "100"), ("--clock", "0"), ("--clock", "nan"), ("--dsp", "-1")])
def test_options_out_of_range(refused, small, option, value):
    (error,) = refused("--models", small, "--board", "zedboard", option, value)
    assert value.split(".")[0] in error


def test_a_board_without_memory(refused, small):
    assert refused("--models", small, "--board", "ulx3s-85f", "--io", "dram") == [
        "--io: ulx3s-85f has no memory that its fabric reaches. Use --io stream, or another board."]


@pytest.mark.parametrize("bandwidth", ["0", "-1", "nan"])
def test_a_memory_that_moves_nothing(refused, small, bandwidth):
    assert refused("--models", small, "--board", "zedboard", "--bandwidth", bandwidth) == [
        f"--bandwidth: A memory of {bandwidth} GB/s moves nothing. Give more than 0."]


def test_a_memory_that_moves_next_to_nothing(refused, small):
    (error,) = refused("--models", small, "--board", "zedboard", "--bandwidth", "1e-9")
    assert re.fullmatch(r"--bandwidth: A frame of small takes \d{11} cycles with what the memory "
                        r"gives, and registers count to 4294967295\. Allow more\.", error)


def test_bandwidth_of_no_memory(refused, small):
    assert refused("--models", small, "--board", "zedboard", "--io", "stream",
                   "--bandwidth", "1") == [
        "--bandwidth: With streams at the top nothing crosses a memory. Leave it out, or use "
        "--io dram."]


def test_targets_that_no_schedule_can_serve(refused, small, tmp_path):
    words = "--board", "zedboard", "--bandwidth", "0.01", "--targets"
    (error,) = refused("--models", small, *words, "small=100000fps", code=1)
    assert re.fullmatch(
        r"small: 100000 fps cannot be met: alone on the whole budget it reaches \d+\.\d fps .* "
        r"The target needs 0\.\d+ GB/s of the 0\.009434 that refreshes leave "
        r"\(0\.\d+ too many\)\. Lower the target to \d+\.\d fps, allow more bandwidth, or take a "
        r"larger board\.", error)
    other = write_model(tmp_path / "other.onnx", channels=3)
    (error,) = refused("--models", small, other, *words, "small=40000fps", "other=50000fps", code=1)
    assert re.fullmatch(
        r"small, other: Each target can be met alone, all of them together cannot\. They need "
        r"0\.0144 GB/s of the 0\.009434 that refreshes leave \(0\.004966 too many\)\. Lower the "
        r"targets to 65% of what they are, allow more bandwidth, or take a larger board\.", error)


@pytest.mark.parametrize("words", [
    ["frobnicate"], ["build", "--board", "zedboard"], ["build", "--models", "a.onnx"],
    ["build", "--models", "a.onnx", "--board", "zedboard", "--dsp", "many"],
    ["build", "--models", "a.onnx", "--board", "zedboard", "--objective", "beauty"],
    ["simulate"], ["simulate", "x", "--simulator", "vcs"], ["report"], ["check"]])
def test_usage_errors(fcnnx, words):
    code, _, errors = fcnnx(*words)
    assert code == 2
    assert errors.startswith("error: ")
    assert "Traceback" not in errors


def test_output_folder_in_use(fcnnx, small, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    for force in ([], ["--force"]):
        code, _, errors = fcnnx("build", "--models", small, "--board", "zedboard", "--out",
                                tmp_path / "photos", *force)
        assert code == 2
        assert "The output folder is not empty, and no fcnnx build." in errors
    with folder.in_use(tmp_path / "out", writing=True):
        code, _, errors = fcnnx("build", "--models", small, "--board", "zedboard", "--out",
                                tmp_path / "out")
    assert code == 2
    assert "Another fcnnx process is using this folder." in errors


@pytest.mark.parametrize("moment", ["import_models", "plan", "generate"])
def test_interrupt_leaves_nothing(fcnnx, small, tmp_path, monkeypatch, moment):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(building, moment, interrupt)
    before = sorted(tmp_path.rglob("*"))
    code, _, errors = fcnnx("build", "--models", small, "--board", "zedboard", "--out",
                            tmp_path / "out")
    assert code == 130
    assert "Interrupted" in errors
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A build of two small networks."""
    place = tmp_path_factory.mktemp("built")
    models = [write_model(place / "one.onnx"), write_model(place / "two.onnx", channels=3)]
    building.build(models, board="zedboard", out=place / "build", io="stream")
    return place / "build"


@pytest.fixture
def copy(built, tmp_path):
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy"


def inputs(**changes):
    random = np.random.default_rng(3)
    arrays = {"one/x": random.normal(size=(3, 2, 6, 6)).astype(np.float32),
              "two/x": random.normal(size=(4, 3, 6, 6)).astype(np.float32)}
    arrays |= {name.replace("_", "/"): array for name, array in changes.items()}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(("changes", "reason"), [
    ({"one_z": np.zeros((3, 2, 6, 6), np.float32)},
     "one/z: The model has no such input. It has 'x'."),
    ({"one_x": None}, "one/x: There is no array for this input."),
    ({"three_x": np.zeros(3)}, "inputs, 'three/x': The name does not say which network the array "
     "is for. Write NETWORK/TENSOR; the networks are one, two."),
    ({"one_x": np.zeros((3, 6, 6, 2), np.float32)},
     "one/x: The array has the shape 3x6x6x2. It must have framesx2x6x6."),
    ({"one_x": np.zeros((0, 2, 6, 6), np.float32)},
     "one/x: The array has 0 frames, and at least one is needed."),
    ({"one_x": np.zeros((3, 2, 6, 6), np.int32)},
     "one/x: The array holds int32. The model takes float32."),
    ({"one_x": np.full((3, 2, 6, 6), np.nan, np.float32)},
     "one/x: The array holds values that are not finite (NaN, infinity).")])
def test_bad_inputs_of_simulate(fcnnx, copy, tmp_path, changes, reason):
    np.savez(tmp_path / "in.npz", **inputs(**changes))
    code, _, errors = fcnnx("simulate", copy, "--inputs", tmp_path / "in.npz",
                            "--outputs", tmp_path / "out.npz")
    assert code == 2
    assert [line for line in errors.splitlines() if line.startswith("error")] == [
        f"error: {reason}"]
    assert not (copy / "simulation.json").exists()
    assert not (tmp_path / "out.npz").exists()


def test_frames_must_be_positive(fcnnx, copy):
    code, _, errors = fcnnx("simulate", copy, "--frames", 0)
    assert code == 2
    assert "At least one frame must be simulated, not 0." in errors


@pytest.mark.parametrize("name", ["plan.json", "weights.npz", "rtl/accelerator.v",
                                  "models/one.onnx", "report.json", "report.html"])
@pytest.mark.parametrize("command", ["simulate", "report"])
def test_missing_and_edited_files(fcnnx, copy, name, command):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content + b"\n")
    code, _, errors = fcnnx(command, copy)
    assert code == 2
    assert errors == (f"error: {copy}/{name}: This file of the build was edited, "
                      "or is that of another. Build it again with --force.\n")
    (copy / name).unlink()
    code, _, errors = fcnnx(command, copy)
    assert code == 2
    assert errors == (f"error: {copy}/{name}: This file of the build is missing. "
                      "Build it again with --force.\n")


def test_no_build_to_simulate(fcnnx, tmp_path):
    code, _, errors = fcnnx("simulate", tmp_path / "nowhere")
    assert (code, errors) == (2, f"error: {tmp_path}/nowhere: There is no such folder.\n")
    code, _, errors = fcnnx("simulate", tmp_path)
    assert (code, errors) == (2, f"error: {tmp_path}: This is not a build of fcnnx. "
                              "Make one with fcnnx build.\n")


def test_plan_only_has_no_verilog(fcnnx, small, tmp_path):
    code, _, _ = fcnnx("build", "--models", small, "--board", "zedboard", "--out",
                       tmp_path / "plan", "--plan-only")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "plan").iterdir()) == [
        "manifest.json", "models", "plan.json", "report.html", "report.json", "weights.npz"]
    code, _, errors = fcnnx("simulate", tmp_path / "plan")
    assert code == 2
    assert "This build was only planned" in errors


def test_same_build_every_time(built, tmp_path):
    models = [built.parent / "one.onnx", built.parent / "two.onnx"]
    building.build(models, board="zedboard", out=tmp_path / "again", io="stream")
    digests = [folder.read_build(place) for place in (built, tmp_path / "again")]
    for found in digests:
        del found["report.json"], found["report.html"]  # they tell how long planning took
    assert digests[0] == digests[1]


def test_build_simulate_report(fcnnx, copy, tmp_path):
    arrays = inputs()
    np.savez(tmp_path / "in.npz", **arrays)
    code, table, _ = fcnnx("simulate", copy, "--inputs", tmp_path / "in.npz", "--outputs",
                           tmp_path / "out.npz")
    assert code == 0
    assert table.splitlines()[1].split()[0] == "one"
    report = json.loads((copy / "report.json").read_text())
    assert (copy / "report.html").read_text() == page(report)
    simulation = json.loads((copy / "simulation.json").read_text())
    for name, frames in (("one", 3), ("two", 4)):
        predicted, measured = report["networks"][name], simulation["networks"][name]
        assert report["simulation"]["networks"][name] == measured
        assert measured["frames"] >= frames
        assert measured["mismatches"] == 0
        assert measured["values"] == 3 * measured["frames"]
        assert measured["interval_cycles"] == predicted["interval_cycles"]
        assert measured["latency_cycles"] == predicted["latency_cycles"]
    with np.load(tmp_path / "out.npz") as found:
        assert {name: array.shape for name, array in found.items()} == {
            "one/y": (3, 3), "two/y": (4, 3)}
    code, text, _ = fcnnx("report", copy, "--json")
    assert (code, json.loads(text)) == (0, report)
    code, text, _ = fcnnx("report", copy)
    assert code == 0
    assert "one, two on zedboard" in text
    assert "stages of two" in text


def test_mismatch_is_told(fcnnx, copy, tmp_path, monkeypatch):
    """A design that was edited, and a manifest with it, computes something else."""
    for memory in (copy / "rtl").glob("one.*weights.mem"):
        words = memory.read_text().split()
        memory.write_text("".join(f"{int(word, 16) ^ 0x10:0{len(word)}x}\n" for word in words))
    monkeypatch.setattr(folder, "verify", lambda place: None)
    code, _, errors = fcnnx("simulate", copy)
    assert code == 1
    assert "one: The first layer that differs is " in errors
    simulation = json.loads((copy / "simulation.json").read_text())
    assert simulation["networks"]["one"]["mismatches"] > 0
    assert simulation["networks"]["two"]["mismatches"] == 0


def test_check(fcnnx, small, tmp_path):
    code, text, _ = fcnnx("check", small, "--json")
    assert code == 0
    row = json.loads(text)["small"]
    assert (row["macs"], row["float"]) == (36 * 9 * 2 * 4 + 12, True)
    code, text, _ = fcnnx("check", small)
    assert code == 0
    assert text.splitlines()[1].startswith("small")


@pytest.mark.parametrize("words", [["boards"], ["ops"], ["doctor"], ["--help"], ["--version"],
                                   ["build", "--help"]])
def test_information(fcnnx, words):
    code, text, _ = fcnnx(*words)
    assert code == 0
    assert text


@pytest.mark.parametrize("words", [["boards"], ["ops"], ["doctor"]])
def test_information_as_json(fcnnx, words):
    code, text, _ = fcnnx(*words, "--json")
    assert code == 0
    assert json.loads(text)


def test_python_functions(built, copy, tmp_path):
    import fcnnx

    model = write_model(tmp_path / "a model.onnx")
    build = fcnnx.build([model], board="ulx3s-85f", out=tmp_path / "build",
                        calibration={"a_model": {"x": inputs()["one/x"]}},
                        shapes={"x": (1, 2, 6, 6)}, targets={"a_model": "1000fps"},
                        plan_only=True)
    assert [*build.report["networks"]] == ["a_model"]
    assert not any("accuracy" in warning for warning in build.report["warnings"])
    simulation = fcnnx.simulate(copy, inputs=inputs(), frames=5, stalls=1)
    assert simulation.exact
    assert simulation.outputs["one/y"].shape == (5, 3)
    # Inputs come again where there are fewer than frames.
    assert simulation.outputs["one/y"][0].tolist() == simulation.outputs["one/y"][3].tolist()


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory):
    """Two builds of one form, other weights, on a board with a memory; no options."""
    place = tmp_path_factory.mktemp("in_memory")
    for name, weight in (("one", 0.5), ("other", 0.4)):
        write_model(place / "small.onnx", weight=weight)
        building.build([place / "small.onnx"], board="zcu102", out=place / name)
    return place


def test_frames_cross_the_memory_by_default(fcnnx, in_memory):
    place = in_memory / "one"
    assert {"dram.bin", "registers.h", "registers.md"} <= {path.name for path in place.iterdir()}
    report = json.loads((place / "report.json").read_text())
    assert "--io dram" in report["reproduction"]["command"]
    assert report["schedule"]["policy"] == "cyclic"
    code, _, _ = fcnnx("simulate", place, "--frames", 50)
    assert code == 0
    predicted = report["networks"]["small"]
    simulation = json.loads((place / "simulation.json").read_text())
    assert json.loads((place / "report.json").read_text())["simulation"] == simulation
    measured = simulation["networks"]["small"]
    assert measured["mismatches"] == 0
    # Frames are shorter than the memory's latency: only with buffers enough do they never wait.
    assert measured["starved_cycles"] == 0
    assert measured["frames"] >= 50
    assert measured["interval_cycles"] == predicted["interval_cycles"]
    assert measured["latency_cycles"] == predicted["latency_cycles"]


def test_memory_image_of_another_build(fcnnx, in_memory, tmp_path, monkeypatch):
    place = shutil.copytree(in_memory / "one", tmp_path / "copy")
    shutil.copy(in_memory / "other" / "dram.bin", place)
    code, _, errors = fcnnx("simulate", place)
    assert (code, errors) == (2, f"error: {place}/dram.bin: This file of the build was edited, or "
                              "is that of another. Build it again with --force.\n")
    monkeypatch.setattr(folder, "verify", lambda place: None)  # as with another manifest
    code, _, errors = fcnnx("simulate", place)
    assert (code, errors) == (2, f"error: {place}/dram.bin: This is not the memory image of this "
                              "plan. Build it again with --force.\n")
