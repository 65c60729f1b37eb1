"""The register file: every kind of access over the bus, and the same numbers for all languages."""

import json
import pathlib
import random
import shutil
import subprocess

import pytest
from amaranth import *
from amaranth.sim import Simulator
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.control import ERRORS, NetworkControl, Transfer
from fcnnx.hdl.memory.monitor import PortMonitor
from fcnnx.hdl.registers.accelerator import (
    accelerator_registers,
    connect_network,
    connect_port,
)
from fcnnx.hdl.registers.description import Field, Register, RegisterMap
from fcnnx.hdl.registers.documentation import document
from fcnnx.hdl.registers.hardware import OKAY, SLVERR, RegisterFile
from fcnnx.hdl.registers.text import c_header, constants, markdown
from fcnnx.hdl.verilog import emit


BENCHES = pathlib.Path(__file__).parent / "benches"
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "registers.md"
AXI = Axi(data_width=64, address_width=40)

EVERY_KIND = RegisterMap(
    registers=(
        Register(name="name", address=0x00, fields=(
            Field(access="constant", reset=0x12345678, doc="Who it is"),)),
        Register(name="seen", address=0x04, fields=(
            Field(name="level", low=3, width=9, access="ro", doc="What there is"),)),
        Register(name="mixed", address=0x10, doc="Of all sorts", fields=(
            Field(name="kept", low=0, width=12, access="rw", reset=0xABC, doc="What was written"),
            Field(name="go", low=14, width=4, access="pulse", doc="What to do"),
            Field(name="event", low=22, width=6, access="w1c", doc="What happened"))),
        Register(name="enable", address=0x14, fields=(
            Field(name="event", low=22, width=6, access="rw", cleared=True, doc="What counts"),)),
        Register(name="wide", address=0x40, words=2, fields=(
            Field(low=12, width=40, access="rw", reset=5 << 30, doc="Where it is"),)),
        Register(name="count", address=0x48, words=2, fields=(
            Field(width=64, access="counter", step=33, cleared=True, reset=7, doc="How many"),)),
        Register(name="sticky", address=0x7C, fields=(
            Field(low=31, width=1, access="w1c", cleared=True, doc="Whether it happened"),)),
    ))


def network(name, inputs=1, **changes):
    return NetworkControl(
        name=name, axi=AXI, inputs=tuple(Transfer(name=f"x{k}", bursts=3) for k in range(inputs)),
        outputs=(Transfer(name="y", bursts=1),), **changes)


def accelerator():
    weights = Transfer(name="w", bursts=9)
    return accelerator_registers(
        (network("first", load=weights), network("second", inputs=3, weights=(weights,))),
        (AXI, AXI), bytes(range(100, 132)).hex())


class Host:
    """A master of the bus that takes its time."""

    def __init__(self, ctx, bus, rng):
        self._ctx, self._bus, self._rng = ctx, bus, rng
        self.cycle = self._tick

    async def _tick(self):
        await self._ctx.tick()

    async def write(self, address, data, strobe=15):
        """The response; address and data are offered in any order."""
        ctx, bus = self._ctx, self._bus
        starts = {"aw": self._rng.randrange(4), "w": self._rng.randrange(4)}
        ctx.set(bus.awaddr, address)
        ctx.set(bus.wdata, data)
        ctx.set(bus.wstrb, strobe)
        cycle = 0
        while starts:
            for channel in ("aw", "w"):
                ctx.set(getattr(bus, f"{channel}valid"),
                        channel in starts and cycle >= starts[channel])
            taken = [channel for channel in starts if ctx.get(getattr(bus, f"{channel}valid"))
                     and ctx.get(getattr(bus, f"{channel}ready"))]
            assert not ctx.get(bus.bvalid)
            await self.cycle()
            for channel in taken:
                del starts[channel]
                ctx.set(getattr(bus, f"{channel}valid"), 0)
            cycle += 1
        return await self._answer("b", bus.bresp)

    async def read(self, address):
        """The response and the word."""
        ctx, bus = self._ctx, self._bus
        for _ in range(self._rng.randrange(3)):
            await self.cycle()
        ctx.set(bus.araddr, address)
        ctx.set(bus.arvalid, 1)
        while not ctx.get(bus.arready):
            await self.cycle()
        await self.cycle()
        ctx.set(bus.arvalid, 0)
        return await self._answer("r", bus.rresp, bus.rdata)

    async def _answer(self, channel, *values):
        """What is answered; it stays while it is not taken."""
        ctx = self._ctx
        valid, ready = (getattr(self._bus, f"{channel}{end}") for end in ("valid", "ready"))
        for _ in range(20):
            if ctx.get(valid):
                break
            await self.cycle()
        found = [ctx.get(value) for value in values]
        for _ in range(self._rng.randrange(3)):
            await self.cycle()
            assert ctx.get(valid)
            assert [ctx.get(value) for value in values] == found
        ctx.set(ready, 1)
        await self.cycle()
        ctx.set(ready, 0)
        assert not ctx.get(valid)
        return found[0] if len(found) == 1 else tuple(found)


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def byte_mask(strobe):
    return sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)


