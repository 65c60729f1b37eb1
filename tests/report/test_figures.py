"""report.json: the keys that others read, and figures that hold together."""

import json

import pytest

from fcnnx import boards
from fcnnx.frontend import ModelSource, import_models
from fcnnx.optimizer import Target, plan
from fcnnx.report import figures


NETWORK_KEYS = {"macs", "multipliers", "dsp", "bram18", "uram", "lut", "ff",
                "dram_bytes_per_frame", "interval_cycles", "latency_cycles", "frames_per_second",
                "ntt", "stages", "ports"}


@pytest.fixture(scope="module")
def decided(example):
    sources = [ModelSource(name, example(f"{name}_qdq.onnx")) for name in ("rnet", "dscnn")]
    return plan([each.network for each in import_models(sources)], boards.get("zedboard"),
                targets=[Target.parse("rnet=100ms,2.0"), Target.parse("dscnn=100fps")],
                headroom_percent=10, io="stream")


@pytest.fixture(scope="module")
def report(decided):
    return json.loads(json.dumps(figures.report(decided), allow_nan=False))


def test_keys(report):
    assert {"board", "device", "clock_mhz", "networks", "total", "budget", "schedule", "metrics",
            "optimizer", "warnings"} <= set(report)
    assert set(report["total"]) == set(report["budget"]) == {
        "dsp", "bram18", "uram", "lut", "ff", "dram_gbps"}
    assert set(report["metrics"]) == {"stp", "stp_fps", "antt", "fairness", "fairness_weighted",
                                      "violation_rate"}
    assert {"objective", "gap", "seconds"} <= set(report["optimizer"])
    assert [*report["networks"]] == ["rnet", "dscnn"]
    for row in report["networks"].values():
        assert set(row) >= NETWORK_KEYS
        assert all({"name", "op", "interval_cycles"} <= set(stage) for stage in row["stages"])


def test_sums(report):
    for kind, amount in report["total"].items():
        if kind != "dram_gbps":
            assert amount == sum(row[kind] for row in report["networks"].values())
            assert amount <= report["budget"][kind]
    for row in report["networks"].values():
        for kind in ("macs", "multipliers", "dsp", "bram18", "uram", "lut", "ff"):
            assert row[kind] == sum(stage[kind] for stage in row["stages"])
        assert row["interval_cycles"] >= max(stage["interval_cycles"] for stage in row["stages"])
        assert row["frames_per_second"] == pytest.approx(125e6 / row["interval_cycles"])
        assert row["bottleneck"] in {stage["name"] for stage in row["stages"]}


def test_metrics(report):
    progress = {name: 1 / row["ntt"] for name, row in report["networks"].items()}
    assert report["metrics"]["stp"] == pytest.approx(sum(progress.values()))
    assert report["metrics"]["antt"] == pytest.approx(
        sum(row["ntt"] for row in report["networks"].values()) / 2)
    assert report["metrics"]["fairness"] == pytest.approx(
        min(progress.values()) / max(progress.values()))
    weighted = [progress["rnet"] / 2, progress["dscnn"]]
    assert report["metrics"]["fairness_weighted"] == pytest.approx(min(weighted) / max(weighted))
    assert report["metrics"]["violation_rate"] == 0
    assert ("STP is" in " ".join(report["warnings"])) == (report["metrics"]["stp"] < 1)


def test_ports(decided, report):
    names = set()
    for network in decided.networks:
        ports = report["networks"][network.name]["ports"]
        assert [port["tensor"] for port in ports] == [
            port.tensor for port in (*network.inputs, *network.outputs)]
        for port in ports:
            names.add(port["port"])
            assert port["width"] * port["lanes"] * port["pixels"] <= 128
            assert sorted(port["axes"]) == [0, 1, 2]
            assert port["port"].startswith(f"{network.name}_")
    assert names == {port.name for port in decided.accelerator.ports}
