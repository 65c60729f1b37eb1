"""What is written: a queue for each stream, and the channels that empty them."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..deep_queue import word_queue_kind
from ..device import Device, Resources
from ..streams import OutputQueue
from .axi import Axi
from .channel import (
    SIDE_PLACES,
    BurstWalk,
    RequestChannel,
    connect_requests,
    issue_layout,
    order_queue,
)


__all__ = ["StreamWriter", "WriteChannel"]


class StreamWriter(wiring.Component):
    """One stream that is written: asks for a burst as soon as it has all its words.

    Parameters
    ----------
    axi : :class:`Axi`
    burst : :class:`int`
        Words of a burst.
    places : :class:`int`
        Words that wait here, at most; as many as a burst has or more.
    stride : :class:`int`
        As of :class:`BurstWalk`.

    Members
    -------
    command : :py:`In(stream.Signature(axi.command_layout))`
    i : :py:`In(stream.Signature(axi.data_width))`
    request, take : :py:`Out(1)`, :py:`In(1)`
        There is a burst and all its words, and it was granted.
    address, last : :py:`Out(axi.address_width)`, :py:`Out(1)`
        Of that burst.
    o : :py:`Out(stream.Signature(axi.data_width))`
        Words of the bursts that were granted; they are there when :class:`WriteChannel` asks.
    """

    # From a word's transfer to the first cycle in which it counts.
    entry = 1

    def __init__(self, axi: Axi, *, burst: int, places: int, stride: int = 1):
        self._burst = burst
        self._places = places
        self._walk = BurstWalk(axi, burst=burst, stride=stride)
        self._queue = word_queue_kind(axi.data_width, places)(axi.data_width, places=max(2, places))
        super().__init__({
            "command": In(stream.Signature(axi.command_layout)),
            "i": In(stream.Signature(axi.data_width)),
            "request": Out(1), "take": In(1), "address": Out(axi.address_width), "last": Out(1),
            "o": Out(stream.Signature(axi.data_width)),
        })

    @staticmethod
    def cost(axi: Axi, *, burst: int, places: int, device: Device) -> Resources:
        """What it takes."""
        queue = word_queue_kind(axi.data_width, places)
        count = places.bit_length() + 1
        return (queue.cost(width=axi.data_width, places=places, device=device)
                + BurstWalk.cost(axi, burst=burst) + Resources(lut=2 * count, ff=count))

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk
        m.submodules.queue = queue = self._queue
        wiring.connect(m, wiring.flipped(self.command), walk.command)
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        # Words that were not granted, beyond those of a burst.
        beyond = Signal(range(-self._burst, self._places - self._burst + 1), init=-self._burst)
        came = Signal()
        m.d.sync += beyond.eq(beyond - Mux(self.take, self._burst, 0) + came)
        m.d.comb += [
            came.eq(self.i.valid & self.i.ready),
            self.i.ready.eq(queue.enough),
            queue.need.eq(1), queue.reserve.eq(came),
            queue.i_valid.eq(came), queue.i_payload.eq(self.i.payload),
            self.request.eq(walk.active & (beyond >= 0)),
            walk.take.eq(self.take),
            self.address.eq(walk.address),
            self.last.eq(walk.last),
        ]
        return m


class WriteChannel(wiring.Component):
    """The channels AW, W and B: sends requests, the words of each in the same order, and tells
    the streams of the responses.

    A burst's first word is offered :attr:`word_latency` cycles after the grant, if no other burst's
    are before it; then one in every cycle.

    Parameters
    ----------
    axi : :class:`Axi`
    bursts : sequence of :class:`int`
        Words of each stream's bursts.
    most : :class:`int`
        Requests that are under way, at most.

    Members
    -------
    axi : :py:`Out(axi.write_signature)`
    room, reserve : :py:`Out(1)`, :py:`In(1)`
        Whether a burst may be granted, and that it is; it comes in the next cycle.
    i_valid, i_payload : :py:`In(1)`, :py:`In(issue_layout)`
        A burst.
    i_0, i_1, ... : :py:`In(stream.Signature(axi.data_width))`
        The streams' words; those of a burst that was granted are there.
    answers : :py:`Out(len(bursts))`
        Whose burst got a response, one-hot.
    response : :py:`Out(2)`
        How its writing went.
    ends : :py:`Out(1)`
        It is the last of a command.
    """

    request_latency = RequestChannel.latency
    # The queue of bursts, the choice of the stream, its word, the queue towards the other side.
    word_latency = 1 + OutputQueue.latency + 1 + 1 + OutputQueue.latency
    answer_latency = 1

    def __init__(self, axi: Axi, *, bursts: Sequence[int], most: int):
        self._axi = axi
        self._bursts = tuple(bursts)
        self._most = most
        words = stream.Signature(axi.data_width)
        super().__init__({
            "axi": Out(axi.write_signature), "room": Out(1), "reserve": In(1),
            "i_valid": In(1), "i_payload": In(issue_layout(axi, streams=len(bursts))),
            "answers": Out(len(bursts)), "response": Out(2), "ends": Out(1),
        } | {f"i_{k}": In(words) for k in range(len(bursts))})

    @staticmethod
    def cost(axi: Axi, *, bursts: Sequence[int], most: int, device: Device) -> Resources:
        """What it takes."""
        index, count = (len(bursts) - 1).bit_length(), max(bursts).bit_length()
        choice = axi.data_width * -(-len(bursts) // 3) if len(bursts) > 1 else 0
        order = [OutputQueue.cost(width=width, places=max(2, most), device=device)
                 for width in (index, index + 1)]
        words = OutputQueue.cost(width=axi.data_width + 1, places=SIDE_PLACES, device=device)
        return sum(order, RequestChannel.cost(axi, bursts=bursts, device=device) + words
                   + Resources(lut=choice + 3 * count + 2 * len(bursts) + 4,
                               ff=axi.data_width + count + len(bursts) + 6))

    def elaborate(self, platform):
        m = Module()
        side, issue = self.axi, self.i_payload
        m.submodules.requests = requests = RequestChannel(self._axi, bursts=self._bursts)
        connect_requests(m, requests, self._axi, side, "aw")
        m.d.comb += [
            self.room.eq(requests.room), requests.reserve.eq(self.reserve),
            requests.i_valid.eq(self.i_valid), requests.i_address.eq(issue.address),
            requests.i_length.eq(issue.length),
        ]
        self._send(m)
        self._answer(m)
        return m

    def _send(self, m):
        """Words to the other side."""
        side, streams = self.axi, range(len(self._bursts))
        m.submodules.sending = sending = order_queue(range(len(streams)), most=self._most)
        m.submodules.words = words = OutputQueue(
            data.StructLayout({"word": len(side.wdata), "last": 1}), places=SIDE_PLACES)
        chosen, left = Signal(len(streams)), Signal(range(max(self._bursts)), reset_less=True)
        start, go, last = Signal(), Signal(), Signal()
        m.d.comb += [
            sending.need.eq(1), sending.reserve.eq(self.i_valid),
            sending.i_valid.eq(self.i_valid), sending.i_payload.eq(self.i_payload.stream),
            go.eq(words.enough
                  & Cat(chosen[k] & getattr(self, f"i_{k}").valid for k in streams).any()),
            last.eq(left == 0),
            start.eq(~chosen.any() | (go & last)),
            sending.o.ready.eq(start),
            words.need.eq(1), words.reserve.eq(go),
        ]
        with m.If(start):
            m.d.sync += chosen.eq(0)
            for k in streams:
                with m.If(sending.o.valid & (sending.o.payload == k)):
                    m.d.sync += [chosen[k].eq(1), left.eq(self._bursts[k] - 1)]
        with m.Elif(go):
            m.d.sync += left.eq(left - 1)

        went = Signal()
        word, last_word = Signal.like(side.wdata, reset_less=True), Signal(reset_less=True)
        choice = C(0, len(word))
        for k in streams:
            port = getattr(self, f"i_{k}")
            m.d.comb += port.ready.eq(go & chosen[k])
            choice |= port.payload & chosen[k].replicate(len(word))
        m.d.sync += [went.eq(go), word.eq(choice), last_word.eq(last)]
        m.d.comb += [
            words.i_valid.eq(went), words.i_payload.word.eq(word),
            words.i_payload.last.eq(last_word),
            side.wvalid.eq(words.o.valid), words.o.ready.eq(side.wready),
            side.wdata.eq(words.o.payload.word), side.wlast.eq(words.o.payload.last),
            side.wstrb.eq(-1),
        ]

    def _answer(self, m):
        """Responses to the streams."""
        side, streams = self.axi, range(len(self._bursts))
        layout = data.StructLayout({"stream": range(len(streams)), "last": 1})
        m.submodules.order = order = order_queue(layout, most=self._most)
        came, response = Signal(), Signal.like(self.response, reset_less=True)
        wanted = Signal()
        m.d.sync += [came.eq(side.bvalid), response.eq(side.bresp)]
        m.d.comb += [
            side.bready.eq(1),
            order.need.eq(1), order.reserve.eq(self.i_valid), order.i_valid.eq(self.i_valid),
            order.i_payload.stream.eq(self.i_payload.stream),
            order.i_payload.last.eq(self.i_payload.last),
            wanted.eq(came & order.o.valid), order.o.ready.eq(came),
            self.answers.eq(Cat(wanted & (order.o.payload.stream == k) for k in streams)),
            self.ends.eq(wanted & order.o.payload.last),
            self.response.eq(response),
        ]
