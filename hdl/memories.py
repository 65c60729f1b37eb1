"""Memories: line buffers, and the weights with the chain that loads them."""

import math

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .device import Device, Resources


__all__ = ["DualPortMemory", "Load", "LoadedMemory", "chain_loads", "load_words"]


# A load chain passes 32-bit words, one in a cycle at most, and nothing stops it.
Load = wiring.Signature({"valid": Out(1), "data": Out(32)})


class DualPortMemory(wiring.Component):
    """Simple dual-port memory, not transparent; its read data follow the address by
    :attr:`latency` cycles.

    Parameters
    ----------
    width, depth : :class:`int`
        Bits of a word, words.
    words : sequence of :class:`int`
        Contents; undefined without.
    file : :class:`str`
        With contents: the end of the name of the file that holds them in an emitted design, after
        the ``FILE`` parameter of the module that instances the memory.
    block : :class:`bool`
        Block RAM, however small it is.

    Members
    -------
    w_en, w_addr, w_data : :py:`In`
        Write port.
    r_addr, r_data : :py:`In`, :py:`Out`
        Read port.
    """

    latency = 2

    def __init__(self, *, width: int, depth: int, words=None, file: str = "",
                 block: bool = False):
        self._width = width
        self._depth = depth
        self._words = words
        self._file = file
        self._style = self.style(width=width, depth=depth, block=block)
        address = max(1, ceil_log2(depth))
        super().__init__({
            "w_en": In(1), "w_addr": In(address), "w_data": In(width),
            "r_addr": In(address), "r_data": Out(width),
        })

    @staticmethod
    def style(*, width: int, depth: int, block: bool = False) -> str:
        """Block RAM where it would be at least about a quarter full, or where it is asked for, LUTs
        for less."""
        return "block" if block or (depth > 64 and width * depth >= 4608) else "distributed"

    @classmethod
    def cost(cls, *, width: int, depth: int, device: Device, block: bool = False) -> Resources:
        """What a memory of this size takes."""
        if cls.style(width=width, depth=depth, block=block) == "block":
            return device.block_ram(width, depth) + Resources(ff=width)
        return Resources(lut=device.lut_ram(width, depth), ff=2 * width)

    def elaborate(self, platform):
        if platform is not None:
            return Instance(
                "memory", p_WIDTH=self._width, p_DEPTH=self._depth,
                p_ADDRESS=len(self.r_addr),
                p_FILE=f"@FILE@{self._file}" if self._file and platform.contents else "",
                p_STYLE=self._style,
                i_clk=ClockSignal(), i_w_en=self.w_en, i_w_addr=self.w_addr,
                i_w_data=self.w_data, i_r_addr=self.r_addr, o_r_data=self.r_data)
        m = Module()
        words = [] if self._words is None else [int(word) for word in self._words]
        m.submodules.mem = mem = memory.Memory(shape=self._width, depth=self._depth, init=words)
        write, read = mem.write_port(), mem.read_port()
        m.d.comb += [write.en.eq(self.w_en), write.addr.eq(self.w_addr),
                     write.data.eq(self.w_data), read.addr.eq(self.r_addr)]
        m.d.sync += self.r_data.eq(read.data)
        return m


class LoadedMemory(wiring.Component):
    """A memory that the load chain fills after a reset, and that holds its contents without.

    The first words that the chain brings are its own: each word of the memory in as many as it
    takes, lowest bits first, from address 0 on. When it is full it passes on what comes.

    Parameters
    ----------
    width, depth, words, file, block
        As in :class:`DualPortMemory`.

    Members
    -------
    r_addr, r_data : :py:`In`, :py:`Out`
        Read port.
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The chain.
    """

    latency = DualPortMemory.latency

    def __init__(self, *, width: int, depth: int, words=None, file: str = "",
                 block: bool = False):
        self._memory = DualPortMemory(width=width, depth=depth, words=words, file=file,
                                      block=block)
        self._width = width
        self._depth = depth
        super().__init__({
            "r_addr": In(len(self._memory.r_addr)), "r_data": Out(width),
            "load": In(Load), "load_o": Out(Load),
        })

    @staticmethod
    def cost(*, width: int, depth: int, device: Device, block: bool = False) -> Resources:
        """What it takes, its part of the load chain included: a word's parts but the last, which of
        them comes next, the word's address, and a word that passes on."""
        parts = math.ceil(width / 32)
        address = max(1, (depth - 1).bit_length())
        more = parts > 1
        chain = Resources(lut=4 + more, ff=33 * parts + address + 1 + more)
        return DualPortMemory.cost(width=width, depth=depth, device=device, block=block) + chain

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = mem = self._memory
        m.d.comb += [mem.r_addr.eq(self.r_addr), self.r_data.eq(mem.r_data)]

        parts = math.ceil(self._width / 32)
        part = Signal(parts, init=1)  # one bit is set: that of the part that comes next
        word = Signal(32 * (parts - 1), reset_less=True)
        address = Signal.like(mem.w_addr)
        full = Signal()
        mine, complete = Signal(), Signal()
        m.d.comb += [mine.eq(self.load.valid & ~full), complete.eq(mine & part[-1])]
        with m.If(mine):
            m.d.sync += [part.eq(Cat(part[-1], part[:-1])),
                         word.eq(Cat(word, self.load.data)[32:])]
        m.d.comb += [mem.w_en.eq(complete), mem.w_addr.eq(address),
                     mem.w_data.eq(Cat(word, self.load.data))]
        with m.If(complete):
            m.d.sync += [address.eq(address + 1), full.eq(address == self._depth - 1)]
        m.d.sync += [self.load_o.valid.eq(self.load.valid & full),
                     self.load_o.data.eq(self.load.data)]
        return m


def chain_loads(m, component, *parts) -> None:
    """Lead a component's load chain through its parts, in order."""
    upstream = component.load
    for part in parts:
        m.d.comb += [part.load.valid.eq(upstream.valid), part.load.data.eq(upstream.data)]
        upstream = part.load_o
    m.d.comb += [component.load_o.valid.eq(upstream.valid),
                 component.load_o.data.eq(upstream.data)]


def load_words(width: int, words) -> list[int]:
    """What the chain brings to fill a memory of this width with these words."""
    return [int(word) >> 32 * part & 0xFFFFFFFF for word in words
            for part in range(math.ceil(width / 32))]
