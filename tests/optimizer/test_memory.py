"""The memory side of a plan: no port is given more than its share of the memory."""

import dataclasses

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork
from fcnnx.memory import memory_timing
from fcnnx.optimizer import Target, plan
from fcnnx.optimizer.memory import STILL, _mean_step, _Side
from fcnnx.optimizer.timing import simulate

from .networks import small_depthwise, small_residual, tiny_residual


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


@pytest.mark.parametrize(("network", "held", "pace"), [(small_residual, 0.5, 133),
                                                       (tiny_residual, 0.9, 36)])
def test_engines_that_are_late_now_and_then_have_a_pace_that_all_frames_keep(network, held, pace):
    """Queues that are too short let some frames come in time and make others late: at what frames
    take on average, each comes a pace after the one before."""
    made = plan([network()], boards.get("zedboard"), io="dram")
    engine, = made.accelerator.engines
    short = dataclasses.replace(engine, stages=tuple(
        dataclasses.replace(stage, operator=dataclasses.replace(
            stage.operator, places=tuple(max(LEAST_PLACES, int(held * places))
                                         for places in stage.operator.places)))
        if isinstance(stage.operator, Fork) else stage for stage in engine.stages))
    asked = made.networks[0].interval_cycles
    offers = {name: np.arange(STILL * shape.beats) * asked // shape.beats
              for name, shape in engine.inputs}
    assert len(set(np.diff(simulate(short, STILL, offers=offers).ends)[2:].tolist())) > 1
    paced = _Side(short, None, Axi(data_width=64, address_width=32, burst_beats=16)).paced(
        asked, even=False, ways={})
    assert paced.pace == paced.timing.interval_cycles == pace
    assert set(np.diff(paced.timing.ends)[2:].tolist()) == {pace}
    assert paced.timing.transfers.repeat


@pytest.mark.parametrize(("steps", "mean"), [
    ([5] * 15, 5), ([4, 4, 4, 8] * 3 + [4, 4, 4], 5), ([9, 9, 9, 1, 2, 3] + [3, 5] * 5, 4),
    ([*range(15)], 11)])
def test_mean_of_a_pattern(steps, mean):
    assert _mean_step(np.array(steps)) == mean
