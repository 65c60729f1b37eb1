"""A plan survives its folder unchanged, and a folder that was changed is refused."""

import json

import pytest

from fcnnx import boards
from fcnnx.errors import BadInput
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.device import Resources
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Constants, FeatureMap, StreamShape
from fcnnx.hdl.operators import Convolution
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.network import Port
from fcnnx.plan import FILE, WEIGHTS, NetworkPlan, Plan, StagePlan


def make_plan(weight=3):
    feature_map = FeatureMap(rows=2, columns=2, channels=2)
    convolution = Convolution(
        input=feature_map, kernel=(1, 1), weights=Constants([[[[weight, -2]]], [[[5, 300]]]]),
        bias=Constants([7, -100_000]), output=feature_map, acc_width=18,
        requantization=Requantization(multiplier=Constants([70000]), shift=20, zero=-3, low=-128,
                                      high=127))
    shape = StreamShape(map=feature_map)
    engine = Engine(name="net", inputs=(("x", shape),), outputs=(("y", Source("conv")),),
                    stages=(Stage(name="conv", operator=convolution, inputs=(Source("x"),)),))
    port = Port(name="image", tensor="x", shape=(2, 2, 2), axes=(0, 1, 2), map=feature_map)
    stage = StagePlan(name="conv", operation="Convolution", interval_cycles=16, stall_share=0.125,
                      macs=16, multipliers=1, resources=Resources(dsp=2, lut=100))
    network = NetworkPlan(
        name="net", inputs=(port,), outputs=(port,), macs=16, multipliers=1, interval_cycles=16,
        latency_cycles=40, alone_cycles=16, weight=1.0, target_fps=None, target_latency_ms=0.1,
        bottleneck="conv", stages=(stage,), resources=stage.resources, warnings=("Look out.",))
    board = boards.get("zedboard")
    return Plan(board=board.name, device=board.device, clock_mhz=125.0,
                budget=board.device.resources, accelerator=Accelerator(engines=(engine,)),
                networks=(network,), objective="throughput", gap=0.0, seconds=1.5)


def test_there_and_back(tmp_path):
    plan = make_plan()
    plan.save(tmp_path)
    loaded = Plan.load(tmp_path)
    assert loaded == plan
    assert loaded.digest == plan.digest
    assert isinstance(loaded.networks[0].weight, float)
    (stage,) = loaded.accelerator.engines[0].stages
    assert stage.operator.weights.values.tolist() == [[[[3, -2]]], [[[5, 300]]]]


def test_the_same_bytes(tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        make_plan().save(folder)
    for name in (FILE, WEIGHTS):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_digest_covers_the_weights():
    assert make_plan(3).digest != make_plan(4).digest


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def swap_weights(folder):
    make_plan(4).save(folder)
    other = (folder / WEIGHTS).read_bytes()
    make_plan(3).save(folder)
    (folder / WEIGHTS).write_bytes(other)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda folder: (folder / FILE).unlink(), "There is no such file"),
    (lambda folder: (folder / WEIGHTS).unlink(), "There is no such file"),
    (lambda folder: (folder / FILE).write_text("{"), "The file was edited, or is damaged"),
    (lambda folder: (folder / FILE).write_text("[]"), "This is not a plan"),
    (lambda folder: (folder / WEIGHTS).write_bytes(b"PK"), "The file was edited, or is damaged"),
    (lambda folder: edit(folder / FILE, lambda document: document.update(version=0)),
     "The plan is of version 0, and this is made for version 2"),
    (lambda folder: edit(folder / FILE, lambda document: document["plan"].update(clock_mhz=1)),
     "The file was edited: its digest is another"),
    (swap_weights, "are missing")])
def test_a_spoilt_folder(tmp_path, spoil, message):
    make_plan().save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BadInput, match=message) as caught:
        Plan.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
