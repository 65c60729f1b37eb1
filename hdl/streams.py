"""The ends of operators: queues with reserved places, and how streams are connected."""

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .device import Device, Resources


__all__ = ["OutputQueue", "connect_streams"]


def connect_streams(m, name: str, producer, consumer) -> None:
    """Connect a producer's stream to a consumer's.

    Raises
    ------
    TypeError
        If their payloads differ: :func:`wiring.connect` takes signed for unsigned, and one layout
        for another of the same width.
    """
    gives, takes = producer.payload.shape(), consumer.payload.shape()
    if gives != takes:
        raise TypeError(f"{name}: Cannot connect a stream of {gives!r} to one of {takes!r}")
    m.d.comb += [
        consumer.payload.eq(producer.payload),
        consumer.valid.eq(producer.valid),
        producer.ready.eq(consumer.ready),
    ]


class OutputQueue(wiring.Component):
    """Where a datapath that cannot stop leaves its beats: a place is reserved for each before it
    sets out.

    A beat leaves :attr:`latency` cycles after it came, at the earliest. A beat per cycle needs as
    many places as the datapath has stages, plus :attr:`latency`, plus :attr:`back`.

    Parameters
    ----------
    shape : shape-like
        Of the payload.
    places : :class:`int`
        Beats in the queue and on their way to it.
    most : :class:`int`
        Beats that one reservation is for, at most.

    Members
    -------
    need : :py:`In(range(most + 1))`
        Beats of the next reservation.
    enough : :py:`Out(1)`
        Whether so many places are free; of registers alone where :py:`need` is.
    reserve : :py:`In(1)`
        Take them; only while :py:`enough`.
    i_valid, i_payload : :py:`In(1)`, :py:`In(shape)`
        A beat for which a place is reserved.
    o : :py:`Out(stream.Signature(shape))`
    """

    latency = 1
    back = 2

    def __init__(self, shape, *, places: int, most: int = 1):
        if not 1 <= most < places:
            raise ValueError(f"A queue of {places!r} places cannot reserve {most!r} at once")
        self._places = places
        super().__init__({
            "need": In(range(most + 1)),
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
        control = 13 * count // 2 - 3 if device.wide_tables else 11 * count - 1
        return Resources(lut=device.lut_ram(width, places) + control, ff=4 * count + 1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = fifo.SyncFIFO(
            width=Value.cast(self.i_payload).shape().width, depth=self._places)
        m.d.comb += [
            queue.w_en.eq(self.i_valid), queue.w_data.eq(self.i_payload),
            self.o.valid.eq(queue.r_rdy), self.o.payload.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
        ]
        left = Signal(range(self._places + 1), init=self._places)
        given = Signal()
        m.d.sync += given.eq(self.o.valid & self.o.ready)
        m.d.comb += self.enough.eq(left >= self.need)
        m.d.sync += left.eq(left - Mux(self.reserve, self.need, 0) + given)
        return m