def test_reads_and_writes():
    """Words written at random, also where there is no register, against a dictionary."""
    dut = RegisterFile(EVERY_KIND)
    held = {0x00: 0x12345678, 0x04: 0x155 << 3, 0x10: 0xABC, 0x14: 0, 0x40: 0, 0x44: 5 << 10,
            0x48: 7, 0x4C: 0, 0x7C: 0}
    writable = {0x10: 0xFFF, 0x14: 0x3F << 22, 0x40: 0xFFFFF000, 0x44: 0xFFFFF, 0x7C: 0}
    rng = random.Random(1)

    async def bench(ctx):
        host = Host(ctx, dut.bus, rng)
        ctx.set(dut.seen_level, 0x155)
        for address in range(0, EVERY_KIND.size, 4):
            assert await host.read(address) == (
                (OKAY, held[address]) if address in held else (SLVERR, 0))
        for _ in range(120):
            address = 4 * rng.randrange(EVERY_KIND.size // 4) if rng.random() < 0.3 else (
                rng.choice([*held]))
            data, strobe = rng.randrange(1 << 32), rng.randrange(16)
            response = await host.write(address, data, strobe)
            assert response == (OKAY if address in writable else SLVERR)
            if address in writable:
                mask = writable[address] & byte_mask(strobe)
                held[address] = held[address] & ~mask | data & mask
            address = rng.choice([*held])
            assert await host.read(address) == (OKAY, held[address])
        assert ctx.get(dut.wide) == (held[0x44] << 32 | held[0x40]) >> 12
        ctx.set(dut.enable_event_clear, 1)
        await host.cycle()
        ctx.set(dut.enable_event_clear, 0)
        assert await host.read(0x14) == (OKAY, 0)

    simulate(dut, bench)


def test_pulses_and_events():
    """A pulse is up for one cycle; what is set holds until a 1 is written, and setting it wins."""
    dut = RegisterFile(EVERY_KIND)
    pulses = []

    async def bench(ctx):
        async def cycle():
            pulses.append(ctx.get(dut.mixed_go))
            await ctx.tick()

        host = Host(ctx, dut.bus, random.Random(2))
        host.cycle = cycle
        for go, strobe, expected in ((0b1010, 15, 0b1010), (0b0001, 0b0110, 0b0001),
                                     (0b0011, 0b0001, 0), (0b1100, 0b0100, 0b1100)):
            pulses.clear()
            assert await host.write(0x10, go << 14, strobe) == OKAY
            await host.cycle()
            assert [each for each in pulses if each] == ([expected] if expected else [])
        ctx.set(dut.mixed_event_set, 0b101101)
        await host.cycle()
        ctx.set(dut.mixed_event_set, 0b000001)
        assert await host.read(0x10) == (OKAY, 0b101101 << 22)
        assert await host.write(0x10, 0b100101 << 22) == OKAY
        ctx.set(dut.mixed_event_set, 0)
        assert await host.read(0x10) == (OKAY, 0b001001 << 22)
        # Only of the bytes that are written, and not by writing zero.
        assert await host.write(0x10, 0b001001 << 22, 0b0100) == OKAY
        assert await host.write(0x10, 0) == OKAY
        assert ctx.get(dut.mixed_event) == 0b001000
        ctx.set(dut.sticky_set, 1)
        ctx.set(dut.sticky_clear, 1)
        await host.cycle()
        ctx.set(dut.sticky_set, 0)
        assert ctx.get(dut.sticky) == 1
        await host.cycle()
        assert ctx.get(dut.sticky) == 0

    simulate(dut, bench)


