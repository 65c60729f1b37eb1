"""The memory side of a plan: no port is given more than its share of the memory."""

import pytest

from fcnnx import boards
from fcnnx.memory import memory_timing
from fcnnx.optimizer import Target, plan

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


def test_inputs_come_evenly_where_that_costs_no_target():
    """A network of its own, and one with a target in milliseconds, takes its beats as it can."""
    board = boards.get("zedboard")
    networks = [small_residual(), small_depthwise()]

    def spread(*chosen, **options):
        made = plan(chosen, board, io="dram", bandwidth_gbps=0.3, **options)
        return {engine.engine: any(each.spread for each in engine.of_kind("input"))
                for engine in made.accelerator.memory.engines}

    first, second = (network.name for network in networks)
    free = spread(*networks)
    assert any(free.values())
    assert not any(spread(networks[0]).values())
    bound = spread(*networks, targets=[Target.parse(f"{first}=500ms"),
                                       Target.parse(f"{second}=500ms")])
    assert not any(bound.values())
