"""What report.json says of the memory: figures of the plan, and parts of the image."""

import json

import pytest

from fcnnx import boards
from fcnnx.generate import weight_images
from fcnnx.optimizer import plan
from fcnnx.report import figures

from ..optimizer.networks import small_residual, tiny_chain


@pytest.fixture(scope="module")
def decided():
    return plan([small_residual(), tiny_chain()], boards.get("zedboard"), io="dram",
                bandwidth_gbps=0.5)


@pytest.fixture(scope="module")
def report(decided):
    return json.loads(json.dumps(figures.report(decided), allow_nan=False))


def test_bandwidth(decided, report):
    schedule = report["schedule"]
    rate = sum(each["rate"] for port in schedule["ports"] for each in port["streams"])
    assert report["total"]["dram_gbps"] == pytest.approx(rate * 8 * 125 / 1e3)
    assert report["budget"]["dram_gbps"] == pytest.approx(0.5)
    assert schedule["utilisation"] == pytest.approx(rate / decided.memory.derated)
    for port, solved in zip(schedule["ports"], decided.schedule.ports, strict=True):
        assert port["table"] == list(solved.table)
        assert [each["places"] for each in port["streams"]] == [
            each.places for each in solved.streams]
        for each in port["streams"]:
            assert each["guaranteed"] >= each["rate"]


def test_parts_of_the_image(decided, report):
    offset = 0
    for name, image in weight_images(decided.accelerator).items():
        assert report["schedule"]["images"][name] == {"offset": offset, "bytes": len(image)}
        assert len(image) % 4096 == 0
        offset += len(image)
    assert offset


def test_the_memory_side_is_part_of_the_total(report):
    for kind, amount in report["memory"].items():
        networks = sum(row[kind] for row in report["networks"].values())
        assert report["total"][kind] == networks + amount
        for name, row in report["networks"].items():
            others = networks - row[kind]
            assert row["bound"]["left"][kind] == report["budget"][kind] - others - amount, name
