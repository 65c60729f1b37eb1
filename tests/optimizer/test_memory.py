"""The memory side of a plan: no port is given more than its share of the memory."""

import pytest

from fcnnx import boards
from fcnnx.memory import memory_timing
from fcnnx.optimizer import plan

from .networks import small_depthwise, small_residual


@pytest.mark.parametrize("gbps", [0.3, 1.9, None])
def test_ports_carry_no_more_than_their_share(gbps):
    board = boards.get("zedboard")
    decided = plan([small_residual(), small_depthwise()], board, io="dram", bandwidth_gbps=gbps)
    memory = decided.memory
    assert memory == memory_timing(board, 125.0, gbps)
    for port in decided.schedule.ports:
        writes = [port.streams[k].direction == "write" for k in port.table]
        turns = sum(a != b for a, b in zip(writes, writes[1:] + writes[:1], strict=True))
        words = sum(stream.slots * stream.burst for stream in port.streams)
        moving = port.period * (1 - memory.refresh_share) - turns * memory.turnaround
        assert words <= memory.share * moving * (1 + 1e-9)
