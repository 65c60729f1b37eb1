"""The control of a network, against a memory and an engine that take their time."""

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
    """A control's surroundings in bursts: a memory, queues, gates and an engine.

    It checks in every cycle what always holds: a command stays until it is taken and is the right
    one, nothing moves for a frame that is not released, and the gate opens when all is full.
    """

    places = 4

    def __init__(self, ctx, dut, rng):
        self.ctx, self.dut, self.spec, self._rng = ctx, dut, dut.spec, rng
        self.cycle = self.released = self.flags = 0
        self.blocked = False  # nothing that comes out of the engine is taken
        self.endless = False  # the engine takes and takes, and nothing comes out
        self.memory = 0.8  # share of cycles in which a burst moves
        self.faults = {}  # the response to the next burst of a stream
        self.frames_done, self.began, self.loads = [], [], 0
        for base, address in self.bases.items():
            ctx.set(getattr(dut, base), address)
        self.reset()

    @property
    def bases(self):
        return {base: k + 1 << 32 | k + 3 << 24 for k, base in enumerate(self.spec.bases)}

    def reset(self):
        """All as after a reset."""
        streams = self.spec.streams
        self._commands = dict.fromkeys(streams, 0)
        self._moved, self._offered = dict.fromkeys(streams, 0), dict.fromkeys(streams)
        self.asked = dict.fromkeys(streams, 0)
        self._level, self._taken = (dict.fromkeys(self.spec.reads, 0) for _ in range(2))
        self._results = dict.fromkeys(self.spec.writes, 0)
        self._filled, self._computed, self._before = set(), 0, 0
        self._was_open = False

    def get(self, name):
        return self.ctx.get(getattr(self.dut, name))

    def release(self, frames):
        self.released = frames
        self.ctx.set(self.dut.released, frames)

    async def pulse(self, *names):
        for name in names:
            self.ctx.set(getattr(self.dut, name), 1)
        await self.step()
        for name in names:
            self.ctx.set(getattr(self.dut, name), 0)

    async def clear(self):
        self._before += self.get("started")
        await self.pulse("clear")
        self.release(0)
        for name in (*self.spec.reads, *self.spec.writes):
            if not name.startswith("weights"):
                self.asked[name] = 0

    async def steps(self, cycles):
        for _ in range(cycles):
            await self.step()

    async def until(self, condition):
        for _ in range(2000):
            if condition():
                return
            await self.step()
        raise AssertionError("Nothing came of it")

    async def end(self):
        await self.until(lambda: not self.get("running"))

    async def step(self):
        """One cycle."""
        values = {f"{kind}_{name}": 0 for name in self.spec.streams for kind in ("done", "error")}
        for name in self.spec.streams:
            self._move(name, values)
        self._compute(values)
        for name, value in values.items():
            self.ctx.set(getattr(self.dut, name), value)
        for name in self.spec.streams:
            self._take_command(name)
        self._watch()
        await self.ctx.tick()
        self.cycle += 1

    def _move(self, name, values):
        """The memory moves one burst of a stream, or not."""
        reads = name in self.spec.reads
        if reads:
            values[f"ready_{name}"] = self._level[name] == self.places
        if not self._commands[name] or self._rng.random() > self.memory:
            return
        if (reads and self._level[name] == self.places) or (
                name in self._results and (self.blocked or not self._results[name])):
            return
        if name in self.faults:
            values[f"error_{name}"] = self.faults.pop(name)
        self._moved[name] += 1
        if reads:
            self._level[name] += 1
        if self._moved[name] == self.spec.streams[name].bursts:
            self._moved[name] = 0
            self._commands[name] -= 1
            values[f"done_{name}"] = 1
            if name in self._results:
                self._results[name] -= 1
            self.loads += name == "load"

    def _compute(self, values):
        """The engine takes a burst of each stream, or not; two frames ahead of its results."""
        for name, transfer in self.spec.reads.items():
            first = self._taken[name] % transfer.bursts == 0
            closed = name.startswith("input") and first and not self.get("gate")
            room = self.endless or self._taken[name] < (self._computed + 2) * transfer.bursts
            wanted = room and not closed and self._rng.random() < 0.6
            values[f"starved_{name}"] = wanted and not self._level[name]
            given = wanted and self._level[name] > 0
            if given:
                self._level[name] -= 1
                self._taken[name] += 1
            if name.startswith("input"):
                values[f"began{name[5:]}"] = began = given and first
                if began and name == "input_0":
                    self.began.append(self.cycle)
        if not self.endless and all(
                self._taken[name] >= (self._computed + 1) * transfer.bursts
                for name, transfer in self.spec.reads.items()):
            self._computed += 1
            self._results = {name: count + 1 for name, count in self._results.items()}
        for k, count in enumerate(self._results.values()):
            values[f"blocked_{k}"] = self.blocked and count > 0

    def _take_command(self, name):
        command = getattr(self.dut, f"command_{name}")
        ready = self._commands[name] < 2 and self._rng.random() < 0.5
        self.ctx.set(command.ready, ready)
        valid = self.ctx.get(command.valid)
        payload = (self.ctx.get(command.payload.address), self.ctx.get(command.payload.bursts))
        held = self._offered[name]
        assert held is None or (valid and payload == held), f"{name}: A command was withdrawn"
        self._offered[name] = payload if valid and not ready else None
        if valid:
            number, transfer = self.asked[name], self.spec.streams[name]
            own = name in self.spec.writes or name.startswith("input")
            base = f"{name}_{number % self.spec.buffers}" if own else "weights"
            assert payload == (self.bases[base] + transfer.offset, transfer.bursts)
            assert not own or number < self.released
        if valid and ready:
            self._commands[name] += 1
            self.asked[name] += 1

    def _watch(self):
        """What is found in this cycle."""
        self.flags |= self.get("errors")
        if self.get("frame_done"):
            self.frames_done.append(self.cycle)
        opened = self.get("gate")
        assert not opened or self._was_open or self._filled == set(self.spec.reads)
        self._was_open = opened
        started = self._before + self.get("started")
        for name, level in self._level.items():
            due = started if name.startswith("weights") else self.get("started")
            if level == self.places or (self.asked[name] == due and not self._commands[name]):
                self._filled.add(name)
        if all(self._taken[f"input_{k}"] > (started - 1) * transfer.bursts
               for k, transfer in enumerate(self.spec.inputs)):
            self._filled = set()  # no frame waits


