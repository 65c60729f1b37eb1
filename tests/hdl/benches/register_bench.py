"""A cocotb testbench: a foreign master of AXI4-Lite reads and writes registers.

What they hold, keep and refuse is in the JSON file that the environment names.
"""

import itertools
import json
import os
import pathlib
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp


def number(data):
    return int.from_bytes(data, "little")


@cocotb.test()
@cocotb.parametrize(stalls=[False, True])
async def every_access(dut, stalls):
    job = json.loads(pathlib.Path(os.environ["FCNNX_REGISTERS"]).read_text())
    Clock(dut.clk, 10, "ns").start()
    for signal in ("seen_level", "mixed_event_set", "enable_event_clear", "count_step",
                   "count_clear", "sticky_set", "sticky_clear"):
        getattr(dut, signal).value = 0
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    rng = random.Random(1)
    if stalls:
        sides = master.write_if, master.read_if
        for channel in (sides[0].aw_channel, sides[0].w_channel, sides[0].b_channel,
                        sides[1].ar_channel, sides[1].r_channel):
            channel.set_pause_generator(itertools.cycle(rng.randrange(2) for _ in range(97)))

    for address, expected in job["read"].items():
        answer = await master.read(int(address), 4)
        assert answer.resp == AxiResp.OKAY
        assert number(answer.data) == expected
    # Several at once, of which some are no whole words.
    for address, mask in job["keeps"].items():
        held = job["read"].get(address, 0)
        writes = []
        for _ in range(20):
            first = rng.randrange(4)
            data = rng.randbytes(rng.randint(1, 4 - first))
            writes.append(cocotb.start_soon(master.write(int(address) + first, data)))
            bits = (1 << 8 * len(data)) - 1 << 8 * first & mask
            held = held & ~bits | number(data) << 8 * first & bits
        for write in writes:
            assert (await write).resp == AxiResp.OKAY
        assert number((await master.read(int(address), 4)).data) == held
    for address in job["refused"]:
        assert (await master.write(address, bytes(4))).resp == AxiResp.SLVERR
    for address in job["absent"]:
        assert (await master.read(address, 4)).resp == AxiResp.SLVERR