def test_counters_are_read_whole():
    """The high word is the one that belonged to the low word, however long ago that was read."""
    dut = RegisterFile(EVERY_KIND)
    rng = random.Random(3)
    total = 7
    step = 0

    async def bench(ctx):
        totals = [total]

        async def cycle():
            nonlocal step
            totals.append(totals[-1] + step)
            step = rng.randrange(1 << 33)
            await ctx.tick()
            assert ctx.get(dut.count) == totals[-1]
            ctx.set(dut.count_step, step)

        host = Host(ctx, dut.bus, rng)
        host.cycle = cycle
        highs = set()
        for _ in range(12):
            before = len(totals) - 1
            response, low = await host.read(0x48)
            assert response == OKAY
            await host.read(0x40)
            response, high = await host.read(0x4C)
            assert response == OKAY
            assert high << 32 | low in totals[before:]
            highs.add(high)
        assert len(highs) > 6
        ctx.set(dut.count_clear, 1)
        ctx.set(dut.count_step, 3)
        await ctx.tick()
        assert ctx.get(dut.count) == 7 + 3

    simulate(dut, bench)


def test_interrupt():
    """It is up while anything is set that is enabled."""
    spec = accelerator()
    dut = RegisterFile(spec)
    where = constants(spec)

    async def bench(ctx):
        host = Host(ctx, dut.bus, random.Random(4))
        ctx.set(dut.interrupt_status_done_set, 0b10)
        await host.cycle()
        ctx.set(dut.interrupt_status_done_set, 0)
        await host.cycle()
        assert not ctx.get(dut.irq)
        bit = 2 << where["INTERRUPT_ENABLE_DONE_SHIFT"]
        assert await host.write(where["INTERRUPT_ENABLE"], bit | 1 << 16) == OKAY
        await host.cycle()
        assert ctx.get(dut.irq)
        assert await host.write(where["INTERRUPT_STATUS"], bit) == OKAY
        await host.cycle()
        assert not ctx.get(dut.irq)
        ctx.set(dut.interrupt_status_error_set, 0b01)
        await host.cycle()
        await host.cycle()
        assert ctx.get(dut.irq)
        assert await host.read(where["MAGIC"]) == (OKAY, where["MAGIC_VALUE"])
        for k in range(8):
            assert await host.read(where[f"DIGEST_{k}"]) == (
                OKAY, int.from_bytes(bytes(range(100 + 4 * k, 104 + 4 * k)), "big"))

    simulate(dut, bench)