def simulate(spec, bench, seed=1):
    dut = spec.create()
    top = ResetInserter(reset := Signal())(dut)

    async def run(ctx):
        await bench(World(ctx, dut, random.Random(seed)), reset)

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()


def flags(*names):
    return sum(1 << bit for bit, name in enumerate(ERRORS) if name in names)


@pytest.mark.parametrize(("spec", "seed"), [(SMALL, 1), (SMALL, 2), (LARGE, 1), (LARGE, 2)])
def test_frames(spec, seed):
    """As many as are released, never more, and weights for as many; those on chip once."""
    async def bench(world, reset):
        await world.steps(5)
        assert not world.get("running")
        await world.pulse("start")
        for released in (1, 3, 4, 9):
            await world.steps(40)
            assert len(world.frames_done) == world.get("done") == world.released
            world.release(released)
            await world.until(lambda: world.get("done") == world.released)
        await world.steps(60)
        assert world.get("running")
        assert world.get("started") == world.get("done") == len(world.frames_done) == 9
        assert all(count == 9 for name, count in world.asked.items() if name != "load")
        assert world.loads == (spec.load is not None)
        assert world.get("interval") == world.frames_done[-1] - world.frames_done[-2]
        assert not world.flags & ~flags("starved")
        await world.pulse("stop")
        await world.end()

    simulate(spec, bench, seed)


@pytest.mark.parametrize("spec", [SMALL, LARGE])
def test_stop_and_go_on(spec):
    """In mid-frame: what has begun is done, and the next start has the next frame."""
    async def bench(world, reset):
        world.release(1000)
        await world.pulse("start")
        for _ in range(4):
            done = world.get("done")
            await world.until(lambda done=done: world.get("done") > done)
            await world.steps(7)
            await world.pulse("stop")
            started = world.get("started")
            await world.end()
            assert world.get("started") == world.get("done") <= started + 1
            await world.steps(30)
            assert world.get("done") == len(world.frames_done) < 100
            await world.pulse("start")
        await world.pulse("stop")
        await world.end()
        await world.clear()
        assert world.get("started") == world.get("done") == 0
        world.release(2)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 2)
        assert world.loads == (spec.load is not None)
        assert not world.flags & ~flags("starved")

    simulate(spec, bench)


@pytest.mark.parametrize("base", LARGE.bases)
def test_start_without_a_base(base):
    async def bench(world, reset):
        port = getattr(world.dut, base)
        world.ctx.set(port, 0)
        world.release(2)
        await world.pulse("start")
        await world.steps(20)
        assert world.flags == flags("no_base")
        assert not world.get("running")
        assert not any(world.asked.values())
        world.ctx.set(port, world.bases[base])
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 2)

    simulate(LARGE, bench)


def test_start_while_running():
    """It goes on as if nothing had been; so it does after a clear."""
    async def bench(world, reset):
        world.release(5)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 2)
        await world.pulse("start")
        assert world.flags & ~flags("starved") == flags("running")
        await world.pulse("clear")
        assert world.get("done") >= 2
        await world.until(lambda: world.get("done") == 5)
        assert world.get("running")

    simulate(SMALL, bench)


