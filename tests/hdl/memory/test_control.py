"""The control of a network, against a memory and an engine that take their time."""

import collections
import random

import pytest
from amaranth import *
from amaranth.sim import Simulator

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.control import ERRORS, FATAL, NetworkControl, Transfer


AXI = Axi(data_width=64, address_width=40)
SMALL = NetworkControl(name="small", axi=AXI, inputs=(Transfer(name="x", bursts=5),),
                       outputs=(Transfer(name="y", bursts=2),))
LARGE = NetworkControl(
    name="large", axi=AXI, in_flight=6, buffers=4,
    inputs=(Transfer(name="a", bursts=5), Transfer(name="b", bursts=3, offset=4096)),
    outputs=(Transfer(name="y", bursts=2), Transfer(name="z", bursts=1)),
    weights=(Transfer(name="w", bursts=7, offset=1 << 20),
             Transfer(name="v", bursts=2, offset=3 << 20)),
    load=Transfer(name="all", bursts=9))


class World:
    """A control's surroundings: memory, queues, gates and an engine, in bursts.

    It checks at every step what must always hold: a command stays until it is taken, and is the
    right one; nothing is asked for an input that is not released.
    """

    places = 4

    def __init__(self, ctx, dut, seed=1):
        self.ctx, self.dut, self.spec = ctx, dut, dut.spec
        self.rng = random.Random(seed)
        self.bases = {base: (k + 1) << 32 | (k + 3) << 24 for k, base in
                      enumerate(self.spec.bases)}
        for base, address in self.bases.items():
            ctx.set(getattr(dut, base), address)
        self.cycle = 0
        self.released = 0
        self.blocked = False  # no output is taken
        self.speed = 0.6
        self.faults = {}  # response by stream, for the next burst
        self.log = collections.defaultdict(list)
        self.reset()

    def reset(self):
        """As after a reset of everything."""
        streams = self.spec.streams
        self.commands = {name: [] for name in streams}
        self.moved = dict.fromkeys(streams, 0)
        self.level = dict.fromkeys(self.spec.reads, 0)
        self.taken = dict.fromkeys(self.spec.reads, 0)
        self.asked = dict.fromkeys(streams, 0)
        self.results = dict.fromkeys(self.spec.writes, 0)
        self.held = dict.fromkeys(streams)
        self.filled = set()
        self.pending = {}
        self.first = 0  # frame of the next commands, since the last clear

    def release(self, frames):
        self.released = frames
        self.ctx.set(self.dut.released, frames)

    async def pulse(self, *names):
        for name in names:
            self.ctx.set(getattr(self.dut, name), 1)
        await self.step()
        for name in names:
            self.ctx.set(getattr(self.dut, name), 0)

    async def until(self, condition, limit=3000):
        for _ in range(limit):
            if condition():
                return
            await self.step()
        raise AssertionError(f"Nothing came of it in {limit} cycles")

    async def steps(self, cycles):
        for _ in range(cycles):
            await self.step()

    def get(self, name):
        return self.ctx.get(getattr(self.dut, name))

    async def step(self):
        """One cycle."""
        inputs = {}
        for name in self.spec.streams:
            self._serve(name, inputs)
        self._engine(inputs)
        for name, value in inputs.items():
            self.ctx.set(getattr(self.dut, name), value)
        for name in self.spec.streams:
            self._take_command(name, inputs[f"ready of {name}"]) if False else None
        self._watch()
        await self.ctx.tick()
        self.cycle += 1
