"""What waits where branches part, told by the foldings of the longest branch."""

import functools

import pytest

from fcnnx import boards
from fcnnx.hdl.operators.plumbing import Fork
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.memory import memory_timing
from fcnnx.optimizer import lags, plan
from fcnnx.optimizer.choice import BLOCKS, Chooser
from fcnnx.optimizer.fifos import size_queues

from .networks import Builder, bottleneck, small
from .selections import tiled


BOARD = boards.get("zedboard")
MEMORY = memory_timing(BOARD, 125.0)
LIMIT = 150_000


def chosen(chooser, tiles):
    """With the weights of the 3 x 3 layer streamed for so many tiles, or for none."""
    return tiled(chooser, LIMIT, {"convolution_2": tiles} if tiles else {})


def frames_held(engine):
    """What each branch of a fork holds, in frames."""
    fork, = (stage.operator for stage in engine.stages if isinstance(stage.operator, Fork))
    return [places * fork.lanes / fork.map.size for places in fork.places]


def sized(chooser, selection):
    return size_queues(functools.partial(chooser.engine, selection)).engine


@pytest.mark.parametrize("tiles", [1, 2, 4, 8])
def test_a_tile_comes_and_is_worked_on(tiles):
    """What queues hold more than with weights on the chip is what the lag says."""
    chooser = Chooser(bottleneck(), BOARD.device, MEMORY)
    resident, tiled = chosen(chooser, 0), chosen(chooser, tiles)
    node = chooser.numbers["convolution_2"]
    lag = chooser.nodes[node].lags[tiled.picks[node]]
    assert lag == 2 / tiles
    assert not chooser.nodes[node].lags[resident.picks[node]]
    before, after = (frames_held(sized(chooser, each)) for each in (resident, tiled))
    assert after[1] - before[1] == pytest.approx(lag, rel=0.25)


def test_foldings_are_charged_with_what_waits():
    chooser = Chooser(bottleneck(), BOARD.device, MEMORY)
    node = chooser.numbers["convolution_2"]
    resident, tiled = chosen(chooser, 0), chosen(chooser, 1)
    own = [chooser.nodes[node].amounts[each.picks[node], BLOCKS] for each in (resident, tiled)]
    frame = 8 * 8 * 64 * 8 / (1 << 14)
    assert tiled.resources.bram18 - resident.resources.bram18 == pytest.approx(
        own[1] - own[0] + 2 * frame, abs=1)
    # Once it is known, what the same foldings take is what their queues do.
    engine = sized(chooser, tiled)
    chooser.remember(engine, tiled)
    known = chooser.counted(tiled).resources
    fork, = (stage.operator for stage in engine.stages if isinstance(stage.operator, Fork))
    others = Chooser(bottleneck(), BOARD.device, MEMORY)
    others.forget_lags()
    assert known.bram18 == pytest.approx(
        others.counted(tiled).resources.bram18 + fork.resources(BOARD.device).bram18, abs=1)
    # Others that lag less are taken to have less wait for them, but no less than nothing.
    assert 0 <= chooser.counted(resident).resources.bram18 - others.counted(
        resident).resources.bram18 < fork.resources(BOARD.device).bram18


def test_what_is_in_the_memory_is_not_charged():
    chooser = Chooser(bottleneck(), BOARD.device, MEMORY)
    tiled = chosen(chooser, 1)
    chooser.remember(sized(chooser, tiled), tiled)
    (fork, branch, _), = (each for each in chooser.spillable() if each[2] > 8 * 8 * 64)
    assert branch == 1
    chooser.spill(fork, branch)
    charged = dict(chooser._lags.charges(chooser.spilled))
    assert not any(blocks.any() for blocks in charged.values())
    assert not chooser._lags.known(fork, chooser.spilled)


def test_of_two_branches_beside_it_each_waits():
    frames = []
    for branches in (2, 3):
        chooser = Chooser(bottleneck(branches), BOARD.device, MEMORY)
        node = chooser.numbers["convolution_2"]
        blocks = dict(chooser._lags.charges(set()))[node]
        frames.append(blocks.max() / chooser.nodes[node].lags.max())
    assert frames[1] == 2 * frames[0]


def test_branches_of_one_length_charge_nothing():
    net = Builder("even", 8, 8, 4)
    first = net.conv(64)
    net.add(net.conv(64, source=first), net.conv(64, source=first))
    for network in (net.network(), small()):
        chooser = Chooser(network, BOARD.device, MEMORY)
        assert not list(chooser._lags.charges(set()))
        assert not chooser.forget_lags()


def test_what_is_refused_for_charges_alone_is_tried_without(monkeypatch):
    """Queues may be shorter than foldings tell."""
    monkeypatch.setattr(lags, "BLOCK_BITS", 1)
    forgotten, forget = [], Chooser.forget_lags
    monkeypatch.setattr(Chooser, "forget_lags", lambda chooser: forgotten.append(
        forget(chooser)) or forgotten[-1])
    made = plan([bottleneck()], BOARD, io="dram", caps={"bram18": 16, "lut": 30_000})
    assert any(isinstance(stage.operator, StreamedConvolution)
               for engine in made.accelerator.engines for stage in engine.stages)
    assert forgotten == [True]
    assert made.resources.fits(made.budget)
