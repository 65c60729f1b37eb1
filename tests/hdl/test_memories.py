"""Memories: reading, writing, contents, and the chain that loads them."""

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.memories import DualPortMemory, Load, LoadedMemory, chain_loads, load_words


DEVICE = Device(name="any", family="xc7", resources=Resources(), clock_mhz=100)


def run(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_memory_against_a_list():
    """Data come two cycles after their address, and are those of before a write in its cycle."""
    rng = np.random.default_rng(1)
    depth, width = 11, 40
    contents = [int(word) for word in rng.integers(0, 1 << width, depth)]
    dut = DualPortMemory(width=width, depth=depth, words=contents)
    model, expected = list(contents), [None] * DualPortMemory.latency

    async def bench(ctx):
        for _ in range(300):
            read, write = (int(address) for address in rng.integers(0, depth, 2))
            enable, word = bool(rng.random() < 0.5), int(rng.integers(0, 1 << width))
            ctx.set(dut.r_addr, read)
            ctx.set(dut.w_addr, write)
            ctx.set(dut.w_en, enable)
            ctx.set(dut.w_data, word)
            await ctx.tick()
            expected.append(model[read])
            if enable:
                model[write] = word
            if expected[-DualPortMemory.latency] is not None:
                assert ctx.get(dut.r_data) == expected[-DualPortMemory.latency]

    run(dut, bench)
    assert model != contents


def test_style_and_cost():
    assert DualPortMemory.style(width=8, depth=32) == "distributed"
    assert DualPortMemory.style(width=72, depth=64) == "distributed"
    assert DualPortMemory.style(width=72, depth=65) == "block"
    assert DualPortMemory.cost(width=72, depth=512, device=DEVICE).bram18 == 2
    assert DualPortMemory.cost(width=6, depth=32, device=DEVICE) == Resources(lut=4, ff=12)
    assert DualPortMemory.style(width=72, depth=64, block=True) == "block"
    small = {"width": 72, "depth": 64, "device": DEVICE}
    spared = LoadedMemory.cost(**small).lut - LoadedMemory.cost(**small, block=True).lut
    assert spared == DEVICE.lut_ram(72, 64)
    assert LoadedMemory.cost(**small, block=True).bram18 == 2


class Chain(wiring.Component):
    """Loaded memories of several sizes, one behind the other."""

    load: In(Load)
    load_o: Out(Load)

    def __init__(self, memories):
        self.memories = memories
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        for k, memory in enumerate(self.memories):
            m.submodules[f"memory_{k}"] = memory
        chain_loads(m, self, *self.memories)
        return m


SIZES = [(8, 5), (40, 3), (64, 1), (100, 4), (32, 2)]


def make_chain():
    rng = np.random.default_rng(1)
    words = [[int.from_bytes(rng.bytes(16), "little") % (1 << width) for _ in range(depth)]
             for width, depth in SIZES]
    return Chain([LoadedMemory(width=width, depth=depth, words=each)
                  for (width, depth), each in zip(SIZES, words, strict=True)]), words


async def contents(ctx, memory, depth):
    words = []
    for address in range(depth):
        ctx.set(memory.r_addr, address)
        await ctx.tick().repeat(LoadedMemory.latency)
        words.append(ctx.get(memory.r_data))
    return words


def test_contents_stay_where_nothing_loads():
    dut, words = make_chain()

    async def bench(ctx):
        for memory, (_, depth), expected in zip(dut.memories, SIZES, words, strict=True):
            assert await contents(ctx, memory, depth) == expected

    run(dut, bench)


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_loading(share):
    """The chain fills one memory after the other, and gives the rest away."""
    dut, old = make_chain()
    rng = np.random.default_rng(2)
    new = [[word ^ (1 << width) - 1 for word in words]
           for (width, _), words in zip(SIZES, old, strict=True)]
    queue = [part for (width, _), words in zip(SIZES, new, strict=True)
             for part in load_words(width, words)]
    rest = [0xDEADBEEF, 1, 2, 3]
    passed = []

    async def watch(ctx):
        while True:
            _, _, valid, word = await ctx.tick().sample(dut.load_o.valid, dut.load_o.data)
            if valid:
                passed.append(word)

    async def bench(ctx):
        for word in queue + rest:
            while rng.random() >= share:
                await ctx.tick()
            ctx.set(dut.load.valid, 1)
            ctx.set(dut.load.data, word)
            await ctx.tick()
            ctx.set(dut.load.valid, 0)
        await ctx.tick().repeat(len(SIZES) + 4)
        for memory, (_, depth), expected in zip(dut.memories, SIZES, new, strict=True):
            assert await contents(ctx, memory, depth) == expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(watch, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    assert passed == rest


def test_load_words():
    assert load_words(8, [1, 2]) == [1, 2]
    assert load_words(33, [1 << 32 | 5, 7]) == [5, 1, 7, 0]
