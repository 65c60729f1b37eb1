"""What the reading and the writing side of a port share: bursts of commands, and requests."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..device import Device, Resources
from ..streams import OutputQueue
from .axi import Axi


__all__ = ["BUFFERABLE", "INCREMENTING", "SIDE_PLACES", "BurstWalk", "RequestChannel",
           "connect_requests", "issue_layout", "order_queue"]


# Places of a queue towards the other side, which a beat reaches a cycle after it is granted: as
# many as let one leave in every cycle.
SIDE_PLACES = 1 + OutputQueue.latency + OutputQueue.back
# INCR; normal memory, neither cached nor allocated, with buffered writes; data of an application.
INCREMENTING = 0b01
BUFFERABLE = 0b0011


class BurstWalk(wiring.Component):
    """The bursts of one command after another, without a gap between commands.

    A command's first burst is there :attr:`latency` cycles after the command came, or in the cycle
    after the last burst of the command before was taken.

    Parameters
    ----------
    axi : :class:`Axi`
    burst : :class:`int`
        Words of a burst.
    stride : :class:`int`
        Bursts from the start of one to the start of the next: more than one where others go over
        other ports.

    Members
    -------
    command : :py:`In(stream.Signature(axi.command_layout))`
    active : :py:`Out(1)`
        There is a burst.
    address : :py:`Out(axi.address_width)`
        Where it starts.
    last : :py:`Out(1)`
        It is its command's last.
    take : :py:`In(1)`
        Go on to the next; only while :py:`active`.
    """

    latency = 2

    def __init__(self, axi: Axi, *, burst: int, stride: int = 1):
        self._low = ceil_log2(burst * axi.word_bytes)
        self._stride = stride
        super().__init__({
            "command": In(stream.Signature(axi.command_layout)),
            "active": Out(1), "address": Out(axi.address_width), "last": Out(1), "take": In(1),
        })

    @staticmethod
    def cost(axi: Axi, *, burst: int) -> Resources:
        """What it takes, on any device."""
        bits = axi.address_width - ceil_log2(burst * axi.word_bytes)
        return Resources(lut=bits + 2 * axi.command_bits + 6,
                         ff=2 * (bits + axi.command_bits + 1))

    def elaborate(self, platform):
        m = Module()
        low = self._low
        waiting, load = Signal(), Signal()
        start, place = (Signal(len(self.address) - low, reset_less=True) for _ in range(2))
        bursts, left = (Signal.like(self.command.payload.bursts, reset_less=True)
                        for _ in range(2))
        m.d.comb += [
            self.command.ready.eq(~waiting),
            self.address[low:].eq(place),
            self.last.eq(left == 1),
            load.eq(waiting & (~self.active | (self.take & self.last))),
        ]
        with m.If(self.command.ready):
            m.d.sync += [waiting.eq(self.command.valid), bursts.eq(self.command.payload.bursts),
                         start.eq(self.command.payload.address[low:])]
        with m.If(load):
            m.d.sync += [place.eq(start), left.eq(bursts), self.active.eq(1), waiting.eq(0)]
        with m.Elif(self.take):
            m.d.sync += [place.eq(place + self._stride), left.eq(left - 1),
                         self.active.eq(~self.last)]
        return m


def issue_layout(axi: Axi, *, streams: int) -> data.StructLayout:
    """A burst that was granted: where it starts, its words less one, whose of so many streams it
    is, whether it is its command's last."""
    return data.StructLayout({"address": axi.address_width, "length": 8,
                              "stream": range(streams), "last": 1})


class RequestChannel(wiring.Component):
    """The channel AR or AW: keeps requests until the other side takes them.

    Parameters
    ----------
    axi : :class:`Axi`
    bursts : lengths of bursts that are asked for

    Members
    -------
    room, reserve : :py:`Out(1)`, :py:`In(1)`
        Whether a request may set out, and that it does; it comes in the next cycle.
    i_valid, i_address, i_length : :py:`In`
        A request.
    addr, len, valid, ready : :py:`Out`, :py:`In`
        The channel.
    """

    # From the cycle of the reservation.
    latency = 1 + OutputQueue.latency

    def __init__(self, axi: Axi, *, bursts):
        self._lengths = sorted({burst - 1 for burst in bursts})
        self._low = ceil_log2(min(bursts) * axi.word_bytes)
        super().__init__({
            "room": Out(1), "reserve": In(1),
            "i_valid": In(1), "i_address": In(axi.address_width), "i_length": In(8),
            "addr": Out(axi.address_width), "len": Out(8), "valid": Out(1), "ready": In(1),
        })

    @staticmethod
    def cost(axi: Axi, *, bursts, device: Device) -> Resources:
        """What it takes."""
        width = axi.address_width - ceil_log2(min(bursts) * axi.word_bytes)
        if len(set(bursts)) > 1:
            width += 8
        return OutputQueue.cost(width=width, places=SIDE_PLACES, device=device)

    def elaborate(self, platform):
        m = Module()
        # Bits that never change need no place.
        several = len(self._lengths) > 1
        layout = data.StructLayout({"address": len(self.addr) - self._low,
                                    "length": 8 if several else 0})
        m.submodules.queue = queue = OutputQueue(layout, places=SIDE_PLACES)
        m.d.comb += [
            queue.need.eq(1), self.room.eq(queue.enough), queue.reserve.eq(self.reserve),
            queue.i_valid.eq(self.i_valid),
            queue.i_payload.address.eq(self.i_address[self._low:]),
            queue.i_payload.length.eq(self.i_length),
            self.valid.eq(queue.o.valid), queue.o.ready.eq(self.ready),
            self.addr[self._low:].eq(queue.o.payload.address),
            self.len.eq(queue.o.payload.length if several else self._lengths[0]),
        ]
        return m


def connect_requests(m, channel: RequestChannel, axi: Axi, side, prefix: str) -> None:
    """Lead requests to the channel ``ar`` or ``aw`` of the other side."""
    m.d.comb += [
        getattr(side, f"{prefix}addr").eq(channel.addr),
        getattr(side, f"{prefix}len").eq(channel.len),
        getattr(side, f"{prefix}size").eq(ceil_log2(axi.word_bytes)),
        getattr(side, f"{prefix}burst").eq(INCREMENTING),
        getattr(side, f"{prefix}cache").eq(BUFFERABLE),
        getattr(side, f"{prefix}prot").eq(0),
        getattr(side, f"{prefix}valid").eq(channel.valid),
        channel.ready.eq(getattr(side, f"{prefix}ready")),
    ]


def order_queue(shape, *, most: int) -> OutputQueue:
    """The bursts that are under way, in their order: never more than so many."""
    return OutputQueue(shape, places=max(2, most))
