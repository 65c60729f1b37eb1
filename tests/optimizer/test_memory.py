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
    given = memory.share * (1 - memory.refresh_share)
    for port in decided.schedule.ports:
        slots = [stream.slots * stream.burst for stream in port.streams]
        assert sum(slots) / port.period <= given
        assert sum(stream.guaranteed for stream in port.streams) <= given
