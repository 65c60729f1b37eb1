"""Stripes: words keep their order over several ports, whatever stalls; each port walks its own."""

import itertools
import random

import pytest
from amaranth.sim import Simulator

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.port import MemoryPort, MemoryStripe
from fcnnx.hdl.memory.stripes import StripeMerge, StripeSplit
from fcnnx.hdl.memory.testing import MemoryModel, run_port


FRAMES = 3
SIZES = [{"burst": 4, "words": 20, "stripes": 2}, {"burst": 2, "words": 12, "stripes": 3},
         {"burst": 1, "words": 7, "stripes": 4}, {"burst": 4, "words": 8, "stripes": 2}]


def dealt(*, burst, words, stripes):
    """The words of all frames, those of each stripe."""
    parts = [[] for _ in range(stripes)]
    for frame, word in itertools.product(range(FRAMES), range(words)):
        parts[word // burst % stripes].append(frame * words + word)
    return parts


def switch(dut, offered, names, taking, seed):
    """Run it with streams in and streams out by name; gives what came out of each, and the cycle
    of each word, across all."""
    rng = random.Random(seed)
    left = {name: list(words) for name, words in offered.items()}
    found = {name: [] for name in names}
    cycles = []

    async def bench(ctx):
        held = set()
        for cycle in range(2000):
            for name, words in left.items():
                port = getattr(dut, name)
                offers = bool(words) and (seed is None or name in held or rng.random() < 0.6)
                ctx.set(port.valid, offers)
                ctx.set(port.payload, words[0] if offers else 0)
                if offers:
                    held.add(name)
            for name in names:
                ctx.set(getattr(dut, name).ready, seed is None or rng.random() < taking)
            for name in names:
                port = getattr(dut, name)
                if ctx.get(port.valid) and ctx.get(port.ready):
                    found[name].append(ctx.get(port.payload))
                    cycles.append(cycle)
            for name, words in left.items():
                port = getattr(dut, name)
                if ctx.get(port.valid) and ctx.get(port.ready):
                    words.pop(0)
                    held.discard(name)
            await ctx.tick()
        assert not any(left.values())

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found, cycles


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("sizes", SIZES)
def test_words_keep_their_order(sizes, seed):
    parts = dealt(**sizes)
    everything = list(range(FRAMES * sizes["words"]))
    ports = {f"i_{k}": part for k, part in enumerate(parts)}
    found, cycles = switch(StripeMerge(16, **sizes), ports, ["o"], 0.7, seed)
    assert found["o"] == everything
    if seed is None:
        assert cycles == everything  # one in every cycle, in that in which it is offered

    names = [f"o_{k}" for k in range(sizes["stripes"])]
    found, cycles = switch(StripeSplit(16, **sizes), {"i": everything}, names, 0.7, seed)
    assert [found[name] for name in names] == parts
    if seed is None:
        assert cycles == everything


@pytest.mark.parametrize("seed", [None, 3])
def test_a_port_walks_its_own_bursts(seed):
    """The second of three stripes: of what is read, and of what is written, every third burst."""
    axi = Axi(data_width=64, address_width=20)
    stripes, bursts, burst = 3, 5, 4
    spec = MemoryPort(axi=axi, table=(0, 1), outstanding=32, streams=tuple(
        MemoryStripe(name=direction, direction=direction, burst=burst, places=12, stripes=stripes)
        for direction in ("read", "write")))
    memory = MemoryModel(axi, size=1 << 16, seed=seed)
    size, lead = axi.word_bytes, burst * axi.word_bytes
    commands = [[((number * FRAMES + frame) * 4096 + lead, bursts) for frame in range(FRAMES)]
                for number in range(2)]
    count = FRAMES * bursts * burst
    run = run_port(spec, memory, commands, {1: list(range(count))})
    for number, found in enumerate((run.words[0], range(count))):
        places = [address + (stripes * k * burst + word) * size
                  for address, _ in commands[number]
                  for k in range(bursts) for word in range(burst)]
        assert [memory.word(place) for place in places] == list(found)
    between = memory.word(commands[1][0][0] + lead)
    assert between not in range(count)


def test_a_stripe_alone():
    with pytest.raises(ValueError, match=r"^x: Stripes must be 2 or more, not 1$"):
        MemoryStripe(name="x", direction="read", burst=4, places=8, stripes=1)
