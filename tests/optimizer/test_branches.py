"""Networks whose branches meet in other ways than a sum: every predicted cycle, every value."""

import pytest

from fcnnx.hdl.operator import Constants
from fcnnx.hdl.operators import (
    Concat,
    GlobalMaxPool,
    Multiply,
    PadChannels,
    Slice,
    Upsample,
)

from .networks import Builder
from .test_hardware import check_engine, engine_of


def concat(net, *sources):
    return net.append(Concat(operands=tuple(net.maps[source] for source in sources)), *sources)


def part(net, source, start, stop):
    taken = net.maps[source]
    return net.append(Slice(input=taken, rows=(0, taken.rows), columns=(0, taken.columns),
                            channels=(start, stop)), source)


def inception():
    """Convolutions of several kernels, and a pool, side by side."""
    net = Builder("inception", 6, 6, 3)
    entry = net.conv(6)
    branches = [net.conv(4, kernel=1, source=entry), net.conv(6, source=entry)]
    net.last = entry
    branches.append(net.pool(kernel=3, stride=1))
    concat(net, *branches)
    net.append(GlobalMaxPool(input=net.maps[net.last]))
    net.dense(3)
    return net.network()


def excitation():
    """Squeeze and excitation: a map times what is computed from the whole of it."""
    net = Builder("excitation", 6, 5, 3)
    entry = net.conv(6)
    net.average()
    net.dense(3)
    gate = net.dense(6)
    operands = net.maps[entry], net.maps[gate]
    net.append(Multiply(operands=operands, zeros=(0, -128), scale=70000, shift=24, zero=0,
                        low=-128, high=127, output=operands[0]), entry, gate)
    net.conv(4, kernel=1)
    return net.network()


def pyramid():
    """A coarse map, enlarged, beside the fine one, and its two halves multiplied."""
    net = Builder("pyramid", 6, 8, 2)
    fine = net.conv(4)
    net.conv(8, stride=2)
    coarse = net.conv(4)
    large = net.append(Upsample(input=net.maps[coarse], factors=(2, 2)), coarse)
    joined = concat(net, fine, large)
    first, second = part(net, joined, 0, 3), part(net, joined, 3, 6)
    taken = net.maps[first]
    net.append(Multiply(operands=(taken, taken), zeros=(1, 2), scale=70000, shift=23, zero=0,
                        low=-128, high=127, output=taken), first, second)
    return net.network(net.last, joined)


def padded_residual():
    """A shortcut whose channels are made more by constants."""
    net = Builder("padded_residual", 8, 8, 3)
    entry = net.conv(4)
    body = net.conv(8, stride=2)
    net.last = entry
    net.pool(kernel=1, stride=2)
    values = Constants([0, 0])
    wider = net.append(PadChannels(input=net.maps[net.last], before=values, after=values))
    net.add(body, wider)
    return net.network()


@pytest.mark.parametrize(("network", "limit"), [
    (inception(), 80), (excitation(), 60), (pyramid(), 110), (padded_residual(), 64)],
    ids=lambda value: str(getattr(value, "name", value)))
@pytest.mark.parametrize(("offering", "taking"), [("always", "always"), ("random", "random")])
def test_engine_keeps_the_predicted_cycles(network, limit, offering, taking):
    check_engine(*engine_of(network, limit), offering, taking)
