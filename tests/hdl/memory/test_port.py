"""Ports in whole: data, order, rules of AXI4, reserved places, full rate, errors."""

import numpy as np
import pytest

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.port import MemoryPort, MemoryStream
from fcnnx.hdl.memory.testing import MemoryModel, run_port


FRAMES = 3
REGION = 1 << 14  # bytes between the frames of two streams


def port(width, sizes, *, table=(), outstanding=64):
    """Of streams by direction, burst and places."""
    return MemoryPort(
        axi=Axi(data_width=width, address_width=20), table=table, outstanding=outstanding,
        streams=tuple(MemoryStream(name=f"s{k}", direction=direction, burst=burst, places=places)
                      for k, (direction, burst, places) in enumerate(sizes)))


def frames(spec, bursts):
    """Commands of some frames for each stream, and words for those that are written."""
    rng = np.random.default_rng(4)
    commands, words = [], {}
    for number, (each, count) in enumerate(zip(spec.streams, bursts, strict=True)):
        commands.append([(REGION * number + (frame % 2) * REGION // 2, count)
                         for frame in range(FRAMES)])
        if not each.is_read:
            words[number] = [int.from_bytes(rng.bytes(spec.axi.word_bytes), "little")
                             for _ in range(FRAMES * count * each.burst)]
    return commands, words


def check(spec, run, memory, commands, words):
    """What was read is what is in the memory, and what was written is there."""
    size = spec.axi.word_bytes
    for number, each in enumerate(spec.streams):
        places = [address + size * k for address, bursts in commands[number]
                  for k in range(bursts * each.burst)]
        if each.is_read:
            assert run.words[number] == [memory.word(place) for place in places]
        else:
            last = dict(zip(places, words[number], strict=True))
            assert all(memory.word(place) == word for place, word in last.items())


MIXED = (("read", 8, 20), ("write", 4, 9), ("read", 2, 6), ("write", 16, 40), ("read", 16, 300))
MIXED_TABLE = (0, 4, 3, 3, 1, 2, 0, 2, 1, 4, 4)


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("table", [MIXED_TABLE, ()])
@pytest.mark.parametrize("seed", [None, 1])
def test_words_and_rules(width, table, seed):
    spec = port(width, MIXED, table=table, outstanding=40)
    memory = MemoryModel(spec.axi, size=5 * REGION, seed=seed)
    commands, words = frames(spec, (5, 9, 21, 3, 4))
    rng = np.random.default_rng(5)
    pattern = rng.random((len(MIXED), 997)) < 0.4

    def stalls(number, cycle):
        return seed is None or bool(pattern[number, cycle % 997])

    run = run_port(spec, memory, commands, words, offers=stalls, takes=stalls)
    check(spec, run, memory, commands, words)
    assert not any(run.errors)


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("burst", [2, 16])
def test_a_word_in_every_cycle(width, burst):
    """Both ways at once, from the second burst on, across the ends of commands."""
    spec = port(width, (("read", burst, 64), ("write", burst, 64)), table=(0, 1),
                outstanding=128)
    memory = MemoryModel(spec.axi, size=2 * REGION)
    commands, words = frames(spec, (128 // burst,) * 2)
    run = run_port(spec, memory, commands, words)
    check(spec, run, memory, commands, words)
    count = FRAMES * 128
    for channel in ("r", "w"):
        cycles = run.transfers(channel)
        assert cycles == list(range(cycles[0], cycles[0] + count))
    assert run.given[0] == list(range(run.given[0][0], run.given[0][0] + count))
