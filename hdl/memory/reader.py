"""What is read: a queue for each stream, and the channels that fill them."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..deep_queue import word_queue_kind
from ..device import Device, Resources
from ..streams import OutputQueue
from .axi import Axi
from .channel import BurstWalk, RequestChannel, connect_requests, issue_layout, order_queue


__all__ = ["ReadChannel", "StreamReader"]


class StreamReader(wiring.Component):
    """One stream that is read: asks for a burst as soon as it has places for all its words.

    Parameters
    ----------
    axi : :class:`Axi`
    burst : :class:`int`
        Words of a burst.
    places : :class:`int`
        Words that wait here or are on their way, at most; as many as a burst has or more.
    stride : :class:`int`
        As of :class:`BurstWalk`.
    limited : :class:`bool`
        Whether it asks only for what it is allowed to.

    Members
    -------
    command : :py:`In(stream.Signature(axi.command_layout))`
    allowed : :py:`In(1)`
        It may ask for a burst; only where it is limited.
    request, take : :py:`Out(1)`, :py:`In(1)`
        There is a burst with places for its words, and it was granted.
    address, last : :py:`Out(axi.address_width)`, :py:`Out(1)`
        Of that burst.
    i_valid, i_payload : :py:`In(1)`, :py:`In(axi.data_width)`
        A word of it.
    o : :py:`Out(stream.Signature(axi.data_width))`
    full : :py:`Out(1)`
        All that was asked for has come, and there are not places enough for another burst.
    """

    # From a word's transfer to the first cycle in which its place can be asked for again.
    release = 2

    def __init__(self, axi: Axi, *, burst: int, places: int, stride: int = 1,
                 limited: bool = False):
        self._burst = burst
        self._places = places
        self._limited = limited
        self._walk = BurstWalk(axi, burst=burst, stride=stride)
        self._queue = word_queue_kind(axi.data_width, places)(axi.data_width, places=max(2, places))
        super().__init__({
            "command": In(stream.Signature(axi.command_layout)),
            "request": Out(1), "take": In(1), "address": Out(axi.address_width), "last": Out(1),
            "i_valid": In(1), "i_payload": In(axi.data_width),
            "o": Out(stream.Signature(axi.data_width)), "full": Out(1),
        } | ({"allowed": In(1)} if limited else {}))

    @staticmethod
    def cost(axi: Axi, *, burst: int, places: int, device: Device) -> Resources:
        """What it takes."""
        queue = word_queue_kind(axi.data_width, places)
        count = places.bit_length() + 1
        return (queue.cost(width=axi.data_width, places=places, device=device)
                + BurstWalk.cost(axi, burst=burst) + Resources(lut=3 * count, ff=2 * count + 1))

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk
        m.submodules.queue = queue = self._queue
        wiring.connect(m, wiring.flipped(self.command), walk.command)
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        # Places that are free beyond those of a burst; there is no burst where they are negative.
        beyond = Signal(range(-self._burst, self._places - self._burst + 1),
                        init=self._places - self._burst)
        coming = Signal(range(self._places + 1))
        given = Signal()
        m.d.sync += [
            given.eq(self.o.valid & self.o.ready),
            beyond.eq(beyond - Mux(self.take, self._burst, 0) + given),
            coming.eq(coming + Mux(self.take, self._burst, 0) - self.i_valid),
        ]
        wanted = walk.active & (beyond >= 0)
        m.d.comb += [
            self.request.eq(wanted & self.allowed if self._limited else wanted),
            walk.take.eq(self.take),
            self.address.eq(walk.address),
            self.last.eq(walk.last),
            queue.need.eq(1), queue.reserve.eq(self.i_valid),
            queue.i_valid.eq(self.i_valid), queue.i_payload.eq(self.i_payload),
            self.full.eq((beyond < 0) & (coming == 0)),
        ]
        return m


class ReadChannel(wiring.Component):
    """The channels AR and R: sends requests, and leads the words that come to their streams.

    Words are always taken. They come in the order of the requests, a request's last is marked.

    Parameters
    ----------
    axi : :class:`Axi`
    bursts : sequence of :class:`int`
        Words of each stream's bursts.
    most : :class:`int`
        Requests that are under way, at most.

    Members
    -------
    axi : :py:`Out(axi.read_signature)`
    room, reserve : :py:`Out(1)`, :py:`In(1)`
        Whether a burst may be granted, and that it is; it comes in the next cycle.
    i_valid, i_payload : :py:`In(1)`, :py:`In(issue_layout)`
        A burst.
    arrives : :py:`Out(len(bursts))`
        Whose word there is, one-hot; it waits for nothing.
    word, response : :py:`Out(axi.data_width)`, :py:`Out(2)`
        It, and how its reading went.
    ends : :py:`Out(1)`
        It is the last of a command.
    """

    # From the grant to the request, and from a word's transfer to its arrival.
    request_latency = RequestChannel.latency
    arrival_latency = 1

    def __init__(self, axi: Axi, *, bursts: Sequence[int], most: int):
        self._axi = axi
        self._bursts = tuple(bursts)
        self._most = most
        super().__init__({
            "axi": Out(axi.read_signature), "room": Out(1), "reserve": In(1),
            "i_valid": In(1), "i_payload": In(issue_layout(axi, streams=len(bursts))),
            "arrives": Out(len(bursts)), "word": Out(axi.data_width), "response": Out(2),
            "ends": Out(1),
        })

    @staticmethod
    def cost(axi: Axi, *, bursts: Sequence[int], most: int, device: Device) -> Resources:
        """What it takes."""
        index = (len(bursts) - 1).bit_length()
        return (RequestChannel.cost(axi, bursts=bursts, device=device)
                + OutputQueue.cost(width=index + 1, places=max(2, most), device=device)
                + Resources(lut=len(bursts) + 2, ff=axi.data_width + 4))

    def elaborate(self, platform):
        m = Module()
        side, issue = self.axi, self.i_payload
        m.submodules.requests = requests = RequestChannel(self._axi, bursts=self._bursts)
        connect_requests(m, requests, self._axi, side, "ar")
        m.d.comb += [
            self.room.eq(requests.room), requests.reserve.eq(self.reserve),
            requests.i_valid.eq(self.i_valid), requests.i_address.eq(issue.address),
            requests.i_length.eq(issue.length),
        ]
        layout = data.StructLayout({"stream": range(len(self._bursts)), "last": 1})
        m.submodules.order = order = order_queue(layout, most=self._most)
        m.d.comb += [
            order.need.eq(1), order.reserve.eq(self.i_valid), order.i_valid.eq(self.i_valid),
            order.i_payload.stream.eq(issue.stream), order.i_payload.last.eq(issue.last),
        ]

        came, last = Signal(), Signal(reset_less=True)
        word, response = (Signal.like(port, reset_less=True)
                          for port in (self.word, self.response))
        m.d.comb += side.rready.eq(1)
        m.d.sync += [came.eq(side.rvalid), last.eq(side.rlast), word.eq(side.rdata),
                     response.eq(side.rresp)]
        # What nobody has asked for, as after a reset, is dropped.
        wanted = Signal()
        m.d.comb += [
            wanted.eq(came & order.o.valid),
            order.o.ready.eq(came & last),
            self.arrives.eq(Cat(wanted & (order.o.payload.stream == k)
                                for k in range(len(self._bursts)))),
            self.ends.eq(wanted & last & order.o.payload.last),
            self.word.eq(word), self.response.eq(response),
        ]
        return m
