"""Harnesses of memory ports: two streams, whatever their ends and the memory do."""

import dataclasses
import itertools

from amaranth import *
from amaranth.utils import ceil_log2
from properties import Harness, count

from fcnnx.hdl.memory import axi, channel, port


__all__ = ["ReadHarness", "WalkHarness", "WriteHarness"]


ADDRESS = 13
BURSTS = 2  # bits of the number of bursts in a command
BEAT = 4  # bytes of a word
AXI = axi.Axi(data_width=8 * BEAT, address_width=ADDRESS, command_bits=BURSTS)


class Order:
    """Things in turn, first in, first out."""

    def __init__(self, m, *, depth, width, push, value, pop, name):
        items = [Signal(width, name=f"{name}_{k}") for k in range(depth)]
        self.count = Signal(range(depth + 1), name=f"{name}_count")
        self.head, self.none = items[0], self.count == 0
        with m.If(pop):
            for item, following in itertools.pairwise(items):
                m.d.sync += item.eq(following)
        with m.If(push), m.Switch(self.count - pop):
            for k, item in enumerate(items):
                with m.Case(k):
                    m.d.sync += item.eq(value)
        m.d.sync += self.count.eq(self.count + push - pop)


class PortHarness(Harness):
    """A port with two streams of one direction.

    Parameters
    ----------
    bursts, places : two of :class:`int`
    outstanding, table
        As in :class:`MemoryPort`.
    """

    direction = ""

    def __init__(self, *, bursts, places, outstanding, table, aspect=""):
        self._bursts = bursts
        self.spec = port.MemoryPort(
            axi=AXI, outstanding=outstanding,
            table=table, streams=tuple(
                port.MemoryStream(name=f"s{k}", direction=self.direction, burst=burst,
                                  places=each)
                for k, (burst, each) in enumerate(zip(bursts, places, strict=True))))
        super().__init__({
            "commands": 2, "addresses": 2 * ADDRESS, "lengths": 2 * BURSTS, "flow": 2,
            "request_ready": 1, "data_ready": 1, "responds": 1, "fails": 1, "mark": 1, "index": 3,
            "noise": 8 * BEAT + 1,
        }, aspect)

    @property
    def response(self):
        """OKAY or EXOKAY, SLVERR or DECERR."""
        return Cat(self.noise[-1], self.fails)

    def words(self, stream):
        """Words of a burst, by whose it is."""
        return Mux(stream, self._bursts[1], self._bursts[0])

    def start(self, m):
        """The port, its commands and requests; gives the port and whose burst is granted."""
        m.submodules.dut = dut = self.spec.create()
        for k in range(2):
            command = getattr(dut, f"command_{k}")
            length = self.lengths.word_select(k, BURSTS)
            m.d.comb += [command.valid.eq(self.commands[k]),
                         command.payload.address.eq(self.addresses.word_select(k, ADDRESS)),
                         command.payload.bursts.eq(Mux(length == 0, 1, length))]
        self.granted = dut.served_0 | dut.served_1
        self.depth = self.spec.requests(self.direction) + 1
        self.was, self.found = Signal(), Signal()
        self.whose, self.ahead = Signal(), Signal(range(-1, 32))
        return dut

    def request(self, m, valid, ready, address, length):
        """Requests come in the order of the grants, and stay inside their 4 KiB."""
        passes = valid & ready
        turn = self.order(m, self.granted, self.granted_to, passes, "asked")
        words = self.words(turn.head)
        # All bits that change are alike. Bursts are powers of two, 4 KiB at most: where they start
        # at multiples of themselves, none crosses a boundary.
        low = ceil_log2(BEAT * min(self._bursts))
        self.hold(m, "requests", valid, ready, address[low], length)
        self.implies("requests", valid, ~turn.none)
        self.implies("requests", valid, length == words - 1)
        self.implies("requests", valid, (address[:12] & (BEAT * words - 1)) == 0)
        self.silence(m, "requests", ~turn.none, valid, self.spec.request_latency - 1)
        return passes, turn

    def order(self, m, push, value, pop, name, width=1):
        turn = Order(m, depth=self.depth, width=width, push=push, value=value, pop=pop, name=name)
        self.implies("places", push, turn.count < self.depth)
        return turn

    def errors(self, m, dut, responds, stream):
        """A stream, and no other, is told of its errors a cycle later."""
        failed, response = Signal(2), Signal(2)
        m.d.sync += [failed.eq(Mux(responds & self.fails, Mux(stream, 2, 1), 0)),
                     response.eq(self.response)]
        for k in range(2):
            self.rule("errors", getattr(dut, f"error_{k}") == Mux(failed[k], response, 0))

    def marks(self, m, now, stream, ahead):
        """One word is marked, once: so many of its stream's come before it."""
        with m.If(now):
            m.d.sync += [self.was.eq(1), self.whose.eq(stream), self.ahead.eq(ahead)]

    def comes(self, m, passes, stream, bit):
        """It comes in its place, and nowhere else."""
        own = self.was & ~self.found & (self.whose == stream)
        with m.If(passes & own):
            m.d.sync += [self.ahead.eq(self.ahead - 1), self.found.eq(self.ahead == 0)]
        self.implies("words", passes, bit == (own & (self.ahead == 0)))

    def within(self, m, up, down, most, name):
        """What came less what went is never negative, nor more than so many."""
        value = count(m, up, down, most, name)
        self.rule("places", (value >= 0) & (value <= most))
        return value


