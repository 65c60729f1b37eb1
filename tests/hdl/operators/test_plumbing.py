"""Forks, queues and width converters: every value, every cycle."""

import dataclasses

import numpy as np
import pytest

from fcnnx.hdl.deep_queue import DeepQueue, queue_kind
from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork, Narrow, Queue, Widen
from fcnnx.hdl.streams import OutputQueue
from fcnnx.hdl.testing import OFFERINGS, TAKINGS, check_operator


def feature_map(channels, rows=3, columns=4, **changes):
    return FeatureMap(rows=rows, columns=columns, channels=channels, **changes)


SPECS = [
    Fork(map=feature_map(6), lanes=4, places=(3, 4)),
    Fork(map=feature_map(3, width=5, signed=False), lanes=1, places=(3, 17, 9)),
    Fork(map=feature_map(16), lanes=16, places=(70, 4)),
    Queue(map=feature_map(5), lanes=2, places=3),
    Queue(map=feature_map(4, width=16), lanes=1, places=40),
    Queue(map=feature_map(16, rows=7, columns=5), lanes=16, places=67),
    Widen(map=feature_map(8), lanes_in=2, lanes_out=4),
    Widen(map=feature_map(10), lanes_in=2, lanes_out=8),
    Widen(map=feature_map(10), lanes_in=3, lanes_out=10),
    Widen(map=feature_map(7, width=4), lanes_in=1, lanes_out=2),
    Widen(map=feature_map(7), lanes_in=5, lanes_out=7),
    Narrow(map=feature_map(8), lanes_in=4, lanes_out=2),
    Narrow(map=feature_map(10), lanes_in=8, lanes_out=2),
    Narrow(map=feature_map(10), lanes_in=10, lanes_out=4),
    Narrow(map=feature_map(7, width=4), lanes_in=2, lanes_out=1),
    Narrow(map=feature_map(7), lanes_in=7, lanes_out=5),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("offering", OFFERINGS)
@pytest.mark.parametrize("taking", TAKINGS)
def test_components(spec, offering, taking):
    x = np.random.default_rng(1).integers(spec.map.low, spec.map.high + 1, (3, *spec.map.shape))
    check_operator(spec, [x], offering=offering, taking=taking)


def test_converters_of_all_lanes():
    """Any pair of lanes that is allowed."""
    for channels in range(2, 8):
        small = feature_map(channels, rows=1, columns=2)
        x = np.random.default_rng(channels).integers(-128, 128, (3, *small.shape))
        for wide in range(2, channels + 1):
            for narrow in range(1, wide):
                if wide % narrow and wide != channels:
                    continue
                check_operator(Widen(map=small, lanes_in=narrow, lanes_out=wide), [x])
                check_operator(Narrow(map=small, lanes_in=wide, lanes_out=narrow), [x])


def test_large_queues_are_in_memories():
    assert queue_kind(128, 67) is DeepQueue
    assert queue_kind(128, 4) is OutputQueue
    spec = Queue(map=feature_map(16), lanes=16, places=67)
    assert spec.timing().outputs[0].depth == DeepQueue.latency
    device = Device(name="any", family="xc7", resources=Resources(), clock_mhz=100)
    assert spec.resources(device).bram18 == 4
    assert dataclasses.replace(spec, places=4).resources(device).bram18 == 0


def test_foldings():
    lanes = [spec.lanes for spec in Queue(map=feature_map(6)).foldings()]
    assert lanes == [1, 2, 3, 6]
    assert [spec.lanes for spec in Fork(map=feature_map(5)).foldings()] == [1, 2, 3, 5]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Queue(map=feature_map(4), lanes=5), "Lanes must be between 1 and 4 channels, not 5"),
    (lambda: Queue(map=feature_map(4), places=2),
     f"Places must be at least {LEAST_PLACES}, not 2"),
    (lambda: Fork(map=feature_map(4), places=(4, 0)),
     f"Places must be at least {LEAST_PLACES}, not 0"),
    (lambda: Fork(map=feature_map(4), places=(4,)),
     "A fork must have two branches or more, not 1"),
    (lambda: Widen(map=feature_map(8), lanes_in=4, lanes_out=4),
     "Lanes must widen from 1 or more to 8 channels or fewer, or narrow likewise, not 4 and 4"),
    (lambda: Narrow(map=feature_map(8), lanes_in=6, lanes_out=4),
     "Wide lanes must be a multiple of the 4 narrow ones, or all 8 channels, not 6"),
])
def test_errors(make, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        make()