@pytest.mark.parametrize("response", [0b10, 0b11])
@pytest.mark.parametrize("name", [*LARGE.reads, *LARGE.writes])
def test_errors(name, response):
    """The flag of its cause; the frames that have begun are done, and a start goes on."""
    async def bench(world, reset):
        world.release(100)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 1)
        world.faults[name] = response
        await world.end()
        side = "write" if name in LARGE.writes else "read"
        kind = "slverr" if response == 0b10 else "decerr"
        assert world.flags & ~flags("starved") == flags(f"{side}_{kind}")
        assert world.get("started") == world.get("done") < 20
        await world.clear()
        world.release(3)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 3)
        assert world.get("running")

    simulate(LARGE, bench)


def test_failed_load():
    """Weights that have not come are loaded at the next start; others when that is asked for."""
    async def bench(world, reset):
        world.release(2)
        world.faults["load"] = 0b10
        await world.pulse("start")
        await world.end()
        assert world.flags == flags("read_slverr")
        assert (world.loads, world.get("started")) == (1, 0)
        for loads, names in ((2, ["start"]), (2, ["start"]), (3, ["start", "reload"])):
            await world.pulse(*names)
            await world.until(lambda: not world.get("loading"))
            await world.until(lambda: world.get("done") == world.released)
            assert world.loads == loads
            await world.pulse("stop")
            await world.end()
            world.release(world.released + 1)
        await world.pulse("reload")
        await world.pulse("start")
        await world.pulse("stop")
        await world.end()
        assert (world.loads, world.get("started")) == (4, world.released - 1)

    simulate(LARGE, bench)


def test_stalled_memory():
    """A flag; nothing hangs once the memory answers again."""
    async def bench(world, reset):
        world.release(10)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 2)
        world.memory = 0
        await world.steps(200)
        await world.pulse("stalled")
        await world.steps(100)
        assert world.flags & flags(*FATAL) == flags("stalled")
        assert world.get("running")
        world.memory = 0.8
        await world.end()
        assert world.get("started") == world.get("done") < 10
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 10)
        await world.pulse("stop")
        await world.end()
        await world.pulse("stalled")
        assert world.flags & flags(*FATAL) == flags("stalled")

    simulate(SMALL, bench)


@pytest.mark.parametrize("spec", [SMALL, LARGE])
@pytest.mark.parametrize("when", [1, 4, 30, 77, 120])
def test_reset_in_mid_frame(spec, when):
    async def bench(world, reset):
        world.release(20)
        await world.pulse("start")
        await world.steps(when)
        world.ctx.set(reset, 1)
        world.release(0)
        await world.ctx.tick()
        world.ctx.set(reset, 0)
        world.reset()
        assert not world.get("running")
        assert world.get("started") == world.get("done") == 0
        world.loads = 0
        await world.steps(20)
        world.release(3)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 3)
        assert world.loads == (spec.load is not None)

    simulate(spec, bench)


@pytest.mark.parametrize("spec", [SMALL, LARGE])
def test_counting(spec):
    """Starved and blocked cycles, the latency of a frame into an empty engine, wrapping counts."""
    async def bench(world, reset):
        await world.pulse("start")
        world.release(1)
        while not world.get("gate"):  # what is wanted until then is no starvation
            assert not world.get("starving")
            await world.step()
        await world.until(lambda: world.get("done") == 1)
        assert world.get("latency") == world.frames_done[0] - world.began[0]
        world.release(40)
        await world.until(lambda: world.get("done") == 5)
        assert not world.get("blocking")
        world.blocked = True
        await world.until(lambda: world.get("blocking"))
        world.blocked, world.memory = False, 0.05
        await world.until(lambda: world.get("starving"))
        assert world.flags & flags("starved")
        world.memory = 0.8
        await world.until(lambda: world.get("done") == 40)
        await world.steps(30)
        assert not world.get("starving")
        assert not world.get("gate")
        # A pause is no interval.
        interval = world.get("interval")
        await world.pulse("stop")
        await world.steps(500)
        world.release(41)
        await world.pulse("start")
        await world.until(lambda: world.get("done") == 41)
        assert world.get("interval") == interval < 500

    simulate(spec, bench)


def test_frames_in_flight():
    """No more than there may be, whatever the engine takes in."""
    async def bench(world, reset):
        world.release(50)
        world.endless = True
        await world.pulse("start")
        await world.steps(400)
        assert world.get("started") == LARGE.in_flight
        assert world.get("done") == 0

    simulate(LARGE, bench)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Transfer(name="x", bursts=0), r"^x: Bursts must be between 1 and 1048575, not 0$"),
    (lambda: Transfer(name="x", bursts=1, offset=64), r"^x: Offset must be a multiple of 4096"),
    (lambda: NetworkControl(name="n", axi=AXI, inputs=(), outputs=SMALL.outputs),
     r"^n: A network must have an input and an output$"),
    (lambda: NetworkControl(name="n", axi=AXI, inputs=SMALL.inputs, outputs=SMALL.outputs,
                            buffers=3), r"^n: Buffers must be a power of two, not 3$"),
    (lambda: NetworkControl(name="n", axi=AXI, inputs=SMALL.inputs, outputs=SMALL.outputs,
                            in_flight=1), r"^n: Frames in flight must be 2 or more, not 1$"),
])
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
