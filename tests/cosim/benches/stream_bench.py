"""A cocotb testbench: sends words into the streams of a design, and checks what comes out.

What is sent and expected is in the JSON file that the environment names.
"""

import json
import os
import pathlib
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge


async def send(dut, port, words, stall):
    """Offer each word until it is taken."""
    payload, valid, ready = (getattr(dut, f"{port}__{end}") for end in ("payload", "valid",
                                                                        "ready"))
    for word in words:
        while stall():
            await FallingEdge(dut.clk)
        payload.value, valid.value = word, 1
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(ready.value)
            await FallingEdge(dut.clk)
        valid.value = 0


async def receive(dut, port, words, stall):
    """Take as many words as are expected, each as it should be, held until it is taken."""
    payload, valid, ready = (getattr(dut, f"{port}__{end}") for end in ("payload", "valid",
                                                                        "ready"))
    held, count = None, 0
    while count < len(words):
        ready.value = not stall()
        await ReadOnly()
        if valid.value:
            word = int(payload.value)
            assert held in (None, word), f"{port} changed beat {count} before it was taken"
            assert word == words[count], f"{port}: beat {count} is {word:x}, not {words[count]:x}"
            held = None if ready.value else word
            count += bool(ready.value)
        else:
            assert held is None, f"{port} withdrew beat {count}"
        await FallingEdge(dut.clk)
    ready.value = 1


@cocotb.test()
@cocotb.parametrize(share=[0, 0.4])
async def every_beat(dut, share):
    """Without stalls and with; after the last beat nothing more comes."""
    job = json.loads(pathlib.Path(os.environ["FCNNX_STREAMS"]).read_text())
    rng = random.Random(1)

    def stall():
        return rng.random() < share

    for port in job["inputs"]:
        getattr(dut, f"{port}__valid").value = 0
    for port in job["outputs"]:
        getattr(dut, f"{port}__ready").value = 0
    for signal in job["zero"]:
        getattr(dut, signal).value = 0
    dut.rst.value = 1
    Clock(dut.clk, 10, "ns").start()
    for _ in range(3):
        await RisingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0

    for port, words in job["inputs"].items():
        cocotb.start_soon(send(dut, port, words, stall))
    receivers = [cocotb.start_soon(receive(dut, port, words, stall))
                 for port, words in job["outputs"].items()]
    for receiver in receivers:
        await receiver
    for _ in range(200):
        await FallingEdge(dut.clk)
        assert not any(getattr(dut, f"{port}__valid").value for port in job["outputs"])