def test_connections():
    """A host starts the second of two networks, and sees what becomes of it."""
    networks = (network("first"), network("second", inputs=2))
    spec = accelerator_registers(networks, (AXI,), "0" * 64)
    where = constants(spec)
    file, monitor = RegisterFile(spec), PortMonitor(AXI, timeout=100)
    other, control = (each.create() for each in networks)
    m = Module()
    m.submodules += [file, monitor, other, control]
    connect_port(m, file, 0, monitor)
    connect_network(m, file, 0, networks[0], other)
    connect_network(m, file, 1, networks[1], control)

    async def bench(ctx):
        host = Host(ctx, file.bus, random.Random(5))

        async def read(name):
            response, data = await host.read(where[name])
            assert response == OKAY
            return data

        async def write(name, data):
            assert await host.write(where[name], data) == OKAY

        async def up(*signals):
            for signal in signals:
                ctx.set(signal, 1)
            await ctx.tick()
            for signal in signals:
                ctx.set(signal, 0)

        start, stop, clear = (where[f"NETWORK_1_CONTROL_{name}_MASK"]
                              for name in ("START", "STOP", "CLEAR"))
        await write("INTERRUPT_ENABLE", 0x20000)
        await write("NETWORK_1_CONTROL", start)
        assert await read("NETWORK_1_ERRORS") == where["NETWORK_1_ERRORS_NO_BASE_MASK"]
        assert await read("NETWORK_1_STATUS") == 0b110
        assert await read("INTERRUPT_STATUS") == 0x20000
        assert ctx.get(file.irq)
        await write("NETWORK_1_ERRORS", 0xFF)
        await write("INTERRUPT_STATUS", 0x20000)
        assert await read("NETWORK_1_STATUS") == 0b010
        assert not ctx.get(file.irq)

        for k, base in enumerate(control.spec.bases):
            await write(f"NETWORK_1_{base.upper()}", 0x1234_5FFF + (k << 16))
            assert await host.write(where[f"NETWORK_1_{base.upper()}"] + 4, 0x9A) == OKAY
        await write("NETWORK_1_RELEASED", 1)
        await write("NETWORK_1_CONTROL", start)
        assert await read("NETWORK_1_STATUS") == 0b001
        for k, name in enumerate(("input_0", "input_1", "output_0")):
            command = getattr(control, f"command_{name}")
            assert ctx.get(command.valid)
            assert ctx.get(command.payload.address) == 0x9A_1234_5000 + (2 * k << 16)
            await up(command.ready)
        await up(control.began_0, control.began_1, monitor.rvalid, monitor.rready,
                 control.blocked_0)
        await up(control.done_input_0, control.done_input_1)
        assert (await read("NETWORK_1_STARTED"), await read("NETWORK_1_DONE")) == (1, 0)
        await up(control.done_output_0)
        assert (await read("NETWORK_1_STARTED"), await read("NETWORK_1_DONE")) == (1, 1)
        assert await read("INTERRUPT_STATUS") == 0b10
        assert await read("PORT_0_READ_BYTES") == AXI.word_bytes
        assert await read("PORT_0_WRITTEN_BYTES") == 0
        assert await read("PORT_0_BUSY_CYCLES") == 1
        assert await read("NETWORK_1_BLOCKED_CYCLES") == 1
        assert 0 < await read("NETWORK_1_LATENCY") < await read("NETWORK_1_CYCLES")
        await up(*(Value.cast(control.error_output_0)[k] for k in range(2)))
        assert await read("NETWORK_1_ERRORS") == where["NETWORK_1_ERRORS_WRITE_DECERR_MASK"]
        assert await read("NETWORK_1_STATUS") == 0b110
        assert await read("NETWORK_0_STATUS") == 0b010
        await write("NETWORK_1_CONTROL", clear | stop)
        for name in ("ERRORS", "RELEASED", "STARTED", "DONE"):
            assert await read(f"NETWORK_1_{name}") == 0
        assert [where[f"NETWORK_1_ERRORS_{flag.upper()}_MASK"] for flag in ERRORS] == [
            1 << bit for bit in range(len(ERRORS))]

    simulate(m, bench)


