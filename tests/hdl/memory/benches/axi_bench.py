"""A cocotb testbench: a memory port before the RAM of cocotbext-axi.

The streams, their commands and words, and the RAM's contents are in the JSON file that the
environment names.
"""

import json
import os
import pathlib
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge
from cocotbext.axi import AxiBus, AxiRam


async def offer(dut, name, payloads, stall):
    """Each payload, a value for each signal, until it is taken."""
    valid, ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
    for payload in payloads:
        while stall():
            await FallingEdge(dut.clk)
        for signal, value in payload.items():
            getattr(dut, signal).value = value
        valid.value = 1
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(ready.value)
            await FallingEdge(dut.clk)
        valid.value = 0


async def take(dut, name, words, stall):
    """As many words as are expected, each as it should be."""
    for word in words:
        taken = False
        while not taken:
            getattr(dut, f"{name}__ready").value = not stall()
            await ReadOnly()
            taken = bool(getattr(dut, f"{name}__ready").value
                         and getattr(dut, f"{name}__valid").value)
            if taken:
                assert int(getattr(dut, f"{name}__payload").value) == word
            await FallingEdge(dut.clk)
    getattr(dut, f"{name}__ready").value = 1


async def finish(dut, name, times):
    """A signal that comes so many times."""
    while times:
        await RisingEdge(dut.clk)
        times -= int(getattr(dut, name).value)


def pauses(rng, share):
    while True:
        yield rng.random() < share


@cocotb.test()
@cocotb.parametrize(share=[0, 0.5])
async def every_word(dut, share):
    job = json.loads(pathlib.Path(os.environ["FCNNX_PORT"]).read_text())
    rng = random.Random(2)
    Clock(dut.clk, 10, "ns").start()
    ram = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=job["size"])
    ram.write(0, bytes.fromhex(job["contents"]))
    channels = (ram.write_if.aw_channel, ram.write_if.w_channel, ram.write_if.b_channel,
                ram.read_if.ar_channel, ram.read_if.r_channel)
    for channel in channels:
        channel.set_pause_generator(pauses(rng, share))
    for number, stream in enumerate(job["streams"]):
        getattr(dut, f"command_{number}__valid").value = 0
        if stream["direction"] == "write":
            getattr(dut, f"i_{number}__valid").value = 0
        else:
            getattr(dut, f"o_{number}__ready").value = 0
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0

    def stall():
        return rng.random() < share

    waited = []
    for number, stream in enumerate(job["streams"]):
        name = f"command_{number}"
        commands = [{f"{name}__payload": address | bursts << job["address_width"]}
                    for address, bursts in stream["commands"]]
        cocotb.start_soon(offer(dut, name, commands, stall))
        if stream["direction"] == "write":
            words = [{f"i_{number}__payload": word} for word in stream["words"]]
            cocotb.start_soon(offer(dut, f"i_{number}", words, stall))
        else:
            waited.append(cocotb.start_soon(take(dut, f"o_{number}", stream["words"], stall)))
        waited.append(cocotb.start_soon(finish(dut, f"done_{number}", len(commands))))
    for task in waited:
        await task
    for _ in range(100):
        await FallingEdge(dut.clk)
        assert not any(getattr(dut, f"o_{number}__valid").value
                       for number, stream in enumerate(job["streams"])
                       if stream["direction"] == "read")
    assert ram.read(0, job["size"]).hex() == job["result"]