class ReadHarness(PortHarness):
    """What is read: places are reserved, words come in order and to whom they belong."""

    direction = "read"

    def build(self, m):
        spec, dut = self.spec, self.start(m)
        side = dut.axi
        self.granted_to = dut.served_1
        m.d.comb += side.arready.eq(self.request_ready)
        asked, turn = self.request(m, side.arvalid, side.arready, side.araddr, side.arlen)

        tag, beat, index = Signal(), Signal(3), Signal(3)
        last, flight_pop = Signal(), Signal()
        flight = self.order(m, asked, Cat(turn.head, tag), flight_pop, "flight", width=2)
        whose = flight.head[0]
        m.d.comb += [
            side.rvalid.eq(self.responds & ~flight.none), side.rlast.eq(last),
            last.eq(beat == self.words(whose) - 1), flight_pop.eq(side.rvalid & last),
            side.rdata.eq(Cat(flight.head[1] & (beat == index), self.noise)),
            side.rresp.eq(self.response),
        ]
        with m.If(side.rvalid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        self.implies("requests", side.rvalid, side.rready)
        self.errors(m, dut, side.rvalid, whose)
        self.within(m, Mux(self.granted, self.words(self.granted_to), 0), side.rvalid,
                    spec.outstanding, "under_way")

        m.d.comb += tag.eq(self.mark & ~self.was)
        chosen = Mux(self.index < self.words(turn.head), self.index, 0)
        with m.If(asked & tag):
            m.d.sync += index.eq(chosen)
        before = [self._stream(m, dut, k, asked & (turn.head == k), side.rvalid & (whose == k))
                  for k in range(2)]
        self.marks(m, asked & tag, turn.head, Mux(turn.head, before[1], before[0]) + chosen)

    def _stream(self, m, dut, number, asked, arrives):
        """The rules of one stream; gives its words that were asked for and are still to come."""
        burst, places = self._bursts[number], self.spec.streams[number].places
        o = getattr(dut, f"o_{number}")
        passes = o.valid & o.ready
        m.d.comb += o.ready.eq(self.flow[number])
        self.hold(m, "words", o.valid, o.ready, o.payload[0])
        self.comes(m, passes, number, o.payload[0])
        self.within(m, Mux(getattr(dut, f"served_{number}"), burst, 0), passes, places,
                    f"reserved_{number}")
        arrived = self.within(m, arrives, passes, places, f"arrived_{number}")
        self.silence(m, "words", arrived != 0, o.valid, self.spec.word_latency(number) - 1)
        coming = self.within(m, Mux(asked, burst, 0), passes, places, f"coming_{number}")
        return coming - passes


class WriteHarness(PortHarness):
    """What is written: words are there before they are granted, and go in order and where they
    belong."""

    direction = "write"

    def build(self, m):
        spec, dut = self.spec, self.start(m)
        side = dut.axi
        self.granted_to = dut.served_1
        m.d.comb += [side.awready.eq(self.request_ready), side.wready.eq(self.data_ready)]
        asked, _ = self.request(m, side.awvalid, side.awready, side.awaddr, side.awlen)

        sent, ends, beat = side.wvalid & side.wready, Signal(), Signal(3)
        sends = self.order(m, self.granted, self.granted_to, ends, "sends")
        whose = sends.head
        m.d.comb += ends.eq(sent & (beat == self.words(whose) - 1))
        with m.If(sent):
            m.d.sync += beat.eq(Mux(ends, 0, beat + 1))
        self.hold(m, "words", side.wvalid, side.wready, side.wdata[0], side.wlast)
        self.implies("words", side.wvalid, ~sends.none)
        self.implies("words", side.wvalid, side.wlast == (beat == self.words(whose) - 1))
        self.silence(m, "words", ~sends.none, side.wvalid, spec.write_latency - 1)

        answer = Signal()
        owed = [self.within(m, what, answer, self.depth, f"owed_{k}")
                for k, what in enumerate((asked, ends))]
        m.d.comb += [answer.eq(self.responds & (owed[0] > 0) & (owed[1] > 0)),
                     side.bvalid.eq(answer), side.bresp.eq(self.response)]
        self.implies("requests", answer, side.bready)
        answers = self.order(m, self.granted, self.granted_to, answer, "answers")
        self.errors(m, dut, answer, answers.head)
        self.within(m, Mux(self.granted, self.words(self.granted_to), 0),
                    Mux(answer, self.words(answers.head), 0), spec.outstanding, "under_way")

        before = [self._stream(m, dut, k, sent & (whose == k)) for k in range(2)]
        came = Cat(getattr(dut, f"i_{k}").valid & getattr(dut, f"i_{k}").ready for k in range(2))
        stream = self.index[0]
        now = self.mark & ~self.was & came.bit_select(stream, 1)
        self.marks(m, now, stream, Mux(stream, before[1], before[0]))
        for k in range(2):
            m.d.comb += getattr(dut, f"i_{k}").payload.eq(Cat(now & (stream == k), self.noise))
            self.comes(m, sent & (whose == k), k, side.wdata[0])

    def _stream(self, m, dut, number, sent):
        """The rules of one stream; gives its words that are still to go."""
        burst, places = self._bursts[number], self.spec.streams[number].places
        i = getattr(dut, f"i_{number}")
        came = i.valid & i.ready
        m.d.comb += i.valid.eq(self.flow[number])
        self.within(m, came, Mux(getattr(dut, f"served_{number}"), burst, 0), places,
                    f"there_{number}")
        # Beyond its own places there are those towards the other side.
        waiting = self.within(m, came, sent, places + channel.SIDE_PLACES, f"waiting_{number}")
        return waiting - sent


class WalkHarness(Harness):
    """The bursts of commands: each starts where the one before ends, or so many further on, and one
    is the last."""

    def __init__(self, *, burst, bits=BURSTS, stride=1):
        self._axi, self._burst = dataclasses.replace(AXI, command_bits=bits), burst
        self._stride = stride
        super().__init__({"wants": 1, "address": ADDRESS, "bursts": bits, "mark": 1, "takes": 1})

    def build(self, m):
        m.submodules.dut = dut = channel.BurstWalk(self._axi, burst=self._burst,
                                                    stride=self._stride)
        size = self._burst * BEAT
        came, takes = self.wants & dut.command.ready, self.takes & dut.active
        m.d.comb += [dut.command.valid.eq(self.wants),
                     dut.command.payload.address.eq(self.address),
                     dut.command.payload.bursts.eq(Mux(self.bursts == 0, 1, self.bursts)),
                     dut.take.eq(takes)]
        # Commands that are there when the marked one comes end before its bursts begin.
        ahead = self.within_walk(m, came, takes & dut.last)
        was, before = Signal(), Signal(3)
        place, left = Signal(ADDRESS), Signal.like(self.bursts)
        now = came & self.mark & ~was
        with m.If(now):
            m.d.sync += [was.eq(1), before.eq(ahead - (takes & dut.last)), place.eq(
                self.address // size * size), left.eq(dut.command.payload.bursts)]
        with m.Elif(was & takes & (before != 0)):
            m.d.sync += before.eq(before - dut.last)
        own = was & (before == 0) & (left != 0)
        with m.If(own & takes):
            m.d.sync += [place.eq(place + size * self._stride), left.eq(left - 1)]
        self.implies("bursts", own & dut.active, (dut.address == place) & (dut.last == (left == 1)))
        self.implies("bursts", dut.active, ahead != 0)
        waited = Signal()
        m.d.sync += waited.eq(takes & dut.last & ~dut.command.ready)
        self.implies("bursts", waited, dut.active)  # there is no gap between commands
        self.silence(m, "bursts", ahead != 0, dut.active, dut.latency - 1)

    def within_walk(self, m, up, down):
        value = count(m, up, down, 2, "commands")
        self.rule("bursts", (value >= 0) & (value <= 2))
        return value