# Where Icarus, which is no Python package, is missing, its test is not there either.
if shutil.which("iverilog"):
    def test_against_a_foreign_master(tmp_path, monkeypatch):
        """cocotbext-axi's master, which knows nothing of ours."""
        monkeypatch.syspath_prepend(str(BENCHES))
        for name, text in emit(RegisterFile(EVERY_KIND), name="registers").items():
            (tmp_path / f"{name}.v").write_text(text)
        job = tmp_path / "job.json"
        job.write_text(json.dumps({"read": {"0": 0x12345678, "16": 0xABC, "68": 5 << 10},
                                   "keeps": {"64": 0xFFFFF000, "68": 0xFFFFF},
                                   "refused": [0x00, 0x04, 0x08, 0x50, 0x78],
                                   "absent": [0x08, 0x78]}))
        runner = get_runner("icarus")
        folders = {"build_dir": tmp_path / "sim", "hdl_toplevel": "registers"}
        runner.build(sources=sorted(tmp_path.glob("*.v")), always=True, timescale=("1ns", "1ns"),
                     build_args=["-g2012"], log_file=tmp_path / "build.log", **folders)
        results = runner.test(test_module="register_bench", test_dir=tmp_path,
                              extra_env={"FCNNX_REGISTERS": str(job)},
                              log_file=tmp_path / "test.log", **folders)
        assert get_results(results) == (2, 0), (tmp_path / "test.log").read_text()


@pytest.mark.parametrize("spec", [EVERY_KIND, accelerator()])
def test_header(spec, tmp_path):
    """It compiles, and says what Python says."""
    program = tmp_path / "program.c"
    (tmp_path / "registers.h").write_text(c_header(spec))
    program.write_text("\n".join([
        '#include "registers.h"', '#include "registers.h"',
        *(f'_Static_assert(FCNNX_{name} == {value}ull, "{name}");'
          for name, value in constants(spec).items()), ""]))
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only",
                    str(program)], check=True)


def test_layout():
    """What all networks have is at one distance; every field is in the table."""
    spec = accelerator()
    found = constants(spec)
    stride = found["NETWORK_STRIDE"]
    shared = [name for name in found if name.startswith("NETWORK_0_")
              and f"NETWORK_1_{name[10:]}" in found and not name.endswith(("_SHIFT", "_MASK"))]
    assert {"NETWORK_0_CONTROL", "NETWORK_0_RELEASED", "NETWORK_0_INPUT_0_1"} <= set(shared)
    # Outputs follow the inputs, of which there are more or fewer.
    assert all(found[f"NETWORK_1_{name[10:]}"] - found[name] == stride
               for name in shared if "OUTPUT" not in name)
    assert found["NETWORK_0_CONTROL"] == found["NETWORK_START"]
    assert found["PORT_1_BUSY_CYCLES"] - found["PORT_0_BUSY_CYCLES"] == found["PORT_STRIDE"]
    assert stride & stride - 1 == 0
    assert found["SIZE"] == 1 << spec.address_width
    table = markdown(spec)
    assert all(field.doc in table and f"`{register.name}`" in table
               for register, field in spec.fields)


def test_document_is_current():
    assert DOCUMENT.read_text() == document()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Field(access="wo", doc=""), r"^Access must be one of constant, .*, not 'wo'$"),
    (lambda: Field(access="rw", width=3, reset=8, doc=""), r"^3 bits from bit 0 on cannot hold 8$"),
    (lambda: Field(access="ro", cleared=True, doc=""), r"^What is ro cannot be cleared$"),
    (lambda: Register(name="a", address=6, fields=()), r"^a: Address must be a multiple of 4, not"),
    (lambda: Register(name="a", address=4, fields=(Field(low=1, access="rw", doc=""),)),
     r"^a: Field '' overlaps another, or does not fit$"),
    (lambda: RegisterMap(registers=(Register(name="a", address=0, words=2, fields=()),
                                    Register(name="b", address=4, fields=()))),
     r"^b: Address 0x4 is taken, or out of order$"),
    (lambda: RegisterMap(registers=tuple(
        Register(name="a", address=4 * k, fields=(Field(access="rw", doc=""),))
        for k in range(2))), r"^Two fields have one of the names a, a$"),
    (lambda: accelerator_registers((), (AXI,), "0" * 64), r"^Networks must be between 1 and 16"),
    (lambda: accelerator_registers((network("a"),), (AXI,), "0" * 63),
     r"^A digest must have 64 hexadecimal digits, not 63$"),
])
def test_bad_descriptions(make, message):
    with pytest.raises(ValueError, match=message):
        make()
