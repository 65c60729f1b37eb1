"""What was not chosen: fronts, and what the next faster foldings need."""

import pytest

from fcnnx import boards
from fcnnx.hdl.device import KINDS
from fcnnx.optimizer import plan

from .networks import small, small_residual


@pytest.fixture(scope="module")
def decided():
    return plan([small(), small_residual()], boards.get("zedboard"), io="stream",
                caps={"dsp": 60, "lut": 9000})


def test_fronts(decided):
    for network in decided.networks:
        assert len(network.front) > 5
        intervals = [point.interval_cycles for point in network.front]
        assert intervals == sorted(intervals, reverse=True)
        assert intervals[0] > network.interval_cycles > intervals[-1]
        for k, point in enumerate(network.front):
            for faster in network.front[k + 1:]:
                assert any(getattr(point.resources, kind) < getattr(faster.resources, kind)
                           for kind in KINDS) or (
                               faster.interval_cycles == point.interval_cycles)


def test_what_binds(decided):
    """Each network takes what the others leave: anything faster needs more of something."""
    for network in decided.networks:
        assert network.faster.interval_cycles < network.interval_cycles
        others = decided.resources
        left = {kind: getattr(decided.budget, kind) - getattr(others, kind)
                + getattr(network.resources, kind) for kind in KINDS}
        assert any(getattr(network.faster.resources, kind) > left[kind] for kind in KINDS)


def test_evidence_is_no_part_of_the_plan(decided, tmp_path):
    decided.save(tmp_path)
    loaded = type(decided).load(tmp_path)
    assert loaded == decided
    assert loaded.digest == decided.digest
    assert not loaded.networks[0].front
    assert "interval_cycles" in (tmp_path / "plan.json").read_text()
    assert "FrontPoint" not in (tmp_path / "plan.json").read_text()
