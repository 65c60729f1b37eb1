"""Queues too large for registers and LUTs."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .device import Device, Resources
from .memories import DualPortMemory
from .streams import OutputQueue


__all__ = ["DeepQueue", "queue_kind", "word_queue_kind"]


# As many as let the memory be read in every cycle.
_NEAR_PLACES = DualPortMemory.latency + OutputQueue.latency + OutputQueue.back
SHALLOW = 128  # words of a memory's port, of which block RAM would take two or more for their width


class DeepQueue(wiring.Component):
    """An :class:`OutputQueue` for a beat at a time whose places are in a :class:`DualPortMemory`.

    Parameters and members are those of :class:`OutputQueue`, as is what they do; only
    :attr:`latency` is longer.
    """

    # A word can be fetched in the cycle after it was written.
    latency = 1 + DualPortMemory.latency + OutputQueue.latency
    back = OutputQueue.back

    def __init__(self, shape, *, places: int):
        self._places = places
        self._near = OutputQueue(shape, places=_NEAR_PLACES)
        super().__init__({
            "need": In(1),
            "enough": Out(1),
            "reserve": In(1),
            "i_valid": In(1),
            "i_payload": In(shape),
            "o": Out(stream.Signature(shape)),
        })

    @staticmethod
    def cost(*, width: int, places: int, device: Device) -> Resources:
        """What a queue of so many bits and places takes."""
        count = places.bit_length()
        near = OutputQueue.cost(width=width, places=_NEAR_PLACES, device=device)
        return (near + DualPortMemory.cost(width=width, depth=places, device=device)
                + Resources(lut=(7 if device.wide_tables else 9) * count, ff=4 * count + 2))

    def elaborate(self, platform):
        m = Module()
        word = Value.cast(self.i_payload)
        m.submodules.memory = memory = DualPortMemory(width=len(word), depth=self._places)
        m.submodules.near = near = self._near
        wiring.connect(m, near.o, wiring.flipped(self.o))

        left = Signal(range(self._places + 1), init=self._places)
        given = Signal()
        m.d.sync += given.eq(self.o.valid & self.o.ready)
        m.d.comb += self.enough.eq((left != 0) | ~self.need)
        m.d.sync += left.eq(left - (self.reserve & self.need) + given)

        waiting = Signal(range(self._places + 1))
        fetch = Signal()
        under_way = Signal(DualPortMemory.latency)
        m.d.comb += fetch.eq((waiting != 0) & near.enough)
        m.d.sync += waiting.eq(waiting + self.i_valid - fetch)
        m.d.sync += under_way.eq(Cat(fetch, under_way))
        m.d.comb += [
            memory.w_en.eq(self.i_valid), memory.w_data.eq(word),
            near.need.eq(1), near.reserve.eq(fetch),
            near.i_valid.eq(under_way[-1]), Value.cast(near.i_payload).eq(memory.r_data),
        ]
        for enable, address in ((self.i_valid, memory.w_addr), (fetch, memory.r_addr)):
            slot = Signal.like(address)
            m.d.comb += address.eq(slot)
            with m.If(enable):
                m.d.sync += slot.eq(Mux(slot == self._places - 1, 0, slot + 1))
        return m


def queue_kind(width: int, places: int) -> type[OutputQueue] | type[DeepQueue]:
    """What a queue of so many bits and places is made of."""
    deep = DualPortMemory.style(width=width, depth=places) == "block"
    return DeepQueue if deep else OutputQueue


def word_queue_kind(width: int, places: int) -> type[OutputQueue] | type[DeepQueue]:
    """What a queue of a memory port's words is made of: there are many of them, of a few bursts
    each, and each would leave most of its block RAM empty."""
    return OutputQueue if places <= SHALLOW else queue_kind(width, places)
